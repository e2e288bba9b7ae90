"""A few items out of a long list of the newest checkpoint: only those are fetched, decrypted and decoded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .calls import ScriptCalls
from .codec import PAGE, Codec, Value
from .errors import StateUnreadable, UnreadableValue
from .keys import Place, state_key
from .records import RECORD, CheckpointRecord, split_refs
from .scripts import Call, Plan, pairs
from .serializer import StrictSerializer
from .values import Kept, Unpacker


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
    """The plan that reads them."""

    serde: StrictSerializer
    codec: Codec
    call: ScriptCalls

    def read(self, thread_id: str, channel: str, window: Window) -> Plan[ListPart | None]:
        """Items of the list in *channel*, none of a channel that is empty; None where there is no conversation.

        What tasks have written since is not among them.

        Raises:
            StateUnreadable: it is there and cannot be decoded.
        """
        reply = yield self.call("part", thread_id, "")
        if not reply:
            return None
        checkpoint_id, record, pages = reply
        place = Place(thread_id, "", checkpoint_id.decode(errors="backslashreplace"))
        try:
            entry, root = self._find(place, record, channel)
            if root[:1] != PAGE:
                return window.cut((yield from self._whole(thread_id, entry, root)))
            refs = self._unpacker(thread_id, pairs(pages)).items(root)
            wanted = window.of(len(refs))
            return ListPart((yield from self._values(thread_id, refs[wanted])), wanted.start, len(refs))
        except UnreadableValue as exc:
            raise StateUnreadable(state_key(thread_id), f"checkpoint {place.checkpoint_id}: {exc}") from exc

    def _find(self, place: Place, record: bytes, channel: str) -> tuple[Value | None, bytes]:
        """The value of *channel* where it is inline, else its reference; neither for an empty channel."""
        head = CheckpointRecord.unpack(record)
        body: Any = self.codec.load(self.serde, self.codec.open(head.body, place.about(RECORD, head.head())))
        refs = split_refs(head.refs)
        try:
            for name, entry in body["e"].items():
                root = next(refs, b"") if entry is None else b""
                if name == channel:
                    return (None, root) if entry is None else (Value(*entry), b"")
        except (LookupError, TypeError, AttributeError) as exc:
            raise UnreadableValue("a record that is not ours") from exc
        return None, b""

    def _whole(self, thread_id: str, entry: Value | None, root: bytes) -> Plan[list[Any]]:
        """A list that is not in pages."""
        if entry is None and not root:
            return []
        value = self.codec.load(self.serde, entry) if entry else (yield from self._values(thread_id, [root]))[0]
        if not isinstance(value, list):
            raise UnreadableValue("a value that is no list")
        return value

    def _values(self, thread_id: str, refs: Sequence[bytes]) -> Plan[list[Any]]:
        if not refs:
            return []
        key = state_key(thread_id)
        found = yield Call("", (key,), ("HMGET", key, *refs))
        fields = {ref: value for ref, value in zip(refs, found, strict=True) if value is not None}
        return self._unpacker(thread_id, fields).values(refs)

    def _unpacker(self, thread_id: str, fields: Mapping[bytes, bytes]) -> Unpacker:
        return Unpacker(self.codec, self.serde, thread_id, fields, Kept())
