"""One run at a time per conversation: of two that continue from the same point, one would be lost."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from weakref import WeakValueDictionary

from redis.asyncio import Redis
from redis.asyncio.lock import Lock
from redis.exceptions import LockError, RedisError

from utils.errors import Conflict

logger = logging.getLogger("agents.leases")


class Leases:
    """Locks on conversations, across workers while Redis answers and within this process otherwise.

    Args:
        redis: where the locks are kept; each has a time to live.
        hold_s: seconds after which a lock is free again when its holder died; a living one renews it.
        wait_s: seconds a second request waits for the first; more than *hold_s*, so that it outlasts a dead holder.
    """

    def __init__(self, redis: "Redis", *, hold_s: float, wait_s: float) -> None:
        self._redis, self._hold_s, self._wait_s = redis, hold_s, wait_s
        self._local: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

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
            async with self._shared(thread_id):
                yield
        finally:
            local.release()

    @asynccontextmanager
    async def _shared(self, thread_id: str) -> AsyncIterator[None]:
        lock = self._redis.lock(
            f"lease:{thread_id}", timeout=self._hold_s, blocking_timeout=self._wait_s, sleep=0.05, thread_local=False
        )
        try:
            held = await lock.acquire()
        except RedisError as exc:
            logger.warning("Redis does not answer, conversations are locked within this process only: %s", exc)
            yield
            return
        if not held:
            raise _busy()
        renewing = asyncio.create_task(self._renew(lock))
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing
            try:
                await lock.release()
            except (LockError, RedisError) as exc:
                logger.warning("A lease on a conversation was lost before its run ended: %s", exc)

    async def _renew(self, lock: Lock) -> None:
        while True:
            await asyncio.sleep(self._hold_s / 4)
            try:
                await lock.reacquire()
            except (LockError, RedisError) as exc:
                logger.warning("A lease on a conversation could not be renewed: %s", exc)


def _busy() -> Conflict:
    return Conflict("This conversation is still answering an earlier message. Send this one again when it is done.")
