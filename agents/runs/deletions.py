"""Conversations that are deleted: what is kept of their runs goes with them, and every worker knows it."""

import asyncio
from importlib.resources import files
from typing import Any
from uuid import uuid4

from redis.exceptions import RedisError

from agents.runs.keys import (
    CONTROL,
    CONTROL_KEPT_S,
    CONTROL_LENGTH,
    SHARDS,
    make_active_key_of_shard,
    make_events_key,
    make_places_key,
    make_runs_key,
    make_turns_key,
    make_waiting_key,
    run_key,
)
from utils.checkpointer.clients import AsyncClient
from utils.checkpointer.keys import make_deleted_key
from utils.errors import StoreUnavailable
from utils.slices import cut_into_slices

_AT_ONCE = 500  # runs of one call


class RunDeletions:
    """Deletes the runs of conversations, and remembers which conversations were deleted for *keep_s* seconds: as long
    as anything that a process holds of one may be used."""

    def __init__(self, redis: AsyncClient, *, keep_s: int) -> None:
        self._redis, self._keep_s = redis, keep_s
        self._script = (files("agents.runs") / "lua" / "delete.lua").read_text()

    async def delete_runs(self, thread_id: str) -> int:
        """Delete the runs of a conversation, and let every worker drop what it holds of it; how many runs there
        were. Nobody may work on one meanwhile.

        Raises:
            StoreUnavailable: Redis did not answer; some may be gone.
        """
        # Before anything is gone: what a worker holds must not be used from here on.
        await self._ask("SET", make_deleted_key(thread_id), uuid4().hex, "EX", self._keep_s)
        await self._ask("UNLINK", make_places_key(thread_id))
        counts = await asyncio.gather(*(self._delete_in(shard, thread_id) for shard in range(SHARDS)))
        await self._ask("XADD", CONTROL, "MAXLEN", "~", CONTROL_LENGTH, "*", "deleted", thread_id)
        await self._ask("EXPIRE", CONTROL, CONTROL_KEPT_S)
        return sum(counts)

    async def list_runs(self, thread_id: str) -> list[str]:
        """The runs of a conversation that are known.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        runs = await asyncio.gather(
            *(self._ask("SMEMBERS", make_runs_key(shard, thread_id)) for shard in range(SHARDS))
        )
        return [run_id.decode() for shard in runs for run_id in shard]

    async def is_deleted(self, thread_id: str) -> bool:
        """Whether the conversation was deleted lately; also where that cannot be known."""
        try:
            return bool(await self._redis.execute_command("EXISTS", make_deleted_key(thread_id)))
        except RedisError:
            return True

    async def find_last(self, thread_id: str) -> bytes | None:
        """What names the last deletion of the conversation; None where it was not deleted lately.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        last: bytes | None = await self._ask("GET", make_deleted_key(thread_id))
        return last

    async def _delete_in(self, shard: int, thread_id: str) -> int:
        index = make_runs_key(shard, thread_id)
        ids = [found.decode() for found in await self._ask("SMEMBERS", index)]
        for batch in cut_into_slices(ids, _AT_ONCE):
            of_runs = [
                key for run_id in batch for key in (run_key(run_id), make_events_key(run_id), make_turns_key(run_id))
            ]
            keys = [index, make_active_key_of_shard(shard), make_waiting_key(shard), *of_runs]
            await self._ask("EVAL", self._script, len(keys), *keys, self._keep_s * 1000, *batch)
        return len(ids)

    async def _ask(self, *command: object) -> Any:
        try:
            return await self._redis.execute_command(*command)
        except RedisError as exc:
            raise StoreUnavailable("Redis is away. Try again later.") from exc
