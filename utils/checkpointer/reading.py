"""What is read: one checkpoint, or batches of them for a listing."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointTuple

from .calls import ScriptCalls
from .codec import Codec
from .errors import StateUnreadable, UnreadableValue
from .hints import NO_HINT, Held, Hint, Hints
from .keys import Place, state_key
from .records import LOG, RECORD, CheckpointRecord, split_refs, unpack_writes
from .scripts import Plan, pairs
from .serializer import StrictSerializer
from .values import Kept, Unpacker
from .writes import Write, resolved

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
class Reader:
    """Plans that read."""

    serde: StrictSerializer
    codec: Codec
    hints: Hints
    call: ScriptCalls

    def get(self, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        """See `look`; a run may begin with what was read."""
        found = yield from self.look(config)
        if found is not None:
            self.hints.read(Place.of(found.config), by_id=bool(Place.of(config).checkpoint_id))
        return found

    def look(self, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        """Read the checkpoint that *config* names, or the newest of its namespace.

        Raises:
            StateUnreadable: it is there and cannot be decoded.
        """
        place = Place.of(config)
        hint = self.hints.get(place.thread_id, place.namespace)
        asked = (place.namespace, place.checkpoint_id, hint.has)
        reply = yield self.call("get", place.thread_id, *asked)
        if not reply:
            return None
        checkpoint_id, record, log, fields = reply
        with_id = place.at(_text(checkpoint_id))
        try:
            unpacker = self._unpacker(place.thread_id, fields, hint.left())
            found, held = self._tuple(unpacker, with_id, record, log)
        except UnreadableValue as exc:
            raise StateUnreadable(state_key(place.thread_id), f"checkpoint {with_id.checkpoint_id}: {exc}") from exc
        if not place.checkpoint_id:
            has = b"".join(ref for channel in held.values() for ref in channel.packed.ends)
            seen = Hint(with_id.checkpoint_id, hint.naming(held), kept=unpacker.kept(), has=has)
            # What is under an older key is not known: the next write has it anew, under the one that writes.
            self.hints.remember(place.thread_id, place.namespace, seen if unpacker.is_current() else NO_HINT)
        return found

    def batch(self, thread_id: str, query: Query, after: Place | None, limit: int) -> Plan[Batch]:
        """Read up to *limit* checkpoints of a conversation, newest first, beginning after *after*.

        One that cannot be decoded is logged and left out, so that the others can still be seen.
        """
        by_namespace = int(query.namespace is not None)
        last = (after.checkpoint_id, after.namespace) if after else ("", "")
        asked = (by_namespace, query.namespace or "", query.checkpoint_id, query.before, *last, limit)
        rows, fields = yield self.call("list", thread_id, *asked)
        unpacker = self._unpacker(thread_id, fields, Kept())
        found = []
        place = None
        for namespace, checkpoint_id, record, log in rows:
            place = Place(thread_id, _text(namespace), _text(checkpoint_id))
            try:
                found.append(self._tuple(unpacker, place, record, log)[0])
                if query.before:  # so LangGraph finds where a subgraph was at a moment in the past, to go on from there
                    self.hints.read(place, by_id=True)
            except UnreadableValue as exc:
                logger.error("Left out %s of %s: %s", place.checkpoint_id, state_key(thread_id), exc)
        return Batch(found, place if len(rows) == limit else None)

    def _unpacker(self, thread_id: str, fields: Sequence[bytes], kept: Kept) -> Unpacker:
        return Unpacker(self.codec, self.serde, thread_id, pairs(fields), kept)

    def _tuple(
        self, unpacker: Unpacker, place: Place, record: bytes, log: bytes
    ) -> tuple[CheckpointTuple, dict[str, Held]]:
        head = CheckpointRecord.unpack(record)
        body = self._body(head.body, place.about(RECORD, head.head()))
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
            for task_id, index, channel, task_path, entry in self._body(body, place.about(LOG, refs)):
                value, _ = unpacker.value(entry, following)
                yield Write(task_id, index, channel, task_path, value)

    def _body(self, sealed: bytes, about: bytes) -> Any:
        return self.codec.load(self.serde, self.codec.open(sealed, about))


def _text(name: bytes | str) -> str:
    # Bytes that are no UTF-8 are not ours: they must not end a scan.
    return name.decode(errors="backslashreplace") if isinstance(name, bytes) else name
