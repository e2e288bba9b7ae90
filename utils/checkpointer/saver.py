"""`RedisCheckpointer`: LangGraph's state on plain Redis or Valkey, one hash a conversation, one script call a step."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from .cipher import Keyring
from .codec import Codec
from .connections import Connections
from .hints import Hints
from .keys import STATE_PATTERN, state_key, thread_of
from .listing import Listing, skipping_unreadable
from .meter import Meter
from .parts import ListPart, Window
from .plans import Plans, Policy
from .reencryption import Outcome
from .scripts import Plan, Scripts, T, translated
from .serializer import StrictSerializer, TypeName, known_types

_SCANNED = 1000  # keys looked at by one call


class RedisCheckpointer(BaseCheckpointSaver[int]):
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
        self._strict = StrictSerializer([*known_types(), *allowed_types])
        super().__init__(serde=self._strict)
        self.meter = Meter() if meter is None else meter
        self._connections, self._scripts = connections, Scripts(self.meter)
        self._policy = Policy(ttl_s * 1000, refresh_on_read, keep, refuse_conflicts)
        self._codec, self._hints = Codec(keys), Hints(warm_conversations, warm_bytes)
        self._plans = Plans(self._strict, self._codec, self._hints, self._policy)

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        ttl_s: int,
        keep: int | None = 50,
        refuse_conflicts: bool = True,
        refresh_on_read: bool = True,
        keys: Keyring | None = None,
        allowed_types: Collection[TypeName | type] = (),
        connect_timeout_s: float = 1.0,
        timeout_s: float = 2.0,
        max_connections: int = 32,
    ) -> RedisCheckpointer:
        """A saver for the Redis at *url*, see `Address.parse`; it connects when it is first used."""
        connections = Connections(
            url, connect_timeout_s=connect_timeout_s, timeout_s=timeout_s, max_connections=max_connections
        )
        return cls(
            connections,
            ttl_s=ttl_s,
            keep=keep,
            refuse_conflicts=refuse_conflicts,
            refresh_on_read=refresh_on_read,
            keys=keys,
            allowed_types=allowed_types,
        )

    @classmethod
    def from_conn_string(cls, conn_string: str, *, ttl_s: int = 86_400) -> RedisCheckpointer:
        """`from_url` under the name that LangGraph's own savers have, for `with` and `async with`."""
        return cls.from_url(conn_string, ttl_s=ttl_s)

    def __enter__(self) -> RedisCheckpointer:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    async def __aenter__(self) -> RedisCheckpointer:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.aclose()

    @property
    def lifetime_s(self) -> int:
        """How long a conversation is kept after it was last used."""
        return self._policy.ttl_ms // 1000

    async def aclose(self) -> None:
        """Close the connections of the running event loop and of the sync interface."""
        await self._connections.aclose()

    def close(self) -> None:
        """Close the connections of the sync interface."""
        self._connections.close()

    # ---- asyncio

    async def aprobe(self) -> None:
        """Do nothing but what needs a Redis that answers and can be written to."""
        await self._arun(self._plans.probe())

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store *checkpoint* as a child of the one in *config*. Gives the config that names it."""
        return await self._arun(self._plans.put(config, checkpoint, metadata, new_versions))

    async def arestore(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata
    ) -> RunnableConfig:
        """Store a checkpoint that was made elsewhere, whole, as a child of the one in *config*, in whatever order.

        It is not a conflict if others have come after it: the newest stays the newest.
        """
        return await self._arun(self._plans.restore(config, checkpoint, metadata))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what a task wrote after the checkpoint in *config*; any number of tasks may do so at once."""
        await self._arun(self._plans.put_writes(config, writes, task_id, task_path))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that *config* names, or the newest of its namespace; None if there is none."""
        return await self._arun(self._plans.get(config))

    async def aget_part(
        self, thread_id: str, channel: str, *, limit: int, before: int | None = None
    ) -> ListPart | None:
        """At most *limit* items of the list in *channel* of the newest checkpoint, those before the one at *before*.

        None if there is no such conversation. Other items are neither fetched nor decoded.
        """
        return await self._arun(self._plans.part(thread_id, channel, Window(limit, before)))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints, newest first within a conversation; of all conversations if *config* is None."""
        listing = Listing(self._plans, config, filter, before, limit)
        async for thread_id in self._athreads(config):
            while (plan := listing.next_batch(thread_id)) is not None:
                with listing.surviving():
                    listing.accept(await self._arun(plan))
                for found in listing.accepted:
                    yield found

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What delta *channels* are rebuilt from; `StateUnreadable` if some of it was removed."""
        return await self._arun(self._plans.delta_history(config, channels))

    async def adelete_thread(self, thread_id: str) -> None:
        """Remove a conversation: both keys, at once."""
        await self._arun(self._plans.delete(thread_id))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints of these runs and their writes, in whichever conversations (a scan of all)."""
        if run_ids:
            async for thread_id in self._athreads(None):
                with skipping_unreadable():
                    await self._arun(self._plans.runs(thread_id, run_ids))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Replace *target_thread_id* by a copy of the other with its whole history; it lives the full time from now."""
        await self._arun(self._plans.copy(source_thread_id, target_thread_id))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Keep only the newest checkpoint of each namespace (and what its delta channels need), or with "delete" none.

        Upkeep is not use: how long the conversations have left to live does not change.
        """
        for plan in self._prunings(thread_ids, strategy):
            await self._arun(plan)

    async def areencrypt(self, thread_id: str, old: Codec, new: Codec) -> Outcome:
        """Write a conversation, which *old* reads, anew by *new*; see reencryption.py. Upkeep is not use."""
        return await self._arun(self._plans.reencrypt(thread_id, old, new))

    async def athread_ids(self, pattern: str = "*") -> AsyncIterator[str]:
        """The ids that match Redis's glob *pattern*, in no order, of everything that is where conversations are."""
        seen: set[str] = set()
        with translated():
            async for key in self._connections.asynchronous().scan_iter(state_key(pattern), _SCANNED):
                for thread_id in _unseen(key, seen):
                    yield thread_id

    async def ttl_s(self, thread_id: str) -> int | None:
        """Seconds a conversation has left, rounded up; None if it does not exist. Asking does not prolong it."""
        left_ms = await self._arun(self._plans.left_ms(thread_id))
        return None if left_ms is None else -(-left_ms // 1000)

    async def exists(self, thread_id: str) -> bool:
        """Whether anything is stored of a conversation. Asking does not prolong it."""
        return await self.ttl_s(thread_id) is not None

    # ---- the same, blocking

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """See `aput`."""
        return self._run(self._plans.put(config, checkpoint, metadata, new_versions))

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """See `aput_writes`."""
        self._run(self._plans.put_writes(config, writes, task_id, task_path))

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """See `aget_tuple`."""
        return self._run(self._plans.get(config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """See `alist`."""
        listing = Listing(self._plans, config, filter, before, limit)
        for thread_id in self._threads(config):
            while (plan := listing.next_batch(thread_id)) is not None:
                with listing.surviving():
                    listing.accept(self._run(plan))
                yield from listing.accepted

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """See `aget_delta_channel_history`."""
        return self._run(self._plans.delta_history(config, channels))

    def delete_thread(self, thread_id: str) -> None:
        """See `adelete_thread`."""
        self._run(self._plans.delete(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """See `adelete_for_runs`."""
        if run_ids:
            for thread_id in self._threads(None):
                with skipping_unreadable():
                    self._run(self._plans.runs(thread_id, run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """See `acopy_thread`."""
        self._run(self._plans.copy(source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """See `aprune`."""
        for plan in self._prunings(thread_ids, strategy):
            self._run(plan)

    def with_allowlist(self, extra_allowlist: Collection[TypeName | type]) -> RedisCheckpointer:
        """A saver that takes further types; LangGraph calls it where LANGGRAPH_STRICT_MSGPACK is set."""
        return self._with(self._strict.with_msgpack_allowlist(extra_allowlist), self._policy)

    def looking(self) -> RedisCheckpointer:
        """The same, whose reads are no use: they leave conversations the time they have; connections stay shared."""
        return self._with(self._strict, replace(self._policy, refresh_on_read=False))

    # ----

    def _with(self, serde: StrictSerializer, policy: Policy) -> RedisCheckpointer:
        clone = copy.copy(self)
        clone.serde = clone._strict = serde
        clone._policy, clone._plans = policy, Plans(serde, self._codec, self._hints, policy)
        return clone

    def _run(self, plan: Plan[T]) -> T:
        return self._scripts.run(self._connections.blocking, plan)

    def _arun(self, plan: Plan[T]) -> Coroutine[Any, Any, T]:
        return self._scripts.arun(self._connections.asynchronous(), plan)

    def _prunings(self, thread_ids: Sequence[str], strategy: str) -> Iterator[Plan[Any]]:
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"There is no pruning strategy {strategy!r}: keep_latest or delete.")
        for thread_id in thread_ids:
            yield self._plans.delete(thread_id) if strategy == "delete" else self._plans.latest(thread_id)

    def _threads(self, config: RunnableConfig | None) -> Iterator[str]:
        if config is not None:
            yield str(config["configurable"]["thread_id"])
            return
        seen: set[str] = set()
        with translated():
            for key in self._connections.blocking().scan_iter(STATE_PATTERN, _SCANNED):
                yield from _unseen(key, seen)

    async def _athreads(self, config: RunnableConfig | None) -> AsyncIterator[str]:
        if config is not None:
            yield str(config["configurable"]["thread_id"])
            return
        async for thread_id in self.athread_ids():
            yield thread_id


def _unseen(key: bytes, seen: set[str]) -> Iterator[str]:
    # SCAN may give a key twice, and a cluster one that is on its way from node to node.
    thread_id = thread_of(key)
    if thread_id not in seen:
        seen.add(thread_id)
        yield thread_id
