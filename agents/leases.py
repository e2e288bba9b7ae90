"""One run at a time per conversation: of two that continue from the same point, one would be lost."""

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from weakref import WeakValueDictionary

from redis.asyncio.lock import Lock
from redis.exceptions import LockError, LockNotOwnedError, RedisError

from utils.checkpointer.circuit import Circuit
from utils.checkpointer.clients import AsyncClient
from utils.errors import Conflict

logger = logging.getLogger("agents.leases")


class Leases:
    """Locks on conversations, across workers while Redis answers and within this process otherwise.

    A lock that was taken without Redis, or that Redis has lost, is taken there as soon as it can be.

    Args:
        redis: where the locks are kept; each has a time to live.
        hold_s: seconds after which a lock is free again when its holder died; a living one renews it.
        wait_s: seconds a second request waits for the first; more than *hold_s*, so that it outlasts a dead holder.
        retry_s: while Redis is away, one run in this time finds out whether it still is; the others do not wait.
    """

    def __init__(self, redis: AsyncClient, *, hold_s: float, wait_s: float, retry_s: float = 2.0) -> None:
        self._redis, self._hold_s, self._wait_s = redis, hold_s, wait_s
        self._local: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._held: Counter[str] = Counter()  # a run, and what shares its conversation
        self._unreleased: dict[str, tuple[float, Lock]] = {}
        self._circuit = Circuit(
            retry_s=retry_s,
            away="Redis does not answer: conversations are locked within this process only",
            back="Redis answers again: conversations are locked across processes",
        )

    @asynccontextmanager
    async def hold(self, thread_id: str) -> AsyncIterator[None]:
        """Hold the conversation for the length of the block.

        Raises:
            Conflict: another run holds it and did not end in time.
        """
        local = self._local.setdefault(thread_id, asyncio.Lock())
        try:
            async with asyncio.timeout(self._wait_s):
                await local.acquire()
        except TimeoutError:
            raise _busy() from None
        try:
            lock = self._lock(thread_id, self._wait_s)
            if await self._ask_for(lock) is False:
                raise _busy()
            async with self._kept(lock, thread_id):
                yield
        finally:
            local.release()

    @asynccontextmanager
    async def hold_or_share(self, thread_id: str) -> AsyncIterator[None]:
        """Be sure for the length of the block that no other worker begins a run in the conversation.

        A run of this worker may be going on in it, or begin.

        Raises:
            Conflict: another worker has a run there, or whether it has cannot be known.
        """
        if thread_id in self._held:
            yield
            return
        lock = self._lock(thread_id, 0)
        if not await self._ask_for(lock):
            raise _busy()
        async with self._kept(lock, thread_id):
            yield

    async def is_held(self, thread_id: str) -> bool:
        """Whether a run is going on in the conversation now: on any worker while Redis answers, else on this one."""
        if thread_id in self._held:
            return True
        if not self._circuit.may_try():
            return False
        try:
            await self._release_former()
            found = await self._redis.exists(_key(thread_id))
        except RedisError as exc:
            self._circuit.failed(exc)
            return False
        self._circuit.worked()
        return bool(found)

    def _lock(self, thread_id: str, wait_s: float) -> Lock:
        lock = self._redis.lock(
            _key(thread_id), timeout=self._hold_s, blocking_timeout=wait_s, sleep=0.05, thread_local=False
        )
        # Known before it is asked for: a request that was given up may yet be carried out.
        lock.local.token = uuid.uuid4().hex.encode()
        return lock

    async def _ask_for(self, lock: Lock) -> bool | None:
        """Whether Redis gives us the lock; None if it does not answer."""
        if not self._circuit.may_try():
            return None
        try:
            await self._release_former()
            given: bool = await lock.acquire(token=lock.local.token)
        except RedisError as exc:
            self._circuit.failed(exc)
            return None
        self._circuit.worked()
        return given

    @asynccontextmanager
    async def _kept(self, lock: Lock, thread_id: str) -> AsyncIterator[None]:
        ended = asyncio.Event()
        keeping = asyncio.create_task(self._keep(lock, lock.local.token, ended))
        self._held[thread_id] += 1
        try:
            yield
        finally:
            self._held -= Counter((thread_id,))
            ended.set()
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping
            await self._release(lock)

    async def _keep(self, lock: Lock, token: bytes, ended: asyncio.Event) -> None:
        while not ended.is_set():  # being cancelled is not enough: before Python 3.12 wait_for may swallow it
            await asyncio.sleep(self._hold_s / 4)
            if not self._circuit.may_try():
                continue
            try:
                await self._renew(lock, token)
            except RedisError as exc:
                self._circuit.failed(exc)
            else:
                self._circuit.worked()

    async def _renew(self, lock: Lock, token: bytes) -> None:
        try:
            await lock.reacquire()
        except LockNotOwnedError:
            # Taken without Redis, or Redis has come back without it.
            if not await lock.do_acquire(token):
                logger.warning("Another worker has taken a conversation in which a run is going on here")

    async def _release(self, lock: Lock) -> None:
        try:
            if self._circuit.may_try():
                await lock.release()
                self._circuit.worked()
                return
        except LockNotOwnedError:
            logger.info("A lease on a conversation was not there any more when its run ended")
            return
        except RedisError as exc:
            self._circuit.failed(exc)
        self._unreleased[str(lock.name)] = time.monotonic() + self._hold_s, lock

    async def _release_former(self) -> None:
        """Let go of what we could not while Redis was away, as far as it has not ended by itself meanwhile."""
        while self._unreleased:
            name, (until, lock) = next(iter(self._unreleased.items()))
            if time.monotonic() < until:
                with suppress(LockError):
                    await lock.release()
            self._unreleased.pop(name, None)


def _key(thread_id: str) -> str:
    return f"lease:{thread_id}"


def _busy() -> Conflict:
    return Conflict("This conversation is still answering an earlier message. Send this one again when it is done.")
