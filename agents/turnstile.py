"""Few turns at work at a time, however many wait for a model: health checks and other requests stay quick meanwhile.

All turns share one event loop. When fifty begin at once, each wants a few milliseconds of it before it waits for its
model; let in together they hold the loop for all of them, let in a few at a time they take no longer in sum.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turnstile:
    """Lets at most *places* turns work at once; the others wait in line."""

    def __init__(self, places: int) -> None:
        self._free = asyncio.Semaphore(places)

    @asynccontextmanager
    async def inside(self) -> AsyncIterator["Place"]:
        """Hold a place for the length of the block, but for the times its holder leaves it."""
        place = Place(self._free)
        await place.take()
        try:
            yield place
        finally:
            place.give()


class Place:
    """One turn's place; `outside` leaves it to another while this turn only waits."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free, self._held = free, False

    async def take(self) -> None:
        """Wait for a free place."""
        await self._free.acquire()
        self._held = True

    def give(self) -> None:
        """Free the place, if it is held."""
        if self._held:
            self._held = False
            self._free.release()

    @asynccontextmanager
    async def outside(self) -> AsyncIterator[None]:
        """Free the place for the length of the block. After an error it is not taken again: the turn is over."""
        self.give()
        yield
        await self.take()
