"""Leases on conversations: one run at a time, since of two answers at once one would be lost."""

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from redis.exceptions import RedisError

from utils.cancelling import run_to_end
from utils.checkpointer.circuit import Circuit
from utils.checkpointer.clients import AsyncClient
from utils.checkpointer.errors import RunSuperseded
from utils.checkpointer.keys import make_deleted_key, make_lease_key, make_state_key
from utils.errors import Conflict

logger = logging.getLogger("agents.leases")

_BUSY = "This conversation is still answering an earlier message. Send this one again when it is done."
_PAUSE_S = 0.05  # between two looks at whether a lease has become free
# KEYS: the lease, the conversation's state, what says that it was deleted. ARGV: token, run, ms to hold, fence that it
# has already or 0, '1' if the run is to have it from a worker that had it for the same run.
# Gives {1, fence, whether there is no state, whether it was deleted}, or {0, the run that holds it}. A fence is a
# number that grows with each new holder (the server's clock in µs, or more): a write with a lower one comes from a run
# that was thought dead. The fence outlives the lease where the conversation was deleted meanwhile.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local token, run, ends = unpack(redis.call('HMGET', KEYS[1], 'token', 'run', 'until'))
local is_held = token and token ~= ARGV[1] and tonumber(ends or '0') > now
if is_held and not (ARGV[5] == '1' and run == ARGV[2]) then return { 0, run or '' } end
local fence, is_new = tonumber(ARGV[4]), 0
local highest = tonumber(redis.call('HGET', KEYS[1], 'fence') or '0')
if fence ~= 0 and fence < highest then return { 0, run or '' } end
if fence == 0 then
  local before = tonumber(redis.call('HGET', KEYS[2], '@fence') or '0')
  fence = math.max(time[1] * 1000000 + time[2], before + 1, highest + 1)
  if before == 0 then is_new = 1 end
  if before > 0 then redis.call('HSET', KEYS[2], '@fence', string.format('%.0f', fence)) end
end
fence = string.format('%.0f', fence)
redis.call('HMSET', KEYS[1], 'token', ARGV[1], 'run', ARGV[2], 'fence', fence, 'until', now + ARGV[3])
redis.call('PEXPIRE', KEYS[1], 10 * ARGV[3])
return { 1, fence, is_new, redis.call('EXISTS', KEYS[3]) }
"""
# KEYS: the lease. Gives {its run, whether it holds}, or {} if there is none. One that does not hold any more is of a
# run whose worker died, until another goes on with it.
_LOOK = """
local run, ends = unpack(redis.call('HMGET', KEYS[1], 'run', 'until'))
if not run then return {} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return { run, tonumber(ends or '0') > now and 1 or 0 }
"""
# KEYS: the lease, what says that the conversation was deleted. ARGV: token.
_RELEASE = """
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
local remembered_ms = redis.call('PTTL', KEYS[2])
if remembered_ms <= 0 then return redis.call('DEL', KEYS[1]) end
redis.call('HDEL', KEYS[1], 'token', 'run', 'until')
return redis.call('PEXPIRE', KEYS[1], remembered_ms)
"""


@dataclass(slots=True)
class Lease:
    """A run's hold on a conversation. `fence` goes with its writes; 0 while it is held without Redis. `lacks_state`:
    Redis had nothing of the conversation when it was taken. `was_deleted`: the conversation was deleted lately, maybe
    after its run was registered."""

    thread_id: str
    run_id: str
    task: "asyncio.Task[object] | None"
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    fence: int = 0
    takes_over: bool = False
    lacks_state: bool = False
    was_deleted: bool = False
    is_lost: bool = False
    is_requested: bool = False  # Redis may have it, whatever came back

    def lose(self) -> None:
        """Another has it: whoever works under it must stop."""
        self.is_lost = True
        if self.task is not None:
            self.task.cancel()


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
        self._redis, self.hold_s, self._wait_s = redis, hold_s, wait_s
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
            result = await self._redis.eval(_LOOK, 1, make_lease_key(thread_id))
        except RedisError as exc:
            self._circuit.note_failure(exc)
            return "", False
        self._circuit.note_success()
        return (result[0].decode(), bool(result[1])) if result else ("", False)

    async def _ask_for(self, lease: Lease, until_s: float) -> bool:
        """Get the lease from Redis, waiting for it; False if Redis does not answer.

        Raises:
            Conflict: it is held, and was not released in time.
        """
        while self._circuit.may_try():
            try:
                await self._release_former()
                holder = await run_to_end(self._take_or_renew(lease))
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

    async def _take_or_renew(self, lease: Lease) -> str | None:
        """Take or renew it in Redis: None if it is ours, else the id of the run that holds it."""
        keys = [make_key(lease.thread_id) for make_key in (make_lease_key, make_state_key, make_deleted_key)]
        hold_ms = max(1, round(self.hold_s * 1000))
        arguments = (lease.token, lease.run_id, hold_ms, lease.fence, int(lease.takes_over))
        lease.is_requested = True
        is_ours, value, *facts = await self._redis.eval(_TAKE, len(keys), *keys, *arguments)
        lease.is_requested = bool(is_ours)
        if not is_ours:
            return str(value.decode())
        is_new, was_deleted = map(bool, facts)
        lease.lacks_state |= is_new and not lease.fence
        lease.was_deleted |= was_deleted
        lease.fence, lease.takes_over = int(value), False  # once: it may be taken over in its turn
        return None

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
            with suppress(asyncio.CancelledError):
                await keeping

    async def _renew_periodically(self, lease: Lease, ended: asyncio.Event) -> None:
        while not ended.is_set():  # being cancelled is not enough: before Python 3.12 wait_for may swallow it
            await asyncio.sleep(self.hold_s / 4)
            if not self._circuit.may_try():
                continue
            try:
                await self._release_former()
                holder = await run_to_end(self._take_or_renew(lease))
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
                await self._release_in_redis(lease)
                self._circuit.note_success()
                return
        except RedisError as exc:
            self._circuit.note_failure(exc)
        self._unreleased[lease.token] = time.monotonic() + self.hold_s, lease

    async def _release_in_redis(self, lease: Lease) -> None:
        keys = make_lease_key(lease.thread_id), make_deleted_key(lease.thread_id)
        if not await self._redis.eval(_RELEASE, len(keys), *keys, lease.token):
            logger.info("The conversation lease had expired when its run ended")

    async def _release_former(self) -> None:
        """Release the leases that we could not release while Redis was away, unless they have expired since."""
        for until, lease in list(self._unreleased.values()):
            if time.monotonic() < until:
                await self._release_in_redis(lease)
            self._unreleased.pop(lease.token, None)


def _make_busy_error(run_id: str) -> Conflict:
    return Conflict(_BUSY, members={"run_id": run_id} if run_id else None)
