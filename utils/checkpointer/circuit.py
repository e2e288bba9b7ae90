"""Whether a service answers, as one of its users in this process last saw it, and when to ask again."""

import logging
import time
from collections.abc import Callable
from typing import Literal

Persistence = Literal["redis", "memory"]

logger = logging.getLogger(__name__)


class Circuit:
    """Closed while the service, mostly Redis, answers. *threshold* failures in a row open it; then every *retry_s*
    seconds one operation may try again.

    Each change is logged once, *away* as an error with its reason, *back* as a warning, and told to *changed*.
    """

    def __init__(
        self,
        *,
        retry_s: float,
        away: str,
        back: str,
        threshold: int = 1,
        changed: Callable[[Persistence], None] = lambda persistence: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._retry_s, self._away, self._back, self._changed, self._clock = retry_s, away, back, changed, clock
        self._threshold, self._failures = threshold, 0
        self._retry_at: float | None = None
        self.reason = ""  # why it was opened last

    @property
    def is_open(self) -> bool:
        """Whether the service has failed and has not answered since."""
        return self._retry_at is not None

    @property
    def persistence(self) -> Persistence:
        """Where state went last: "redis", or "memory" since Redis failed and until it has answered again."""
        return "memory" if self.is_open else "redis"

    def may_try(self) -> bool:
        """Whether the caller should ask; while the service is away, one caller an interval: the rest need not wait."""
        if self._retry_at is None:
            return True
        if self._clock() < self._retry_at:
            return False
        self._retry_at = self._clock() + self._retry_s
        return True

    def note_failure(self, reason: BaseException) -> None:
        """The service did not answer."""
        self._failures += 1
        if self.is_open or self._failures >= self._threshold:
            self.open(reason)

    def open(self, reason: BaseException) -> None:
        """The service will not answer, however often it is asked."""
        is_news = not self.is_open
        self._retry_at = self._clock() + self._retry_s
        self.reason = str(reason.__cause__ or reason)
        if is_news:
            logger.error("%s (%s)", self._away, self.reason)
            self._changed("memory")

    def note_success(self) -> None:
        """The service answered."""
        is_news = self.is_open
        self._retry_at, self._failures = None, 0
        if is_news:
            logger.warning(self._back)
            self._changed("redis")
