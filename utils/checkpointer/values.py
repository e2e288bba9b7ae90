"""Channel values and writes between Python and the fields of the state hash.

A list is a chain of pages, so that appending stores the new item and one short page, however long the list is. A page
is the reference of the page before it, if any, and then up to `PAGE_ITEMS` references of items. Full pages are shared
by every checkpoint that begins with the same items; only the last page is written again. A list's reference is that of
its last page.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .codec import PAGE, REF_BYTES, Codec, Value
from .errors import UnreadableValue
from .keys import make_blob_context
from .models import MODEL, unpack_model
from .records import split_refs
from .serializer import StrictSerializer

INLINE_BYTES = 64
PAGE_ITEMS = 16
Name = Callable[[bytes], bytes]  # the reference of a page with these bytes
Page = tuple[bytes, Sequence[bytes]]
_SHORT_TEXT = 64


def is_paged(value: object) -> bool:
    """Whether *value* is a list that is stored item by item: not one of short scalars, which is smaller as it is."""
    return type(value) is list and any(not _is_scalar(item) for item in value)


def _is_scalar(item: object) -> bool:
    return item is None or isinstance(item, (bool, int, float)) or (isinstance(item, str) and len(item) < _SHORT_TEXT)


def fold(items: Sequence[bytes], name: Name) -> dict[bytes, bytes]:
    """Pages for the references *items* (at least one), by reference, first to last: the last stands for the list."""
    pages: dict[bytes, bytes] = {}
    before = b""
    for start in range(0, len(items), PAGE_ITEMS):
        page = before + b"".join(items[start : start + PAGE_ITEMS])
        before = name(page)
        pages[before] = page
    return pages


class Pages:
    """The pages behind some checkpoints: *known* have been read before, *fields* hold the others and are checked.

    `read` is what was used: the reference of the page before, or `b""`, and those of the items, by the page's own.
    """

    def __init__(self, name: Name, fields: Mapping[bytes, bytes], cache: Mapping[bytes, Page]) -> None:
        self.read: dict[bytes, Page] = {}
        self._name, self._fields, self._cache = name, fields, cache

    def unfold(self, root: bytes) -> list[tuple[bytes, Sequence[bytes]]]:
        """Each page of the list *root* and the references of the items on it, the last page first.

        Raises:
            UnreadableValue: a page is missing or does not match its name.
        """
        pages: list[tuple[bytes, Sequence[bytes]]] = []
        ref = root
        while ref:
            page = self.read.get(ref) or self._cache.get(ref) or self._open(ref)
            self.read[ref] = page
            pages.append((ref, page[1]))
            ref = page[0]
        return pages

    def items(self, root: bytes) -> list[bytes]:
        """The references of the items of the list *root*, first to last.

        Raises:
            UnreadableValue: a page is missing or does not match its name.
        """
        return [ref for _, on_page in reversed(self.unfold(root)) for ref in on_page]

    def _open(self, ref: bytes) -> Page:
        page = self._fields.get(ref)
        if page is None or self._name(page) != ref or len(page) % REF_BYTES:
            raise UnreadableValue("a page of a list is missing or broken")
        before = page[:REF_BYTES] if page.startswith(PAGE) else b""
        return before, tuple(split_refs(page[len(before) :]))


@dataclass(frozen=True, slots=True)
class CachedValues:
    """What one reader leaves to the next, by reference: pages, and values, verified and decompressed; and to the next
    writer: the references of these values, so that not all have to be digested again."""

    pages: Mapping[bytes, Page] = field(default_factory=dict)
    values: Mapping[bytes, Value] = field(default_factory=dict)
    refs: Mapping[tuple[str, bytes], bytes] = field(default_factory=dict)
    size_bytes: int = 0  # of the values


@dataclass(frozen=True, slots=True)
class PackedValue:
    """A value as a record holds it: `inline` when it is short, else behind the reference `root`.

    `refs` is everything the server must hold for it; `length` the number of items of a list, else None; `ends` all
    that a reader who has it needs to name of it.
    """

    inline: Value | None
    root: bytes | None
    refs: frozenset[bytes]
    length: int | None = None
    ends: tuple[bytes, ...] = ()

    def entry(self) -> tuple[str, bytes] | None:
        """What the record's body says of it; None where the next reference of the record is meant."""
        return None if self.inline is None else (self.inline.kind, self.inline.data)


class ValuePacker:
    """What one write sends: values packed into it, and the fields behind them that the server does not *know*.

    *refs* are the references of some values that it had when they were read.
    """

    def __init__(
        self,
        codec: Codec,
        serde: StrictSerializer,
        thread_id: str,
        is_known: Callable[[bytes], bool],
        refs: Mapping[tuple[str, bytes], bytes],
    ) -> None:
        self._codec, self._serde, self._thread_id, self._is_known, self._refs = codec, serde, thread_id, is_known, refs
        self._fields: dict[bytes, bytes] = {}

    def add(self, value: object) -> PackedValue:
        """Pack *value*; a list of anything but short scalars goes item by item."""
        if isinstance(value, list) and is_paged(value):
            return self._add_list(value)
        length = len(value) if isinstance(value, list) else None
        plain = self._codec.dump(self._serde, value)
        if len(plain.data) <= INLINE_BYTES:
            return PackedValue(plain, None, frozenset(), length)
        ref = self._add_blob(plain)
        return PackedValue(None, ref, frozenset((ref,)), length)

    def make_fields(self) -> list[bytes]:
        """Field names and bytes in turn."""
        return [part for pair in self._fields.items() for part in pair]

    def _add_list(self, items: Sequence[object]) -> PackedValue:
        refs = [self._add_item(item) for item in items]
        pages = fold(refs, self._codec.make_page_ref)
        self._fields.update((ref, page) for ref, page in pages.items() if not self._is_known(ref))
        return PackedValue(None, list(pages)[-1], frozenset((*refs, *pages)), len(items))

    def _add_item(self, item: object) -> bytes:
        typed = self._serde.dumps_typed(item)
        return self._refs.get(typed) or self._add_blob(Value(*typed))

    def _add_blob(self, plain: Value) -> bytes:
        ref = self._codec.make_ref(plain)
        if ref not in self._fields and not self._is_known(ref):
            self._fields[ref] = self._codec.seal(plain, make_blob_context(self._thread_id, ref))
        return ref


class ValueUnpacker:
    """Values out of the fields that a read brought and what a reader before it has *cached*.

    Every value is a new object: two messages with equal bytes must not become one, and nobody else's changes show.
    What is asked for again, here or by the next reader, is not fetched, decrypted, decompressed or verified again.
    """

    def __init__(
        self, codec: Codec, serde: StrictSerializer, thread_id: str, fields: Mapping[bytes, bytes], cached: CachedValues
    ) -> None:
        self._codec, self._serde, self._thread_id, self._fields = codec, serde, thread_id, fields
        self._pages = Pages(codec.make_page_ref, fields, cached.pages)
        self._cached, self._used = cached.values, dict[bytes, Value]()

    def value(self, entry: tuple[str, bytes] | None, refs: Iterator[bytes]) -> tuple[object, PackedValue]:
        """The value that *entry* and, where it is not inline, the next of *refs* stand for, and how it is packed.

        Raises:
            UnreadableValue: a field is missing, broken, or of a forbidden type.
        """
        if entry is not None:
            plain = Value(entry[0], entry[1])
            value = self._codec.load(self._serde, plain)
            return value, PackedValue(plain, None, frozenset(), len(value) if isinstance(value, list) else None)
        root = next(refs, b"")
        if root[:1] != PAGE:
            return self.values([root])[0], PackedValue(None, root, frozenset((root,)), ends=(root,))
        return self._load_list(root)

    def cached(self) -> CachedValues:
        """For the next reader: all that was used."""
        refs: dict[tuple[str, bytes], bytes] = {value: ref for ref, value in self._used.items()}
        return CachedValues(self._pages.read, self._used, refs, sum([len(data) for _, data in refs]))

    def is_current(self) -> bool:
        """Whether all that was read is as it would be written now; see `Codec.is_current`."""
        return all(self._codec.is_current(sealed) for ref, sealed in self._fields.items() if ref[:1] != PAGE)

    def values(self, refs: Sequence[bytes]) -> list[Any]:
        """The values behind *refs*, in their order.

        Raises:
            UnreadableValue: a field is missing, broken, or of a forbidden type.
        """
        result = [self._cached.get(ref) or self._find(ref) for ref in refs]
        self._used.update(zip(refs, result, strict=True))
        return [
            unpack_model(value.data) if value.kind == MODEL else self._codec.load(self._serde, value)
            for value in result
        ]

    def _load_list(self, root: bytes) -> tuple[list[Any], PackedValue]:
        pages = self._pages.unfold(root)
        items = [ref for _, on_page in reversed(pages) for ref in on_page]
        # The next checkpoint's list goes on from one of these pages, with the items of the last one.
        ends = tuple(ref for page, on_page in pages[:2] for ref in (page, *on_page))
        refs = frozenset((*items, *(page for page, _ in pages)))
        return self.values(items), PackedValue(None, root, refs, len(items), ends=ends)

    def _find(self, ref: bytes) -> Value:
        if ref in self._used:
            return self._used[ref]
        if ref not in self._fields:
            raise UnreadableValue("a value is missing")
        return self._codec.open(self._fields[ref], make_blob_context(self._thread_id, ref), ref)
