"""What was found lately, bounded in number and age."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Expiring(Generic[K, V]):
    """At most *size* values, each for *ttl_s* seconds; beyond that the one goes that was asked for longest ago.

    For one thread. `hits` and `misses` count what was asked for since the start.
    """

    def __init__(self, size: int, ttl_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._size, self._ttl_s, self._clock = size, ttl_s, clock
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self.hits = self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The value under *key*, None if there is none any more."""
        until, value = self._entries.get(key, (0.0, None))
        if value is None or until <= self._clock():
            self._entries.pop(key, None)
            self.misses += 1
            return None
        self._entries.move_to_end(key)
        self.hits += 1
        return value

    def discard(self, is_unwanted: Callable[[V], bool]) -> None:
        """Keep none of the values of which *is_unwanted* is true."""
        for key in [key for key, (_, value) in self._entries.items() if is_unwanted(value)]:
            del self._entries[key]

    def put(self, key: K, value: V) -> None:
        """Keep *value* under *key* from now on."""
        self._entries[key] = (self._clock() + self._ttl_s, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)


class SharedExpiring(Generic[K, V]):
    """An `Expiring` for all threads. Two of them may make a value at the same time."""

    def __init__(self, size: int, ttl_s: float) -> None:
        self._entries: Expiring[K, V] = Expiring(size, ttl_s)
        self._lock = Lock()

    def load(self, key: K, make: Callable[[], V]) -> V:
        """The value under *key*, else what *make* gives, from now on."""
        with self._lock:
            value = self._entries.get(key)
        if value is None:
            value = make()
            with self._lock:
                self._entries.put(key, value)
        return value
