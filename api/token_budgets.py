"""Tokens that were spent within a day, in Redis for all workers; while it is away each process counts for itself."""

import math
import time
from typing import Any

from redis.exceptions import RedisError

from api.limits import limit_key
from utils.checkpointer import Connections
from utils.checkpointer.circuit import Circuit
from utils.expiring import Expiring

DAY_S = 86_400
_PATIENCE_S = 0.25
_RETRY_S = 5.0
_MAX_COUNTED = 50_000  # by a process alone
# KEYS: what was spent. ARGV: how many tokens more, seconds in a day. Returns how many there are, and seconds until they
# are forgotten: a day after the first of them.
_ADD = """
local spent = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return { spent, redis.call('TTL', KEYS[1]) }
"""
_LOOK = "return { tonumber(redis.call('GET', KEYS[1]) or '0'), redis.call('TTL', KEYS[1]) }"


class TokenBudgets:
    """Adds up tokens by name. For use on one event loop."""

    def __init__(self, redis_url: str) -> None:
        self._connections = Connections(redis_url, connect_timeout_s=_PATIENCE_S, timeout_s=_PATIENCE_S)
        self._own: Expiring[str, tuple[int, float]] = Expiring(_MAX_COUNTED, DAY_S)
        self._circuit = Circuit(
            retry_s=_RETRY_S,
            away="Redis does not answer: tokens are counted within this process only",
            back="Redis answers again: tokens are counted across processes",
        )

    async def get_spent(self, name: str) -> tuple[int, int]:
        """How many tokens were spent under *name*, and seconds until they are forgotten."""
        return await self._ask(_LOOK, name) or self._add_alone(name, 0)

    async def add(self, name: str, tokens: int) -> None:
        """Count so many more."""
        if await self._ask(_ADD, name, tokens, DAY_S) is None:
            self._add_alone(name, tokens)

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        await self._connections.aclose()

    async def _ask(self, script: str, name: str, *arguments: int) -> tuple[int, int] | None:
        if not self._circuit.may_try():
            return None
        try:
            reply: Any = await self._connections.asynchronous().eval(script, 1, limit_key("tokens", name), *arguments)
        except RedisError as exc:
            self._circuit.note_failure(exc)
            return None
        self._circuit.note_success()
        return int(reply[0]), max(0, int(reply[1]))

    def _add_alone(self, name: str, tokens: int) -> tuple[int, int]:
        now_s = time.monotonic()
        spent, until_s = self._own.get(name) or (0, now_s + DAY_S)
        if now_s >= until_s:
            spent, until_s = 0, now_s + DAY_S
        if tokens:
            self._own.put(name, (spent + tokens, until_s))
        return spent + tokens, math.ceil(until_s - now_s)
