"""What a turn writes: checkpoints, and what its tasks wrote after them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    get_serializable_checkpoint_metadata,
)

from .calls import ScriptCalls
from .codec import Codec
from .errors import CheckpointConflict, RunSuperseded
from .hints import NO_HINT, Held, Hint, Hints
from .keys import Place, fence_of
from .records import LOG, RECORD, CheckpointRecord, pack_writes
from .scripts import LACKING, Plan
from .serializer import StrictSerializer
from .values import Packed, Parcel
from .writes import Write, numbered

_COUNTED = 16  # list channels whose length the summary shows
# What goes on from the newest unless it was told another by its id. The other sources ("fork") may always go back.
_CONTINUING = frozenset(("input", "loop", "update"))
_CONFLICT, _SUPERSEDED = -1, -2  # what put.lua begins its reply with
_SENT = "the server lacks what was just sent to it"


@dataclass(frozen=True, slots=True)
class Writer:
    """Plans that write."""

    serde: StrictSerializer
    codec: Codec
    hints: Hints
    call: ScriptCalls

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
        *,
        refuse_conflict: bool,
    ) -> Plan[int]:
        """Store a checkpoint. Gives how many the conversation has now.

        Raises:
            CheckpointConflict: with *refuse_conflict*, if the run that wrote it began with what was the newest of its
                namespace and is not any more. A run may begin with an older one by naming it.
            RunSuperseded: the lease that *config* writes under has gone to another run.
        """
        parent, fence = Place.of(config), fence_of(config)
        meta = get_serializable_checkpoint_metadata(config, metadata)
        expected = refuse_conflict and _continues(parent, meta) and not self.hints.is_addressed(parent)
        before = self.hints.get(parent.thread_id, parent.namespace)
        for hint in (before, NO_HINT):
            parcel = self._parcel(parent, hint)
            channels = self._channels(parcel, checkpoint, parent.checkpoint_id, new_versions, hint)
            record = self._record(parent, checkpoint, meta, channels).pack()
            named = (parent.namespace, checkpoint["id"], record, meta.get("step", -1), _counts(channels))
            call = self.call("put", parent.thread_id, *named, int(expected), fence, *parcel.fields(), fence=fence)
            # Of many that wait for their replies the garbage collector would look at all that is held.
            del parcel, record, named
            stored, *newest = yield call
            if stored != LACKING:
                break
        else:
            raise AssertionError(_SENT)
        if stored == _SUPERSEDED:
            raise RunSuperseded
        if stored == _CONFLICT:
            self.hints.forget([parent.thread_id])
            raise CheckpointConflict(parent.checkpoint_id, newest[0].decode(errors="backslashreplace"))
        versions = checkpoint["channel_versions"]
        held = {channel: Held(versions.get(channel), packed) for channel, packed in channels.items()}
        hint = Hint(checkpoint["id"], held, kept=before.kept, has=before.has)
        self.hints.put(parent.thread_id, parent.namespace, hint, before=before)
        return int(stored)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> Plan[None]:
        """Append the writes of a task to the log of its checkpoint.

        Raises:
            RunSuperseded: the lease that *config* writes under has gone to another run.
        """
        place, fence = Place.of(config), fence_of(config)
        log = numbered(writes, task_id, task_path)
        for hint in (self.hints.get(place.thread_id, place.namespace), NO_HINT):
            parcel = self._parcel(place, hint)
            packed = [parcel.add(write.value, {}) for write in log]
            # Before it is sent: LangGraph puts the next checkpoint without waiting for this.
            self.hints.wrote(place.thread_id, place.namespace, packed)
            refs = _roots(packed)
            frame = pack_writes(refs, self._frame_body(place, refs, log, packed))
            fixed = (place.namespace, place.checkpoint_id, refs, frame, fence)
            call = self.call("writes", place.thread_id, *fixed, *parcel.fields(), fence=fence)
            del parcel, packed, fixed  # see put
            [stored] = yield call
            if stored == _SUPERSEDED:
                raise RunSuperseded
            if stored != LACKING:
                break
        else:
            raise AssertionError(_SENT)

    def _parcel(self, place: Place, hint: Hint) -> Parcel:
        return Parcel(self.codec, self.serde, place.thread_id, hint.knows, hint.named)

    def _frame_body(self, place: Place, refs: bytes, log: Sequence[Write], packed: Sequence[Packed]) -> bytes:
        rows = [
            (write.task_id, write.index, write.channel, write.task_path, value.entry())
            for write, value in zip(log, packed, strict=True)
        ]
        return self.codec.seal(self.codec.dump(self.serde, rows), place.about(LOG, refs))

    def _channels(
        self, parcel: Parcel, checkpoint: Checkpoint, parent_id: str, new_versions: ChannelVersions, hint: Hint
    ) -> dict[str, Packed]:
        packed = {}
        for channel, value in checkpoint["channel_values"].items():
            version = None if channel in new_versions else checkpoint["channel_versions"].get(channel)
            unchanged = hint.unchanged(parent_id, channel, version)
            packed[channel] = unchanged or parcel.add(value, hint.names(channel))
        return packed

    def _record(
        self, parent: Place, checkpoint: Checkpoint, metadata: CheckpointMetadata, channels: Mapping[str, Packed]
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
            refs=_roots(channels.values()),
            body=b"",
        )
        about = parent.at(checkpoint["id"]).about(RECORD, record.head())
        return replace(record, body=self.codec.seal(self.codec.dump(self.serde, body), about))


def _continues(parent: Place, metadata: CheckpointMetadata) -> bool:
    # Within a run that was accepted several may go on in one namespace: `Send` to a subgraph with a memory.
    if parent.namespace or metadata.get("source") not in _CONTINUING:
        return False
    # The first of a conversation is refused where there is one already.
    return bool(parent.checkpoint_id) or metadata.get("step") == -1


def _roots(packed: Any) -> bytes:
    return b"".join(value.root for value in packed if value.root is not None)


def _counts(channels: Mapping[str, Packed]) -> str:
    lengths = {name: packed.length for name, packed in channels.items() if packed.length is not None}
    return json.dumps(dict(list(lengths.items())[:_COUNTED]))
