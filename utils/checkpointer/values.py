"""Channel values and writes between Python and the fields of the state hash."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .codec import PAGE, Codec, Value
from .errors import UnreadableValue
from .keys import about_blob
from .models import MODEL, Key, form_of, is_model, is_plain, key_of, revived
from .pages import Page, Pages, fold, is_paged
from .serializer import StrictSerializer

INLINE_BYTES = 64

# Items of a list by content. The key is in the entry, too: it is as large as the item, and one object will do.
Names = Mapping[Key, tuple[Key, bytes]]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left to the next reader, by reference: pages, and values, verified and decompressed, or their keys."""

    pages: Mapping[bytes, Page] = field(default_factory=dict)
    values: Mapping[bytes, Value | Key] = field(default_factory=dict)
    size_bytes: int = 0  # of the values, about


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
    names_bytes: int = 0
    ends: tuple[bytes, ...] = ()

    def naming(self, names: Names) -> "Packed":
        """The same list with those of *names* that are of its items."""
        known = {key: name for key, name in names.items() if name[1] in self.refs}
        return replace(self, names=known, names_bytes=size_of(known))

    def keys(self) -> dict[bytes, Key]:
        """By reference, the keys of those items that are models: they are revived from these."""
        return {ref: key for key, ref in self.names.values() if key[0] is not dict and key[0] is not list}

    def entry(self) -> tuple[str, bytes] | None:
        """What the record's body says of it; None where the next reference of the record is meant."""
        return None if self.inline is None else (self.inline.kind, self.inline.data)


class Parcel:
    """What one write sends: values packed into it, and the fields behind them that the server does not *know*.

    *named* are items of any list.
    """

    def __init__(
        self,
        codec: Codec,
        serde: StrictSerializer,
        thread_id: str,
        knows: Callable[[bytes], bool],
        named: Names,
    ) -> None:
        self._codec, self._serde, self._thread_id = codec, serde, thread_id
        self._knows, self._named = knows, named
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

    def fields(self) -> list[bytes]:
        """Field names and bytes in turn."""
        flat: list[bytes] = []
        for ref, plain in self._blobs.items():
            if not self._knows(ref):
                flat += (ref, self._codec.seal(plain, about_blob(self._thread_id, ref)))
        for ref, page in self._pages.items():
            if not self._knows(ref):
                flat += (ref, page)
        return flat

    def _add_list(self, items: Sequence[object], names: Names) -> Packed:
        refs: list[bytes] = []
        named: dict[Key, tuple[Key, bytes]] = {}
        for item in items:
            key = key_of(item)
            name = names.get(key) or self._named.get(key) if key else None
            if name is None:
                ref, is_certain = self._add_item(item)
                name = (key, ref) if key and is_certain else None
            else:
                ref = name[1]
            if name:
                named[name[0]] = name
            refs.append(ref)
        pages = fold(refs, self._codec.page_ref)
        self._pages.update(pages)
        return Packed(None, list(pages)[-1], frozenset((*refs, *pages)), len(items), named, size_of(named))

    def _add_item(self, item: object) -> tuple[bytes, bool]:
        """Its reference, and whether nothing else has its key; a model that has it is revived from that, too."""
        form = form_of(item)
        if form is not None and self._knows(ref := self._codec.ref(Value(MODEL, form))):
            return ref, True
        plain = self._codec.dump(self._serde, item)
        return self._add_blob(plain), plain.kind == MODEL or (not is_model(item) and is_plain(item))

    def _add_blob(self, plain: Value) -> bytes:
        ref = self._codec.ref(plain)
        self._blobs[ref] = plain
        return ref


class Unpacker:
    """Values out of the fields that a read brought and what a reader before it has *kept*.

    Every value is a new object: two messages with equal bytes must not become one, and nobody else's changes show.
    What is asked for again, here or by the next reader, is not fetched, decrypted, decompressed or verified anew.
    """

    def __init__(
        self, codec: Codec, serde: StrictSerializer, thread_id: str, fields: Mapping[bytes, bytes], kept: Kept
    ) -> None:
        self._codec, self._serde, self._thread_id, self._fields = codec, serde, thread_id, fields
        self._pages = Pages(codec.page_ref, fields, kept.pages)
        self._before, self._used = kept.values, dict[bytes, Value | Key]()

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
            return self.values([root])[0], Packed(None, root, frozenset((root,)), ends=(root,))
        return self._list(root)

    def kept(self) -> Kept:
        """For the next reader: all that was used."""
        return Kept(self._pages.read, self._used, sum([len(kept[1] or b"") for kept in self._used.values()]))

    def is_current(self) -> bool:
        """Whether all that was read is as it would be written now; see `Codec.is_current`."""
        return all(self._codec.is_current(sealed) for ref, sealed in self._fields.items() if ref[:1] != PAGE)

    def _list(self, root: bytes) -> tuple[list[Any], Packed]:
        pages = self._pages.unfold(root)
        items = [ref for _, on_page in reversed(pages) for ref in on_page]
        # The next checkpoint's list goes on from one of these pages, with the items of the last one.
        ends = tuple(ref for page, on_page in pages[:2] for ref in (page, *on_page))
        refs = frozenset((*items, *(page for page, _ in pages)))
        return self.values(items), Packed(None, root, refs, len(items), ends=ends)

    def items(self, root: bytes) -> list[bytes]:
        """The references of the items of the list *root*, first to last; of the fields its pages are enough.

        Raises:
            UnreadableValue: a page is missing or broken.
        """
        return [ref for _, on_page in reversed(self._pages.unfold(root)) for ref in on_page]

    def values(self, refs: Sequence[bytes]) -> list[Any]:
        """The values behind *refs*, in their order.

        Raises:
            UnreadableValue: a field is missing, broken, or of a forbidden type.
        """
        known = {**self._before, **self._used}
        kept = [known.get(ref) or self._opened(ref) for ref in refs]
        self._used.update(zip(refs, kept, strict=True))
        loaded = iter(self._serde.load_all([one for one in kept if isinstance(one, Value)]))
        return [next(loaded) if isinstance(one, Value) else revived(one) for one in kept]

    def _opened(self, ref: bytes) -> Value:
        if ref not in self._fields:
            raise UnreadableValue("a value is missing")
        return self._codec.open(self._fields[ref], about_blob(self._thread_id, ref), ref)


def size_of(names: Names) -> int:
    """Bytes of the contents, about."""
    return sum([len(text or "") + len(content) for _, text, content in names])
