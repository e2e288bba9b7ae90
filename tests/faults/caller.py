"""A caller that does not give up: it sends its question again with the same key, and goes on with a broken stream.

Where Redis had lost the run, it asks anew with the same key.
"""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from tests.faults.site import QUESTION, Site

Event = dict[str, Any]
ENDS = ("done", "error", "cancelled")
_FAILED = re.compile(r"/v1/runs/[^/]+")  # where a problem is a run's own
_PAUSE_S = 0.05  # between two tries
_BUSY = (409, 429, 502, 503, 504)


@dataclass
class Heard:
    """All that one turn was told, and how."""

    run_id: str = ""
    events: list[tuple[int, Event]] = field(default_factory=list)
    breaks: int = 0
    refusals: list[int] = field(default_factory=list)
    losses: int = 0

    @property
    def end(self) -> Event | None:
        """How it ended, if it has."""
        return self.events[-1][1] if self.events and self.events[-1][1]["type"] in ENDS else None

    def types(self) -> list[str]:
        """What kinds of events came."""
        return [event["type"] for _, event in self.events]

    def text(self) -> str:
        """The answer as its tokens say."""
        said: list[str] = []
        for _, event in self.events:
            if event["type"] in ("resumed", "fallback"):
                said = []
            elif event["type"] == "token":
                said.append(event["content"])
        return "".join(said)

    def faults(self) -> list[str]:
        """What must not be: gaps, repeats, no end or two of them."""
        found = []
        for (before, _), (number, event) in zip(self.events, self.events[1:], strict=False):
            if number <= before:
                found.append(f"{number} came after {before}")
            elif number != before + 1 and event["type"] != "resumed":
                found.append(f"{number} came after {before}: {event['type']}")
        if self.events and self.events[0][0] != 1 and self.events[0][1]["type"] != "resumed":
            found.append(f"it began with {self.events[0][0]}")
        if sum(kind in ENDS for kind in self.types()) != 1 or self.end is None:
            found.append(f"its ends: {[kind for kind in self.types() if kind in ENDS]}, last {self.types()[-1:]}")
        return found


class Caller(threading.Thread):
    """Asks one question in a thread of its own, and hears it to the end, whatever happens."""

    def __init__(
        self,
        site: Site,
        *,
        talk: str = "",
        question: str = QUESTION,
        at: int | None = None,
        limit_s: float = 30.0,
        streams: bool = True,
    ) -> None:
        super().__init__(daemon=True)
        self.heard = Heard()
        self.talk = talk or uuid4().hex
        self._client = site.client() if at is None else site.client_of(at)
        self._key, self._question, self._streams = uuid4().hex, question, streams
        self._until_s = time.monotonic() + limit_s

    def run(self) -> None:
        """Ask."""
        with closing(self._client) as client:
            while self.heard.end is None and time.monotonic() < self._until_s:
                try:
                    self._listen(client)
                except httpx.TransportError:
                    self.heard.breaks += 1
                if self.heard.end is None:
                    time.sleep(_PAUSE_S)

    def await_end(self) -> Heard:
        """Wait for the end; all that was heard."""
        self.join(40)
        assert not self.heard.faults(), (self.heard.faults(), self.heard)
        return self.heard

    def _listen(self, client: httpx.Client) -> None:
        with self._request(client) as answer:
            if answer.status_code in _BUSY:
                problem = json.loads(answer.read())
                if answer.status_code != 409 and _FAILED.fullmatch(str(problem.get("instance"))):
                    self.heard.events = [(1, {"type": "error", "problem": problem})]  # asked again it says the same
                else:
                    self.heard.refusals.append(answer.status_code)
                return
            if answer.status_code == 404 and self.heard.events:
                self.heard = Heard(self.heard.run_id, breaks=self.heard.breaks, losses=self.heard.losses + 1)
                return
            assert answer.status_code == 200, answer.read()
            self.heard.run_id = answer.headers["X-Run-Id"]
            if not self._streams:
                self.heard.events = [(1, {**json.loads(answer.read()), "type": "done"})]
            for event_id, event in events_of(answer) if self._streams else ():
                self.heard.events.append((int(event_id.rpartition("-")[2]), event))

    def _request(self, client: httpx.Client) -> Any:
        accept = {"Accept": "text/event-stream" if self._streams else "application/json"}
        if not self.heard.events:
            named = {"X-Conversation-Id": self.talk, "Idempotency-Key": self._key}
            return client.stream("POST", "/v1/chat", json={"message": self._question}, headers=accept | named)
        last = {"Last-Event-ID": f"{self.heard.run_id}-{self.heard.events[-1][0]}"}
        return client.stream("GET", f"/v1/runs/{self.heard.run_id}/events", headers=accept | last)


def events_of(answer: httpx.Response) -> Iterator[tuple[str, Event]]:
    """The events of a stream with their ids."""
    event_id = ""
    for line in answer.iter_lines():
        if line.startswith("id: "):
            event_id = line.removeprefix("id: ")
        elif line.startswith("data: "):
            yield event_id, json.loads(line.removeprefix("data: "))
