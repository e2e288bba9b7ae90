"""Responses on their way to the client: bodies at hand, sync iterators, async ones; and seeing the client leave."""

import asyncio
import contextvars
import logging
import tempfile
from collections.abc import AsyncIterator, Callable
from functools import lru_cache, partial
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar
from wsgiref.types import WSGIEnvironment

from asgiref.typing import ASGISendCallable, HTTPResponseBodyEvent
from flask import Response, current_app

from server.http_protocol import DisconnectSignal
from server.request_body import RequestBodyReader
from server.sync_pool import SyncPool

log = logging.getLogger(__name__)
_LARGE_BYTES = 131_072
_PIECE_BYTES = 16_384

T = TypeVar("T")


class AsyncStream(Response):
    """A response whose body is written as an async iterator yields it.

    Through the bridge the iterator runs in the request's context (`request`, `g`) on the server's loop; the head goes
    out with the first chunk, so that an exception before it is answered like any other; the iterator is closed the
    moment the client leaves. Under plain WSGI, which is Flask's test client, the chunks are collected first.

    *longest_pause_s*: how long the client may read nothing, where that is longer than `ConnectionLimits` allow.
    """

    automatically_set_content_length = False  # it would be that of the empty body, and cut the stream there

    def __init__(self, chunks: AsyncIterator[bytes], *, longest_pause_s: float = 0.0, **kwargs: Any) -> None:
        super().__init__((), **kwargs)
        self._chunks, self.longest_pause_s = chunks, longest_pause_s
        self._first: bytes | None = None

    async def fetch_first(self) -> None:
        """Fetch the first chunk."""
        self._first = await anext(self._chunks, None)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """All chunks in order, from the primed one on."""
        return self

    async def __anext__(self) -> bytes:
        """The next chunk."""
        chunk, self._first = self._first, None
        return await anext(self._chunks) if chunk is None else chunk

    async def aclose(self) -> None:
        """Close the iterator; it may have ended before."""
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()

    def get_app_iter(self, environ: WSGIEnvironment) -> list[bytes]:
        """The whole body in one piece, for WSGI."""
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [current_app.async_to_sync(self._collect)()]

    async def _collect(self) -> bytes:
        return b"".join([chunk async for chunk in self._chunks])


class ClientWatch:
    """While entered, cancels the task that entered it as soon as the client leaves; `client_left` then says so.

    The caller decides what becomes of the `CancelledError`. May be entered several times, one after another. With our
    own connections *disconnect* tells it; other servers are asked, which takes a task.
    """

    def __init__(self, intake: RequestBodyReader, disconnect: DisconnectSignal | None) -> None:
        self.client_left = False
        self._intake, self._disconnect = intake, disconnect
        self._start: asyncio.Handle | None = None
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        owner = asyncio.current_task()
        assert owner is not None  # noqa: S101 - we are in a coroutine
        if self._disconnect is None:
            # Not a task at once: most views are over before the loop turns, and then none is needed.
            self._start = asyncio.get_running_loop().call_soon(self._begin, owner)
        elif self._disconnect.is_set:
            self._start = asyncio.get_running_loop().call_soon(self._end, owner)
        else:
            self._disconnect.call = partial(self._end, owner)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if self._disconnect is not None:
            self._disconnect.call = None
        if self._start is not None:
            self._start.cancel()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _begin(self, owner: asyncio.Task[Any]) -> None:
        self._task = asyncio.get_running_loop().create_task(self._wait(owner))

    async def _wait(self, owner: asyncio.Task[Any]) -> None:
        await self._intake.wait_until_read()  # a view that reads the body itself learns from it
        while (await self._intake.receive())["type"] != "http.disconnect":
            pass
        self._end(owner)

    def _end(self, owner: asyncio.Task[Any]) -> None:
        self.client_left = True
        owner.cancel()


class ResponseSender:
    """The way out for one response, which is set as `response`: head, body and end, each sent as soon as it is there.

    An async stream is sent while the request's context is entered, all else after it has been left, as under WSGI. An
    exception from a body that has begun is logged, and the response left without an end: the server then drops the
    connection, which tells the client. Leaving the sender closes the response.

    A body of more than 128 KB waits for its reader in a file in *folder* (None: the system's), not in memory: readers
    may be many, and slow.
    """

    response: Response | None = None

    def __init__(
        self,
        intake: RequestBodyReader,
        watch: ClientWatch,
        send: ASGISendCallable,
        pool: SyncPool,
        folder: Path | None = None,
    ) -> None:
        self._intake, self._watch, self._send, self._pool, self._folder = intake, watch, send, pool, folder
        self._started = self._closes = False
        self._context: contextvars.Context | None = None

    async def send_inside(self, response: AsyncStream) -> None:
        """Send what wants the request's context: an async stream, without the end."""
        await self._start(response)
        if self._intake.environ["REQUEST_METHOD"] == "HEAD":
            return
        with self._watch:
            async for chunk in response:
                await self._send(_make_body_event(chunk, more=True))

    async def send_rest(self) -> None:
        """Send everything else, and the end."""
        response, last = self.response, b""
        if response is None or isinstance(response, AsyncStream):
            pass
        elif response.is_sequence:
            last = _join_body(response, self._intake.environ)
            if len(last) > _LARGE_BYTES:
                file = await self._run_in_pool(partial(_find_file, last, self._folder))
                response.content_length, response.response, last = len(last), (), b""  # the file has it now
                await self._send_file(response, file)
            else:
                await self._start(response)
        else:
            await self._send_iterated(response)
        if self._closes:
            await self._send(_make_body_event(last, more=True))
            await self._intake.linger()
            last = b""
        await self._send(_make_body_event(last, more=False))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: object) -> bool:
        try:
            if self.response is not None:
                await self._close(self.response)
        finally:
            broke_off = self._started and isinstance(exc, Exception)
            if broke_off:
                log.error("A response was aborted.", exc_info=exc)
        return broke_off

    async def _close(self, response: Response) -> None:
        if response.is_sequence:
            response.close()
        else:
            await self._run_in_pool(response.close)

    async def _send_iterated(self, response: Response) -> None:
        chunks = iter(response.get_app_iter(self._intake.environ))
        with self._watch:
            while (chunk := await self._run_in_pool(partial(next, chunks, None))) is not None:
                await self._start(response)  # not before there is a chunk: an exception till then is a plain 500
                await self._send(_make_body_event(chunk, more=True))
        await self._start(response)

    async def _send_file(self, response: Response, file: IO[bytes]) -> None:
        try:
            await self._start(response)
            with self._watch:
                while piece := await self._run_in_pool(partial(file.read, _PIECE_BYTES)):
                    await self._send(_make_body_event(piece, more=True))
        finally:
            file.close()

    async def _run_in_pool(self, call: Callable[[], T]) -> T:
        # One context for all calls: a generator may hold something open in it from chunk to chunk.
        self._context = self._context or contextvars.copy_context()
        return await self._pool.run_in(self._context, call)

    async def _start(self, response: Response) -> None:
        if self._started:
            return
        self._closes = self._intake.leaves_rest
        pairs = response.get_wsgi_headers(self._intake.environ)
        headers = [(_encode_header_name(name), _encode_header(value)) for name, value in pairs]
        if self._closes:
            headers.append((b"connection", b"close"))  # the rest of the body stands where the next request would
        self._started = True
        await self._send(
            {"type": "http.response.start", "status": response.status_code, "headers": headers, "trailers": False}
        )


def _join_body(response: Response, environ: WSGIEnvironment) -> bytes:
    parts, status = response.response, response.status_code
    if type(response) is Response and type(parts) is list and len(parts) == 1 and type(parts[0]) is bytes:
        # What `get_app_iter` comes to for nearly every answer.
        has_none = environ["REQUEST_METHOD"] == "HEAD" or status < 200 or status in (204, 304)
        return b"" if has_none else parts[0]
    return b"".join(response.get_app_iter(environ))


def _find_file(body: bytes, folder: Path | None) -> IO[bytes]:
    file = tempfile.TemporaryFile(dir=folder, prefix=".answer-")  # noqa: SIM115 - the caller closes it
    file.write(body)
    file.seek(0)
    return file


@lru_cache(256)
def _encode_header_name(name: str) -> bytes:
    return name.lower().encode("latin-1")


def _encode_header(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8")  # opaque bytes to HTTP (RFC 9110, 5.5), and what clients try first


def _make_body_event(body: bytes, *, more: bool) -> HTTPResponseBodyEvent:
    return {"type": "http.response.body", "body": body, "more_body": more}
