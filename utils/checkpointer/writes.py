"""Pending writes: packed for one put_writes, and resolved from the frames of the log when they are read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.base import WRITES_IDX_MAP, PendingWrite, writes_sort_key


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a task; *index* is negative for LangGraph's special channels (error, interrupt, resume, …)."""

    task_id: str
    index: int
    channel: str
    task_path: str
    value: Any


def numbered(writes: Sequence[tuple[str, Any]], task_id: str, task_path: str) -> list[Write]:
    """The *writes* of one task with LangGraph's indexes."""
    return [
        Write(task_id, WRITES_IDX_MAP.get(channel, position), channel, task_path, value)
        for position, (channel, value) in enumerate(writes)
    ]


def resolved(log: Iterable[Write]) -> list[PendingWrite]:
    """What is pending after *log*, oldest first, in the order in which LangGraph applies it.

    Of equal (task, index) the first counts, so that a repeated task changes nothing; of special channels the last.
    """
    kept: dict[tuple[str, int], Write] = {}
    for write in log:
        if write.index < 0 or (write.task_id, write.index) not in kept:
            kept[write.task_id, write.index] = write
    ordered = sorted(kept.values(), key=lambda write: writes_sort_key(write.task_path, write.task_id, write.index))
    return [(write.task_id, write.channel, write.value) for write in ordered]
