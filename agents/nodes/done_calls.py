"""Calls that changed something: an answer says that they were done, whatever becomes of the words of a model."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from agents.citations import Citation, make_citations, remove_marks
from agents.state import AgentContext, ChatState
from agents.tools.state import CallRecord
from agents.tools.turn import TurnTools
from prompts.tools import format_done
from utils.passages import Hit

_LONGEST_QUOTE = 600  # characters


class DoneNote(NamedTuple):
    """What is said of calls that were done, a line for each, "" for none; *citations* of what their tools said."""

    text: str = ""
    citations: Sequence[Citation] = ()


def note_done_calls(
    state: ChatState, run: AgentContext, find_language: Callable[[], str], used_passages: Collection[int] = ()
) -> DoneNote:
    """What is still to be said of the calls that changed something, or that the person approved.

    *find_language* gives the language to say it in. *used_passages*: their numbers, which the answer tells of already.
    """
    hits, tool_state = state["passages"], state.get("tool_state")
    if run.tools is None or not tool_state:
        return DoneNote()
    numbers = {hit.passage.passage_id: number for number, hit in enumerate(hits, 1)}
    lines, quotes = list[str](), list[str]()
    for call in tool_state["calls"]:
        number = numbers.get(call["call_id"])
        if call["status"] == "done" and number not in used_passages and _must_report(call, run.tools):
            quote = _quote(call["text"], number)
            lines.append(format_done(find_language(), call["name"], quote))
            quotes.append(quote)
    return DoneNote("\n".join(dict.fromkeys(lines)), _cite(quotes, hits))


def list_used_passages(citations: Sequence[Citation], support: dict[str, Any]) -> set[int]:
    """The numbers of the passages that an answer tells of, but for those that only unsupported sentences name."""
    doubtful, sure = set[int](), set[int]()
    for sentence in support["sentences"]:
        (doubtful if sentence["status"] == "unsupported" else sure).update(sentence["sources"])
    return {citation.number for citation in citations} - (doubtful - sure)


def _must_report(call: CallRecord, turn: TurnTools) -> bool:
    """Whether whoever asked has to know that *call* was done, and is not to ask for it again."""
    tools = turn.shared.registry.choose([call["name"]])  # also one that is not offered any more
    has_side_effects = any(tool.name == call["name"] and tool.has_side_effects for tool in tools)
    return has_side_effects or call["name"] in turn.bot.approvals


def _quote(text: str, number: int | None) -> str:
    """The beginning of what a tool said, in one line with its mark; "" where it said nothing."""
    line = " ".join(remove_marks(text[: 2 * _LONGEST_QUOTE]).split())
    if not line or number is None:
        return ""
    if len(line) > _LONGEST_QUOTE or len(text) > 2 * _LONGEST_QUOTE:
        return f"{line[:_LONGEST_QUOTE].rstrip()}… [{number}]"
    return f"{line[:-1]} [{number}]." if line.endswith(".") else f"{line} [{number}]"


def _cite(quotes: Sequence[str], hits: Sequence[Hit]) -> list[Citation]:
    return make_citations("\n\n".join(filter(None, quotes)), hits)[1]
