"""What the saver did, in figures of this process: operations, bytes, time, and what memory had to stand in for."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType

from .errors import StateUnreadable, StoreRefused, StoreUnavailable

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
        self._operations: defaultdict[str, _Tally] = defaultdict(_Tally)
        self._events: Counter[str] = Counter()
        self._held = (0, 0)

    def snapshot(self) -> Snapshot:
        """The figures as they are now; they do not change any more."""
        with self._lock:
            operations = {name: tally.figures() for name, tally in self._operations.items()}
            events, (conversations, held_bytes) = self._events.copy(), self._held
        counts = {name: events[name] for name in ("began", "ended", "returned", "lost")}
        memory = MemoryFigures(**counts, conversations=conversations, held_bytes=held_bytes)
        return Snapshot(MappingProxyType(operations), events["reloads"], memory)

    # ---- what happened on the way to Redis

    def call(self, operation: str, sent_bytes: int) -> CallTiming:
        """A context manager around one call and what is made of its reply."""
        return CallTiming(self, operation, sent_bytes)

    def reloaded(self) -> None:
        """The server had lost a script."""
        self._count("reloads")

    # ---- what happened in memory

    def memory_began(self) -> None:
        """Redis is away: from now on memory stands in."""
        self._count("began")

    def memory_ended(self) -> None:
        """Redis is back."""
        self._count("ended")

    def returned(self) -> None:
        """A conversation was written from memory to Redis."""
        self._count("returned")

    def lost(self) -> None:
        """A conversation was given up because memory was full."""
        self._count("lost")

    def holds(self, conversations: int, held_bytes: int) -> None:
        """What memory holds now."""
        self._held = (conversations, held_bytes)

    def _count(self, event: str) -> None:
        with self._lock:
            self._events[event] += 1

    def _called(self, timing: CallTiming, failure: BaseException | None) -> None:
        with self._lock:
            tally = self._operations[timing.operation]
            tally.calls += 1
            tally.seconds += timing.seconds
            tally.sent_bytes += timing.sent_bytes
            tally.received_bytes += timing.received_bytes
            tally.misses += timing.missed
            if failure is not None:
                tally.failures[_kind(failure)] += 1


class CallTiming:
    """One call that is under way."""

    __slots__ = ("_began", "_meter", "missed", "operation", "received_bytes", "seconds", "sent_bytes")

    def __init__(self, meter: Meter, operation: str, sent_bytes: int) -> None:
        self._meter, self.operation, self.sent_bytes = meter, operation, sent_bytes
        self.received_bytes, self.missed, self.seconds = 0, False, -1.0

    def replied(self, received_bytes: int, *, missed: bool) -> None:
        """The reply is here; what follows is not the server's time."""
        self.seconds = time.perf_counter() - self._began
        self.received_bytes, self.missed = received_bytes, missed

    def __enter__(self) -> CallTiming:
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.seconds < 0:
            self.seconds = time.perf_counter() - self._began
        # The end of a plan is no failure of its last call.
        self._meter._called(self, None if kind is StopIteration else failure)


@dataclass(slots=True)
class _Tally:
    calls: int = 0
    seconds: float = 0.0
    sent_bytes: int = 0
    received_bytes: int = 0
    misses: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    def figures(self) -> OperationFigures:
        failures = MappingProxyType(dict(self.failures))
        return OperationFigures(self.calls, self.seconds, self.sent_bytes, self.received_bytes, self.misses, failures)


def size_bytes(item: object) -> int:
    """How many bytes arguments or a reply have, however nested; a number counts as 8, text as its characters."""
    if isinstance(item, bytes | str):
        return len(item)
    if isinstance(item, dict):
        return size_bytes(list(item)) + size_bytes(list(item.values()))
    if not isinstance(item, list | tuple):
        return 0 if item is None else 8
    total = 0
    for part in item:  # without a call for each: most are flat, and long
        kind = type(part)
        if kind is bytes or kind is str:
            total += len(part)
        else:
            total += 8 if kind is int else size_bytes(part)
    return total


def _kind(failure: BaseException) -> str:
    return next((name for kind, name in _KINDS if isinstance(failure, kind)), "error")
