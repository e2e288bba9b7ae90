"""Asks a language model whether to use a tool: by native calls where it has them, else by a decision in JSON."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal
from weakref import ref

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolCall, ToolMessage

from agents.bots import BotConfig
from agents.tools.state import ToolState
from agents.tools.tool import Tool
from prompts.tools import ANSWER, DOCUMENTS, TALK, make_json_prompt, make_planning_prompt, render_call
from utils.errors import ProviderRefused
from utils.model_json import find_any_object

logger = logging.getLogger(__name__)

Kind = Literal["calls", "documents", "talk", "answer", "clarify", "refuse"]
_KINDS: Mapping[str, Kind] = {DOCUMENTS: "documents", TALK: "talk", ANSWER: "answer"}
_MAX_SHOWN = 4_000  # characters of a passage's text that was found, for a decision
_NO_NATIVE = "The chat model %s refuses calls of tools: it is asked for decisions in JSON from now on"


@dataclass(frozen=True, slots=True)
class AskedCall:
    """A call as it was asked for: nothing of it has been checked. `arguments` are None where they could not be read."""

    name: str
    arguments: Any


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done next: `calls`; the `documents` are searched; it is small `talk`; there is enough to `answer`; the
    person has to choose one of `choices`; or only documents are left, which do not tell of it: `refuse`."""

    kind: Kind
    calls: Sequence[AskedCall] = ()
    choices: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """A call that was wrong, and what is to be said of it."""

    call: AskedCall
    reason: str


@dataclass(slots=True)
class Planner:
    """Decides by a language model. One that refuses native calls is not asked for them again; without *is_native* none
    is."""

    is_native: bool = True
    # By their ids: another tenant's model of the same name is another one.
    _in_json: dict[int, ref[BaseChatModel]] = field(default_factory=dict)

    async def decide(
        self,
        chat: BaseChatModel,
        bot: BotConfig,
        talk: Sequence[BaseMessage],
        tools: Sequence[Tool],
        state: ToolState,
        faults: Sequence[Fault],
        *,
        note: str = "",
    ) -> Decision:
        """What to do about the last message of *talk*. *faults*: calls of this decision that were wrong. *note*: what
        is told beside the rules.

        Raises:
            ProviderError: the model did not answer.
        """
        rules = make_planning_prompt(institution=bot.institution, instructions=bot.instructions) + note
        if self.is_native and id(chat) not in self._in_json:
            try:
                return await _decide_natively(chat, rules, talk, tools, state, faults)
            except (ProviderRefused, NotImplementedError):
                decision = await _decide_in_json(chat, rules, talk, tools, state, faults)
                # Only now: a request that is refused for another reason is refused either way.
                self._in_json[id(chat)] = ref(chat, partial(_forget, self._in_json, id(chat)))
                logger.warning(_NO_NATIVE, getattr(chat, "model_name", type(chat).__name__))
                return decision
        return await _decide_in_json(chat, rules, talk, tools, state, faults)


def _forget(in_json: dict[int, ref[BaseChatModel]], number: int, _: ref[BaseChatModel]) -> None:
    """A model is closed, and its id may become another one's."""
    in_json.pop(number, None)


async def _decide_natively(
    chat: BaseChatModel,
    rules: str,
    talk: Sequence[BaseMessage],
    tools: Sequence[Tool],
    state: ToolState,
    faults: Sequence[Fault],
) -> Decision:
    messages = [SystemMessage(rules), *talk]
    for call_id, name, arguments, result in _list_results(state, faults):
        messages.append(AIMessage("", tool_calls=[ToolCall(name=name, args=arguments, id=call_id)]))
        messages.append(ToolMessage(result, tool_call_id=call_id))
    reply = await chat.bind_tools([_describe(tool) for tool in tools]).ainvoke(messages)
    calls = [AskedCall(call["name"], call["args"]) for call in reply.tool_calls]
    calls += [AskedCall(call["name"] or "", None) for call in reply.invalid_tool_calls]
    return Decision("calls", calls) if calls else _read_word(reply.text, state)


async def _decide_in_json(
    chat: BaseChatModel,
    rules: str,
    talk: Sequence[BaseMessage],
    tools: Sequence[Tool],
    state: ToolState,
    faults: Sequence[Fault],
) -> Decision:
    system = SystemMessage(rules + make_json_prompt([_describe(tool)["function"] for tool in tools]))
    results = [render_call(name, arguments, result) for _, name, arguments, result in _list_results(state, faults)]
    *earlier, newest = talk
    question = HumanMessage("\n\n".join([newest.text, *results]))
    reply = await chat.ainvoke([system, *earlier, question])
    decided, is_storable = find_any_object(reply.text) or ({}, True)
    name = decided.get("tool")
    if not isinstance(name, str):
        return _read_word(reply.text, state)
    if name.strip() in _KINDS:
        return _read_word(name, state)
    return Decision("calls", [AskedCall(name, decided.get("arguments", {}) if is_storable else None)])


def _list_results(state: ToolState, faults: Sequence[Fault]) -> list[tuple[str, str, dict[str, Any], str]]:
    """An id, the tool, the arguments and the outcome of each call that has ended or was wrong."""
    results = "\n\n".join(hit["passage"]["text"][:_MAX_SHOWN] for hit in state["hits"])
    ended = [
        (call["call_id"], call["name"], call["arguments"], call["text"] or call["error"] or results or "Nothing found.")
        for call in state["calls"]
        if call["status"] != "open"
    ]
    wrong = [
        (
            f"wrong-{number}",
            fault.call.name or "none",
            fault.call.arguments if isinstance(fault.call.arguments, dict) else {},
            f"This call was not made: {fault.reason}",
        )
        for number, fault in enumerate(faults)
    ]
    return [*ended, *wrong]


def _describe(tool: Tool) -> dict[str, Any]:
    """A tool in OpenAI's words, which LangChain's models all take."""
    described = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": described}


def _read_word(text: str, state: ToolState) -> Decision:
    """The decision that a reply without a call is; what is none of ours means the documents, or what there is."""
    kind = next((kind for word, kind in _KINDS.items() if text.strip().strip(".\"'`*").upper() == word), None)
    if kind == "talk" and not state["calls"]:
        return Decision("talk")
    return Decision("answer" if state["calls"] else "documents")
