"""Where the bytes of a conversation go, and what it would take without sharing and compression."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from .codec import BLOB, PAGE, REF_BYTES, Codec
from .errors import UnreadableValue
from .keys import about_blob
from .records import LOG, RECORD, CheckpointRecord, split_refs, unpack_writes

KINDS = {b"c": "records", b"w": "writes", b"b": "values", b"p": "pages", b"h": "bookkeeping", b"@": "bookkeeping"}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers and bytes (names and contents) of the fields by kind: records, writes, values, pages, bookkeeping.

    `values_bytes` is what all values take uncompressed, each once; `whole_bytes` what the conversation would if each
    checkpoint and each pending write held its own uncompressed copy. `memory_bytes` is what the server says each key
    takes there, None if it does not. `unreadable` counts fields that are broken.
    """

    counts: Mapping[str, int]
    bytes_by_kind: Mapping[str, int]
    values_bytes: int
    whole_bytes: int
    memory_bytes: Mapping[str, int | None]
    unreadable: int

    @property
    def stored_bytes(self) -> int:
        """All fields together."""
        return sum(self.bytes_by_kind.values())

    @property
    def compression(self) -> float:
        """How many times smaller the values are than uncompressed."""
        return self.values_bytes / (self.bytes_by_kind["values"] or 1)

    @property
    def saving(self) -> float:
        """How many times smaller the conversation is than its checkpoints would be, each whole and uncompressed."""
        return self.whole_bytes / (self.stored_bytes or 1)


def sizes_of(
    fields: Mapping[bytes, bytes], codec: Codec, thread_id: str, memory_bytes: Mapping[str, int | None]
) -> Sizes:
    """The sizes of a state hash with these *fields*."""
    counts: Counter[str] = Counter()
    bytes_by_kind: Counter[str] = Counter(dict.fromkeys(KINDS.values(), 0))
    weights: dict[bytes, int] = {}  # of what a reference stands for, uncompressed
    roots, unreadable = [], 0
    for name, content in fields.items():
        kind = KINDS.get(name[:1], "other")
        counts[kind] += 1
        bytes_by_kind[kind] += len(name) + len(content)
        try:
            if name[:1] == BLOB:
                weights[name] = len(content)  # if it cannot be opened
                weights[name] = len(codec.open(content, about_blob(thread_id, name), name).data)
            elif name[:1] in (RECORD, LOG):
                roots.append(_refs_in(name, content))
        except UnreadableValue:
            unreadable += 1
    values_bytes = sum(weights.values())
    for name in fields:
        _weigh_pages(name, fields, weights)
    shared = sum(_weigh(refs, weights) for refs in roots)
    own = bytes_by_kind["records"] + bytes_by_kind["writes"]
    return Sizes(dict(counts), dict(bytes_by_kind), values_bytes, shared + own, memory_bytes, unreadable)


def _refs_in(name: bytes, content: bytes) -> bytes:
    """The references of a record, or of every frame of a log, joined."""
    if name[:1] == RECORD:
        return CheckpointRecord.unpack(content).refs
    return b"".join(refs for refs, _ in unpack_writes(content))


def _weigh_pages(ref: bytes, fields: Mapping[bytes, bytes], weights: dict[bytes, int]) -> None:
    # Pages are chained: first towards the beginning of the list, then back, adding up.
    chain = []
    while ref[:1] == PAGE and ref not in weights:
        weights[ref] = 0  # also the end of a circle, which broken pages may be
        chain.append(ref)
        ref = fields.get(ref, b"")[:REF_BYTES]
    for page in reversed(chain):
        weights[page] = _weigh(fields.get(page, b""), weights)


def _weigh(refs: bytes, weights: Mapping[bytes, int]) -> int:
    """What these references stand for, together; what is missing weighs nothing."""
    return sum(weights.get(ref, 0) for ref in split_refs(refs))
