"""A limit on how many do something at once in one event loop, with a short queue before it, both shared by tenants."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from utils.errors import Overloaded
from utils.turns import FairLimit


class ConcurrencyLimit:
    """*at_once* tasks may be in, while at most *may_wait* more wait for it.

    Of one tenant at most half of them may be there, and one fewer be in than may be at once: however long they stay,
    there is a place for another one.
    """

    def __init__(self, at_once: int, *, may_wait: int, refusal: str) -> None:
        self._places = FairLimit(at_once, per_tenant=max(1, at_once - 1))
        self._most, self._refusal = at_once + may_wait, refusal
        self._present = Counter[str]()

    @asynccontextmanager
    async def place(self, tenant_id: str) -> AsyncIterator[None]:
        """Have a place for the length of the block.

        Raises:
            Overloaded: too many wait, or too many of the tenant; its detail is the *refusal*.
        """
        if self._present.total() >= self._most or self._present[tenant_id] >= max(1, self._most // 2):
            raise Overloaded(self._refusal, headers={"Retry-After": "5"})
        self._present[tenant_id] += 1
        try:
            await self._places.acquire(tenant_id)
            try:
                yield
            finally:
                self._places.release(tenant_id)
        finally:
            self._present[tenant_id] -= 1
            if not self._present[tenant_id]:
                del self._present[tenant_id]
