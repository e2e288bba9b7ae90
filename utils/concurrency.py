"""A limit on how many do something at once in one event loop, with a short queue before it."""

import asyncio
from types import TracebackType

from utils.errors import Overloaded


class ConcurrencyLimit:
    """An asynchronous context manager that *at_once* tasks may be in, while at most *may_wait* more wait for it.

    Entering raises `Overloaded`, with *refusal* as its detail, where too many wait.
    """

    def __init__(self, at_once: int, *, may_wait: int, refusal: str) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._most, self._refusal = at_once + may_wait, refusal
        self._present = 0

    async def __aenter__(self) -> None:
        if self._present >= self._most:
            raise Overloaded(self._refusal, headers={"Retry-After": "5"})
        self._present += 1
        try:
            await self._places.acquire()
        except BaseException:
            self._present -= 1
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._present -= 1
        self._places.release()
