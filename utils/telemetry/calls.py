"""Counts calls to models and stores."""

from utils.ports import CallOutcome
from utils.telemetry.catalogue import MODEL_CALLS, MODEL_ERRORS, MODEL_FALLBACKS, MODEL_TOKENS, STORE_CALLS
from utils.telemetry.instruments import Instruments


class MeteredModel:
    """A `ModelObserver` for models of this *kind*, such as "chat", that counts with *instruments*."""

    def __init__(self, instruments: Instruments, kind: str) -> None:
        self._instruments, self._kind = instruments, kind

    def note_call(self, duration_s: float, outcome: CallOutcome) -> None:
        """Into the histogram of calls."""
        self._instruments.observe(MODEL_CALLS, duration_s, self._kind, outcome)

    def note_failed_try(self, reason: str) -> None:
        """One error more."""
        self._instruments.count(MODEL_ERRORS, self._kind, reason)

    def note_tokens(self, *, input_tokens: int, output_tokens: int) -> None:
        """So many tokens more."""
        self._instruments.count(MODEL_TOKENS, self._kind, "input", by=input_tokens)
        self._instruments.count(MODEL_TOKENS, self._kind, "output", by=output_tokens)

    def note_fallback(self) -> None:
        """One more."""
        self._instruments.count(MODEL_FALLBACKS)


class MeteredStores:
    """A `StoreObserver` that counts with *instruments*."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments

    def note_duration(self, store: str, operation: str, duration_s: float, *, succeeded: bool) -> None:
        """Into the histogram of calls."""
        self._instruments.observe(STORE_CALLS, duration_s, store, operation, "ok" if succeeded else "failed")
