"""Counts turns: how they end, what their stages take, and when their first words come."""

import time
from collections.abc import Mapping
from typing import Any

from utils.ports import RunOutcome, RunWatch
from utils.telemetry.catalogue import (
    FIRST_TOKEN,
    PIECES,
    RUNS_ACTIVE,
    STAGES,
    TAKEN_OVER,
    TURN_FAILURES,
    TURN_FALLBACKS,
    TURNS,
)  # fmt: skip
from utils.telemetry.instruments import Instruments


class MeteredRuns:
    """A `RunObserver` that counts with *instruments*."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments

    def begin(self, run_id: str, *, streams: bool, request_id: str = "", trace_parent: str = "") -> RunWatch:
        """A watch over the new run."""
        return _MeteredRun(self._instruments, streams)


class _MeteredRun:
    __slots__ = ("_began_s", "_instruments", "_over", "_pieces", "_stage", "_stage_began_s", "_streams")

    def __init__(self, instruments: Instruments, streams: bool) -> None:
        self._instruments, self._streams = instruments, streams
        self._began_s = self._stage_began_s = time.perf_counter()
        self._stage, self._pieces, self._over = "", 0, False
        instruments.add(RUNS_ACTIVE, 1)

    def note_event(self, event: Mapping[str, Any]) -> None:
        kind = event["type"]
        if kind == "token":
            self._pieces += 1
            if self._pieces == 1 and self._streams:
                self._instruments.observe(FIRST_TOKEN, time.perf_counter() - self._began_s)
        elif kind == "status" and event["stage"] != self._stage:
            self._end_stage()
            self._stage = event["stage"]
        elif kind == "resumed":
            self._instruments.count(TAKEN_OVER)
        elif kind == "fallback":
            self._instruments.count(TURN_FALLBACKS, event["reason"])

    def note_end(self, outcome: RunOutcome, *, problem: str = "") -> None:
        if self._over:
            return
        self._over = True
        self._end_stage()
        self._instruments.add(RUNS_ACTIVE, -1)
        self._instruments.observe(TURNS, time.perf_counter() - self._began_s, outcome)
        if outcome == "failed":
            self._instruments.count(TURN_FAILURES, problem or "internal")
        if self._pieces and self._streams:
            self._instruments.count(PIECES, by=self._pieces)  # at the end: counting each would cost as much as sending

    def _end_stage(self) -> None:
        now_s = time.perf_counter()
        if self._stage:
            self._instruments.observe(STAGES, now_s - self._stage_began_s, self._stage)
        self._stage_began_s = now_s
