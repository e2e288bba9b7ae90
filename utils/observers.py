"""Observers that tell others: none where metrics and traces are off, both where both are on."""

from collections.abc import Mapping, Sequence
from typing import Any

from utils.ports import CallOutcome, ModelObserver, RunObserver, RunOutcome, RunWatch, StoreObserver


class RunObservers:
    """A `RunObserver` that tells *observers*."""

    def __init__(self, *observers: RunObserver) -> None:
        self._observers = observers

    def begin(self, run_id: str, *, streams: bool, request_id: str = "", trace_parent: str = "") -> RunWatch:
        """A watch that tells those of all observers."""
        origin = {"request_id": request_id, "trace_parent": trace_parent}
        return RunWatches([observer.begin(run_id, streams=streams, **origin) for observer in self._observers])


class RunWatches:
    """A `RunWatch` that tells *watches*."""

    def __init__(self, watches: Sequence[RunWatch] = ()) -> None:
        self._watches = watches

    def note_event(self, event: Mapping[str, Any]) -> None:
        """Tell all."""
        for watch in self._watches:
            watch.note_event(event)

    def note_end(self, outcome: RunOutcome, *, problem: str = "") -> None:
        """Tell all."""
        for watch in self._watches:
            watch.note_end(outcome, problem=problem)


class ModelObservers:
    """A `ModelObserver` that tells *observers*."""

    def __init__(self, *observers: ModelObserver) -> None:
        self._observers = observers

    def note_call(self, duration_s: float, outcome: CallOutcome) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.note_call(duration_s, outcome)

    def note_failed_try(self, reason: str) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.note_failed_try(reason)

    def note_tokens(self, *, input_tokens: int, output_tokens: int) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.note_tokens(input_tokens=input_tokens, output_tokens=output_tokens)

    def note_fallback(self) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.note_fallback()


class StoreObservers:
    """A `StoreObserver` that tells *observers*."""

    def __init__(self, *observers: StoreObserver) -> None:
        self._observers = observers

    def note_duration(self, store: str, operation: str, duration_s: float, *, succeeded: bool) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.note_duration(store, operation, duration_s, succeeded=succeeded)
