"""The time that a server is given to answer."""

import asyncio
from collections.abc import Callable

_STEPS = 8


class Countdown:
    """Calls *expired* after *whole_s* of an event loop that is in time; what it is late by is not counted.

    A loop that is late finds an answer and the end of the time at once, or has not been round often enough to send the
    command and take the answer: it would call a server dead that has answered. So each step is one of the loop's, too.
    """

    def __init__(self, whole_s: float, expired: Callable[[], None]) -> None:
        self._step_s, self._expired = whole_s / _STEPS, expired
        self._left = _STEPS
        self._next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._next is None:
            self._left = _STEPS
            self._arm()

    def restart(self) -> None:
        """Give the whole time again, if it has begun."""
        self._left = _STEPS

    def stop(self) -> None:
        """Nothing is waited for any more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _arm(self) -> None:
        self._next = asyncio.get_running_loop().call_later(self._step_s, self._step)

    def _step(self) -> None:
        self._left -= 1
        if self._left:
            self._arm()
        else:
            self._next = None
            self._expired()
