"""What a run tells: plain objects with a `type`, the last of which says how it ended."""

from collections.abc import Mapping
from typing import Any, Literal

from utils.errors import problem_document

Event = dict[str, Any]
Status = Literal["running", "completed", "failed", "cancelled"]
# The type of a run's last event, and the status that it means.
ENDS: Mapping[str, Status] = {"done": "completed", "error": "failed", "cancelled": "cancelled"}


def resumed(run_id: str) -> Event:
    """Another worker, or another attempt, begins the answer anew."""
    return {"type": "resumed", "run_id": run_id}


def cancelled(run_id: str) -> Event:
    """It was ended before its time."""
    return {"type": "cancelled", "run_id": run_id}


def failure(run_id: str, error: BaseException, *, request_id: str) -> Event:
    """It failed; with a whole problem document, for whoever reads it later."""
    problem = problem_document(error, instance=f"/v1/runs/{run_id}", request_id=request_id)
    return {"type": "error", "run_id": run_id, "problem": problem}


def result_in(done: Event) -> dict[str, Any]:
    """What a run has come to, out of its last event."""
    return {name: value for name, value in done.items() if name != "type"}
