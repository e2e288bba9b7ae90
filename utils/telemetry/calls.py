"""Counts calls to models and stores."""

from utils.telemetry.catalogue import MODEL_CALLS, MODEL_ERRORS, MODEL_FALLBACKS, MODEL_TOKENS, STORE_CALLS
from utils.telemetry.instruments import Instruments


class MeteredModels:
    """A `ModelObserver` that counts with *instruments*."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments

    def called(self, kind: str, duration_s: float, *, succeeded: bool) -> None:
        """Into the histogram of calls."""
        self._instruments.observe(MODEL_CALLS, duration_s, kind, "ok" if succeeded else "failed")

    def try_failed(self, kind: str, reason: str) -> None:
        """One error more."""
        self._instruments.count(MODEL_ERRORS, kind, reason)

    def used(self, kind: str, *, input_tokens: int, output_tokens: int) -> None:
        """So many tokens more."""
        self._instruments.count(MODEL_TOKENS, kind, "input", by=input_tokens)
        self._instruments.count(MODEL_TOKENS, kind, "output", by=output_tokens)

    def fell_back(self) -> None:
        """One more."""
        self._instruments.count(MODEL_FALLBACKS)


class MeteredStores:
    """A `StoreObserver` that counts with *instruments*."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments

    def took(self, store: str, operation: str, duration_s: float, *, succeeded: bool) -> None:
        """Into the histogram of calls."""
        self._instruments.observe(STORE_CALLS, duration_s, store, operation, "ok" if succeeded else "failed")
