"""How many commands a client has under way, and how long each may take."""

import asyncio
import builtins
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.exceptions import ConnectionError, TimeoutError

from .countdown import Countdown

T = TypeVar("T")


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
                    countdown = Countdown(self._whole_s, lambda: timeout.reschedule(asyncio.get_running_loop().time()))
                    countdown.start()
                    try:
                        return await command()
                    finally:
                        countdown.stop()
            except builtins.TimeoutError as exc:
                self._failed_at = time.monotonic()
                raise TimeoutError(f"no answer within {self._whole_s:g} s") from exc
            except (ConnectionError, TimeoutError):
                failed = time.monotonic()
                if failed - sent > self._quick_s:
                    self._failed_at = failed
                raise
