"""The step that decides what is used for an answer: tools, the documents, or nothing, where it is small talk."""

from collections.abc import Sequence
from typing import Literal

from langchain_core.messages import HumanMessage
from langgraph.runtime import Runtime
from langgraph.types import Command

from agents.messages import drop_tool_messages, make_model_messages
from agents.nodes.answer import find_fallback_reason
from agents.nodes.plan_by_rules import decide_by_rules, find_previous
from agents.state import AgentContext, ChatState
from agents.tools.data import OF_LAST_RESULT
from agents.tools.last_questions import continue_last, is_self_contained, read_last_question
from agents.tools.last_result import load_last
from agents.tools.planner import AskedCall, Decision, Fault
from agents.tools.same_question import remove_repeated, reuse_result
from agents.tools.source_call import make_source_call
from agents.tools.state import ToolState, add_call, find_open_call, judge_results, list_hits, load_state
from agents.tools.table_text import describe_head
from agents.tools.tool import write_arguments
from agents.tools.turn import TurnTools
from prompts.tools import make_last_result_prompt
from utils.errors import ProviderError
from utils.token_usage import read_usage

Next = Literal["tools", "talk", "retrieve", "answer", "refuse", "clarify"]
_REPEATED = "this very call was made before, and its result is known."


async def plan(state: ChatState, runtime: Runtime[AgentContext]) -> Command[Next]:
    """Decide what to do next, where the bot has tools.

    Reads `messages`, `query` and `tool_state`; writes `tool_state`, the calls that are to be made, and where there are
    none, `passages` and `verdict`: what the calls before have given. Emits `status` events.
    """
    run = runtime.context
    turn = run.need_tools()
    tool_state = load_state(state.get("tool_state"), run.run_id)
    decision = Decision("answer")
    if not find_open_call(tool_state) and not _is_over(tool_state):
        run.emit({"type": "status", "stage": "plan"})
        decision = await _decide(state, run, turn, tool_state)
    if tool_state["calls"]:
        run.cache_session.forget()  # what tools give is of this turn alone
    if find_open_call(tool_state):  # maybe begun before: whoever was at it has died, or waits for a person
        return Command(goto="tools", update={"tool_state": tool_state})
    return _conclude(decision, tool_state, searches=not turn.data_source_id)


def _is_over(tool_state: ToolState) -> bool:
    """Whether nothing more is to be called: the person said no, or nobody knows what came of a call."""
    return any(call["status"] in ("rejected", "unknown") for call in tool_state["calls"])


def _conclude(decision: Decision, tool_state: ToolState, *, searches: bool) -> Command[Next]:
    """Where the turn goes on; *searches*: the documents may answer where tools did not."""
    hits, verdict = list_hits(tool_state), judge_results(tool_state)
    update = {
        "tool_state": tool_state,
        "passages": hits,
        "verdict": verdict,
        "is_index_whole": tool_state["is_index_whole"],
    }
    if decision.kind == "talk":
        return Command(goto="talk", update=update)
    if decision.kind == "clarify":
        return Command(goto="clarify", update={**update, "choices": list(decision.choices)})
    if hits and verdict.is_near:
        return Command(goto="answer", update=update)
    if _is_over(tool_state) or not searches or decision.kind == "refuse":
        return Command(goto="refuse", update=update)
    return Command(goto="retrieve", update={"tool_state": tool_state})


async def _decide(state: ChatState, run: AgentContext, turn: TurnTools, tool_state: ToolState) -> Decision:
    """What to do; calls that are to be made stand in *tool_state* then. One that is wrong goes back once."""
    faults: list[Fault] = []
    while not (reached := turn.find_limit(tool_state)):
        tool_state["steps"] += 1
        before = read_usage().tokens
        async with run.place.release():
            decision = await _ask(state, run, turn, tool_state, faults)
        tool_state["tokens"] += read_usage().tokens - before
        if decision.kind != "calls":
            return decision
        new = _accept_calls(_ask_once(decision, state, turn, tool_state), turn, tool_state)
        if find_open_call(tool_state) or not new:
            return decision
        faults += new
    run.emit({"type": "status", "stage": "plan", "degraded": f"A limit of tools was reached: {reached}"})
    return Decision("answer")


async def _ask(
    state: ChatState, run: AgentContext, turn: TurnTools, tool_state: ToolState, faults: list[Fault]
) -> Decision:
    if run.model.is_language_model:  # one that is away says so at once, and is tried again when it is time
        try:
            # About the newest message alone: what was asked before it, and waited for a word, is not asked for again.
            talk = [*make_model_messages(state["messages"])[:-1], HumanMessage(state["messages"][-1].text)]
            planner = turn.shared.planner
            note = _describe_last(state, turn, tool_state)
            decision = await planner.decide(run.model.chat, run.bot, talk, turn.offered, tool_state, faults, note=note)
            tool_state.pop("fallback_reason", None)
            needs_source = bool(turn.data_source_id) and decision.kind == "documents"  # which are not to be searched
            return await _ask_source(state, turn) if needs_source else decision
        except ProviderError as error:  # then as where there is no language model
            tool_state["fallback_reason"] = find_fallback_reason(error)
    if tool_state["calls"]:
        return _conclude_rules(state, tool_state)
    return await _ask_source(state, turn) if turn.data_source_id else await decide_by_rules(state, run, turn)


def _conclude_rules(state: ChatState, tool_state: ToolState) -> Decision:
    """What follows the calls of rules: of the last result of a query documents do not tell, and it stays the last."""
    if not all(each["arguments"].get(OF_LAST_RESULT) for each in tool_state["calls"]):
        return Decision("answer")
    if former := state.get("kept_result"):
        tool_state.setdefault("kept", former)
    return Decision("refuse")


async def _ask_source(state: ChatState, turn: TurnTools) -> Decision:
    """To put the newest question to the data source of the turn."""
    *history, newest = drop_tool_messages(state["messages"])
    names, last = [tool.name for tool in turn.offered], load_last(state.get("kept_result"))
    last = last if last and last.source_id == turn.data_source_id else None
    call = None
    if last and not await is_self_contained(newest.text, last, turn.offered, turn.principal):
        call = read_last_question(newest.text, last, names) or await continue_last(
            newest.text, last, turn.offered, turn.principal
        )
    call = call or make_source_call(newest.text, find_previous(history), names)
    return Decision("calls", [call]) if call else Decision("answer")


def _describe_last(state: ChatState, turn: TurnTools, tool_state: ToolState) -> str:
    """What a language model is told of the last result; "" where there is none, or no tool may use it.

    A result of this turn stands among those of its calls.
    """
    last = None if "kept" in tool_state else load_last(state.get("kept_result"))
    is_usable = any(OF_LAST_RESULT in tool.properties for tool in turn.offered)
    if last is None or not is_usable or turn.data_source_id not in ("", last.source_id):
        return ""
    return make_last_result_prompt(last.question, "\n".join(describe_head(last.table, turn.shared.limits.head_rows)))


def _ask_once(decision: Decision, state: ChatState, turn: TurnTools, tool_state: ToolState) -> list[AskedCall]:
    """The calls of *decision*, without asking for a result that is there, or twice for the same."""
    own = tool_state.get("kept")
    last = load_last(own or state.get("kept_result"))
    calls = [reuse_result(turn.direct(call), last, is_of_turn=own is not None) for call in decision.calls]
    return remove_repeated(calls, lambda call: not _find_fault(call, turn))


def _accept_calls(calls: Sequence[AskedCall], turn: TurnTools, tool_state: ToolState) -> list[Fault]:
    """Put the calls that can be made into *tool_state*. Gives those that are wrong for the first time."""
    faults = []
    for call in calls:
        if len(tool_state["calls"]) >= turn.shared.limits.calls:
            break
        reason, is_repeated = _find_fault(call, turn), _is_repeated(call, tool_state)
        if not reason and not is_repeated:
            add_call(tool_state, call.name, call.arguments)
        elif call.name not in tool_state["sent_back"]:
            tool_state["sent_back"].append(call.name)
            faults.append(Fault(call, reason or _REPEATED))
        elif reason:
            add_call(tool_state, call.name, {}, error=reason)
    return faults


def _find_fault(call: AskedCall, turn: TurnTools) -> str:
    tool = turn.find(call.name)
    if tool is None:
        return f"there is no tool {call.name!r}. There are: {', '.join(each.name for each in turn.offered)}."
    if call.arguments is None:
        return "its arguments are not JSON."
    return tool.find_fault(call.arguments)


def _is_repeated(call: AskedCall, tool_state: ToolState) -> bool:
    if not isinstance(call.arguments, dict):
        return False
    key = call.name, write_arguments(call.arguments)
    return any((former["name"], write_arguments(former["arguments"])) == key for former in tool_state["calls"])
