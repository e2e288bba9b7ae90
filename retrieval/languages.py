"""In which languages a tenant has passages: remembered, since every search by meaning asks."""

import time
from collections.abc import Awaitable, Callable

from auth.principal import Principal
from utils.expiring import Expiring

# So long passages of a language that is new to the tenant, written by another process, are found by words alone.
KEPT_S = 5.0
_MAX_TENANTS = 10_000


class Languages:
    """What `ask` said of each tenant, for some seconds and until this process writes passages of it."""

    def __init__(
        self, ask: Callable[[Principal], Awaitable[list[str]]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask, self._cache = ask, Expiring[str, list[str]](_MAX_TENANTS, KEPT_S, clock=clock)
        self._changes = 0

    async def find(self, ctx: Principal) -> list[str]:
        """The languages, most spoken first; that there are none is not remembered."""
        cached = self._cache.get(ctx.tenant_id)
        if cached:
            return cached
        before = self._changes
        result = await self._ask(ctx)
        # Not what was counted while this process wrote.
        if result and before == self._changes:
            self._cache.put(ctx.tenant_id, result)
        return result

    def refresh(self, ctx: Principal) -> None:
        """Ask again: passages were put or removed."""
        self._changes += 1
        self._cache.put(ctx.tenant_id, [])
