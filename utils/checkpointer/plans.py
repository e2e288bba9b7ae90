"""Every operation of the saver, written once: what to send, and what the reply means. `scripts.py` carries them out."""

import json
import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from utils.checkpointer.codec import Codec
from utils.checkpointer.errors import StateUnreadable, UnreadableValue
from utils.checkpointer.hints import NO_HINT, Held, Hint, Hints
from utils.checkpointer.keys import Place, probe_key, state_key, summary_key
from utils.checkpointer.records import CheckpointRecord, pack_writes, split_refs, unpack_writes
from utils.checkpointer.retention import latest, runs
from utils.checkpointer.scripts import Argument, Call, Plan
from utils.checkpointer.values import Packed, Parcel, Unpacker
from utils.checkpointer.writes import Write, numbered, resolved

_COUNTED = 16  # list channels whose length the summary shows

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Query:
    """What `list` asks of one conversation; empty strings and None do not restrict."""

    namespace: str | None = None
    checkpoint_id: str = ""
    before: str = ""

    @classmethod
    def of(cls, config: RunnableConfig | None, before: RunnableConfig | None) -> "Query":
        """The restrictions in LangGraph's arguments."""
        names = config["configurable"] if config else {}
        until = (before["configurable"].get("checkpoint_id") or "") if before else ""
        return cls(names.get("checkpoint_ns"), names.get("checkpoint_id") or "", until)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some of the checkpoints asked for, newest first, and the address after which the next batch starts (or None)."""

    found: list[CheckpointTuple]
    last: Place | None


@dataclass(frozen=True, slots=True)
class Plans:
    """The operations; *ttl_ms* is what every read and write leaves both keys to live."""

    serde: SerializerProtocol
    codec: Codec
    hints: Hints
    ttl_ms: int

    # ---- writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Plan[RunnableConfig]:
        """Store a checkpoint. Gives its address."""
        parent = Place.of(config)
        place = parent.at(checkpoint["id"])
        meta = get_serializable_checkpoint_metadata(config, metadata)
        for hint in (self.hints.get(place.thread_id, place.namespace), NO_HINT):
            parcel = Parcel(self.codec, self.serde, place.thread_id)
            channels = self._channels(parcel, checkpoint, parent.checkpoint_id, new_versions, hint)
            record = self._record(parent, checkpoint, meta, channels)
            fixed = (place.namespace, place.checkpoint_id, record.pack(), meta.get("step", -1), _counts(channels))
            stored = yield self._script("put", place.thread_id, *fixed, *parcel.fields(hint.known()))
            if stored:
                break
        else:
            raise AssertionError("the server lacks what was just sent to it")
        versions = checkpoint["channel_versions"]
        held = {channel: Held(versions.get(channel), packed) for channel, packed in channels.items()}
        self.hints.remember(place.thread_id, place.namespace, Hint(place.checkpoint_id, held))
        return place.config()

    def _channels(
        self, parcel: Parcel, checkpoint: Checkpoint, parent_id: str, new_versions: ChannelVersions, hint: Hint
    ) -> dict[str, Packed]:
        packed = {}
        for channel, value in checkpoint["channel_values"].items():
            version = None if channel in new_versions else checkpoint["channel_versions"].get(channel)
            packed[channel] = hint.unchanged(parent_id, channel, version) or parcel.add(value)
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
        about = parent.at(checkpoint["id"]).about(b"c", record.head())
        return replace(record, body=self.codec.seal(self.codec.dump(self.serde, body), about))

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> Plan[None]:
        """Append the writes of a task to the log of its checkpoint."""
        place = Place.of(config)
        parcel = Parcel(self.codec, self.serde, place.thread_id)
        log = numbered(writes, task_id, task_path)
        packed = [parcel.add(write.value) for write in log]
        rows = [
            (write.task_id, write.index, write.channel, write.task_path, value.entry())
            for write, value in zip(log, packed, strict=True)
        ]
        refs = _roots(packed)
        frame = pack_writes(refs, self.codec.seal(self.codec.dump(self.serde, rows), place.about(b"w", refs)))
        for hint in (self.hints.get(place.thread_id, place.namespace), NO_HINT):
            fields = parcel.fields(hint.known())
            fixed = (place.namespace, place.checkpoint_id, refs, frame)
            if (yield self._script("writes", place.thread_id, *fixed, *fields)):
                break
        self.hints.wrote(place.thread_id, place.namespace, (ref for value in packed for ref in value.refs))

    # ---- reading

    def get(self, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        """Read the checkpoint that *config* names, or the newest of its namespace.

        Raises:
            StateUnreadable: it is there and cannot be decoded.
        """
        place = Place.of(config)
        reply = yield self._script("get", place.thread_id, place.namespace, place.checkpoint_id)
        if not reply:
            return None
        checkpoint_id, record, log, fields = reply
        with_id = place.at(_text(checkpoint_id))
        try:
            found, held = self._tuple(with_id, record, log, _pairs(fields))
        except UnreadableValue as exc:
            raise StateUnreadable(state_key(place.thread_id), f"checkpoint {with_id.checkpoint_id}: {exc}") from exc
        if not place.checkpoint_id:
            self.hints.remember(place.thread_id, place.namespace, Hint(with_id.checkpoint_id, held))
        return found

    def batch(self, thread_id: str, query: Query, after: Place | None, limit: int) -> Plan[Batch]:
        """Read up to *limit* checkpoints of a conversation, newest first, beginning after *after*.

        One that cannot be decoded is logged and left out, so that the others can still be seen.
        """
        by_namespace = int(query.namespace is not None)
        last = (after.checkpoint_id, after.namespace) if after else ("", "")
        asked = (by_namespace, query.namespace or "", query.checkpoint_id, query.before, *last, limit)
        rows, flat = yield self._script("list", thread_id, *asked)
        fields = _pairs(flat)
        found = []
        place = None
        for namespace, checkpoint_id, record, log in rows:
            place = Place(thread_id, _text(namespace), _text(checkpoint_id))
            try:
                found.append(self._tuple(place, record, log, fields)[0])
            except UnreadableValue as exc:
                logger.error("Left out %s of %s: %s", place.checkpoint_id, state_key(thread_id), exc)
        return Batch(found, place if len(rows) == limit else None)

    def left_ms(self, thread_id: str) -> Plan[int | None]:
        """How long a conversation has to live; None if there is none. Looking does not prolong it."""
        left = yield Call("", (state_key(thread_id),), ("PTTL", state_key(thread_id)))
        return left if left >= 0 else None

    def probe(self) -> Plan[None]:
        """Write a key that is gone at once. In a cluster each one is on another node."""
        key = probe_key(uuid.uuid4().hex)
        yield Call("", (key,), ("SET", key, "", "PX", 1))

    def _tuple(
        self, place: Place, record: bytes, log: bytes, fields: Mapping[bytes, bytes]
    ) -> tuple[CheckpointTuple, dict[str, Held]]:
        unpacker = Unpacker(self.codec, self.serde, place.thread_id, fields)
        head = CheckpointRecord.unpack(record)
        body = self._body(head.body, place.about(b"c", head.head()))
        try:
            refs, versions = split_refs(head.refs), body["c"]["channel_versions"]
            values, held = {}, {}
            for channel, entry in body["e"].items():
                values[channel], packed = unpacker.value(entry, refs)
                held[channel] = Held(versions.get(channel), packed)
            checkpoint = {**body["c"], "id": place.checkpoint_id, "channel_values": values}
            found = CheckpointTuple(
                config=place.config(),
                checkpoint=cast(Checkpoint, checkpoint),
                metadata=body["m"],
                parent_config=place.at(head.parent_id).config() if head.parent_id else None,
                pending_writes=resolved(self._writes(unpacker, place, log)),
            )
        except (LookupError, TypeError, AttributeError, ValueError) as exc:
            raise UnreadableValue("a record that is not ours") from exc
        return found, held

    def _writes(self, unpacker: Unpacker, place: Place, log: bytes) -> Iterator[Write]:
        for refs, body in unpack_writes(log):
            following = split_refs(refs)
            for task_id, index, channel, task_path, entry in self._body(body, place.about(b"w", refs)):
                value, _ = unpacker.value(entry, following)
                yield Write(task_id, index, channel, task_path, value)

    def _body(self, sealed: bytes, about: bytes) -> Any:
        return self.codec.load(self.serde, self.codec.open(sealed, about))

    # ---- removing and copying

    def delete(self, thread_id: str) -> Plan[None]:
        """Remove a conversation, at once and whole."""
        self.hints.forget([thread_id])
        keys = (summary_key(thread_id), state_key(thread_id))
        yield Call("", keys, ("UNLINK", *keys))

    def sweep(self, thread_id: str, *what: str) -> Plan[int]:
        """Remove checkpoints: `"latest"` all but the newest, `"runs"` and ids those of runs. Gives how many went."""
        self.hints.forget([thread_id])
        if what[0] == "latest":
            return (yield from latest(self._script, thread_id))
        return (yield from runs(self._script, thread_id, what[1:]))

    def copy(self, source_id: str, target_id: str) -> Plan[None]:
        """Replace the conversation *target_id* by a copy of *source_id*; nothing happens if there is no such source.

        Through the client, because in a cluster the two are in different slots.
        """
        self.hints.forget([target_id])
        key = state_key(source_id)
        flat = yield Call("", (key,), ("HGETALL", key))
        fields = [item for pair in flat.items() for item in pair] if isinstance(flat, dict) else flat
        if fields:
            yield self._script("restore", target_id, *fields)

    def _script(self, name: str, thread_id: str, *args: Argument) -> Call:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Call(name, (summary_key(thread_id), state_key(thread_id)), (self.ttl_ms, now, thread_id, *args))


def _roots(packed: Any) -> bytes:
    return b"".join(value.root for value in packed if value.root is not None)


def _counts(channels: Mapping[str, Packed]) -> str:
    lengths = {name: packed.length for name, packed in channels.items() if packed.length is not None}
    return json.dumps(dict(list(lengths.items())[:_COUNTED]))


def _pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
