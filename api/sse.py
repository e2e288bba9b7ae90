"""Events of a run as Server-Sent Events.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

from flask import Response, request

from agents.runs.handle import RunHandle
from agents.runs.record import ENDS, Event
from server.streaming import AsyncStream
from utils.errors import BadInput

HEARTBEAT = b": still here\n\n"
QUIET_S = 12.0  # promised is a sign of life every 15 s; proxies often close what is quiet for 60 s
LAST_EVENT = "Last-Event-ID"
Prepare = Callable[[Event], Awaitable[Event]]
Write = Callable[[str, Event], bytes | None]
# Escaped, because many readers end a line at U+2028 or U+0085 as well, which the format does not.
_in_ascii = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
_CITING = frozenset({"citation", "done"})


def encode_event(event_id: str, event: Event) -> bytes:
    """One event; its data is one line of JSON in ASCII, which repeats the type."""
    return f"id: {event_id}\nevent: {event['type']}\n".encode("ascii") + encode_data(event)


def encode_data(data: Mapping[str, Any]) -> bytes:
    """The end of an event, which holds *data* alone."""
    return f"data: {_in_ascii(data)}\n\n".encode("ascii")


async def encode_events(
    run: RunHandle,
    after: int,
    *,
    quiet_s: float,
    leaving: bool,
    prepare: Prepare | None = None,
    write: Write = encode_event,
) -> AsyncGenerator[bytes, None]:
    """The events on the wire after number *after*, with ids `<run id>-<number>`; a comment when there was none for
    *quiet_s* seconds. With *leaving*, whoever stops reading wants the run no more. *prepare* makes of citations, and of
    what has some, what is given out; *write* makes bytes of an event, or None to end here and let the run go on.

    Raises:
        RunFailed: it failed before anything else was told of it, so that its status can answer.
    """
    has_ended = False
    try:
        async with aclosing(run.follow(after, quiet_s=quiet_s)) as batches:
            async for batch in batches:
                if not batch:
                    yield HEARTBEAT
                    continue
                number, event = batch[-1]
                has_ended = event["type"] in ENDS
                if number == 1 and event["type"] == "error":
                    raise run.make_failure(event)
                pieces = [
                    write(f"{run.id}-{number}", await prepare(event) if prepare and event["type"] in _CITING else event)
                    for number, event in batch
                    if event["type"] != "waiting" or number == batch[-1][0]  # else it has been told since
                ]
                if written := b"".join(piece for piece in pieces if piece):
                    yield written
                if None in pieces:
                    has_ended = True
                    return
    finally:
        if leaving and not has_ended:
            run.leave()


def respond_with_events(events: AsyncIterator[bytes], *, longest_pause_s: float = 0.0) -> Response:
    """The answer whose body they are, each sent as it comes. *longest_pause_s*: see `AsyncStream`."""
    response = AsyncStream(events, longest_pause_s=longest_pause_s, mimetype="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"  # Nginx would hold the events back
    return response


def wants_events() -> bool:
    """Whether the client prefers events to an answer as a whole."""
    return request.accept_mimetypes.best_match(["application/json", "text/event-stream"]) == "text/event-stream"


def number_after(last_event_id: str | None, run_id: str) -> int:
    """The number in a `Last-Event-ID`, 0 where there is none.

    Raises:
        BadInput: it is not one of this run.
    """
    if not last_event_id:
        return 0
    of_run, _, number = last_event_id.rpartition("-")
    if of_run != run_id or not number.isdecimal() or len(number) > 15 or not number.isascii():
        raise BadInput(f"{LAST_EVENT} must be the id of an event of this run, such as {run_id}-7.")
    return int(number)
