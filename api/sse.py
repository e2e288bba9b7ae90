"""Events of a turn as Server-Sent Events.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

from flask import json

from api.problems import note_failure, problem_document

Event = dict[str, Any]
HEARTBEAT = b": still here\n\n"


async def as_sse(events: AsyncGenerator[Event, None], *, run_id: str, quiet_s: float) -> AsyncIterator[bytes]:
    """The events on the wire, with ids `<run_id>-<n>`, and a comment whenever there was none for *quiet_s* seconds.

    A failure after the first event becomes an `error` event; one before it is raised, to be answered by its status.
    """
    number = 0
    async with aclosing(_with_quiet(events, quiet_s)) as beats:
        try:
            async for event in beats:
                number += event is not None
                yield HEARTBEAT if event is None else encode_event(f"{run_id}-{number}", event)
        except Exception as error:
            if number == 0:
                raise
            note_failure(error)
            yield encode_event(f"{run_id}-{number + 1}", {"type": "error", "problem": problem_document(error)})


def encode_event(event_id: str, event: Event) -> bytes:
    """One event; its data is one line of JSON that repeats the type."""
    return f"id: {event_id}\nevent: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


async def _with_quiet(events: AsyncGenerator[Event, None], quiet_s: float) -> AsyncGenerator[Event | None, None]:
    """The events, and None whenever there was none for a while. Closing this closes them.

    One task takes all events: a generator that sets context variables must not be resumed from several.
    """
    # Without a bound: a run must not stand still, in everybody's way, because one reader is slow. An answer is short.
    queue: asyncio.Queue[Event | None] = asyncio.Queue()
    pump = asyncio.create_task(_pump(events, queue))
    try:
        while True:
            try:
                async with asyncio.timeout(quiet_s):
                    event = await queue.get()
            except TimeoutError:
                yield None
                continue
            if event is None:
                break
            yield event
        await pump
    finally:
        pump.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await pump


async def _pump(events: AsyncGenerator[Event, None], queue: "asyncio.Queue[Event | None]") -> None:
    async with aclosing(events):
        try:
            async for event in events:
                queue.put_nowait(event)
        finally:
            queue.put_nowait(None)
