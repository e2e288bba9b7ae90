"""How many requests a key may make: a sliding window in Redis, exact across workers."""

import asyncio
import logging
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from limits import RateLimitItem, RateLimitItemPerHour
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import MovingWindowRateLimiter, RateLimiter
from redis.exceptions import RedisError

from utils.context import TenantContext
from utils.errors import RateLimited

logger = logging.getLogger("api.limits")
_THREADS = 4
_PAUSE_S = 5.0  # before Redis is asked again after it failed: each try may take a second of one of the threads


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a key has left: requests, of how many, and seconds until the window is free again."""

    limit: int
    remaining: int
    reset_s: int

    @property
    def headers(self) -> dict[str, str]:
        """The `RateLimit-*` headers.

        Source: https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-06
        """
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_s),
        }


class RateLimits:
    """Counts requests by verified key, never by what a caller claims to be.

    This is Flask-Limiter's engine without its hooks: those count in the middle of the event loop, where a slow Redis
    would hold up every request. Counting blocks, so it is done in threads of its own. While Redis does not answer, each
    process counts for itself.
    """

    def __init__(self, redis_url: str, *, per_hour: int) -> None:
        patience = {"socket_connect_timeout": 1, "socket_timeout": 1}
        self._shared = MovingWindowRateLimiter(storage_from_string(_storage_uri(redis_url), **patience))
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._shared_again_at = 0.0
        self._item = RateLimitItemPerHour(per_hour)
        self._threads = ThreadPoolExecutor(_THREADS, "rate-limits")

    async def spend(self, ctx: TenantContext) -> Allowance:
        """Count one request of this key.

        Raises:
            RateLimited: there was none left.
        """
        allowed, allowance = await asyncio.get_running_loop().run_in_executor(self._threads, self._count, ctx)
        if not allowed:
            wait_s = max(1, allowance.reset_s)
            raise RateLimited(
                f"This key may make {allowance.limit} requests an hour. Try again in {wait_s} s.",
                headers={**allowance.headers, "Retry-After": str(wait_s)},
            )
        return allowance

    def _count(self, ctx: TenantContext) -> tuple[bool, Allowance]:
        names = ("key", ctx.tenant_id, ctx.key_id)
        if time.monotonic() < self._shared_again_at:
            return _hit(self._own, self._item, names)
        try:
            return _hit(self._shared, self._item, names)
        except (RedisError, OSError) as exc:
            self._shared_again_at = time.monotonic() + _PAUSE_S
            logger.warning("Redis does not answer, requests are counted within this process only: %s", exc)
            return _hit(self._own, self._item, names)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False)


def _hit(limiter: RateLimiter, item: RateLimitItem, names: tuple[str, ...]) -> tuple[bool, Allowance]:
    allowed = limiter.hit(item, *names)
    stats = limiter.get_window_stats(item, *names)
    reset_s = max(0, math.ceil(stats.reset_time - time.time()))
    return allowed, Allowance(item.amount, stats.remaining, reset_s)


def _storage_uri(redis_url: str) -> str:
    return redis_url.replace("unix://", "redis+unix://", 1) if redis_url.startswith("unix://") else redis_url
