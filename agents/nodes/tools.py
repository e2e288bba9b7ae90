"""The step that calls one tool, after the person was asked where the bot wants that."""

import logging
import time
from typing import Literal

from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt

from agents.state import AgentContext, ChatState
from agents.tools.kept import KeptResult, load_kept
from agents.tools.state import CallRecord, ToolState, add_result, find_open_call, load_state
from agents.tools.tool import ToolFailed, ToolResult
from agents.tools.turn import TurnTools
from utils.errors import ProblemError

logger = logging.getLogger(__name__)

_NO_TIME = "It did not answer in time."
_BROKEN = "It failed."
_LONGEST_REASON = 300  # characters


async def tools(state: ChatState, runtime: Runtime[AgentContext]) -> Command[Literal["plan", "tools"]]:
    """Make the next call.

    Reads and writes `tool_state`. The checkpoint before it names the call, the one after it what came of it: a worker
    that takes over between them makes the same call again, with the same idempotency key. Interrupts the run where the
    person has to approve first. Emits `tool_start` and `tool_result`.
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
    run.emit({"type": "tool_start", "call_id": call["call_id"], "name": call["name"]})
    began_s = time.perf_counter()
    async with run.place.outside():
        summary = await _make(call, turn, tool_state, load_kept(state.get("kept_result")))
    call["ms"] = round((time.perf_counter() - began_s) * 1000)
    told = {"ok": call["status"] == "done", "duration_ms": call["ms"], "summary": summary}
    run.emit({"type": "tool_result", "call_id": call["call_id"], "name": call["name"], **told})
    return Command(goto="tools" if find_open_call(tool_state) else "plan", update={"tool_state": tool_state})


async def _make(call: CallRecord, turn: TurnTools, tool_state: ToolState, kept: KeptResult | None) -> str:
    """Make *call* and note in *tool_state* what came of it. Gives a few words about that."""
    tool = turn.find(call["name"])
    has_effects = tool is not None and tool.has_side_effects
    try:
        result = await turn.call(call, kept)
    except ToolFailed as exc:
        call["status"], call["error"] = "failed", str(exc)
        call["reason"] = " ".join(str(exc).split())[:_LONGEST_REASON]
    except TimeoutError:
        call["status"], call["error"] = "unknown" if has_effects else "failed", _NO_TIME
    except Exception as exc:  # a tool is others' code: the turn goes on whatever it raises
        logger.exception("The tool %s failed.", call["name"])
        call["status"] = "unknown" if has_effects else "failed"
        call["error"] = exc.detail if isinstance(exc, ProblemError) else _BROKEN
    else:
        add_result(tool_state, call, result)
        if result.rest and result.data is not None and (file := await turn.keep_rows(call, result)):
            call["rows_file"] = file
        return _sum_up(result)
    return call["error"]


def _sum_up(result: ToolResult) -> str:
    if result.found is not None:
        count = len(result.found.hits)
        return f"{count} passage{'' if count == 1 else 's'}"
    return f"{len(result.text):,} characters"


def _reject_rest(tool_state: ToolState) -> None:
    """The person said no: neither this call nor those that were to follow are made."""
    for call in tool_state["calls"]:
        if call["status"] == "open":
            call["status"], call["error"] = "rejected", "The person rejected it."
