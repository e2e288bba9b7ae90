"""How many commands a client has under way, and how long each may take."""

import asyncio
import builtins
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.exceptions import ConnectionError, TimeoutError

T = TypeVar("T")
_STEPS = 8  # of a command's time


class _Steps:
    """Lets *timeout* expire after *whole_s* of an event loop that is in time; what it is late by is not counted.

    A loop that is late finds an answer and the end of the time at once, or has not been round often enough to send the
    command and take the answer: it would call a server dead that has answered. So each step is one of the loop's, too.
    """

    def __init__(self, timeout: asyncio.Timeout, whole_s: float) -> None:
        self._timeout, self._step_s, self._left = timeout, whole_s / _STEPS, _STEPS
        self._loop = asyncio.get_running_loop()
        self._next = self._loop.call_later(self._step_s, self._step)

    def stop(self) -> None:
        """The timeout is not needed any more."""
        self._next.cancel()

    def _step(self) -> None:
        self._left -= 1
        if self._left:
            self._next = self._loop.call_later(self._step_s, self._step)
        else:
            self._timeout.reschedule(self._loop.time())


class Places:
    """*count* places for commands at one server (or cluster), each for *whole_s* at most.

    Waiting for a place is not the server's time, unless those who have one get no answer: then all who wait are told.
    What fails within *quick_s* keeps nobody waiting, and the others try for themselves.
    """

    def __init__(self, count: int, *, whole_s: float, quick_s: float) -> None:
        self._free, self._whole_s, self._quick_s = asyncio.Semaphore(count), whole_s, quick_s
        self._failed_at = float("-inf")

    async def run(self, command: Callable[[], Awaitable[T]]) -> T:
        """The result of *command*.

        Raises:
            TimeoutError: it took too long, or others did while this one waited. And whatever the command raises.
        """
        began = time.monotonic()
        async with self._free:
            if self._failed_at > began:
                raise TimeoutError("no answer to those before")
            sent = time.monotonic()
            try:
                async with asyncio.timeout(None) as timeout:
                    steps = _Steps(timeout, self._whole_s)
                    try:
                        return await command()
                    finally:
                        steps.stop()
            except builtins.TimeoutError as exc:
                self._failed_at = time.monotonic()
                raise TimeoutError(f"no answer within {self._whole_s:g} s") from exc
            except (ConnectionError, TimeoutError):
                failed = time.monotonic()
                if failed - sent > self._quick_s:
                    self._failed_at = failed
                raise
