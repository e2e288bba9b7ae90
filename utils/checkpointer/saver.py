"""`RedisCheckpointer`: LangGraph's state on plain Redis or Valkey, one hash a conversation, one script call a step."""

from __future__ import annotations

import copy
import logging
import uuid
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from .cache import ConversationCache
from .cipher import Keyring
from .codec import Codec
from .connections import Connections
from .errors import StateUnreadable, StoreUnavailable, UnreadableValue
from .keys import CheckpointAddress, make_state_key, make_summary_key, parse_thread_id
from .meter import Meter
from .reading import ListPart, Query, Reader, Window
from .reencryption import Outcome, reencrypt, rewrite_fields
from .retention import is_due, keep_last, sweep
from .scripts import StateStore, pair_fields, translate_errors
from .serializer import StrictSerializer, TypeName, list_known_types
from .sync_saver import SyncCheckpointer
from .writing import Writer

_SCANNED = 1000  # keys looked at by one call

logger = logging.getLogger(__name__)


class RedisCheckpointer(SyncCheckpointer):
    """Conversations in Redis ≥ 5 or Valkey: no modules, two keys each, both with the same remaining life.

    `checkpoint:<thread id>` is a readable JSON string, `state:{checkpoint:<thread id>}` a hash with everything. Every
    put and, with *refresh_on_read*, every read sets both to live *ttl_s* seconds more. Of each conversation at least
    the newest *keep* checkpoints stay. A run that goes on from a checkpoint that is not the newest any more is refused
    with `CheckpointConflict`, unless it is a fork; with *refuse_conflicts* off it forks silently, as with other savers.
    With *keys* what is stored is encrypted. What was used last is remembered, about *warm_bytes* of it. `meter` counts
    what is done.

    All operations raise `StoreUnavailable` when the server does not answer in time, and `StateUnreadable`, naming the
    key, when the stored bytes are broken, foreign, or hold a type that is not allowed. Allowed are LangChain's
    messages, LangGraph's own types, plain values, and *allowed_types*: classes, or (module, name). Writing another one
    raises `TypeNotAllowed`. A saver is its own context manager: `with` closes it, and so does `async with`.
    """

    def __init__(
        self,
        connections: Connections,
        *,
        ttl_s: int,
        keep: int | None = 50,
        refuse_conflicts: bool = True,
        refresh_on_read: bool = True,
        keys: Keyring | None = None,
        allowed_types: Collection[TypeName | type] = (),
        warm_conversations: int = 256,
        warm_bytes: int = 64 * 1024 * 1024,
        meter: Meter | None = None,
    ) -> None:
        if ttl_s < 1:
            raise ValueError("ttl_s must be at least 1: nothing is kept without an end")
        if keep is not None and keep < 1:
            raise ValueError("keep must be at least 1, or None to keep all checkpoints")
        super().__init__()
        self.connections, self.codec, self.meter = connections, Codec(keys), Meter() if meter is None else meter
        self.store = StateStore(connections, self.meter, ttl_s * 1000)
        self.cache = ConversationCache(warm_conversations, warm_bytes)
        self.lifetime_s, self._keep, self._refuse_conflicts = ttl_s, keep, refuse_conflicts
        reading = self.store if refresh_on_read else replace(self.store, ttl_ms=0)
        self.use(StrictSerializer([*list_known_types(), *allowed_types]), reading)

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        ttl_s: int,
        connect_timeout_s: float = 1.0,
        timeout_s: float = 2.0,
        max_connections: int = 32,
        **options: Any,
    ) -> RedisCheckpointer:
        """A saver for the Redis at *url*, see `Address.parse`; it connects when it is first used.

        *options* are those of the class.
        """
        connections = Connections(
            url, connect_timeout_s=connect_timeout_s, timeout_s=timeout_s, max_connections=max_connections
        )
        return cls(connections, ttl_s=ttl_s, **options)

    @classmethod
    def from_conn_string(cls, conn_string: str, *, ttl_s: int = 86_400) -> RedisCheckpointer:
        """`from_url` under the name that LangGraph's own savers have, for `with` and `async with`."""
        return cls.from_url(conn_string, ttl_s=ttl_s)

    async def __aenter__(self) -> RedisCheckpointer:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections of the running event loop and of the sync interface."""
        await self.connections.aclose()

    async def aprobe(self) -> None:
        """Do nothing but what needs a Redis that answers and can be written to. In a cluster each asks another node."""
        await self.store.run_command("SET", f"state:probe:{uuid.uuid4().hex}", "", "PX", 1)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store *checkpoint* as a child of the one in *config*. Gives the config that names it."""
        refuse = self._refuse_conflicts
        stored = await self.writer.put(config, checkpoint, metadata, new_versions, refuse_conflict=refuse)
        address = CheckpointAddress.from_config(config)
        if self._keep is not None and is_due(stored, self._keep):
            try:
                await keep_last(self.store, address.thread_id, self._keep)
            except (StateUnreadable, StoreUnavailable) as exc:
                # What was put is safe. The next one sweeps again.
                logger.warning("Could not remove old checkpoints of %s: %s", make_state_key(address.thread_id), exc)
        return address.at(checkpoint["id"]).config()

    async def arestore(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata
    ) -> RunnableConfig:
        """Store a checkpoint that was made elsewhere, whole, as a child of the one in *config*, in whatever order.

        It is not a conflict if others have come after it: the newest stays the newest.
        """
        versions = checkpoint["channel_versions"]
        await self.writer.put(config, checkpoint, metadata, versions, refuse_conflict=False)
        return CheckpointAddress.from_config(config).at(checkpoint["id"]).config()

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what a task wrote after the checkpoint in *config*; any number of tasks may do so at once."""
        await self.writer.put_writes(config, writes, task_id, task_path)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that *config* names, or the newest of its namespace; None if there is none."""
        return await self.reader.get(config)

    async def aget_parts(self, thread_id: str, windows: Mapping[str, Window]) -> dict[str, ListPart] | None:
        """A part of each list in the channels that *windows* name, all of the newest checkpoint.

        None if there is no such conversation. Other items are neither fetched nor decoded.
        """
        return await self.reader.read_parts(thread_id, windows)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints, newest first within a conversation; of all conversations if *config* is None."""
        query = Query.from_config(config, before, filter)
        if config is not None:
            async for checkpoint in self.reader.find_all(str(config["configurable"]["thread_id"]), query, limit):
                yield checkpoint
            return
        remaining = limit
        async for thread_id in self.athread_ids():
            if remaining == 0:
                return
            try:
                async for checkpoint in self.reader.find_all(thread_id, query, remaining):
                    yield checkpoint
                    remaining = None if remaining is None else remaining - 1
            except StateUnreadable as exc:  # one broken or foreign key must not end a scan of all
                logger.error("Skipped an unreadable conversation: %s", exc)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What delta *channels* are rebuilt from; `StateUnreadable` if some of it was removed."""
        return await self.reader.read_delta_history(config, channels)

    async def adelete_thread(self, thread_id: str) -> None:
        """Remove a conversation: both keys, at once."""
        self.cache.forget(thread_id)
        await self.store.run_command("UNLINK", make_state_key(thread_id), make_summary_key(thread_id))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints of these runs and their writes, in whichever conversations (a scan of all)."""
        if not run_ids:
            return
        async for thread_id in self.athread_ids():
            self.cache.forget(thread_id)
            try:
                await sweep(self.store, thread_id, "runs", *run_ids)
            except StateUnreadable as exc:
                logger.error("Skipped an unreadable conversation: %s", exc)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Replace *target_thread_id* by a copy of the other with its whole history; it lives the full time from now.

        Nothing happens if there is no such source. Through the client, because in a cluster the two are in different
        slots.
        """
        self.cache.forget(target_thread_id)
        key = make_state_key(source_thread_id)
        fields = pair_fields(await self.store.run_command("HGETALL", key))
        if fields:
            try:
                copied = rewrite_fields(fields, self.codec, self.codec, source_thread_id, target_thread_id)
            except UnreadableValue as exc:
                raise StateUnreadable(key, str(exc)) from exc
            await self.store.run_script("restore", target_thread_id, *copied)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Keep only the newest checkpoint of each namespace (and what its delta channels need), or with "delete" none.

        Upkeep is not use: how long the conversations have left to live does not change.
        """
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"There is no pruning strategy {strategy!r}: keep_latest or delete.")
        for thread_id in thread_ids:
            await (self.adelete_thread(thread_id) if strategy == "delete" else self.akeep(thread_id))

    async def akeep(self, thread_id: str, count: int | None = None) -> int:
        """Keep the *count* newest checkpoints, or with None that of each namespace. Gives how many went."""
        self.cache.forget(thread_id)
        if count is None:
            return await sweep(self.store, thread_id, "latest")
        return await keep_last(self.store, thread_id, count)

    async def areencrypt(self, thread_id: str, old: Codec, new: Codec) -> Outcome:
        """Write a conversation, which *old* reads, anew by *new*; see reencryption.py. Upkeep is not use."""
        self.cache.forget(thread_id)
        return await reencrypt(self.store, thread_id, old, new)

    async def athread_ids(self, pattern: str = "*") -> AsyncIterator[str]:
        """The ids that match Redis's glob *pattern*, in no order, of everything that is where conversations are."""
        seen: set[str] = set()  # SCAN may give a key twice, and a cluster one that is on its way from node to node
        with translate_errors():
            async for key in self.connections.asynchronous().scan_iter(make_state_key(pattern), _SCANNED):
                thread_id = parse_thread_id(key)
                if thread_id not in seen:
                    seen.add(thread_id)
                    yield thread_id

    async def ttl_s(self, thread_id: str) -> int | None:
        """Seconds a conversation has left, rounded up; None if it does not exist. Asking does not prolong it."""
        left_ms = await self.store.run_command("PTTL", make_state_key(thread_id))
        return -(-left_ms // 1000) if left_ms >= 0 else None

    async def exists(self, thread_id: str) -> bool:
        """Whether anything is stored of a conversation. Asking does not prolong it."""
        return await self.ttl_s(thread_id) is not None

    def with_allowlist(self, extra_allowlist: Collection[TypeName | type]) -> RedisCheckpointer:
        """A saver that takes further types; LangGraph calls it where LANGGRAPH_STRICT_MSGPACK is set."""
        clone = copy.copy(self)
        clone.use(self.reader.serde.with_msgpack_allowlist(extra_allowlist), self.reader.store)
        return clone

    def without_refresh(self) -> RedisCheckpointer:
        """A saver whose reads are no use: they leave conversations the time they have; connections stay shared."""
        clone = copy.copy(self)
        clone.use(self.reader.serde, replace(self.store, ttl_ms=0))
        return clone

    def use(self, serde: StrictSerializer, reading: StateStore) -> None:
        """Write and read by *serde*, and read over *reading*."""
        self.serde = serde
        self.writer = Writer(serde, self.codec, self.cache, self.store)
        self.reader = Reader(serde, self.codec, self.cache, reading)
