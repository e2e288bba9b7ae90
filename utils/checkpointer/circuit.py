"""Whether Redis answers, as this process last saw it, and when to ask again."""

import logging
import time
from collections.abc import Callable
from typing import Literal

Persistence = Literal["redis", "memory"]

logger = logging.getLogger(__name__)


class Circuit:
    """Closed while Redis answers. A failure opens it; then every *retry_s* seconds one operation may try again."""

    def __init__(self, *, retry_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._retry_s, self._clock = retry_s, clock
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
            logger.error(
                "REDIS IS AWAY: conversations are kept in this process's memory and are lost if it stops (%s)",
                reason.__cause__ or reason,
            )
        self._retry_at = self._clock() + self._retry_s

    def worked(self) -> None:
        """Redis answered."""
        if self._retry_at is not None:
            logger.warning("Redis answers again: conversations in memory go back to it with their next turn")
        self._retry_at = None
