"""How many requests a key, or another, may make: a sliding window in Redis, exact across workers."""

import math
import time
from dataclasses import dataclass

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from redis.exceptions import RedisError

from utils.checkpointer import Connections
from utils.checkpointer.circuit import Circuit
from utils.errors import RateLimited
from utils.observers import StoreObservers
from utils.ports import StoreObserver

MINUTE_S, HOUR_S = 60, 3600
_PATIENCE_S = 0.25  # it takes 0.2 ms; a slow one must not slow every request down
_RETRY_S = 5.0  # between two questions to a Redis that failed: one request waits for the answer, the others do not
# A sorted set of the requests within the window, by the server's clock in µs, which all workers share.
# KEYS: the set. ARGV: limit, window in µs. Returns whether one was left, how many are used, µs until one is free.
_COUNT = """
local time = redis.call('TIME')
local now, limit, window = time[1] * 1000000 + time[2], tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local used, allowed = redis.call('ZCARD', KEYS[1]), 0
if used < limit then
  redis.call('ZADD', KEYS[1], now, string.format('%.0f-%d', now, used))
  redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
  used, allowed = used + 1, 1
end
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return { allowed, used, tonumber(oldest[2]) + window - now }
"""


def limit_key(tenant_id: str, name: str) -> str:
    """Where it is kept in Redis how much *name* has used up."""
    return f"limit:{tenant_id}/{name}"


@dataclass(frozen=True, slots=True)
class RemainingRequests:
    """What is left: requests, of how many, and seconds until the window is free again; and which rule says so."""

    limit: int
    remaining: int
    reset_s: int
    name: str = "hour"
    window_s: int = HOUR_S

    @property
    def headers(self) -> dict[str, str]:
        """What is left, and the rule; then the same in the three headers of an earlier draft, for one version more.

        Source: https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-10
        """
        return {
            "RateLimit": f'"{self.name}";r={self.remaining};t={self.reset_s}',
            "RateLimit-Policy": f'"{self.name}";q={self.limit};w={self.window_s}',
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_s),
        }


def make_refusal(reason: str, allowance: RemainingRequests) -> RateLimited:
    """What is answered where *allowance* is used up: the sentence *reason*, and when to come back."""
    wait_s = max(1, allowance.reset_s)
    detail = f"{reason} Please try again in {_format_duration(wait_s)}."
    return RateLimited(detail, headers={**allowance.headers, "Retry-After": str(wait_s)})


def _format_duration(seconds: int) -> str:
    if seconds < 2 * MINUTE_S:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    minutes = -(-seconds // MINUTE_S)
    return f"{minutes} minutes" if minutes < 120 else f"{-(-minutes // 60)} hours"


class RateLimits:
    """Counts requests by tenant, and within it by a name that is verified, never by what a caller claims to be.

    *reason*: the sentence with which one too many is refused.

    While Redis does not answer, each process counts for itself, with the engine of Flask-Limiter. In Redis that engine
    is not used: it has clients of its own, which for a cluster connect when they are made, and give a Sentinel the
    master's password; and it goes by the workers' clocks.
    """

    def __init__(
        self,
        redis_url: str,
        *,
        limit: int,
        reason: str,
        window_s: int = HOUR_S,
        name: str = "hour",
        stores: StoreObserver | None = None,
    ) -> None:
        self._connections = Connections(redis_url, connect_timeout_s=_PATIENCE_S, timeout_s=_PATIENCE_S)
        self._stores: StoreObserver = stores or StoreObservers()
        self.name, self.window_s, self._reason = name, window_s, reason
        self._item = RateLimitItemPerSecond(limit, window_s)
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._circuit = Circuit(
            retry_s=_RETRY_S,
            away="Redis does not answer: requests are counted within this process only",
            back="Redis answers again: requests are counted across processes",
        )

    async def spend(self, tenant_id: str, name: str) -> RemainingRequests:
        """Count one request of *name*, such as the id of a key.

        Raises:
            RateLimited: there was none left.
        """
        allowed, allowance = await self._count(tenant_id, name)
        if not allowed:
            raise make_refusal(self._reason, allowance)
        return allowance

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        await self._connections.aclose()

    async def _count(self, tenant_id: str, name: str) -> tuple[bool, RemainingRequests]:
        if self._circuit.may_try():
            began_s, counted = time.perf_counter(), None
            try:
                counted = await self._count_together(tenant_id, name)
            except RedisError as exc:
                self._circuit.note_failure(exc)
            else:
                self._circuit.note_success()
            self._stores.note_duration("redis", "limit", time.perf_counter() - began_s, succeeded=counted is not None)
            if counted is not None:
                return counted
        return self._count_alone(tenant_id, name)

    async def _count_together(self, tenant_id: str, name: str) -> tuple[bool, RemainingRequests]:
        client, key = self._connections.asynchronous(), limit_key(tenant_id, name)
        limit = self._item.amount
        # The whole script each time: it is short, and no server has to know it.
        allowed, used, free_in_us = await client.eval(_COUNT, 1, key, limit, self.window_s * 1_000_000)
        return bool(allowed), self._make_allowance(max(0, limit - used), math.ceil(free_in_us / 1_000_000))

    def _count_alone(self, tenant_id: str, name: str) -> tuple[bool, RemainingRequests]:
        names = ("key", tenant_id, name)
        allowed = self._own.hit(self._item, *names)
        stats = self._own.get_window_stats(self._item, *names)
        reset_s = max(0, math.ceil(stats.reset_time - time.time()))
        return allowed, self._make_allowance(stats.remaining, reset_s)

    def _make_allowance(self, remaining: int, reset_s: int) -> RemainingRequests:
        return RemainingRequests(self._item.amount, remaining, reset_s, self.name, self.window_s)
