"""`FallbackCheckpointer`: goes on in memory while Redis is away, loudly, and back to Redis by itself."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from .circuit import Circuit, Persistence
from .errors import StoreUnavailable
from .keys import CheckpointAddress
from .memory import Memory
from .reading import ListPart, Query, Window
from .recovery import ConversationLeases, Recovery
from .saver import RedisCheckpointer
from .serializer import TypeName

T = TypeVar("T")
_REMEMBERED = 500  # conversations that could not be read
_AWAY = "Redis is unavailable: conversations are kept in this process's memory and are lost if it stops"
_BACK = "Redis answers again: conversations in memory go back to it"


class FallbackCheckpointer(BaseCheckpointSaver[int]):
    """A `RedisCheckpointer` whose turns succeed without Redis. It has the asyncio interface only: `ainvoke`, `astream`.

    When Redis does not answer, an operation is served from memory, and the conversation stays there until Redis is
    back: then all that is held of it is written there by `return_held`, or else by the read of its newest checkpoint
    with which its next turn begins. A conversation of which memory knows nothing begins empty while Redis is away;
    afterwards the older messages, and those that another worker held, stand beside the new ones. What memory holds is
    this process's alone and lost with it.

    Removing, copying and pruning are never pretended: without Redis they raise `StoreUnavailable`.

    Args:
        leases: with several workers, who may write a conversation back; without them this process is the only one.
    """

    def __init__(
        self,
        primary: RedisCheckpointer,
        *,
        memory: Memory | None = None,
        retry_s: float = 5.0,
        leases: ConversationLeases | None = None,
    ) -> None:
        super().__init__(serde=primary.serde)
        self.primary = primary
        self.meter = primary.meter
        self._memory = Memory(ttl_s=primary.lifetime_s, meter=self.meter) if memory is None else memory
        self._circuit = Circuit(retry_s=retry_s, away=_AWAY, back=_BACK, changed=self._note_change)
        self._recovery = Recovery(primary, self._memory, self._circuit, leases)
        self._unread: OrderedDict[str, None] = OrderedDict()

    @property
    def persistence(self) -> Persistence:
        """Where this process keeps state now: "memory" since Redis failed and until it has answered again."""
        return self._circuit.persistence

    def persistence_of(self, thread_id: str) -> Persistence:
        """Where one conversation is: "memory" also after Redis is back, until it has been written there."""
        return "redis" if self._memory.left_s(thread_id) is None else "memory"

    @property
    def held_conversations(self) -> int:
        """How many conversations are in memory."""
        return len(self._memory)

    async def probe(self) -> Persistence:
        """Ask Redis, if it is time to, so that `persistence` becomes true again without a turn."""
        await self._try_primary(self.primary.aprobe, lambda: None)
        return self.persistence

    async def return_held(self, *, within_s: float = 1.0) -> int:
        """Write to Redis what is in memory, if Redis answers; a conversation with a turn under way stays until it ends.

        Whether one is under way is known from *leases*; without them call this only while there is none. No other
        conversation is begun after *within_s*. Gives how many went: call it again until it gives 0.
        """
        return await self._recovery.return_all(within_s)

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self.primary.aclose()

    # ---- what a turn does

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """See `RedisCheckpointer.aput`."""
        thread_id = CheckpointAddress.from_config(config).thread_id
        whole = self._recovery.rejoin(config, checkpoint, metadata)
        return await self._write(
            thread_id,
            # What was joined to another worker's part is not the child it was meant to be.
            lambda: (
                self.primary.aput(config, checkpoint, metadata, new_versions)
                if whole is checkpoint
                else self.primary.arestore(config, whole, metadata)
            ),
            lambda: self._memory.put(self.serde, config, whole, metadata),
        )

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """See `RedisCheckpointer.aput_writes`."""
        await self._write(
            CheckpointAddress.from_config(config).thread_id,
            lambda: self.primary.aput_writes(config, writes, task_id, task_path),
            lambda: self._memory.put_writes(self.serde, config, writes, task_id, task_path),
        )

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """See `RedisCheckpointer.aget_tuple`; reading the newest brings the conversation back to Redis if it can."""
        address = CheckpointAddress.from_config(config)
        if not address.checkpoint_id and not address.namespace:
            await self._recovery.return_one(address.thread_id)
        checkpoint = self._memory.get(self.serde, address)
        if checkpoint is not None:
            return checkpoint
        return await self._try_primary(
            lambda: self._read(config, address), lambda: self._note_unread(address.thread_id)
        )

    async def look(self, thread_id: str) -> CheckpointTuple | None:
        """The newest checkpoint of a conversation, for one who looks only; a turn begins with `aget_tuple`.

        None if there is none, or it cannot be read now.
        """
        address = CheckpointAddress(thread_id, "", "")
        await self._recovery.return_one(thread_id)
        checkpoint = self._memory.get(self.serde, address)
        return checkpoint or await self._try_primary(lambda: self.primary.aget_tuple(address.config()), lambda: None)

    async def aget_parts(self, thread_id: str, windows: Mapping[str, Window]) -> dict[str, ListPart] | None:
        """See `RedisCheckpointer.aget_parts`; also None if it cannot be read now."""
        await self._recovery.return_one(thread_id)
        newest = self._memory.get(self.serde, CheckpointAddress(thread_id, "", ""))
        if newest is not None:
            values = newest.checkpoint["channel_values"]
            return {channel: window.cut(values.get(channel, [])) for channel, window in windows.items()}
        return await self._try_primary(lambda: self.primary.aget_parts(thread_id, windows), lambda: None)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """See `RedisCheckpointer.alist`; of a conversation in memory only what is held there.

        Raises:
            StoreUnavailable: Redis is away, and this is not of one conversation held in memory.
        """
        in_memory = self._memory.all(self.serde, CheckpointAddress.from_config(config).thread_id) if config else []
        if not in_memory:
            async for checkpoint in self.primary.alist(config, filter=filter, before=before, limit=limit):
                yield checkpoint
            return
        query = Query.from_config(config, before, filter)
        for checkpoint in [one for one in in_memory if query.matches(one)][:limit]:
            yield checkpoint

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """See `RedisCheckpointer.aget_delta_channel_history`.

        Raises:
            StoreUnavailable: Redis is away, and the conversation is not in memory: nothing would be half a history.
        """
        if self._memory.find(CheckpointAddress.from_config(config).thread_id) is not None:
            return await super().aget_delta_channel_history(config=config, channels=channels)
        return await self._watch(self.primary.aget_delta_channel_history(config=config, channels=channels))

    async def ttl_s(self, thread_id: str) -> int | None:
        """Seconds the conversation has left; None if there is none, or Redis, which would know, is away."""
        left_s = self._memory.left_s(thread_id)
        if left_s is not None:
            return int(left_s) + 1
        return await self._try_primary(lambda: self.primary.ttl_s(thread_id), lambda: None)

    async def exists(self, thread_id: str) -> bool:
        """Whether anything is kept of a conversation, as far as can be known now."""
        return await self.ttl_s(thread_id) is not None

    # ---- what must reach Redis to be true

    async def adelete_thread(self, thread_id: str) -> None:
        """See `RedisCheckpointer.adelete_thread`."""
        async with self._recovery.paused(thread_id):
            await self._watch(self.primary.adelete_thread(thread_id))
            self.forget_conversation(thread_id)

    def forget_conversation(self, thread_id: str) -> None:
        """Drop what memory holds of a conversation that another process has deleted."""
        self._memory.forget(thread_id)
        self._recovery.forget(thread_id)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """See `RedisCheckpointer.adelete_for_runs`; what is held in memory is not searched."""
        await self._watch(self.primary.adelete_for_runs(run_ids))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """See `RedisCheckpointer.acopy_thread`."""
        await self._recovery.return_one(source_thread_id)
        if self._memory.find(source_thread_id) is not None:
            raise StoreUnavailable("The conversation store did not answer.")
        async with self._recovery.paused(target_thread_id):
            await self._watch(self.primary.acopy_thread(source_thread_id, target_thread_id))
            self.forget_conversation(target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """See `RedisCheckpointer.aprune`."""
        if strategy == "delete":
            for thread_id in thread_ids:
                await self.adelete_thread(thread_id)
            return
        await self._watch(self.primary.aprune(thread_ids, strategy=strategy))

    def with_allowlist(self, extra_allowlist: Collection[TypeName | type]) -> FallbackCheckpointer:
        """A saver that takes further types; memory and connections stay shared."""
        clone = copy.copy(self)
        clone.primary = self.primary.with_allowlist(extra_allowlist)
        clone.serde = clone.primary.serde
        return clone

    # ---- what LangGraph calls for `invoke` and `stream`

    def put(self, *_: object, **__: object) -> NoReturn:
        """Say what to call instead."""
        raise NotImplementedError("FallbackCheckpointer is for asyncio: call ainvoke, astream, aget_state, …")

    put_writes = get_tuple = list = put

    # ----

    async def _write(self, thread_id: str, primary: Callable[[], Awaitable[T]], memory: Callable[[], T]) -> T:
        # A turn stays where it is: half a turn in memory would be of no use to Redis, and the other way round.
        # So does one that began without its past, which it would hide: on the way back from memory the two are joined.
        if self._memory.find(thread_id) is not None or thread_id in self._unread:
            self._unread.pop(thread_id, None)
            return memory()
        return await self._try_primary(primary, memory)

    async def _read(self, config: RunnableConfig, address: CheckpointAddress) -> CheckpointTuple | None:
        result = await self.primary.aget_tuple(config)
        if not address.checkpoint_id and not address.namespace:
            # The turn that begins now has its past, whatever the one before had.
            self._unread.pop(address.thread_id, None)
        return result

    def _note_unread(self, thread_id: str) -> None:
        self._unread[thread_id] = None
        while len(self._unread) > _REMEMBERED:
            self._unread.popitem(last=False)

    async def _try_primary(self, primary: Callable[[], Awaitable[T]], memory: Callable[[], T]) -> T:
        if not self._circuit.may_try():
            return memory()
        try:
            return await self._watch(primary())
        except StoreUnavailable:
            return memory()

    async def _watch(self, operation: Awaitable[T]) -> T:
        try:
            result = await operation
        except StoreUnavailable as exc:
            self._circuit.note_failure(exc)
            raise
        self._circuit.note_success()
        return result

    def _note_change(self, persistence: Persistence) -> None:
        self.meter.count("began" if persistence == "memory" else "ended")
