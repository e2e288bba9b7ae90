"""What this process knows of the conversations it used last, so that it need not be sent, fetched or decoded again.

Only hints. The server checks every reference of a write, and one that left out too much is sent again whole; a read
names what it has, and gets the rest. Expiry, pruning, a restart or another worker can therefore make them useless but
never wrong.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from .keys import Place
from .values import Kept, Names, Packed, size_of


@dataclass(frozen=True, slots=True)
class Held:
    """A channel of the newest checkpoint seen here: its version, and how its value is packed."""

    version: object
    packed: Packed


@dataclass(frozen=True, slots=True)
class Hint:
    """The newest checkpoint of one conversation and namespace that this process read or wrote.

    `written` are references sent since, `named` those of items of lists, by content; `kept` is what the last read used,
    `has` what it needs to name of that.
    """

    checkpoint_id: str = ""
    channels: Mapping[str, Held] = field(default_factory=dict)
    written: frozenset[bytes] = frozenset()
    named: Names = field(default_factory=dict)
    kept: Kept = field(default_factory=Kept)
    has: bytes = b""

    def knows(self, ref: bytes) -> bool:
        """Whether *ref* is behind that checkpoint or the writes sent since."""
        if ref in self.written:
            return True
        for held in self.channels.values():  # noqa: SIM110 - it is asked for every value, and `any` takes thrice as long
            if ref in held.packed.refs:
                return True
        return False

    def unchanged(self, parent_id: str, channel: str, version: object) -> Packed | None:
        """The packed value of *channel* where a child of *parent_id* still has the same *version* of it.

        LangGraph gives a channel a new version whenever it changes, and along one parent line a version is one value.
        """
        held = self.channels.get(channel)
        if not parent_id or parent_id != self.checkpoint_id or held is None or version is None:
            return None
        return held.packed if held.version == version else None

    def names(self, channel: str) -> Names:
        """The items of the list in *channel*, by content."""
        held = self.channels.get(channel)
        return held.packed.names if held else {}

    def naming(self, channels: Mapping[str, Held]) -> Mapping[str, Held]:
        """*channels*, as a reader found them, with the names of those items of theirs that were written here."""
        named = dict(channels)
        for channel, held in channels.items():
            if names := self.names(channel):
                named[channel] = replace(held, packed=held.packed.naming(names))
        return named

    def left(self) -> Kept:
        """For the next reader: what the last one used, and what was written since, as far as it can be revived."""
        values = dict(self.kept.values)
        for held in self.channels.values():
            if held.packed.names:
                values |= held.packed.keys()
        return replace(self.kept, values=values)

    def size(self) -> int:
        """In bytes, about."""
        packed = [held.packed for held in self.channels.values()]
        entries = len(self.kept.values) + len(self.named) + sum(len(each.names) + len(each.refs) for each in packed)
        names_bytes = size_of(self.named) + sum(each.names_bytes for each in packed)
        return self.kept.size_bytes + names_bytes + entries * _ENTRY_BYTES


NO_HINT = Hint()
_ENTRY_BYTES = 200  # what Python needs for a reference or a key besides what is in it
_ADDRESSED = 1000  # checkpoints read by their id, of which a run may be about to make a fork


class Hints:
    """The hints of the *limit* conversations (and namespaces) used last, together of about *limit_bytes*.

    Safe to share between threads.
    """

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self._limit, self._limit_bytes = limit, limit_bytes
        self._hints: OrderedDict[tuple[str, str], tuple[Hint, int]] = OrderedDict()
        self._addressed: OrderedDict[Place, None] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, thread_id: str, namespace: str) -> Hint:
        """The hint, or an empty one."""
        with self._lock:
            return self._hints.get((thread_id, namespace), (NO_HINT, 0))[0]

    def remember(self, thread_id: str, namespace: str, hint: Hint) -> None:
        """Keep *hint* instead of the one before; the conversations unused longest make room."""
        size = hint.size()
        with self._lock:
            self._drop((thread_id, namespace))
            if size > self._limit_bytes:  # it would drive out all the others, and then itself
                return
            self._hints[thread_id, namespace] = hint, size
            self._bytes += size
            while len(self._hints) > self._limit or self._bytes > self._limit_bytes:
                self._drop(next(iter(self._hints)))

    def put(self, thread_id: str, namespace: str, hint: Hint, *, before: Hint) -> None:
        """Keep *hint*, of a checkpoint that was put, with what tasks have written since *before* was the hint."""
        now = self.get(thread_id, namespace)
        if now.written:
            since = now.written - before.written
            named = {key: name for key, name in now.named.items() if name[1] in since}
            hint = replace(hint, written=since, named=named)
        self.remember(thread_id, namespace, hint)

    def wrote(self, thread_id: str, namespace: str, packed: Iterable[Packed]) -> None:
        """Add what a put_writes sends."""
        hint = self.get(thread_id, namespace)
        written, named = set(hint.written), dict(hint.named)
        for value in packed:
            written |= value.refs
            named |= value.names
        self.remember(thread_id, namespace, replace(hint, written=frozenset(written), named=named))

    def read(self, place: Place, *, by_id: bool) -> None:
        """Note how a checkpoint was read: who goes on from one named by its id means to, even if it is an old one."""
        with self._lock:
            self._addressed.pop(place, None)
            if by_id:
                self._addressed[place] = None
            while len(self._addressed) > _ADDRESSED:
                self._addressed.popitem(last=False)

    def is_addressed(self, place: Place) -> bool:
        """Whether a checkpoint was last read by its id."""
        with self._lock:
            return place in self._addressed

    def forget(self, thread_ids: Iterable[str]) -> None:
        """Drop what is known of whole conversations."""
        gone = set(thread_ids)
        with self._lock:
            for key in [key for key in self._hints if key[0] in gone]:
                self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        self._bytes -= self._hints.pop(key, (NO_HINT, 0))[1]
