"""Ends a query that runs in another thread: when its time is over, or whoever asked does not wait any more."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from datasources.errors import QueryFailed


class Stop:
    """Given with a query; `stop` cancels it on its server, whenever it comes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._actions: list[Callable[[], None]] = []
        self.is_stopped = False

    def stop(self) -> None:
        """Cancel what runs, and what is still to begin."""
        with self._lock:
            self.is_stopped = True
            actions = tuple(self._actions)
        for action in actions:
            action()

    @contextmanager
    def ending(self, action: Callable[[], None], after_s: float) -> Iterator[None]:
        """Within it, *action* is called by `stop`, and after so many seconds, from another thread.

        Raises:
            QueryFailed: it is stopped already.
        """
        timer = threading.Timer(after_s, action)
        timer.daemon = True
        with self._lock:
            if self.is_stopped:
                raise QueryFailed("The query was cancelled.")
            self._actions.append(action)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with self._lock:
                self._actions.remove(action)
