"""Where the bytes of a conversation go, and what it would take without sharing and compression."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .codec import BLOB, PAGE, Codec
from .errors import UnreadableValue
from .keys import make_blob_context
from .records import LOG, RECORD, CheckpointRecord, split_refs, unpack_writes
from .values import Pages

KINDS = {b"c": "records", b"w": "writes", b"b": "values", b"p": "pages", b"h": "bookkeeping", b"@": "bookkeeping"}


@dataclass(frozen=True, slots=True)
class ConversationSizes:
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


def compute_sizes(
    fields: Mapping[bytes, bytes], codec: Codec, thread_id: str, memory_bytes: Mapping[str, int | None]
) -> ConversationSizes:
    """The sizes of a state hash with these *fields*."""
    counts: Counter[str] = Counter()
    bytes_by_kind: Counter[str] = Counter(dict.fromkeys(KINDS.values(), 0))
    weights: dict[bytes, int] = {}  # of what a reference stands for, uncompressed
    roots: list[bytes] = []
    unreadable = 0
    for name, content in fields.items():
        kind = KINDS.get(name[:1], "other")
        counts[kind] += 1
        bytes_by_kind[kind] += len(name) + len(content)
        try:
            if name[:1] == BLOB:
                weights[name] = len(content)  # if it cannot be opened
                weights[name] = len(codec.open(content, make_blob_context(thread_id, name), name).data)
            elif name[:1] in (RECORD, LOG):
                roots += _list_refs(name, content)
        except UnreadableValue:
            unreadable += 1
    pages, own = Pages(codec.make_page_ref, fields, {}), bytes_by_kind["records"] + bytes_by_kind["writes"]
    shared = sum(weights.get(item, 0) for root in roots for item in _list_items(root, pages))
    sizes = (dict(counts), dict(bytes_by_kind), sum(weights.values()), shared + own)
    return ConversationSizes(*sizes, memory_bytes, unreadable)


def _list_refs(name: bytes, content: bytes) -> Iterator[bytes]:
    """The references of a record, or of every frame of a log."""
    if name[:1] == RECORD:
        return split_refs(CheckpointRecord.unpack(content).refs)
    return split_refs(b"".join(refs for refs, _ in unpack_writes(content)))


def _list_items(root: bytes, pages: Pages) -> list[bytes]:
    """What a reference stands for: a value, or the items of a list, none of one that is broken."""
    try:
        return pages.items(root) if root[:1] == PAGE else [root]
    except UnreadableValue:
        return []
