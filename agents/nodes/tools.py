"""The step that calls tools, after the person was asked where the bot wants that."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any, Literal

from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt

from agents.state import AgentContext, ChatState
from agents.tools.last_result import LastResult, load_last
from agents.tools.state import CallRecord, ToolState, add_result, find_open_call, load_state
from agents.tools.tool import ToolFailed, ToolResult
from agents.tools.turn import TurnTools
from utils.errors import ProblemError

logger = logging.getLogger(__name__)

_NO_TIME = "It did not answer in time."
_BROKEN = "It failed."
_LONGEST_REASON = 600  # characters


async def tools(state: ChatState, runtime: Runtime[AgentContext]) -> Command[Literal["plan", "tools"]]:
    """Make the next call, together with those after it that change nothing either.

    Reads and writes `tool_state`. The checkpoint before it names the calls, the one after it what came of them: a
    worker that takes over between them makes the same calls again, with the same idempotency keys. Interrupts the run
    where the person has to approve first. Emits `tool_start` and `tool_result`.
    """
    run = runtime.context
    turn, tool_state = run.need_tools(), load_state(state.get("tool_state"), run.run_id)
    call = find_open_call(tool_state)
    if call is None:
        return Command(goto="plan", update={"tool_state": tool_state})
    if turn.waits(call):
        interrupt({name: call[name] for name in ("call_id", "name", "arguments")})
    if turn.is_rejected(call):
        _reject_rest(tool_state)
        return Command(goto="plan", update={"tool_state": tool_state})
    calls = find_independent(tool_state["calls"], turn)
    async with run.place.release():
        last = load_last(tool_state.get("kept") or state.get("kept_result"))
        results = await make_calls(calls, turn, last, run.emit)
        for each, result in zip(calls, results, strict=True):  # one by one: of a conversation the newest file is kept
            if result is not None and result.rest and (file := await turn.keep_rows(each, result)):
                each["rows_file"] = file
    for each, result in zip(calls, results, strict=True):
        if result is not None:
            add_result(tool_state, each, result)
    return Command(goto="tools" if find_open_call(tool_state) else "plan", update={"tool_state": tool_state})


def find_independent(calls: Sequence[CallRecord], turn: TurnTools) -> list[CallRecord]:
    """The next open call, and those behind it that can be made at the same time: none of them changes anything."""
    first, *others = [each for each in calls if each["status"] == "open"]
    together = takewhile(lambda each: not turn.has_side_effects(each) and not turn.waits(each), others)
    return [first] if turn.has_side_effects(first) else [first, *together]


async def make_calls(
    calls: Sequence[CallRecord], turn: TurnTools, last: LastResult | None, emit: Callable[[dict[str, Any]], None]
) -> list[ToolResult | None]:
    """What each of *calls* gives, which are made at once; None where it did not work, and its record says why."""

    async def make(call: CallRecord) -> ToolResult | None:
        emit({"type": "tool_start", "call_id": call["call_id"], "name": call["name"]})
        began_s = time.perf_counter()
        result = await _make(call, turn, last)
        call["ms"] = round((time.perf_counter() - began_s) * 1000)
        outcome = {"ok": result is not None, "duration_ms": call["ms"], "summary": _summarize(result) or call["error"]}
        emit({"type": "tool_result", "call_id": call["call_id"], "name": call["name"], **outcome})
        return result

    return await asyncio.gather(*map(make, calls))


async def _make(call: CallRecord, turn: TurnTools, last: LastResult | None) -> ToolResult | None:
    """What *call* gives; None where it did not work, which is noted in it."""
    has_effects = turn.has_side_effects(call)
    try:
        return await turn.call(call, last)
    except ToolFailed as exc:
        call["status"], call["error"] = "failed", str(exc)
        call["reason"] = " ".join(str(exc).split())[:_LONGEST_REASON]
        call["says_all"] = exc.says_all
    except TimeoutError:
        call["status"], call["error"] = "unknown" if has_effects else "failed", _NO_TIME
    except Exception as exc:  # a tool is others' code: the turn goes on whatever it raises
        logger.exception("The tool %s failed.", call["name"])
        call["status"] = "unknown" if has_effects else "failed"
        call["error"] = exc.detail if isinstance(exc, ProblemError) else _BROKEN
    return None


def _summarize(result: ToolResult | None) -> str:
    if result is None:
        return ""
    if result.found is not None:
        count = len(result.found.hits)
        return f"{count} passage{'' if count == 1 else 's'}"
    return f"{len(result.text):,} characters"


def _reject_rest(tool_state: ToolState) -> None:
    """The person said no: neither this call nor those that were to follow are made."""
    for call in tool_state["calls"]:
        if call["status"] == "open":
            call["status"], call["error"] = "rejected", "The person rejected it."
