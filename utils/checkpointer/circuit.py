"""Whether Redis answers, as one of its users in this process last saw it, and when to ask again."""

import logging
import time
from collections.abc import Callable
from typing import Literal

Persistence = Literal["redis", "memory"]

logger = logging.getLogger(__name__)


class Circuit:
    """Closed while Redis answers. A failure opens it; then every *retry_s* seconds one operation may try again.

    Each change is logged once: *away* as an error with the reason behind it, *back* as a warning.
    """

    def __init__(self, *, retry_s: float, away: str, back: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._retry_s, self._away, self._back, self._clock = retry_s, away, back, clock
        self._retry_at: float | None = None

    @property
    def persistence(self) -> Persistence:
        """Where state went last: "redis", or "memory" since Redis failed and until it has answered again."""
        return "redis" if self._retry_at is None else "memory"

    def may_try(self) -> bool:
        """Whether the caller should go to Redis; while it is away, one caller an interval: the rest need not wait."""
        if self._retry_at is None:
            return True
        if self._clock() < self._retry_at:
            return False
        self._retry_at = self._clock() + self._retry_s
        return True

    def failed(self, reason: BaseException) -> None:
        """Redis did not answer."""
        if self._retry_at is None:
            logger.error("%s (%s)", self._away, reason.__cause__ or reason)
        self._retry_at = self._clock() + self._retry_s

    def worked(self) -> None:
        """Redis answered."""
        if self._retry_at is not None:
            logger.warning(self._back)
        self._retry_at = None
