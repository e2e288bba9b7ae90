"""Commands to Redis that give None, at once, while it does not answer."""

import time
from collections.abc import Callable
from typing import Any

from redis.exceptions import RedisError

from utils.checkpointer.circuit import Circuit
from utils.checkpointer.clients import AsyncClient
from utils.errors import StoreUnavailable


class RedisCommands:
    """Sends commands while *circuit* lets it; *note_duration* gets the seconds of each, and whether it succeeded."""

    def __init__(
        self,
        redis: AsyncClient,
        circuit: Circuit,
        note_duration: Callable[[float, bool], None] = lambda duration_s, succeeded: None,
    ) -> None:
        self._redis, self._circuit, self._note_duration = redis, circuit, note_duration

    async def try_command(self, *command: Any) -> Any:
        """The reply; None where there is none."""
        if not self._circuit.may_try():
            return None
        began_s, reply = time.perf_counter(), None
        try:
            reply = await self._redis.execute_command(*command)
        except RedisError as exc:
            self._circuit.note_failure(exc)
        else:
            self._circuit.note_success()
        self._note_duration(time.perf_counter() - began_s, reply is not None)
        return reply

    async def run_command(self, *command: Any) -> Any:
        """The reply.

        Raises:
            StoreUnavailable: there is none.
        """
        reply = await self.try_command(*command)
        if reply is None:
            raise StoreUnavailable("Redis is away, and runs of other workers cannot be known. Try again later.")
        return reply
