"""Whether Redis answers, as one of its users in this process last saw it, and when to ask again."""

import logging
import time
from collections.abc import Callable
from typing import Literal

Persistence = Literal["redis", "memory"]

logger = logging.getLogger(__name__)


class Circuit:
    """Closed while Redis answers. A failure opens it; then every *retry_s* seconds one operation may try again.

    Each change is logged once, *away* as an error with its reason, *back* as a warning, and told to *changed*.
    """

    def __init__(
        self,
        *,
        retry_s: float,
        away: str,
        back: str,
        changed: Callable[[Persistence], None] = lambda persistence: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._retry_s, self._away, self._back, self._changed, self._clock = retry_s, away, back, changed, clock
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

    def note_failure(self, reason: BaseException) -> None:
        """Redis did not answer."""
        is_news = self._retry_at is None
        self._retry_at = self._clock() + self._retry_s
        if is_news:
            logger.error("%s (%s)", self._away, reason.__cause__ or reason)
            self._changed("memory")

    def note_success(self) -> None:
        """Redis answered."""
        is_news = self._retry_at is not None
        self._retry_at = None
        if is_news:
            logger.warning(self._back)
            self._changed("redis")
