"""What the saver did, in figures of this process: operations, bytes, time, and what memory had to stand in for."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from .errors import StateUnreadable, StoreRefused, StoreUnavailable

# The server had lost a script; Redis is away, or back; a conversation was written from memory to Redis, or given up
# because memory was full.
Event = Literal["reloads", "began", "ended", "returned", "lost"]
# What a failed call is counted as, the first that it is an instance of; anything else is "error".
_KINDS = (
    (StateUnreadable, "unreadable"),
    (StoreRefused, "refused"),
    (StoreUnavailable, "unavailable"),
    (asyncio.CancelledError, "cancelled"),
)


@dataclass(frozen=True, slots=True)
class OperationFigures:
    """The calls of one script of ours, or of one command of Redis.

    Bytes are of arguments and replies, without the protocol's own. `seconds` is how long callers waited, also for a
    connection. A miss is a write that had to be sent again whole: the server lacked what was believed to be there.
    """

    calls: int = 0
    seconds: float = 0.0
    sent_bytes: int = 0
    received_bytes: int = 0
    misses: int = 0
    failures: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class MemoryFigures:
    """How often memory began and ended to stand in for Redis, what became of its conversations, and what it holds now.

    `returned` conversations went back to Redis, `lost` ones were given up because memory was full.
    """

    began: int = 0
    ended: int = 0
    returned: int = 0
    lost: int = 0
    conversations: int = 0
    held_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All figures since the process began; `operations` by the script's name, or the command's in small letters."""

    operations: Mapping[str, OperationFigures]
    script_reloads: int
    memory: MemoryFigures


class Meter:
    """Counts; safe to share between threads and event loops, and between savers whose figures belong together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._operations: dict[str, OperationFigures] = {}
        self._events: Counter[str] = Counter()
        self._memory = (0, 0)

    def snapshot(self) -> Snapshot:
        """The figures as they are now; they do not change any more."""
        with self._lock:
            operations, events, (conversations, held_bytes) = self._operations.copy(), self._events.copy(), self._memory
        counts = {name: events[name] for name in ("began", "ended", "returned", "lost")}
        memory = MemoryFigures(**counts, conversations=conversations, held_bytes=held_bytes)
        return Snapshot(MappingProxyType(operations), events["reloads"], memory)

    def count_call(self, operation: str, seconds: float, sent: int, received: int, *, is_miss: bool) -> None:
        """A call is over that sent and received so many bytes."""
        with self._lock:
            before = self._operations.get(operation) or OperationFigures()
            self._operations[operation] = OperationFigures(
                before.calls + 1,
                before.seconds + seconds,
                before.sent_bytes + sent,
                before.received_bytes + received,
                before.misses + is_miss,
                before.failures,
            )

    def count_failure(self, operation: str, failure: BaseException) -> None:
        """A call failed, or what it brought is of no use."""
        kind = next((name for type_, name in _KINDS if isinstance(failure, type_)), "error")
        with self._lock:
            before = self._operations.get(operation) or OperationFigures()
            failures = MappingProxyType({**before.failures, kind: before.failures.get(kind, 0) + 1})
            self._operations[operation] = replace(before, failures=failures)

    def count(self, event: Event) -> None:
        """One of the things happened that are counted."""
        with self._lock:
            self._events[event] += 1

    def holds(self, conversations: int, held_bytes: int) -> None:
        """What memory holds now."""
        self._memory = (conversations, held_bytes)


def measure_bytes(item: object) -> int:
    """How many bytes arguments or a reply have, however nested; a number counts as 8, text as its characters."""
    if isinstance(item, bytes | str):
        return len(item)
    if isinstance(item, Mapping):
        return sum(map(measure_bytes, item)) + sum(map(measure_bytes, item.values()))
    if isinstance(item, list | tuple):
        return sum(map(measure_bytes, item))
    return 0 if item is None else 8
