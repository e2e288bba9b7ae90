"""Events of a run as Server-Sent Events.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

from agents.runs.handle import RunHandle
from agents.runs.record import ENDS, Event
from utils.errors import BadInput

HEARTBEAT = b": still here\n\n"
LAST_EVENT = "Last-Event-ID"
Prepare = Callable[[Event], Awaitable[Event]]
# Escaped, because many readers end a line at U+2028 or U+0085 as well, which the format does not.
_in_ascii = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
_CITING = frozenset({"citation", "done"})


async def encode_events(
    run: RunHandle, after: int, *, quiet_s: float, leaving: bool, prepare: Prepare | None = None
) -> AsyncIterator[bytes]:
    """The events on the wire after number *after*, with ids `<run id>-<number>`; a comment when there was none for
    *quiet_s* seconds. With *leaving*, whoever stops reading wants the run no more. *prepare* makes of citations, and of
    what has some, what is given out.

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
                told = [
                    (number, await prepare(event) if prepare and event["type"] in _CITING else event)
                    for number, event in batch
                    if event["type"] != "waiting" or number == batch[-1][0]  # else it has been told since
                ]
                yield b"".join(encode_event(f"{run.id}-{number}", event) for number, event in told)
    finally:
        if leaving and not has_ended:
            run.leave()


def encode_event(event_id: str, event: Event) -> bytes:
    """One event; its data is one line of JSON in ASCII, which repeats the type."""
    return f"id: {event_id}\nevent: {event['type']}\ndata: {_in_ascii(event)}\n\n".encode("ascii")


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
