"""Runs of the stub: each works in a thread of its own, whoever reads along."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Place = tuple[str, str]  # a key and a conversation
_ENDS = {"done": "completed", "error": "failed", "cancelled": "cancelled", "waiting": "waiting"}
TAKEN_OVER = 10_000  # numbers left out when another worker goes on, as the service does


@dataclass
class StubRun:
    """A run: its events so far with their numbers. `middle` is the number of the event before which it was held."""

    run_id: str
    place: Place
    events: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    middle: int = 0
    status: str = "processing"
    cancelled: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    decided: threading.Event = field(default_factory=threading.Event)
    decision: str = ""
    _news: threading.Condition = field(default_factory=threading.Condition)
    _next: int = 1

    def work(self, script: Callable[["StubRun"], Iterator[None]]) -> None:
        """Tell what *script* tells, until it ends or the run is cancelled at one of its steps."""

        def steps() -> None:
            for _ in script(self):
                if self.cancelled.is_set():
                    self.tell("cancelled", run_id=self.run_id)
                    return

        threading.Thread(target=steps, daemon=True).start()

    def tell(self, kind: str, **members: object) -> None:
        """Add an event."""
        with self._news:
            if kind == "resumed":
                self._next += TAKEN_OVER
            self.events.append((self._next, kind, {"type": kind, **members}))
            self._next += 1
            self.status = _ENDS.get(kind, "processing")
            if self.status not in ("processing", "waiting"):
                self.ended.set()
            self._news.notify_all()

    @property
    def last(self) -> int:
        """The number of the last event."""
        return self._next - 1

    def follow(self, after: int) -> Iterator[tuple[int, str, dict[str, Any]] | None]:
        """The events after number *after*, and None now and then while there is none."""
        while True:
            with self._news:
                told = [event for event in self.events if event[0] > after]
                is_over = self.status != "processing"
                if not told and not is_over:
                    self._news.wait(0.05)
            yield from told
            if told:
                after = told[-1][0]
            elif not is_over:
                yield None
            if is_over:
                return
