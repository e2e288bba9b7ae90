"""A whole conversation made over: under other keys, or copied under another id.

Sealed bytes say whose they are, so a copy is sealed again. References are keyed digests, so with other keys every value
gets another name, and so does whatever refers to it: pages, records, logs of writes.

old = Codec(Keyring.parse("new:…,old:…"), plain_too=True)   # reads whatever is there
new = Codec(Keyring.parse("new:…"))                         # or Codec(), to decrypt
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from .codec import BLOB, PAGE, Codec
from .errors import StateUnreadable, UnreadableValue
from .keys import CheckpointAddress, make_blob_context, make_state_key
from .records import LOG, RECORD, CheckpointRecord, pack_writes, split_refs, unpack_writes
from .scripts import StateStore, pair_fields
from .values import Pages, fold

_SIZE = b"@bytes"
TRIES = 5

# There is none; it was under these keys already; it was written to all the time and is as it was; it is under them now.
Outcome = Literal["absent", "current", "busy", "done"]


async def reencrypt(store: StateStore, thread_id: str, old: Codec, new: Codec) -> Outcome:
    """Write the conversation, which *old* reads, anew by *new*, at once and whole, unless it changes meanwhile.

    Upkeep is not use: how long it has left to live does not change. Broken off, it can be begun again.

    Raises:
        StateUnreadable: something of it is broken, or its key is missing; it is as it was.
    """
    key = make_state_key(thread_id)
    for _ in range(TRIES):
        fields = pair_fields(await store.run_command("HGETALL", key))
        if not fields:
            return "absent"
        try:
            if is_current(fields, new):
                return "current"
            rewritten = rewrite_fields(fields, old, new, thread_id, thread_id)
        except UnreadableValue as exc:
            raise StateUnreadable(key, str(exc)) from exc
        if await store.run_script("replace", thread_id, len(fields), *_list_checksums(fields), *rewritten):
            return "done"
    return "busy"


def _list_checksums(fields: Mapping[bytes, bytes]) -> list[bytes | str]:
    """Names and checksums in turn: what must still be there. Values and pages never change, so theirs are empty."""
    sums: list[bytes | str] = []
    for name, value in fields.items():
        sums += (name, "" if name[:1] in (BLOB, PAGE) else hashlib.sha1(value, usedforsecurity=False).hexdigest())
    return sums


def rewrite_fields(
    fields: Mapping[bytes, bytes], old: Codec, new: Codec, source_id: str, target_id: str
) -> list[bytes]:
    """The *fields* of *source_id*, which *old* reads, as *new* writes those of *target_id*: names and values in turn.

    Values and pages to which nothing refers are left out, as a sweep would do.

    Raises:
        UnreadableValue: one of them is broken or missing, or its key is.
    """
    rewriting = _Rewriting(fields, old, new, source_id, target_id)
    rewritten = {}
    for name, value in fields.items():
        if name[:1] == RECORD:
            rewritten[name] = rewriting.record(name, value)
        elif name[:1] == LOG:
            rewritten[name] = rewriting.log(name, value)
        elif name[:1] not in (BLOB, PAGE):
            rewritten[name] = value
    rewritten |= rewriting.values
    if _SIZE in rewritten:  # what the summary shows: all but the bookkeeping, as lua/common.lua counts
        sizes = (len(name) + len(value) for name, value in rewritten.items() if not name.startswith(b"@"))
        rewritten[_SIZE] = str(sum(sizes)).encode()
    return [part for pair in rewritten.items() for part in pair]


def is_current(fields: Mapping[bytes, bytes], codec: Codec) -> bool:
    """Whether everything in *fields* is as *codec* writes: nothing under another key, or under none.

    Raises:
        UnreadableValue: a record is broken.
    """
    return all(codec.is_current(sealed) for name, value in fields.items() for sealed in _list_sealed(name, value))


@dataclass
class _Rewriting:
    """`values` are the new values and pages, as far as the records and logs that were asked for refer to them."""

    fields: Mapping[bytes, bytes]
    old: Codec
    new: Codec
    source_id: str
    target_id: str
    values: dict[bytes, bytes] = field(default_factory=dict)
    names: dict[bytes, bytes] = field(default_factory=dict)

    def record(self, name: bytes, value: bytes) -> bytes:
        """A checkpoint record for the target."""
        was, now = self._split_name(name)
        before = CheckpointRecord.unpack(value)
        after = replace(before, refs=self._rename(before.refs))
        body = self.old.open(before.body, was.record_context(RECORD, before.head()))
        return replace(after, body=self.new.seal(body, now.record_context(RECORD, after.head()))).pack()

    def log(self, name: bytes, value: bytes) -> bytes:
        """A log of writes for the target."""
        was, now = self._split_name(name)
        frames = []
        for refs, sealed in unpack_writes(value):
            renamed, body = self._rename(refs), self.old.open(sealed, was.record_context(LOG, refs))
            frames.append(pack_writes(renamed, self.new.seal(body, now.record_context(LOG, renamed))))
        return b"".join(frames)

    def _split_name(self, name: bytes) -> tuple[CheckpointAddress, CheckpointAddress]:
        namespace, _, checkpoint_id = name[1:].partition(b"\0")
        try:
            was = CheckpointAddress(self.source_id, namespace.decode(), checkpoint_id.decode())
        except UnicodeDecodeError as exc:
            raise UnreadableValue("a record that is not ours") from exc
        return was, replace(was, thread_id=self.target_id)

    def _rename(self, refs: bytes) -> bytes:
        return b"".join(self._name(ref) for ref in split_refs(refs))

    def _name(self, ref: bytes) -> bytes:
        if ref not in self.names:
            self.names[ref] = self._add_list(ref) if ref[:1] == PAGE else self._add_value(ref)
        return self.names[ref]

    def _add_value(self, ref: bytes) -> bytes:
        if ref not in self.fields:
            raise UnreadableValue("a value is missing")
        value = self.old.open(self.fields[ref], make_blob_context(self.source_id, ref), ref)
        name = self.new.make_ref(value)
        self.values[name] = self.new.seal(value, make_blob_context(self.target_id, name))
        return name

    def _add_list(self, root: bytes) -> bytes:
        items = Pages(self.old.make_page_ref, self.fields, {}).items(root)
        pages = fold([self._name(item) for item in items], self.new.make_page_ref)
        self.values |= pages
        return list(pages)[-1]


def _list_sealed(name: bytes, value: bytes) -> Iterator[bytes]:
    if name[:1] == BLOB:
        yield value
    elif name[:1] == RECORD:
        yield CheckpointRecord.unpack(value).body
    elif name[:1] == LOG:
        yield from (body for _, body in unpack_writes(value))
