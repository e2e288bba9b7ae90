"""Where the bytes of a conversation go, and what it would take without sharing and compression."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .codec import PAGE, REF_BYTES, Codec
from .errors import UnreadableValue
from .keys import about_blob
from .records import CheckpointRecord, split_refs, unpack_writes

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
    for name, content in fields.items():
        kind = KINDS.get(name[:1], "other")
        counts[kind] += 1
        bytes_by_kind[kind] += len(name) + len(content)
    weights = _Weights(fields, codec, thread_id)
    shared = sum(weights.of(refs) for refs in weights.roots())
    own = bytes_by_kind["records"] + bytes_by_kind["writes"]
    values = sum(weights.of(name) for name in fields if name[:1] == b"b")
    return Sizes(dict(counts), dict(bytes_by_kind), values, shared + own, memory_bytes, weights.unreadable)


class _Weights:
    """Uncompressed sizes of what references stand for, each worked out once; what is missing weighs nothing."""

    def __init__(self, fields: Mapping[bytes, bytes], codec: Codec, thread_id: str) -> None:
        self._fields, self._codec, self._thread_id = fields, codec, thread_id
        self._known: dict[bytes, int] = {}
        self.unreadable = 0

    def roots(self) -> Iterable[bytes]:
        """The references of every record and of every frame of writes, joined."""
        for name, content in self._fields.items():
            try:
                if name[:1] == b"c":
                    yield CheckpointRecord.unpack(content).refs
                elif name[:1] == b"w":
                    yield b"".join(refs for refs, _ in unpack_writes(content))
            except UnreadableValue:
                self.unreadable += 1

    def of(self, refs: bytes) -> int:
        """What these references stand for, together."""
        return sum(self._one(ref) for ref in split_refs(refs))

    def _one(self, ref: bytes) -> int:
        # Pages are chained: first towards the beginning of the list, then back, adding up.
        chain = []
        while ref[:1] == PAGE and ref not in self._known:
            self._known[ref] = 0  # also the end of a circle, which broken pages may be
            chain.append(ref)
            ref = self._fields.get(ref, b"")[:REF_BYTES]
        weight = self._item(ref)
        for name in reversed(chain):
            weight = self._known[name] = sum(map(self._item, split_refs(self._fields.get(name, b""))))
        return weight

    def _item(self, ref: bytes) -> int:
        if ref not in self._known:
            self._known[ref] = self._blob(ref)
        return self._known[ref]

    def _blob(self, ref: bytes) -> int:
        sealed = self._fields.get(ref)
        if sealed is None:
            return 0
        try:
            return len(self._codec.open(sealed, about_blob(self._thread_id, ref), ref).data)
        except UnreadableValue:
            self.unreadable += 1
            return len(sealed)
