"""Channel values and writes between Python and the fields of the state hash."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from langgraph.checkpoint.serde.base import SerializerProtocol

from utils.checkpointer.codec import PAGE, Codec, Value
from utils.checkpointer.errors import UnreadableValue
from utils.checkpointer.keys import about_blob
from utils.checkpointer.pages import fold, is_paged, unfold

INLINE_BYTES = 64


@dataclass(frozen=True, slots=True)
class Packed:
    """A value as a record holds it: `inline` when it is short, else behind the reference `root`.

    `refs` is everything the server must hold for it; `length` the number of items of a list, else None.
    """

    inline: Value | None
    root: bytes | None
    refs: frozenset[bytes]
    length: int | None = None

    def entry(self) -> tuple[str, bytes] | None:
        """What the record's body says of it; None where the next reference of the record is meant."""
        return None if self.inline is None else (self.inline.kind, self.inline.data)


class Parcel:
    """What one write sends: values packed into it, and the fields behind them."""

    def __init__(self, codec: Codec, serde: SerializerProtocol, thread_id: str) -> None:
        self._codec, self._serde, self._thread_id = codec, serde, thread_id
        self._blobs: dict[bytes, Value] = {}
        self._pages: dict[bytes, bytes] = {}

    def add(self, value: object) -> Packed:
        """Pack *value*; lists of anything but short scalars go item by item."""
        if isinstance(value, list) and is_paged(value):
            return self._add_list(value)
        length = len(value) if isinstance(value, list) else None
        plain = self._codec.dump(self._serde, value)
        if len(plain.data) <= INLINE_BYTES:
            return Packed(plain, None, frozenset(), length)
        ref = self._add_blob(plain)
        return Packed(None, ref, frozenset((ref,)), length)

    def fields(self, known: frozenset[bytes]) -> list[bytes]:
        """Field names and bytes in turn, without those in *known*."""
        flat: list[bytes] = []
        for ref, plain in self._blobs.items():
            if ref not in known:
                flat += (ref, self._codec.seal(plain, about_blob(self._thread_id, ref)))
        for ref, page in self._pages.items():
            if ref not in known:
                flat += (ref, page)
        return flat

    def _add_list(self, items: list[object]) -> Packed:
        refs = [self._add_blob(self._codec.dump(self._serde, item)) for item in items]
        pages = fold(refs, self._codec.page_ref)
        self._pages.update(pages)
        return Packed(None, list(pages)[-1], frozenset(refs) | pages.keys(), len(items))

    def _add_blob(self, plain: Value) -> bytes:
        ref = self._codec.ref(plain)
        self._blobs[ref] = plain
        return ref


class Unpacker:
    """Values out of the fields that a read brought; what several checkpoints share is decompressed once."""

    def __init__(self, codec: Codec, serde: SerializerProtocol, thread_id: str, fields: Mapping[bytes, bytes]) -> None:
        self._codec, self._serde, self._thread_id, self._fields = codec, serde, thread_id, fields
        self._opened: dict[bytes, Value] = {}

    def value(self, entry: tuple[str, bytes] | None, refs: Iterator[bytes]) -> tuple[object, Packed]:
        """The value that *entry* and, where it is not inline, the next of *refs* stand for, and how it is packed.

        Raises:
            UnreadableValue: a field is missing, broken, or of a forbidden type.
        """
        if entry is not None:
            plain = Value(entry[0], entry[1])
            value = self._codec.load(self._serde, plain)
            return value, Packed(plain, None, frozenset(), len(value) if isinstance(value, list) else None)
        root = next(refs, b"")
        if root[:1] != PAGE:
            return self._blob(root), Packed(None, root, frozenset((root,)))
        items, chain = unfold(root, self._fields, self._codec.page_ref)
        return [self._blob(ref) for ref in items], Packed(None, root, frozenset((*items, *chain)), len(items))

    def _blob(self, ref: bytes) -> object:
        plain = self._opened.get(ref)
        if plain is None:
            if ref not in self._fields:
                raise UnreadableValue("a value is missing")
            plain = self._opened[ref] = self._codec.open(self._fields[ref], about_blob(self._thread_id, ref), ref)
        # Decoded anew for each use: two messages with equal bytes must not become one object.
        return self._codec.load(self._serde, plain)
