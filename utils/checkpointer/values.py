"""Channel values and writes between Python and the fields of the state hash."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from utils.checkpointer.codec import PAGE, Codec, Value
from utils.checkpointer.errors import UnreadableValue
from utils.checkpointer.keys import about_blob
from utils.checkpointer.pages import Pages, fold, is_paged
from utils.checkpointer.serializer import StrictSerializer
from utils.checkpointer.twins import Key, Twin, has_twin, key_of, twin_of

INLINE_BYTES = 64

# Items of a list by content. The key is in the entry, too: it is as large as the item, and one object will do.
Names = Mapping[Key, tuple[Key, bytes]]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a reader leaves to the next one, by reference: pages, and values serialized or, read twice, as twins."""

    pages: Mapping[bytes, bytes] = field(default_factory=dict)
    values: Mapping[bytes, Value | Twin] = field(default_factory=dict)

    def size(self) -> int:
        """In bytes, about."""
        return sum(map(len, self.pages.values())) + sum(len(kept[1]) for kept in self.values.values())


@dataclass(frozen=True, slots=True)
class Packed:
    """A value as a record holds it: `inline` when it is short, else behind the reference `root`.

    `refs` is everything the server must hold for it; `length` the number of items of a list, else None; `names`
    those of its items that are recognised by their content; `ends` all that a reader who has it needs to name of it.
    """

    inline: Value | None
    root: bytes | None
    refs: frozenset[bytes]
    length: int | None = None
    names: Names = field(default_factory=dict)
    ends: tuple[bytes, ...] = ()

    def entry(self) -> tuple[str, bytes] | None:
        """What the record's body says of it; None where the next reference of the record is meant."""
        return None if self.inline is None else (self.inline.kind, self.inline.data)


class Parcel:
    """What one write sends: values packed into it, and the fields behind them."""

    def __init__(self, codec: Codec, serde: StrictSerializer, thread_id: str) -> None:
        self._codec, self._serde, self._thread_id = codec, serde, thread_id
        self._blobs: dict[bytes, Value] = {}
        self._pages: dict[bytes, bytes] = {}

    def add(self, value: object, names: Names) -> Packed:
        """Pack *value*; a list of anything but short scalars goes item by item, those in *names* as what they were."""
        if isinstance(value, list) and is_paged(value):
            return self._add_list(value, names)
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

    def _add_list(self, items: Sequence[object], names: Names) -> Packed:
        refs: list[bytes] = []
        named: dict[Key, tuple[Key, bytes]] = {}
        for item in items:
            key = key_of(item)
            name = names.get(key) if key else None
            ref = name[1] if name else self._add_blob(self._codec.dump(self._serde, item))
            if name is None and key and has_twin(item):
                name = key, ref
            if name:
                named[name[0]] = name
            refs.append(ref)
        pages = fold(refs, self._codec.page_ref)
        self._pages.update(pages)
        return Packed(None, list(pages)[-1], frozenset(refs) | pages.keys(), len(items), named)

    def _add_blob(self, plain: Value) -> bytes:
        ref = self._codec.ref(plain)
        self._blobs[ref] = plain
        return ref


class Unpacker:
    """Values out of the fields that a read brought and what a reader before it has *kept*.

    Every value is a new object: two messages with equal bytes must not become one. What is asked for again, here or
    by the next reader, is neither fetched nor decrypted anew, and from the second time on not decoded either.
    """

    def __init__(
        self, codec: Codec, serde: StrictSerializer, thread_id: str, fields: Mapping[bytes, bytes], kept: Kept
    ) -> None:
        self._codec, self._serde, self._thread_id, self._fields = codec, serde, thread_id, fields
        self._pages = Pages(codec.page_ref, fields, kept.pages)
        self._before, self._used = kept.values, dict[bytes, Value | Twin]()

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
            return self._values([root])[0], Packed(None, root, frozenset((root,)), ends=(root,))
        pages = self._pages.unfold(root)
        items = [ref for _, refs in reversed(pages) for ref in refs]
        return self._values(items), self._packed(root, pages, items)

    def kept(self) -> Kept:
        """For the next reader: all that was used."""
        return Kept(self._pages.read, self._used)

    def is_current(self) -> bool:
        """Whether all that was read is as it would be written now; see `Codec.is_current`."""
        return all(self._codec.is_current(sealed) for ref, sealed in self._fields.items() if ref[:1] != PAGE)

    def _packed(self, root: bytes, pages: list[tuple[bytes, list[bytes]]], items: list[bytes]) -> Packed:
        used = ((ref, self._used[ref]) for ref in items)
        names = {kept.key: (kept.key, ref) for ref, kept in used if isinstance(kept, Twin)}
        refs = frozenset(items).union(page for page, _ in pages)
        # The next checkpoint's list goes on from one of these pages, with the items of the last one.
        ends = tuple(ref for page, on_it in pages[:2] for ref in (page, *on_it))
        return Packed(None, root, refs, len(items), names, ends)

    def _values(self, refs: Sequence[bytes]) -> list[Any]:
        again = [ref in self._used or ref in self._before for ref in refs]
        kept = [self._take(ref) for ref in refs]
        loaded = iter(self._serde.load_all([one for one in kept if isinstance(one, Value)]))
        values = [one.revived() if isinstance(one, Twin) else next(loaded) for one in kept]
        for ref, one, value, known in zip(refs, kept, values, again, strict=True):
            # Not already the first time: most of what is read once is never read again by this process.
            if known and isinstance(one, Value) and (twin := twin_of(value)):
                self._used[ref] = twin
        return values

    def _take(self, ref: bytes) -> Value | Twin:
        kept = self._used.get(ref) or self._before.get(ref)
        if kept is None:
            if ref not in self._fields:
                raise UnreadableValue("a value is missing")
            kept = self._codec.open(self._fields[ref], about_blob(self._thread_id, ref), ref)
        self._used[ref] = kept
        return kept
