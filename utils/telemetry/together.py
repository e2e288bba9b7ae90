"""Two observers as one, where both metrics and traces are on."""

from collections.abc import Mapping
from typing import Any

from utils.ports import CallOutcome, ModelObserver, RunObserver, RunOutcome, RunWatch


class RunsTogether:
    """A `RunObserver` that tells two others."""

    def __init__(self, one: RunObserver, other: RunObserver) -> None:
        self._one, self._other = one, other

    def begin(self, run_id: str, *, streams: bool) -> RunWatch:
        """A watch that tells both watches."""
        return _WatchTogether(self._one.begin(run_id, streams=streams), self._other.begin(run_id, streams=streams))


class _WatchTogether:
    __slots__ = ("_one", "_other")

    def __init__(self, one: RunWatch, other: RunWatch) -> None:
        self._one, self._other = one, other

    def saw(self, event: Mapping[str, Any]) -> None:
        self._one.saw(event)
        self._other.saw(event)

    def ended(self, outcome: RunOutcome, *, problem: str = "") -> None:
        self._one.ended(outcome, problem=problem)
        self._other.ended(outcome, problem=problem)


class ModelTogether:
    """A `ModelObserver` that tells two others."""

    def __init__(self, one: ModelObserver, other: ModelObserver) -> None:
        self._both = (one, other)

    def called(self, duration_s: float, outcome: CallOutcome) -> None:
        """To both."""
        for observer in self._both:
            observer.called(duration_s, outcome)

    def try_failed(self, reason: str) -> None:
        """To both."""
        for observer in self._both:
            observer.try_failed(reason)

    def used(self, *, input_tokens: int, output_tokens: int) -> None:
        """To both."""
        for observer in self._both:
            observer.used(input_tokens=input_tokens, output_tokens=output_tokens)

    def fell_back(self) -> None:
        """To both."""
        for observer in self._both:
            observer.fell_back()
