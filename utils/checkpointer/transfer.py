"""The fields of a whole conversation made over: for another conversation, or for other keys.

Sealed bytes say whose they are, so a copy is sealed anew. References are keyed digests, so with other keys every value
gets another name, and so does whatever refers to it: pages, records, logs of writes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from .codec import BLOB, PAGE, Codec
from .errors import UnreadableValue
from .keys import Place, about_blob
from .records import LOG, RECORD, CheckpointRecord, pack_writes, split_refs, unpack_writes

_SIZE = b"@bytes"

Rename = Callable[[bytes], bytes]  # references, joined: as they are called from now on
Reseal = Callable[[bytes, bytes, bytes], bytes]  # sealed bytes, what they are about, and what from now on


def moved(fields: Mapping[bytes, bytes], codec: Codec, source_id: str, target_id: str) -> list[bytes]:
    """The *fields* of *source_id* as those of *target_id*: names and values in turn.

    Names stay; values, records and logs are sealed anew under the current key. Nothing is decompressed, and where there
    are no keys nothing changes.

    Raises:
        UnreadableValue: one of them is broken, or its key is missing.
    """
    made = {}
    for name, value in fields.items():
        if name[:1] == BLOB:
            made[name] = codec.moved(value, about_blob(source_id, name), about_blob(target_id, name))
        elif name[:1] in (RECORD, LOG):
            made[name] = _record(name, value, (source_id, target_id), bytes, codec.moved)
        else:
            made[name] = value
    return _flat(made)


def rekeyed(fields: Mapping[bytes, bytes], old: Codec, new: Codec, thread_id: str) -> list[bytes]:
    """The *fields* of a conversation, which *old* reads, as *new* writes them: names and values in turn.

    Values and pages to which nothing refers are left out, as a sweep would do.

    Raises:
        UnreadableValue: one of them is broken or missing, or its key is.
    """
    values = _Rekeyed(fields, old, new, thread_id)

    def reseal(sealed: bytes, about: bytes, now_about: bytes) -> bytes:
        return new.seal(old.open(sealed, about), now_about)

    made = {}
    for name, value in fields.items():
        if name[:1] in (RECORD, LOG):
            made[name] = _record(name, value, (thread_id, thread_id), values.renamed, reseal)
        elif name[:1] not in (BLOB, PAGE):
            made[name] = value
    return _flat(made | values.fields)


def is_current(fields: Mapping[bytes, bytes], codec: Codec) -> bool:
    """Whether everything in *fields* is as *codec* writes: nothing under another key, or under none.

    Raises:
        UnreadableValue: a record is broken.
    """
    return all(codec.is_current(sealed) for name, value in fields.items() for sealed in _sealed(name, value))


class _Rekeyed:
    """The values and pages of a conversation under other names: `fields`, as far as `renamed` was asked about them."""

    def __init__(self, fields: Mapping[bytes, bytes], old: Codec, new: Codec, thread_id: str) -> None:
        self._before, self._old, self._new, self._thread_id = fields, old, new, thread_id
        self._names: dict[bytes, bytes] = {}
        self.fields: dict[bytes, bytes] = {}

    def renamed(self, refs: bytes) -> bytes:
        """The new references for *refs*, joined as those are."""
        return b"".join(self._name(ref) for ref in split_refs(refs))

    def _name(self, ref: bytes) -> bytes:
        if ref not in self._names:
            if ref[:1] == PAGE:
                self._add_pages(ref)
            else:
                self._add_value(ref)
        return self._names[ref]

    def _add_value(self, ref: bytes) -> None:
        value = self._old.open(self._stored(ref), about_blob(self._thread_id, ref), ref)
        name = self._names[ref] = self._new.ref(value)
        self.fields[name] = self._new.seal(value, about_blob(self._thread_id, name))

    def _add_pages(self, ref: bytes) -> None:
        # Oldest first, because a page is named after the one before it; a chain may be longer than Python's stack.
        for link in reversed(list(self._chain(ref))):
            page = self.renamed(self._stored(link))
            name = self._names[link] = self._new.page_ref(page)
            self.fields[name] = page

    def _chain(self, ref: bytes) -> Iterator[bytes]:
        while ref[:1] == PAGE and ref not in self._names:
            page = self._stored(ref)
            if self._old.page_ref(page) != ref:
                raise UnreadableValue("a page of a list is broken")
            yield ref
            ref = page[: len(ref)]

    def _stored(self, ref: bytes) -> bytes:
        if ref not in self._before:
            raise UnreadableValue("a value is missing")
        return self._before[ref]


def _record(name: bytes, value: bytes, thread_ids: tuple[str, str], rename: Rename, reseal: Reseal) -> bytes:
    """A checkpoint record or a log of writes, from the first of *thread_ids* to the second."""
    was, now = (_place(thread_id, name) for thread_id in thread_ids)
    if name[:1] == LOG:
        frames = ((refs, rename(refs), body) for refs, body in unpack_writes(value))
        return b"".join(
            pack_writes(renamed, reseal(body, was.about(LOG, refs), now.about(LOG, renamed)))
            for refs, renamed, body in frames
        )
    record = CheckpointRecord.unpack(value)
    renamed = replace(record, refs=rename(record.refs))
    body = reseal(record.body, was.about(RECORD, record.head()), now.about(RECORD, renamed.head()))
    return replace(renamed, body=body).pack()


def _place(thread_id: str, name: bytes) -> Place:
    namespace, _, checkpoint_id = name[1:].partition(b"\0")
    try:
        return Place(thread_id, namespace.decode(), checkpoint_id.decode())
    except UnicodeDecodeError as exc:
        raise UnreadableValue("a record that is not ours") from exc


def _sealed(name: bytes, value: bytes) -> Iterator[bytes]:
    if name[:1] == BLOB:
        yield value
    elif name[:1] == RECORD:
        yield CheckpointRecord.unpack(value).body
    elif name[:1] == LOG:
        yield from (body for _, body in unpack_writes(value))


def _flat(made: dict[bytes, bytes]) -> list[bytes]:
    if _SIZE in made:  # what the summary shows: all but the bookkeeping, as lua/common.lua counts
        sizes = (len(name) + len(value) for name, value in made.items() if not name.startswith(b"@"))
        made[_SIZE] = str(sum(sizes)).encode()
    return [part for pair in made.items() for part in pair]
