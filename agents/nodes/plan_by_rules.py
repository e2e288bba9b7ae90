"""How the next step is decided without a language model: by what tools understand and by their descriptions."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from langchain_core.messages import AnyMessage, HumanMessage

from agents.messages import drop_tool_messages
from agents.nodes.clarify import find_choice
from agents.state import AgentContext, ChatState
from agents.tools.last_questions import (
    continue_last,
    is_self_contained,
    read_bare_chart,
    read_last_question,
    restrict_to_last,
)
from agents.tools.last_result import load_last
from agents.tools.planner import AskedCall, Decision
from agents.tools.question_parts import asks_something, split_parts
from agents.tools.registry import SEARCH_DOCUMENTS
from agents.tools.tool import AsksBack, Tool
from agents.tools.turn import TurnTools
from datasources.questions.continuing import begins_anew
from providers.chat.extractive import standalone_question
from retrieval.search import SearchOptions

_FEW = 3  # passages by which the documents are compared with a tool


async def decide_by_rules(state: ChatState, run: AgentContext, turn: TurnTools) -> Decision:
    """A call of a tool that understands the whole question, or whose description fits it best; else the documents."""
    *history, newest = drop_tool_messages(state["messages"])
    # Nobody has understood the question: what changes something is only called where the person is asked first.
    tools = [tool for tool in turn.offered if not tool.has_side_effects or tool.name in run.bot.approvals]
    last, names = load_last(state.get("kept_result")), [each.name for each in tools]
    call = read_last_question(newest.text, last, names) if last else None
    if last and call and not await is_self_contained(newest.text, last, tools, turn.principal):
        return Decision("calls", [call])
    text, choice = find_choice(state["messages"]) or (newest.text, "")
    read = partial(_read_question, previous=find_previous(history), choice=choice, tools=tools, turn=turn)
    try:
        calls = await _read_whole_or_parts(text, read)
    except AsksBack as exc:
        return Decision("clarify", choices=exc.choices)
    if last and not (calls and begins_anew(newest.text)):  # "and the average?": of the rows that were just given
        continued = await continue_last(newest.text, last, tools, turn.principal)
        calls = [continued] if continued else calls
    if calls:
        return Decision("calls", [restrict_to_last(call, newest.text, last) if last else call for call in calls])
    if call := read_bare_chart(newest.text, names):
        return Decision("calls", [call])
    question = standalone_question(history, state["query"])
    options = SearchOptions(run.bot.filters, attached=run.attached)
    match = await run.retriever.search(run.principal, question, limit=_FEW, options=options)
    return await turn.shared.rules.decide(
        question, tools, run.retriever.embedder, document_evidence=match.verdict.evidence
    )


def find_previous(history: Sequence[AnyMessage]) -> str:
    """The question before, "" without one."""
    return next((each.text for each in reversed(history) if isinstance(each, HumanMessage)), "")


async def _read_whole_or_parts(question: str, read: Callable[[str], Awaitable[AskedCall | None]]) -> list[AskedCall]:
    """The call that answers *question*; or where only a part of it is understood, and the rest asks something, too, the
    call for that part and a search of the documents for the rest.

    Raises:
        AsksBack: it may mean several things.
    """
    if call := await read(question):
        return [call]
    for parts in split_parts(question):
        for part, rest in (parts, parts[::-1]):
            if asks_something(rest) and (call := await read(part)):
                return [call, AskedCall(SEARCH_DOCUMENTS, {"query": rest})]
    return []


async def _read_question(
    question: str, *, previous: str, choice: str, tools: Sequence[Tool], turn: TurnTools
) -> AskedCall | None:
    """The call of the first tool that understands all of *question*; None where none does.

    Raises:
        AsksBack: it may mean several things, of which *choice* is none.
    """
    for tool in tools:
        try:
            arguments = await tool.read_question(turn.principal, question, previous) if tool.read_question else None
        except AsksBack as exc:
            if choice not in exc.choices:
                raise
            arguments = {**exc.arguments, exc.name: choice}
        if arguments is not None:
            return AskedCall(tool.name, arguments)
    return None
