"""Few turns at work at a time, however many wait for a model: health checks and other requests stay quick meanwhile.

All turns share one event loop. When fifty begin at once, each wants a few milliseconds of it before it waits for its
model; let in together they hold the loop for all of them, let in a few at a time they take no longer in sum.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

Line = deque[asyncio.Future[None]]


class TurnLimiter:
    """Lets at most *places* turns work at once; the others wait in line, those that were at work before in front.

    A turn that has begun is over the sooner, and those behind it wait no longer for that.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._back, self._new = Line(), Line()

    @asynccontextmanager
    async def hold(self) -> AsyncIterator["Permit"]:
        """Hold a place for the length of the block, but for the times its holder leaves it."""
        place = Permit(self)
        await self.take(is_back=False)
        try:
            yield place
        finally:
            place.leave()

    async def take(self, *, is_back: bool) -> None:
        """Wait for a free place; *is_back*, in front of those who come for the first time."""
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        line = self._back if is_back else self._new
        line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give()  # it came in the same moment
            raise

    def give(self) -> None:
        """Hand a place on, to one who waits if there is any."""
        for line in (self._back, self._new):
            while line:
                turn = line.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._free += 1


class Permit:
    """One turn's place, held at first; `release` leaves it to another while this turn only waits."""

    def __init__(self, turn_limiter: TurnLimiter) -> None:
        self._turn_limiter, self._is_held = turn_limiter, True

    def leave(self) -> None:
        """Free the place, if it is held."""
        if self._is_held:
            self._is_held = False
            self._turn_limiter.give()

    @asynccontextmanager
    async def release(self) -> AsyncIterator[None]:
        """Free the place for the length of the block. After an error it is not taken again: the turn is over."""
        self.leave()
        yield
        await self.retake()

    async def retake(self) -> None:
        """Have the place again, if it is not held, as after an error that does not end the turn."""
        if not self._is_held:
            await self._turn_limiter.take(is_back=True)
            self._is_held = True
