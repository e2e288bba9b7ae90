"""The two records of the state hash that scripts read too: a checkpoint, and the log of its pending writes.

Lengths are big-endian (`struct` here, Redis's `struct` library in Lua, see lua/common.lua), so that scripts can follow
the references without understanding the bodies.

    checkpoint:  u16 parent id | u16 run id | u16 unseeded channels, NUL-separated | u32 references | body
    writes:      repeated (u32 references | u32 body), one frame for each put_writes; only ever appended to
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.base import WRITES_IDX_MAP, PendingWrite, writes_sort_key

from .codec import REF_BYTES
from .errors import UnreadableValue

RECORD, LOG = b"c", b"w"  # what the names of their fields begin with


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """A checkpoint without its large values.

    `unseeded` names the delta channels whose value is not in this checkpoint but has to be rebuilt from its ancestors;
    pruning must keep those. `refs` are the values' roots, joined; `body` is sealed by the codec.
    """

    parent_id: str
    run_id: str
    unseeded: tuple[str, ...]
    refs: bytes
    body: bytes

    def head(self) -> bytes:
        """What scripts read of the field: all but the body."""
        unseeded = "\0".join(self.unseeded).encode()
        names = b"".join(_pack_short(part) for part in (self.parent_id.encode(), self.run_id.encode(), unseeded))
        return names + _pack_long(self.refs)

    def pack(self) -> bytes:
        """The field's bytes."""
        return self.head() + self.body

    @classmethod
    def unpack(cls, record: bytes) -> "CheckpointRecord":
        """The record in a field's bytes.

        Raises:
            UnreadableValue: truncated or foreign bytes.
        """
        try:
            parent_id, at = _take(">H", record, 0)
            run_id, at = _take(">H", record, at)
            unseeded, at = _take(">H", record, at)
            refs, at = _take(">I", record, at)
            names = tuple(unseeded.decode().split("\0")) if unseeded else ()
            return cls(parent_id.decode(), run_id.decode(), names, refs, record[at:])
        except (struct.error, UnicodeDecodeError) as exc:
            raise UnreadableValue("a broken checkpoint record") from exc


def pack_writes(refs: bytes, body: bytes) -> bytes:
    """One frame of the log of pending writes."""
    return _pack_long(refs) + _pack_long(body)


def unpack_writes(log: bytes) -> Iterator[tuple[bytes, bytes]]:
    """References and body of each frame, oldest first.

    Raises:
        UnreadableValue: truncated or foreign bytes.
    """
    at = 0
    try:
        while at < len(log):
            refs, at = _take(">I", log, at)
            body, at = _take(">I", log, at)
            yield refs, body
    except struct.error as exc:
        raise UnreadableValue("a broken log of writes") from exc


def split_refs(refs: bytes) -> Iterator[bytes]:
    """The single references in *refs*."""
    return (refs[start : start + REF_BYTES] for start in range(0, len(refs), REF_BYTES))


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a task; *index* is negative for LangGraph's special channels (error, interrupt, resume, …)."""

    task_id: str
    index: int
    channel: str
    task_path: str
    value: Any


def number_writes(writes: Sequence[tuple[str, Any]], task_id: str, task_path: str) -> list[Write]:
    """The *writes* of one task with LangGraph's indexes."""
    return [
        Write(task_id, WRITES_IDX_MAP.get(channel, position), channel, task_path, value)
        for position, (channel, value) in enumerate(writes)
    ]


def resolve_writes(log: Iterable[Write]) -> list[PendingWrite]:
    """What is pending after *log*, oldest first, in the order in which LangGraph applies it.

    Of equal (task, index) the first counts, so that a repeated task changes nothing; of special channels the last.
    """
    pending: dict[tuple[str, int], Write] = {}
    for write in log:
        if write.index < 0 or (write.task_id, write.index) not in pending:
            pending[write.task_id, write.index] = write
    ordered = sorted(pending.values(), key=lambda write: writes_sort_key(write.task_path, write.task_id, write.index))
    return [(write.task_id, write.channel, write.value) for write in ordered]


def _pack_short(part: bytes) -> bytes:
    return struct.pack(">H", len(part)) + part


def _pack_long(part: bytes) -> bytes:
    return struct.pack(">I", len(part)) + part


def _take(form: str, data: bytes, index: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from(form, data, index)
    start = index + struct.calcsize(form)
    if start + length > len(data):
        raise struct.error("shorter than it says")
    return data[start : start + length], start + length
