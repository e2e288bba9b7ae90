"""What is read: one checkpoint, a part of a list, a listing, and what delta channels are rebuilt from."""

import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointTuple, DeltaChannelHistory

from .cache import NOTHING_CACHED, CachedChannel, CachedConversation, ConversationCache
from .codec import PAGE, Codec, Value
from .errors import StateUnreadable, UnreadableValue
from .keys import CheckpointAddress, make_state_key
from .records import LOG, RECORD, CheckpointRecord, Write, resolve_writes, split_refs, unpack_writes
from .scripts import StateStore, pair_fields
from .serializer import StrictSerializer
from .values import CachedValues, Pages, ValueUnpacker

BATCH = 10  # checkpoints read by one call: bounds how long its script holds the server

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Query:
    """What `list` asks of one conversation; empty strings and None do not restrict."""

    namespace: str | None
    checkpoint_id: str
    before: str
    metadata: Mapping[str, Any]

    @classmethod
    def from_config(
        cls, config: RunnableConfig | None, before: RunnableConfig | None, metadata: Mapping[str, Any] | None
    ) -> "Query":
        """The restrictions in LangGraph's arguments."""
        names = config["configurable"] if config else {}
        until = (before["configurable"].get("checkpoint_id") or "") if before else ""
        return cls(names.get("checkpoint_ns"), names.get("checkpoint_id") or "", until, metadata or {})

    def matches(self, checkpoint: CheckpointTuple) -> bool:
        """Whether *checkpoint* is asked for."""
        address = CheckpointAddress.from_config(checkpoint.config)
        return (
            self.namespace in (None, address.namespace)
            and self.checkpoint_id in ("", address.checkpoint_id)
            and (not self.before or address.checkpoint_id < self.before)
            and self.matches_metadata(checkpoint)
        )

    def matches_metadata(self, checkpoint: CheckpointTuple) -> bool:
        """Whether the metadata are as asked for, which the server cannot read."""
        return all(checkpoint.metadata.get(name) == value for name, value in self.metadata.items())


@dataclass(frozen=True, slots=True)
class ListPart:
    """Items of a list in their order, the first of them at `start`, and how many the whole list has."""

    items: list[Any]
    start: int
    total: int


@dataclass(frozen=True, slots=True)
class Window:
    """The last *limit* items before the one at *before*, or of the whole list."""

    limit: int
    before: int | None = None

    def make_slice(self, total: int) -> slice:
        """Where they stand in a list of *total* items."""
        stop = total if self.before is None else min(self.before, total)
        return slice(max(0, stop - self.limit), stop)

    def cut(self, items: Sequence[Any]) -> ListPart:
        """These of a list that is there whole."""
        span = self.make_slice(len(items))
        return ListPart(list(items[span]), span.start, len(items))


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads checkpoints, fetching what this process does not have."""

    serde: StrictSerializer
    codec: Codec
    cache: ConversationCache
    store: StateStore

    async def get(self, config: RunnableConfig) -> CheckpointTuple | None:
        """See `look`; a run may begin with what was read."""
        result = await self.look(config)
        if result is not None:
            by_id = bool(CheckpointAddress.from_config(config).checkpoint_id)
            self.cache.note_read(CheckpointAddress.from_config(result.config), by_id=by_id)
        return result

    async def look(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Read the checkpoint that *config* names, or the newest of its namespace.

        Raises:
            StateUnreadable: it is there and cannot be decoded.
        """
        target = CheckpointAddress.from_config(config)
        cached = self.cache.get(target)
        reply = await self.store.run_script("get", target.thread_id, target.namespace, target.checkpoint_id, cached.has)
        if not reply:
            return None
        checkpoint_id, record, log, fields = reply
        address = target.at(_decode(checkpoint_id))
        try:
            unpacker = ValueUnpacker(self.codec, self.serde, target.thread_id, pair_fields(fields), cached.values)
            result, channels = self._make_tuple(unpacker, address, record, log)
        except UnreadableValue as exc:
            reason = f"checkpoint {address.checkpoint_id}: {exc}"
            raise self.store.refuse_unreadable("get", target.thread_id, reason) from exc
        if not target.checkpoint_id:
            has = b"".join(ref for channel in channels.values() for ref in channel.packed.ends)
            seen = CachedConversation(address.checkpoint_id, channels, values=unpacker.cached(), has=has)
            # What is under an older key is not known: the next write has it again, under the one that writes.
            self.cache.put(target, seen if unpacker.is_current() else NOTHING_CACHED)
        return result

    async def find_all(self, thread_id: str, query: Query, limit: int | None) -> AsyncIterator[CheckpointTuple]:
        """The checkpoints of a conversation that match, newest first.

        One that cannot be decoded is logged and left out, so that the others can still be seen.
        """
        remaining, last, by_namespace = limit, ("", ""), int(query.namespace is not None)
        arguments = (by_namespace, query.namespace or "", query.checkpoint_id, query.before)
        while remaining != 0:
            size = BATCH if query.metadata or remaining is None else min(BATCH, remaining)
            rows, fields = await self.store.run_script("list", thread_id, *arguments, *last, size)
            unpacker = ValueUnpacker(self.codec, self.serde, thread_id, pair_fields(fields), CachedValues())
            checkpoints = [one for row in rows if (one := self._read_row(unpacker, thread_id, query, row)) is not None]
            for one in checkpoints[:remaining]:
                yield one
            if len(rows) < size:
                return
            last = _decode(rows[-1][1]), _decode(rows[-1][0])
            remaining = None if remaining is None else max(0, remaining - len(checkpoints))

    async def read_parts(self, thread_id: str, windows: Mapping[str, Window]) -> dict[str, ListPart] | None:
        """Items of lists in channels of the newest checkpoint, none of a channel that is empty; None where there is no
        conversation. Other items are neither fetched nor decoded, and what tasks have written since is not included.

        Raises:
            StateUnreadable: it is there and cannot be decoded.
        """
        reply = await self.store.run_script("part", thread_id, "")
        if not reply:
            return None
        checkpoint_id, record, fields = reply
        address = CheckpointAddress(thread_id, "", _decode(checkpoint_id))
        pages = Pages(self.codec.make_page_ref, pair_fields(fields), {})
        try:
            found = self._find_all(address, record)
            return {
                channel: await self._cut(thread_id, pages, found.get(channel, (None, b"")), window)
                for channel, window in windows.items()
            }
        except UnreadableValue as exc:
            raise self.store.refuse_unreadable("part", thread_id, f"checkpoint {address.checkpoint_id}: {exc}") from exc

    async def read_delta_history(
        self, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What each of *channels* is rebuilt from, as `BaseCheckpointSaver.get_delta_channel_history` says.

        Retention keeps the ancestors that kept checkpoints are rebuilt from; but a checkpoint that stays for another's
        sake, or whose run was deleted, may lack some of its own. LangGraph would take what is left for the whole.

        Raises:
            StateUnreadable: an ancestor that is needed was removed.
        """
        history = {channel: DeltaChannelHistory(writes=[]) for channel in channels}
        stored = await self.look(config)
        unseeded = set(channels)
        while stored is not None and stored.parent_config is not None and unseeded:
            child, stored = stored, await self.look(stored.parent_config)
            if stored is None:
                _refuse_gap(child, unseeded)
                break
            for write in reversed(stored.pending_writes or ()):
                if write[1] in unseeded:
                    history[write[1]]["writes"].insert(0, write)
            values = stored.checkpoint["channel_values"]
            for channel in unseeded & values.keys():
                history[channel]["seed"] = values[channel]
            unseeded -= values.keys()
        return history

    def _read_row(
        self, unpacker: ValueUnpacker, thread_id: str, query: Query, row: Sequence[bytes]
    ) -> CheckpointTuple | None:
        namespace, checkpoint_id, record, log = row
        address = CheckpointAddress(thread_id, _decode(namespace), _decode(checkpoint_id))
        try:
            found, _ = self._make_tuple(unpacker, address, record, log)
        except UnreadableValue as exc:
            logger.error(
                "Skipped the unreadable checkpoint %s of %s: %s", address.checkpoint_id, make_state_key(thread_id), exc
            )
            return None
        if query.before:  # so LangGraph finds where a subgraph was at a moment in the past, to go on from there
            self.cache.note_read(address, by_id=True)
        return found if query.matches_metadata(found) else None

    def _find_all(self, address: CheckpointAddress, record: bytes) -> dict[str, tuple[Value | None, bytes]]:
        """The value of each channel that is not empty where it is inline, else its reference."""
        head, body = self._open(address, record)
        refs = split_refs(head.refs)
        try:
            return {
                name: (None, next(refs, b"")) if entry is None else (Value(*entry), b"")
                for name, entry in body["e"].items()
            }
        except (LookupError, TypeError, AttributeError) as exc:
            raise UnreadableValue("a record that is not ours") from exc

    async def _cut(self, thread_id: str, pages: Pages, found: tuple[Value | None, bytes], window: Window) -> ListPart:
        inline, root = found
        if inline is not None:
            return window.cut(_check_list(self.codec.load(self.serde, inline)))
        if root[:1] != PAGE:
            return window.cut(_check_list((await self._read_values(thread_id, [root]))[0]) if root else [])
        refs = pages.items(root)
        span = window.make_slice(len(refs))
        return ListPart(await self._read_values(thread_id, refs[span]), span.start, len(refs))

    async def _read_values(self, thread_id: str, refs: Sequence[bytes]) -> list[Any]:
        if not refs:
            return []
        values = await self.store.run_command("HMGET", make_state_key(thread_id), *refs)
        fields = {ref: value for ref, value in zip(refs, values, strict=True) if value is not None}
        return ValueUnpacker(self.codec, self.serde, thread_id, fields, CachedValues()).values(refs)

    def _open(self, address: CheckpointAddress, record: bytes) -> tuple[CheckpointRecord, Any]:
        """The record of the checkpoint at *address*, and what its body holds."""
        head = CheckpointRecord.unpack(record)
        return head, self.codec.load(
            self.serde, self.codec.open(head.body, address.record_context(RECORD, head.head()))
        )

    def _make_tuple(
        self, unpacker: ValueUnpacker, address: CheckpointAddress, record: bytes, log: bytes
    ) -> tuple[CheckpointTuple, dict[str, CachedChannel]]:
        head, body = self._open(address, record)
        try:
            refs, versions = split_refs(head.refs), body["c"]["channel_versions"]
            values, cached = {}, {}
            for channel, entry in body["e"].items():
                values[channel], packed = unpacker.value(entry, refs)
                cached[channel] = CachedChannel(versions.get(channel), packed)
            checkpoint = {**body["c"], "id": address.checkpoint_id, "channel_values": values}
            found = CheckpointTuple(
                config=address.config(),
                checkpoint=cast(Checkpoint, checkpoint),
                metadata=body["m"],
                parent_config=address.at(head.parent_id).config() if head.parent_id else None,
                pending_writes=resolve_writes(self._unpack_writes(unpacker, address, log)),
            )
        except (LookupError, TypeError, AttributeError, ValueError) as exc:
            raise UnreadableValue("a record that is not ours") from exc
        return found, cached

    def _unpack_writes(self, unpacker: ValueUnpacker, address: CheckpointAddress, log: bytes) -> Iterator[Write]:
        for refs, sealed in unpack_writes(log):
            following = split_refs(refs)
            rows: Any = self.codec.load(self.serde, self.codec.open(sealed, address.record_context(LOG, refs)))
            for task_id, index, channel, task_path, entry in rows:
                value, _ = unpacker.value(entry, following)
                yield Write(task_id, index, channel, task_path, value)


def _refuse_gap(child: CheckpointTuple, unseeded: set[str]) -> None:
    counters: Mapping[str, Any] = child.metadata.get("counters_since_delta_snapshot") or {}
    # A channel without a counter was never written: nothing of it is missing.
    missing = sorted(unseeded & counters.keys() - child.checkpoint["channel_values"].keys())
    if missing:
        address = CheckpointAddress.from_config(child.config)
        reason = f"checkpoint {address.checkpoint_id}: what {missing} were rebuilt from was removed"
        raise StateUnreadable(make_state_key(address.thread_id), reason)


def _check_list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise UnreadableValue("a value that is no list")
    return value


def _decode(name: bytes | str) -> str:
    # Bytes that are no UTF-8 are not ours: they must not end a scan.
    return name.decode(errors="backslashreplace") if isinstance(name, bytes) else name
