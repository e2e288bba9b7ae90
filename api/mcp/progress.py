"""Signs of life while a tool works, for clients that wait: notifications in a stream, which ends with the result.

Source: https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/progress
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from itertools import count
from typing import Any

from flask import request

from api.mcp.messages import Message
from api.sse import encode_data
from server.streaming import AsyncStream

_INTERVAL_S = 1.0
_LONGEST_TOKEN = 255
_EVENTS = "text/event-stream"
Json = dict[str, Any]


def read_progress_token(message: Message) -> str | int | None:
    """By what the caller wants to be told of progress, if it does and reads streams."""
    meta = message.params.get("_meta")
    token = meta.get("progressToken") if isinstance(meta, dict) else None
    is_token = isinstance(token, str | int) and not isinstance(token, bool) and len(str(token)) <= _LONGEST_TOKEN
    if message.method != "tools/call" or not is_token or _EVENTS not in request.accept_mimetypes.values():
        return None
    return token


def stream_progress(
    token: str | int, call: Coroutine[Any, Any, Json], refuse: Callable[[Exception], Json]
) -> AsyncStream:
    """Notifications of how many seconds *call* takes, then its message, or what *refuse* makes of a failure."""
    response = AsyncStream(_report_progress(token, call, refuse), mimetype=_EVENTS)
    response.headers["X-Accel-Buffering"] = "no"  # Nginx would hold the events back
    return response


async def _report_progress(
    token: str | int, call: Coroutine[Any, Any, Json], refuse: Callable[[Exception], Json]
) -> AsyncIterator[bytes]:
    task = asyncio.ensure_future(call)
    try:
        for number in count(1):
            done, _ = await asyncio.wait({task}, timeout=_INTERVAL_S)
            if done:
                break
            params = {"progressToken": token, "progress": number, "message": f"{number} s"}
            yield encode_data({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        # Before anything was told, a failure is answered like any other, with its status.
        yield encode_data(task.result() if number == 1 else _read_message(task, refuse))
    finally:
        task.cancel()  # the caller has left


def _read_message(task: "asyncio.Future[Json]", refuse: Callable[[Exception], Json]) -> Json:
    try:
        return task.result()
    except Exception as error:  # whatever it is, it is an event
        return refuse(error)
