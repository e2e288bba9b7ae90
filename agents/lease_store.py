"""Leases on conversations as Redis has them."""

import asyncio
import logging
import uuid
from dataclasses import dataclass, field

from utils.checkpointer.clients import AsyncClient
from utils.checkpointer.keys import make_deleted_key, make_lease_key, make_state_key

logger = logging.getLogger("agents.leases")

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


class LeaseStore:
    """The leases in *redis*, where each is free again after *hold_s* seconds unless it is renewed.

    Raises: every method RedisError, where Redis does not answer.
    """

    def __init__(self, redis: AsyncClient, *, hold_s: float) -> None:
        self._redis, self._hold_ms = redis, max(1, round(hold_s * 1000))

    async def find_holder(self, thread_id: str) -> tuple[str, bool]:
        """The id of the run that has the lease, maybe empty, and whether it still holds; ("", False) without one."""
        result = await self._redis.eval(_LOOK, 1, make_lease_key(thread_id))
        return (result[0].decode(), bool(result[1])) if result else ("", False)

    async def take_or_renew(self, lease: Lease) -> str | None:
        """Take or renew it: None if it is ours, else the id of the run that holds it."""
        keys = [make_key(lease.thread_id) for make_key in (make_lease_key, make_state_key, make_deleted_key)]
        arguments = (lease.token, lease.run_id, self._hold_ms, lease.fence, int(lease.takes_over))
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

    async def release(self, lease: Lease) -> None:
        """Free it for the next run."""
        keys = make_lease_key(lease.thread_id), make_deleted_key(lease.thread_id)
        if not await self._redis.eval(_RELEASE, len(keys), *keys, lease.token):
            logger.info("The conversation lease had expired when its run ended")
