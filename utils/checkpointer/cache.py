"""What this process knows of the conversations it used last, so that it need not be sent, fetched or decoded again.

Only hints. The server checks every reference of a write, and one that left out too much is sent again whole; a read
names what it has, and gets the rest. Expiry, pruning, a restart or another worker can therefore make them useless but
never wrong.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from .keys import CheckpointAddress
from .values import CachedValues, PackedValue

_ENTRY_BYTES = 200  # what Python needs for a reference or a key besides what is in it
_ADDRESSED = 1000  # checkpoints read by their id, of which a run may be about to make a fork


@dataclass(frozen=True, slots=True)
class CachedChannel:
    """A channel of the newest checkpoint seen here: its version, and how its value is packed."""

    version: object
    packed: PackedValue


@dataclass(frozen=True, slots=True)
class CachedConversation:
    """The newest checkpoint of one conversation and namespace that this process read or wrote.

    `written` are references sent since; `values` is what the last read used, `has` what it needs to name of that.
    """

    checkpoint_id: str = ""
    channels: Mapping[str, CachedChannel] = field(default_factory=dict)
    written: frozenset[bytes] = frozenset()
    values: CachedValues = field(default_factory=CachedValues)
    has: bytes = b""

    def knows(self, ref: bytes) -> bool:
        """Whether *ref* is behind that checkpoint or the writes sent since."""
        if ref in self.written:
            return True
        for channel in self.channels.values():  # noqa: SIM110 - asked for every value, and `any` takes thrice as long
            if ref in channel.packed.refs:
                return True
        return False

    def find_unchanged(self, parent_id: str, channel: str, version: object) -> PackedValue | None:
        """The packed value of *channel* where a child of *parent_id* still has the same *version* of it.

        LangGraph gives a channel a new version whenever it changes, and along one parent line a version is one value.
        """
        cached = self.channels.get(channel)
        if not parent_id or parent_id != self.checkpoint_id or cached is None or version is None:
            return None
        return cached.packed if cached.version == version else None

    def measure_size(self) -> int:
        """In bytes, about."""
        entries = len(self.values.values) + sum(len(channel.packed.refs) for channel in self.channels.values())
        return self.values.size_bytes + entries * _ENTRY_BYTES


NOTHING_CACHED = CachedConversation()


class ConversationCache:
    """The *limit* conversations (and namespaces) used last, together of about *limit_bytes*.

    Safe to share between threads.
    """

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self._limit, self._limit_bytes = limit, limit_bytes
        self._cached: OrderedDict[tuple[str, str], tuple[CachedConversation, int]] = OrderedDict()
        self._addressed: OrderedDict[CheckpointAddress, None] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, address: CheckpointAddress) -> CachedConversation:
        """What is known of the namespace, maybe nothing."""
        with self._lock:
            return self._cached.get((address.thread_id, address.namespace), (NOTHING_CACHED, 0))[0]

    def put(self, address: CheckpointAddress, cached: CachedConversation) -> None:
        """Keep *cached* instead of what was known; the conversations unused longest make room."""
        name, size = (address.thread_id, address.namespace), cached.measure_size()
        with self._lock:
            self._drop(name)
            if size > self._limit_bytes:  # it would drive out all the others, and then itself
                return
            self._cached[name] = cached, size
            self._bytes += size
            while len(self._cached) > self._limit or self._bytes > self._limit_bytes:
                self._drop(next(iter(self._cached)))

    def put_checkpoint(
        self, address: CheckpointAddress, cached: CachedConversation, *, before: CachedConversation
    ) -> None:
        """Keep a checkpoint that was put, with what tasks have written since *before* was what was known."""
        self.put(address, replace(cached, written=self.get(address).written - before.written))

    def add_written(self, address: CheckpointAddress, packed: Iterable[PackedValue]) -> None:
        """Add what a put_writes sends."""
        cached = self.get(address)
        self.put(address, replace(cached, written=cached.written.union(*(value.refs for value in packed))))

    def note_read(self, address: CheckpointAddress, *, by_id: bool) -> None:
        """Note how a checkpoint was read: who goes on from one named by its id means to, even if it is an old one."""
        with self._lock:
            self._addressed.pop(address, None)
            if by_id:
                self._addressed[address] = None
            while len(self._addressed) > _ADDRESSED:
                self._addressed.popitem(last=False)

    def was_read_by_id(self, address: CheckpointAddress) -> bool:
        """Whether a checkpoint was last read by its id."""
        with self._lock:
            return address in self._addressed

    def forget(self, thread_id: str) -> None:
        """Drop what is known of a whole conversation."""
        with self._lock:
            for name in [name for name in self._cached if name[0] == thread_id]:
                self._drop(name)

    def _drop(self, name: tuple[str, str]) -> None:
        self._bytes -= self._cached.pop(name, (NOTHING_CACHED, 0))[1]
