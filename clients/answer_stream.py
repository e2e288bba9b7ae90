"""An answer as it comes, over as many connections as it takes."""

import random
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from time import monotonic

import httpx

from clients.api_errors import ApiAway, ApiError, ApiRefused, check_streamed, translate_failures
from clients.run_events import Event, Reconnecting, parse_event
from clients.server_sent_events import ServerSentEvent, read_events

RUN_HEADER = "X-Run-Id"
_LAST = ("done", "error", "cancelled", "waiting")
_PASSING = (429, 503)  # refusals of one who follows a run that are over in a moment, as while the service restarts
_SHORTEST_WAIT_S, _LONGEST_WAIT_S = 0.2, 4.0


class AnswerStream(Iterator[Event]):
    """The events of one run. Taking the next raises `ApiAway` and `ApiRefused`.

    Where a connection ends before the run does, another one goes on after the last event: there is neither a gap nor a
    repeat. `run_id` is that of the run once the service has said it, `after` the number of the event taken last.

    Args:
        first: the request that begins or follows the run.
        following: makes the request that follows a run after an event.
        patience_s: how long a lost connection is tried again without any news.
    """

    def __init__(
        self,
        http: httpx.Client,
        first: httpx.Request,
        following: Callable[[str, int], httpx.Request],
        *,
        run_id: str = "",
        after: int = 0,
        patience_s: float,
    ) -> None:
        self.run_id, self.after = run_id, after
        self._http, self._following, self._patience_s = http, following, patience_s
        self._response: httpx.Response | None = None
        self._closed = threading.Event()
        self._is_over = False
        self._events = self._read(first)

    def __next__(self) -> Event:
        return next(self._events)

    def close(self) -> None:
        """Read no further; the run goes on. Any thread may, while another waits."""
        self._closed.set()
        if self._response is not None:
            _hang_up(self._response)
        with suppress(ValueError):  # the other thread is in it, and finds the line dead
            self._events.close()

    def _read(self, request: httpx.Request) -> Generator[Event]:
        tries, lost_s = 0, 0.0
        while True:
            reached = self.after
            failure: ApiError = ApiAway("broken")
            try:
                yield from self._take(request)
            except ApiError as exc:
                failure = exc
                if not self._may_go_on(failure):
                    raise
            if self._is_over or self._closed.is_set():
                return
            tries = tries + 1 if self.after == reached else 1
            lost_s = lost_s if tries > 1 else monotonic()
            wait_s = _wait_s(tries, failure)
            if not self.run_id or monotonic() + wait_s > lost_s + self._patience_s:
                raise failure
            if tries > 1:
                yield Reconnecting()
            self._closed.wait(wait_s)
            request = self._following(self.run_id, self.after)

    def _take(self, request: httpx.Request) -> Generator[Event]:
        """The events that one connection brings."""
        with translate_failures(), closing(self._http.send(request, stream=True)) as response:
            self._response = response
            check_streamed(response)
            self.run_id = response.headers.get(RUN_HEADER, self.run_id)
            for received in read_events(response.iter_bytes()):
                self._note(received)
                event = parse_event(received)
                if event is not None:
                    yield event
                if self._is_over or self._closed.is_set():
                    return

    def _note(self, received: ServerSentEvent) -> None:
        number = received.event_id.rpartition("-")[2]
        self.after = int(number) if number.isdecimal() else self.after
        self._is_over = received.name in _LAST

    def _may_go_on(self, failure: ApiError) -> bool:
        if isinstance(failure, ApiRefused) and (failure.ended_run or failure.status not in _PASSING):
            return False
        return bool(self.run_id)


def _wait_s(tries: int, failure: ApiError) -> float:
    """Longer with each try, and not the same for all who lost their connection at once."""
    wait_s = min(_LONGEST_WAIT_S, _SHORTEST_WAIT_S * 2.0 ** (tries - 1)) * random.uniform(0.5, 1)  # noqa: S311 - no secret
    asked_s = failure.retry_after_s if isinstance(failure, ApiRefused) else None
    return max(wait_s, asked_s or 0)


def _hang_up(response: httpx.Response) -> None:
    """Shut the connection for both sides: closing its descriptor would not wake a thread that waits on it."""
    stream = response.extensions.get("network_stream")
    line = stream.get_extra_info("socket") if stream else None
    if line is not None and not response.is_closed:
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
