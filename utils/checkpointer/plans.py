"""Every operation of the saver, written once: what to send, and what the reply means. `scripts.py` carries them out."""

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from .calls import ScriptCalls
from .codec import Codec
from .deltas import delta_history
from .errors import StateUnreadable, StoreUnavailable, UnreadableValue
from .hints import Hints
from .keys import Place, probe_key, state_key, summary_key
from .parts import ListPart, PartReader, Window
from .reading import Batch, Query, Reader
from .reencryption import Outcome, reencrypted
from .retention import due, keep_last, latest, runs
from .scripts import Call, Plan, pairs
from .serializer import StrictSerializer
from .transfer import moved
from .writing import Writer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Policy:
    """What becomes of conversations: how long they live after they were used (*ttl_ms*), whether reading is use, how
    many checkpoints each keeps (None: all), and whether a run may go on from a checkpoint that is not the newest."""

    ttl_ms: int
    refresh_on_read: bool = True
    keep: int | None = None
    refuse_conflicts: bool = True


class Plans:
    """The operations, with one serializer, *codec* and *policy*."""

    def __init__(self, serde: StrictSerializer, codec: Codec, hints: Hints, policy: Policy) -> None:
        self._hints, self._policy, self._codec = hints, policy, codec
        self._script = ScriptCalls(policy.ttl_ms)
        self._writer = Writer(serde, codec, hints, self._script)
        reading = ScriptCalls(policy.ttl_ms if policy.refresh_on_read else 0)
        self._reader, self._parts = Reader(serde, codec, hints, reading), PartReader(serde, codec, reading)

    # ---- writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Plan[RunnableConfig]:
        """Store a checkpoint, and remove what is too old where there is enough of it. Gives its address."""
        refuse = self._policy.refuse_conflicts
        stored = yield from self._writer.put(config, checkpoint, metadata, new_versions, refuse_conflict=refuse)
        place, keep = Place.of(config), self._policy.keep
        if keep is not None and due(stored, keep):
            try:
                yield from keep_last(self._script, place.thread_id, keep)
            except (StateUnreadable, StoreUnavailable) as exc:
                # What was put is safe. The next one sweeps again.
                logger.warning("Could not remove old checkpoints of %s: %s", state_key(place.thread_id), exc)
        return place.at(checkpoint["id"]).config()

    def restore(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata
    ) -> Plan[RunnableConfig]:
        """Store a checkpoint that was made elsewhere: whole, and whatever came after it. Gives its address."""
        versions = checkpoint["channel_versions"]
        yield from self._writer.put(config, checkpoint, metadata, versions, refuse_conflict=False)
        return Place.of(config).at(checkpoint["id"]).config()

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> Plan[None]:
        """See `Writer.put_writes`."""
        return self._writer.put_writes(config, writes, task_id, task_path)

    # ---- reading

    def get(self, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        """See `Reader.get`."""
        return self._reader.get(config)

    def delta_history(self, config: RunnableConfig, channels: Sequence[str]) -> Plan[Mapping[str, DeltaChannelHistory]]:
        """See `delta_history`."""
        return delta_history(self._reader.look, config, channels)

    def batch(self, thread_id: str, query: Query, after: Place | None, limit: int) -> Plan[Batch]:
        """See `Reader.batch`."""
        return self._reader.batch(thread_id, query, after, limit)

    def part(self, thread_id: str, channel: str, window: Window) -> Plan[ListPart | None]:
        """See `PartReader.read`."""
        return self._parts.read(thread_id, channel, window)

    def left_ms(self, thread_id: str) -> Plan[int | None]:
        """How long a conversation has to live; None if there is none. Looking does not prolong it."""
        left = yield Call("", (state_key(thread_id),), ("PTTL", state_key(thread_id)))
        return left if left >= 0 else None

    def probe(self) -> Plan[None]:
        """Write a key that is gone at once. In a cluster each one is on another node."""
        key = probe_key(uuid.uuid4().hex)
        yield Call("", (key,), ("SET", key, "", "PX", 1))

    # ---- removing and copying

    def delete(self, thread_id: str) -> Plan[None]:
        """Remove a conversation, at once and whole."""
        self._hints.forget([thread_id])
        keys = (summary_key(thread_id), state_key(thread_id))
        yield Call("", keys, ("UNLINK", *keys))

    def latest(self, thread_id: str) -> Plan[int]:
        """Remove all but the newest checkpoint of each namespace. Gives how many went."""
        self._hints.forget([thread_id])
        return latest(self._script, thread_id)

    def keep_last(self, thread_id: str, keep: int) -> Plan[int]:
        """Remove all but the *keep* newest checkpoints, see retention.py. Gives how many went."""
        self._hints.forget([thread_id])
        return keep_last(self._script, thread_id, keep)

    def runs(self, thread_id: str, run_ids: Sequence[str]) -> Plan[int]:
        """Remove the checkpoints of these runs. Gives how many went."""
        self._hints.forget([thread_id])
        return runs(self._script, thread_id, run_ids)

    def reencrypt(self, thread_id: str, old: Codec, new: Codec) -> Plan[Outcome]:
        """See `reencrypted`."""
        self._hints.forget([thread_id])
        return reencrypted(self._script, thread_id, old, new)

    def copy(self, source_id: str, target_id: str) -> Plan[None]:
        """Replace the conversation *target_id* by a copy of *source_id*; nothing happens if there is no such source.

        Through the client, because in a cluster the two are in different slots.
        """
        self._hints.forget([target_id])
        key = state_key(source_id)
        fields = pairs((yield Call("", (key,), ("HGETALL", key))))
        if fields:
            try:
                moved_fields = moved(fields, self._codec, source_id, target_id)
            except UnreadableValue as exc:
                raise StateUnreadable(key, str(exc)) from exc
            yield self._script("restore", target_id, *moved_fields)
