"""How many calls of a model run at once in this process, and how long others wait for their turn."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from utils.errors import ProblemError, ProviderBusy
from utils.observers import ModelObservers
from utils.ports import CallOutcome, ModelObserver
from utils.turns import FairLimit, current_tenant


class Gate:
    """Lets at most *limit* calls in; the others wait, at most *wait_s* seconds, and tenants are let in by turns.

    Of one tenant at most *per_tenant* are in, where that is given. A caller that is cancelled leaves the line. *name*
    is what messages call the model, as "chat model". *observer* hears of its calls.
    """

    def __init__(
        self,
        limit: int,
        *,
        wait_s: float,
        name: str,
        observer: ModelObserver | None = None,
        per_tenant: int | None = None,
    ) -> None:
        self.limit, self.name = limit, name
        self.observer: ModelObserver = observer or ModelObservers()
        self._wait_s, self._places = wait_s, FairLimit(limit, per_tenant=per_tenant)
        self.running = self.waiting = 0

    @asynccontextmanager
    async def hold_place(self) -> AsyncIterator[None]:
        """Have a place for the length of the block.

        Raises:
            ProviderBusy: none became free in time.
        """
        tenant_id = current_tenant.get()
        await self._enter(tenant_id)
        self.running += 1
        outcome: CallOutcome = "failed"
        began_s = time.perf_counter()
        try:
            yield
            outcome = "ok"
        except ProblemError as exc:
            outcome = "ok" if exc.status < 500 else "failed"  # the fault is with what was sent, not with the model
            raise
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "cancelled"
            raise
        finally:
            self.observer.note_call(time.perf_counter() - began_s, outcome)
            self.running -= 1
            self._places.release(tenant_id)

    async def _enter(self, tenant_id: str) -> None:
        if self._places.has_place(tenant_id):
            await self._places.acquire(tenant_id)  # at once
            return
        self.waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await self._places.acquire(tenant_id)
        except TimeoutError:
            raise self._make_busy_error() from None
        finally:
            self.waiting -= 1

    def _make_busy_error(self) -> ProviderBusy:
        detail = (
            f"{self.limit} calls of the {self.name} are under way, and no place became free within {self._wait_s:g} s."
        )
        return ProviderBusy(f"{detail} Try again later.", headers={"Retry-After": str(max(1, math.ceil(self._wait_s)))})
