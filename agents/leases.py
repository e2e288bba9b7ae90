"""Leases on conversations: one run at a time, since of two answers at once one would be lost."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from weakref import WeakValueDictionary

from redis.exceptions import RedisError

from agents.lease_store import Lease, LeaseStore
from utils.cancelling import run_to_end, wait_for_end
from utils.checkpointer.circuit import Circuit
from utils.checkpointer.clients import AsyncClient
from utils.checkpointer.errors import RunSuperseded
from utils.errors import Conflict

logger = logging.getLogger("agents.leases")

_BUSY = "This conversation is still answering an earlier message. Send this one again when it is done."
_PAUSE_S = 0.05  # between two looks at whether a lease has become free


class Leases:
    """Locks on conversations, across workers while Redis answers and within this process otherwise.

    A lock that was taken without Redis, or that Redis has lost, is taken there as soon as it can be.

    Args:
        redis: where the locks are kept; each has a time to live.
        hold_s: seconds after which a lock is free again when its holder died; a living one renews it.
        wait_s: seconds a second request waits for the first.
        retry_s: while Redis is away, one run in this time finds out whether it still is; the others do not wait.
    """

    def __init__(self, redis: AsyncClient, *, hold_s: float, wait_s: float, retry_s: float = 2.0) -> None:
        self._store, self.hold_s, self._wait_s = LeaseStore(redis, hold_s=hold_s), hold_s, wait_s
        self._local: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._runs: dict[str, str] = {}  # of this process, by conversation
        self._holds: Counter[str] = Counter()  # a run, and what shares its conversation
        self._unreleased: dict[str, tuple[float, Lease]] = {}  # by token: a conversation may have several
        self._circuit = Circuit(
            retry_s=retry_s,
            away="Redis does not answer: conversations are locked within this process only",
            back="Redis answers again: conversations are locked across processes",
        )

    @asynccontextmanager
    async def hold(
        self, thread_id: str, run_id: str = "", *, takes_over: bool = False, wait_s: float | None = None
    ) -> AsyncIterator[Lease]:
        """Hold the conversation for the length of the block, which is cancelled if another takes it.

        With *takes_over* the lease that another worker has for the same run is taken from it: it is thought dead.

        Raises:
            Conflict: another run holds it and did not end in time; `members["run_id"]` says which.
            RunSuperseded: another took it, because nothing was heard of this one for too long.
        """
        wait_s = self._wait_s if wait_s is None else wait_s
        until = time.monotonic() + wait_s
        local = self._local.setdefault(thread_id, asyncio.Lock())
        try:
            async with asyncio.timeout(wait_s):
                await local.acquire()
        except TimeoutError:
            raise _make_busy_error(self._runs.get(thread_id, "")) from None
        self._runs[thread_id] = run_id
        try:
            lease = Lease(thread_id, run_id, asyncio.current_task(), takes_over=takes_over)
            async with self._release_at_end(lease):
                await self._ask_for(lease, until)
                async with self._renew_while_held(lease):
                    yield lease
        finally:
            self._runs.pop(thread_id, None)
            local.release()

    @asynccontextmanager
    async def hold_or_share(self, thread_id: str) -> AsyncIterator[None]:
        """Be sure for the length of the block that no other worker begins a run in the conversation.

        A run of this worker may be going on in it, or begin.

        Raises:
            Conflict: another worker has a run there, or whether it has cannot be known.
        """
        if thread_id in self._holds:
            yield
            return
        lease = Lease(thread_id, "", None)
        async with self._release_at_end(lease):
            if not await self._ask_for(lease, 0):
                raise _make_busy_error("")
            async with self._renew_while_held(lease):
                yield

    async def is_held(self, thread_id: str) -> bool:
        """Whether a run is going on in the conversation now: on any worker while Redis answers, else on this one."""
        return (await self._read_holder(thread_id))[1]

    async def find_holder(self, thread_id: str) -> str | None:
        """The id of the run that is going on in the conversation, maybe empty; None if there is none.

        Also one whose worker died, while it waits for another to go on with it.
        """
        run_id, holds = await self._read_holder(thread_id)
        return run_id if run_id or holds else None

    async def _read_holder(self, thread_id: str) -> tuple[str, bool]:
        if thread_id in self._holds:
            return self._runs.get(thread_id, ""), True
        if not self._circuit.may_try():
            return "", False
        try:
            await self._release_former()
            holder = await self._store.find_holder(thread_id)
        except RedisError as exc:
            self._circuit.note_failure(exc)
            return "", False
        self._circuit.note_success()
        return holder

    async def _ask_for(self, lease: Lease, until_s: float) -> bool:
        """Get the lease from Redis, waiting for it; False if Redis does not answer.

        Raises:
            Conflict: it is held, and was not released in time.
        """
        while self._circuit.may_try():
            try:
                await self._release_former()
                holder = await run_to_end(self._store.take_or_renew(lease))
            except RedisError as exc:
                self._circuit.note_failure(exc)
                return False
            self._circuit.note_success()
            if holder is None:
                return True
            if time.monotonic() >= until_s:
                raise _make_busy_error(holder)
            await asyncio.sleep(_PAUSE_S)
        return False

    @asynccontextmanager
    async def _renew_while_held(self, lease: Lease) -> AsyncIterator[None]:
        ended = asyncio.Event()
        keeping = asyncio.create_task(self._renew_periodically(lease, ended))
        self._holds[lease.thread_id] += 1
        try:
            yield
        except asyncio.CancelledError:
            # As asyncio.timeout does: our own cancelling becomes an error, another's goes on.
            if lease.is_lost and lease.task is not None and lease.task.uncancel() <= 0:
                raise RunSuperseded from None
            raise
        finally:
            self._holds -= Counter((lease.thread_id,))
            ended.set()
            keeping.cancel()
            cancelled = await wait_for_end(keeping)
            with suppress(asyncio.CancelledError):
                keeping.result()
            if cancelled is not None:
                raise cancelled

    async def _renew_periodically(self, lease: Lease, ended: asyncio.Event) -> None:
        while not ended.is_set():  # being cancelled is not enough: before Python 3.12 wait_for may swallow it
            await asyncio.sleep(self.hold_s / 4)
            if not self._circuit.may_try():
                continue
            try:
                await self._release_former()
                holder = await run_to_end(self._store.take_or_renew(lease))
            except RedisError as exc:
                self._circuit.note_failure(exc)
                continue
            self._circuit.note_success()
            if holder is not None:
                logger.warning("Lost conversation lease; cancelling local run")
                lease.lose()
                return

    @asynccontextmanager
    async def _release_at_end(self, lease: Lease) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await run_to_end(self._release(lease))

    async def _release(self, lease: Lease) -> None:
        if lease.is_lost or not lease.is_requested:
            return
        try:
            if self._circuit.may_try():
                await self._store.release(lease)
                self._circuit.note_success()
                return
        except RedisError as exc:
            self._circuit.note_failure(exc)
        self._unreleased[lease.token] = time.monotonic() + self.hold_s, lease

    async def _release_former(self) -> None:
        """Release the leases that we could not release while Redis was away, unless they have expired since."""
        for until, lease in list(self._unreleased.values()):
            if time.monotonic() < until:
                await self._store.release(lease)
            self._unreleased.pop(lease.token, None)


def _make_busy_error(run_id: str) -> Conflict:
    return Conflict(_BUSY, members={"run_id": run_id} if run_id else None)
