"""What the stages of a turn took, and what was missing in them."""

import time
from collections.abc import Callable

from agents.runs.record import Event


class StageClock:
    """Times the stages of a turn by their `status` events."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._began_s = self._stage_began_s = time.perf_counter()
        self._stage: str | None = None
        self._spent_s: dict[str, float] = {}
        self._degraded: dict[str, None] = {}

    @property
    def degraded(self) -> str | None:
        """All that was said to be missing, None if nothing was."""
        return " ".join(self._degraded) or None

    def note_event(self, event: Event) -> None:
        """Note a stage's begin, and what it says is missing; pass the event on."""
        if event["type"] == "status":
            if degraded := event.get("degraded"):
                self._degraded[degraded] = None
            self._close_stage()
            self._stage = event["stage"]
        self._emit(event)

    def compute_times_s(self) -> dict[str, float]:
        """Seconds by stage, as `<stage>_time`, and `total_time`."""
        self._close_stage()
        times = {f"{stage}_time": round(spent_s, 4) for stage, spent_s in self._spent_s.items()}
        return {**times, "total_time": round(time.perf_counter() - self._began_s, 4)}

    def _close_stage(self) -> None:
        now_s = time.perf_counter()
        if self._stage:
            self._spent_s[self._stage] = self._spent_s.get(self._stage, 0.0) + now_s - self._stage_began_s
        self._stage_began_s = now_s
