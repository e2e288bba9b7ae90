"""What this process believes the server already holds, so that a write need not send it again.

Only hints: the server checks every reference, and a write that left out too much is sent again whole. Expiry, pruning,
a restart or another worker can therefore make them useless but never wrong.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from utils.checkpointer.values import Packed


@dataclass(frozen=True, slots=True)
class Held:
    """A channel of the newest checkpoint seen here: its version, and how its value is packed."""

    version: object
    packed: Packed


@dataclass(frozen=True, slots=True)
class Hint:
    """The newest checkpoint of one conversation and namespace that this process read or wrote."""

    checkpoint_id: str = ""
    channels: Mapping[str, Held] = field(default_factory=dict)
    written: frozenset[bytes] = frozenset()

    def known(self) -> frozenset[bytes]:
        """Every reference behind that checkpoint and the writes sent since."""
        return self.written.union(*(held.packed.refs for held in self.channels.values()))

    def unchanged(self, parent_id: str, channel: str, version: object) -> Packed | None:
        """The packed value of *channel* where a child of *parent_id* still has the same *version* of it.

        LangGraph gives a channel a new version whenever it changes, and along one parent line a version is one value.
        """
        held = self.channels.get(channel)
        if not parent_id or parent_id != self.checkpoint_id or held is None or version is None:
            return None
        return held.packed if held.version == version else None


NO_HINT = Hint()


class Hints:
    """The hints of the *limit* conversations (and namespaces) used last; safe to share between threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._hints: OrderedDict[tuple[str, str], Hint] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, thread_id: str, namespace: str) -> Hint:
        """The hint, or an empty one."""
        with self._lock:
            return self._hints.get((thread_id, namespace), NO_HINT)

    def remember(self, thread_id: str, namespace: str, hint: Hint) -> None:
        """Keep *hint* instead of the one before; the conversation unused longest makes room."""
        with self._lock:
            self._hints[thread_id, namespace] = hint
            self._hints.move_to_end((thread_id, namespace))
            while len(self._hints) > self._limit:
                self._hints.popitem(last=False)

    def wrote(self, thread_id: str, namespace: str, refs: Iterable[bytes]) -> None:
        """Add what a put_writes has sent."""
        hint = self.get(thread_id, namespace)
        self.remember(thread_id, namespace, Hint(hint.checkpoint_id, hint.channels, hint.written | frozenset(refs)))

    def forget(self, thread_ids: Iterable[str]) -> None:
        """Drop what is known of whole conversations."""
        gone = set(thread_ids)
        with self._lock:
            for key in [key for key in self._hints if key[0] in gone]:
                del self._hints[key]
