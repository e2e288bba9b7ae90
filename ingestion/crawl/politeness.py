"""One request at a time to a host, and a pause after each: shared by all crawls of a process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

LONGEST_PAUSE_S = 60.0
_ASK_AGAIN_S = 0.2
_MOST_HOSTS = 1_000


class Stopped(Exception):
    """The crawl is to end here; whoever goes on with it finds everything as it is."""


@dataclass(slots=True)
class _Host:
    next_at: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Politeness:
    """Turns at hosts."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    @contextmanager
    def turn(self, host: str, pause_s: float, stopping: threading.Event) -> Iterator[None]:
        """Wait for *host* to be free and rested; it rests *pause_s* seconds from the end of the block on.

        Raises:
            Stopped: *stopping* was set before it was.
        """
        place = self._place(host)
        while not place.lock.acquire(timeout=_ASK_AGAIN_S):
            if stopping.is_set():
                raise Stopped
        try:
            if stopping.wait(max(0.0, place.next_at - time.monotonic())):
                raise Stopped
            yield
        finally:
            place.next_at = max(place.next_at, time.monotonic() + pause_s)
            place.lock.release()

    def rest(self, host: str, seconds: float) -> None:
        """Leave *host* alone for so long: it said that it has too much to do."""
        self._place(host).next_at = time.monotonic() + min(seconds, LONGEST_PAUSE_S)

    def _place(self, host: str) -> _Host:
        with self._lock:
            if len(self._hosts) >= _MOST_HOSTS:
                rested = [name for name, place in self._hosts.items() if place.next_at < time.monotonic()]
                for name in rested:
                    if not self._hosts[name].lock.locked() and name != host:
                        del self._hosts[name]
            return self._hosts.setdefault(host, _Host())
