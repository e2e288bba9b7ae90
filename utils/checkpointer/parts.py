"""A part of a list, such as the last messages of a conversation: what is before it is neither fetched nor decoded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .codec import PAGE, Codec, Value
from .errors import UnreadableValue
from .keys import CheckpointAddress, state_key
from .reading import open_record
from .records import split_refs
from .scripts import StateStore, pairs
from .serializer import StrictSerializer
from .values import CachedValues, ValueUnpacker


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

    def of(self, total: int) -> slice:
        """Where they stand in a list of *total* items."""
        stop = total if self.before is None else min(self.before, total)
        return slice(max(0, stop - self.limit), stop)

    def cut(self, items: Sequence[Any]) -> ListPart:
        """These of a list that is there whole."""
        wanted = self.of(len(items))
        return ListPart(list(items[wanted]), wanted.start, len(items))


@dataclass(frozen=True, slots=True)
class PartReader:
    """Reads parts of lists."""

    serde: StrictSerializer
    codec: Codec
    store: StateStore

    async def read(self, thread_id: str, channel: str, window: Window) -> ListPart | None:
        """Items of the list in *channel*, none of a channel that is empty; None where there is no conversation.

        What tasks have written since is not among them.

        Raises:
            StateUnreadable: it is there and cannot be decoded.
        """
        reply = await self.store.script("part", thread_id, "")
        if not reply:
            return None
        checkpoint_id, record, pages = reply
        address = CheckpointAddress(thread_id, "", checkpoint_id.decode(errors="backslashreplace"))
        try:
            inline, root = self._find(address, record, channel)
            if root[:1] != PAGE:
                return window.cut(await self._whole(thread_id, inline, root))
            refs = self._unpacker(thread_id, pairs(pages)).items(root)
            wanted = window.of(len(refs))
            return ListPart(await self._values(thread_id, refs[wanted]), wanted.start, len(refs))
        except UnreadableValue as exc:
            raise self.store.unreadable("part", thread_id, f"checkpoint {address.checkpoint_id}: {exc}") from exc

    def _find(self, address: CheckpointAddress, record: bytes, channel: str) -> tuple[Value | None, bytes]:
        """The value of *channel* where it is inline, else its reference; neither for an empty channel."""
        head, body = open_record(self.codec, self.serde, address, record)
        refs = split_refs(head.refs)
        try:
            for name, entry in body["e"].items():
                root = next(refs, b"") if entry is None else b""
                if name == channel:
                    return (None, root) if entry is None else (Value(*entry), b"")
        except (LookupError, TypeError, AttributeError) as exc:
            raise UnreadableValue("a record that is not ours") from exc
        return None, b""

    async def _whole(self, thread_id: str, inline: Value | None, root: bytes) -> list[Any]:
        """A list that is not in pages."""
        if inline is None and not root:
            return []
        value = self.codec.load(self.serde, inline) if inline else (await self._values(thread_id, [root]))[0]
        if not isinstance(value, list):
            raise UnreadableValue("a value that is no list")
        return value

    async def _values(self, thread_id: str, refs: Sequence[bytes]) -> list[Any]:
        if not refs:
            return []
        found = await self.store.command("HMGET", state_key(thread_id), *refs)
        fields = {ref: value for ref, value in zip(refs, found, strict=True) if value is not None}
        return self._unpacker(thread_id, fields).values(refs)

    def _unpacker(self, thread_id: str, fields: Mapping[bytes, bytes]) -> ValueUnpacker:
        return ValueUnpacker(self.codec, self.serde, thread_id, fields, CachedValues())
