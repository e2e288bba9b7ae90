"""What a turn writes: checkpoints, and what its tasks wrote after them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    get_serializable_checkpoint_metadata,
)

from .cache import NOTHING_CACHED, CachedChannel, CachedConversation, ConversationCache
from .codec import Codec
from .errors import CheckpointConflict, RunSuperseded
from .keys import CheckpointAddress, get_fence
from .records import LOG, RECORD, CheckpointRecord, Write, number_writes, pack_writes
from .scripts import LACKING, Argument, StateStore
from .serializer import StrictSerializer
from .values import PackedValue, ValuePacker

_COUNTED = 16  # list channels whose length the summary shows
# What goes on from the newest unless it was told another by its id. The other sources ("fork") may always go back.
_CONTINUING = frozenset(("input", "loop", "update"))
_CONFLICT, _SUPERSEDED = -1, -2  # what put.lua begins its reply with
_SENT = "the server lacks what was just sent to it"


@dataclass(frozen=True, slots=True)
class Writer:
    """Stores checkpoints and writes, sending what the server is not known to have."""

    serde: StrictSerializer
    codec: Codec
    cache: ConversationCache
    store: StateStore

    async def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
        *,
        refuse_conflict: bool,
    ) -> int:
        """Store a checkpoint. Gives how many the conversation has now.

        Raises:
            CheckpointConflict: with *refuse_conflict*, if the run that wrote it began with what was the newest of its
                namespace and is not any more. A run may begin with an older one by naming it.
            RunSuperseded: the lease that *config* writes under has gone to another run.
        """
        parent, fence = CheckpointAddress.from_config(config), get_fence(config)
        meta = get_serializable_checkpoint_metadata(config, metadata)
        expected = refuse_conflict and _must_continue_newest(parent, meta) and not self.cache.was_read_by_id(parent)
        before = self.cache.get(parent)
        for cached in (before, NOTHING_CACHED):
            packer = self._make_packer(parent, cached)
            channels = _pack_channels(packer, checkpoint, parent.checkpoint_id, new_versions, cached)
            record = self._record(parent, checkpoint, meta, channels).pack()
            head = (parent.namespace, checkpoint["id"], record, meta.get("step", -1), _count_list_lengths(channels))
            arguments: list[Argument] = [*head, int(expected), fence, *packer.make_fields()]
            # Of many that wait for their replies the garbage collector would look at all that is held.
            del packer, record, head
            stored, *newest = await self.store.run_script("put", parent.thread_id, *arguments, fence=fence)
            if stored != LACKING:
                break
        else:
            raise AssertionError(_SENT)
        if stored == _SUPERSEDED:
            raise RunSuperseded
        if stored == _CONFLICT:
            self.cache.forget(parent.thread_id)
            raise CheckpointConflict(parent.checkpoint_id, newest[0].decode(errors="backslashreplace"))
        self._cache_checkpoint(parent, checkpoint, channels, before)
        return int(stored)

    def _cache_checkpoint(
        self,
        parent: CheckpointAddress,
        checkpoint: Checkpoint,
        channels: Mapping[str, PackedValue],
        before: CachedConversation,
    ) -> None:
        versions = checkpoint["channel_versions"]
        stored = {channel: CachedChannel(versions.get(channel), packed) for channel, packed in channels.items()}
        cached = CachedConversation(checkpoint["id"], stored, values=before.values, has=before.has)
        self.cache.put_checkpoint(parent, cached, before=before)

    async def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> None:
        """Append the writes of a task to the log of its checkpoint.

        Raises:
            RunSuperseded: the lease that *config* writes under has gone to another run.
        """
        address, fence = CheckpointAddress.from_config(config), get_fence(config)
        log = number_writes(writes, task_id, task_path)
        for cached in (self.cache.get(address), NOTHING_CACHED):
            packer = self._make_packer(address, cached)
            packed = [packer.add(write.value) for write in log]
            # Before it is sent: LangGraph puts the next checkpoint without waiting for this.
            self.cache.add_written(address, packed)
            refs = _join_roots(packed)
            frame = pack_writes(refs, self._make_frame_body(address, refs, log, packed))
            arguments: list[Argument] = [
                address.namespace,
                address.checkpoint_id,
                refs,
                frame,
                fence,
                *packer.make_fields(),
            ]
            del packer, packed  # see put
            [stored] = await self.store.run_script("writes", address.thread_id, *arguments, fence=fence)
            if stored == _SUPERSEDED:
                raise RunSuperseded
            if stored != LACKING:
                return
        raise AssertionError(_SENT)

    def _make_packer(self, address: CheckpointAddress, cached: CachedConversation) -> ValuePacker:
        return ValuePacker(self.codec, self.serde, address.thread_id, cached.knows, cached.values.refs)

    def _make_frame_body(
        self, address: CheckpointAddress, refs: bytes, log: Sequence[Write], packed: Sequence[PackedValue]
    ) -> bytes:
        rows = [
            (write.task_id, write.index, write.channel, write.task_path, value.entry())
            for write, value in zip(log, packed, strict=True)
        ]
        return self.codec.seal(self.codec.dump(self.serde, rows), address.record_context(LOG, refs))

    def _record(
        self,
        parent: CheckpointAddress,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        channels: Mapping[str, PackedValue],
    ) -> CheckpointRecord:
        body = {
            "c": {key: value for key, value in checkpoint.items() if key not in ("id", "channel_values")},
            "m": metadata,
            "e": {channel: packed.entry() for channel, packed in channels.items()},
        }
        deltas = metadata.get("counters_since_delta_snapshot") or {}
        record = CheckpointRecord(
            parent_id=parent.checkpoint_id,
            run_id=str(metadata.get("run_id") or ""),
            unseeded=tuple(channel for channel in deltas if channel not in checkpoint["channel_values"]),
            refs=_join_roots(channels.values()),
            body=b"",
        )
        context = parent.at(checkpoint["id"]).record_context(RECORD, record.head())
        return replace(record, body=self.codec.seal(self.codec.dump(self.serde, body), context))


def _pack_channels(
    packer: ValuePacker,
    checkpoint: Checkpoint,
    parent_id: str,
    new_versions: ChannelVersions,
    cached: CachedConversation,
) -> dict[str, PackedValue]:
    packed = {}
    for channel, value in checkpoint["channel_values"].items():
        version = None if channel in new_versions else checkpoint["channel_versions"].get(channel)
        packed[channel] = cached.find_unchanged(parent_id, channel, version) or packer.add(value)
    return packed


def _must_continue_newest(parent: CheckpointAddress, metadata: CheckpointMetadata) -> bool:
    # Within a run that was accepted several may go on in one namespace: `Send` to a subgraph with a memory.
    if parent.namespace or metadata.get("source") not in _CONTINUING:
        return False
    # The first of a conversation is refused where there is one already.
    return bool(parent.checkpoint_id) or metadata.get("step") == -1


def _join_roots(packed: Iterable[PackedValue]) -> bytes:
    return b"".join(value.root for value in packed if value.root is not None)


def _count_list_lengths(channels: Mapping[str, PackedValue]) -> str:
    lengths = {name: packed.length for name, packed in channels.items() if packed.length is not None}
    return json.dumps(dict(list(lengths.items())[:_COUNTED]))
