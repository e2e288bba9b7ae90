"""A limit on how many do something at once in one event loop, whose places tenants take by turns."""

import asyncio
from collections import Counter, deque
from contextvars import ContextVar

current_tenant: ContextVar[str] = ContextVar("current_tenant", default="")
"""Whose work is being done, to take turns by and for nothing else: data is found by a principal."""


class FairLimit:
    """At most *limit* places. Whoever waits is let in by tenants: the one with the fewest places first.

    No tenant has more than *per_tenant* places; those of one tenant wait in line, first come first served.
    """

    def __init__(self, limit: int, *, per_tenant: int | None = None) -> None:
        self._free, self._per_tenant = limit, per_tenant or limit
        self._counts = Counter[str]()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    def has_place(self, tenant_id: str) -> bool:
        """Whether `acquire` would not wait. Whoever waits while a place is free has all that its tenant may."""
        return self._free > 0 and self._counts[tenant_id] < self._per_tenant

    async def acquire(self, tenant_id: str) -> None:
        """Take a place, once there is one."""
        if self.has_place(tenant_id):
            self._take(tenant_id)
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant_id, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(tenant_id)  # it came in the same moment
            else:
                self._leave(tenant_id, turn)
            raise

    def release(self, tenant_id: str) -> None:
        """Give a place back, to those who wait if there are any."""
        self._free += 1
        self._counts[tenant_id] -= 1
        if not self._counts[tenant_id]:
            del self._counts[tenant_id]
        while waiting := [each for each in self._waiting if self.has_place(each)]:
            following = min(waiting, key=lambda each: self._counts[each])
            turn = self._waiting[following][0]
            self._leave(following, turn)
            if not turn.done():
                self._take(following)
                turn.set_result(None)

    def _take(self, tenant_id: str) -> None:
        self._free -= 1
        self._counts[tenant_id] += 1

    def _leave(self, tenant_id: str, turn: asyncio.Future[None]) -> None:
        line = self._waiting.get(tenant_id, deque())
        if turn in line:
            line.remove(turn)
        if not line:
            self._waiting.pop(tenant_id, None)
