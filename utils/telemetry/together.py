"""Two observers as one, where both metrics and traces are on."""

from collections.abc import Mapping
from typing import Any

from utils.ports import CallOutcome, ModelObserver, RunObserver, RunOutcome, RunWatch


class RunsTogether:
    """A `RunObserver` that tells two others."""

    def __init__(self, one: RunObserver, other: RunObserver) -> None:
        self._one, self._other = one, other

    def begin(self, run_id: str, *, streams: bool, request_id: str = "", trace_parent: str = "") -> RunWatch:
        """A watch that tells both watches."""
        begun = (
            one.begin(run_id, streams=streams, request_id=request_id, trace_parent=trace_parent)
            for one in (self._one, self._other)
        )
        return _WatchTogether(*begun)


class _WatchTogether:
    __slots__ = ("_one", "_other")

    def __init__(self, one: RunWatch, other: RunWatch) -> None:
        self._one, self._other = one, other

    def note_event(self, event: Mapping[str, Any]) -> None:
        self._one.note_event(event)
        self._other.note_event(event)

    def note_end(self, outcome: RunOutcome, *, problem: str = "") -> None:
        self._one.note_end(outcome, problem=problem)
        self._other.note_end(outcome, problem=problem)


class ModelTogether:
    """A `ModelObserver` that tells two others."""

    def __init__(self, one: ModelObserver, other: ModelObserver) -> None:
        self._both = (one, other)

    def note_call(self, duration_s: float, outcome: CallOutcome) -> None:
        """To both."""
        for observer in self._both:
            observer.note_call(duration_s, outcome)

    def note_failed_try(self, reason: str) -> None:
        """To both."""
        for observer in self._both:
            observer.note_failed_try(reason)

    def note_tokens(self, *, input_tokens: int, output_tokens: int) -> None:
        """To both."""
        for observer in self._both:
            observer.note_tokens(input_tokens=input_tokens, output_tokens=output_tokens)

    def note_fallback(self) -> None:
        """To both."""
        for observer in self._both:
            observer.note_fallback()
