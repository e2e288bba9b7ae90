"""A Flask app whose views and streams wait until they are told to go on, and note in a journal what becomes of them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, request

from server.streaming import AsyncStream
from tests.server.live_server import Journal

MEGABYTE = b"x" * (1 << 20)


class Refused(Exception):
    """Handled by the app."""


@dataclass
class Gate:
    """What views wait at until `GET /go` opens it."""

    for_threads: threading.Event = field(default_factory=threading.Event)
    for_coroutines: asyncio.Event = field(default_factory=asyncio.Event)

    def open(self) -> None:
        self.for_threads.set()
        self.for_coroutines.set()


def make_app(journal: Journal, gate: Gate) -> Flask:
    app = Flask("streams")

    @app.get("/health")
    async def health() -> str:
        return "ok"

    @app.get("/large")
    def large() -> bytes:
        return MEGABYTE * 20

    @app.get("/go")
    async def release() -> str:
        gate.open()
        return "ok"

    @app.get("/ticks")
    async def ticks() -> AsyncStream:
        return AsyncStream(noted(journal, waiting_chunks(gate)), headers={"X-Later": "kept"})

    @app.get("/late")
    async def late() -> AsyncStream:
        journal.note("working")
        return AsyncStream(noted(journal, late_chunks(gate)))

    @app.get("/endless")
    async def endless() -> AsyncStream:
        return AsyncStream(noted(journal, many()))

    @app.get("/generated")
    def generated() -> Response:
        def chunks() -> Iterator[bytes]:
            try:
                yield b"first"
                gate.for_threads.wait(10)
                while True:
                    yield MEGABYTE
            finally:
                journal.note("closed")

        return Response(chunks())

    @app.get("/broken/<kind>")
    async def broken(kind: str) -> Response:
        return AsyncStream(failing()) if kind == "async" else Response(failing_sync())

    @app.get("/refused/<kind>")
    async def refused(kind: str) -> Response:
        return AsyncStream(refusing()) if kind == "async" else Response(refusing_sync())

    @app.get("/working")
    async def working() -> str:
        journal.note("working")
        try:
            await gate.for_coroutines.wait()
        except asyncio.CancelledError:
            journal.note("cancelled")
            raise
        journal.note("finished")
        return "done"

    @app.get("/crash")
    async def crash() -> str:
        raise ValueError("nobody expects it")

    @app.get("/blocking")
    def blocking() -> str:
        journal.note("working")
        gate.for_threads.wait(10)
        journal.note("finished")
        return "done"

    @app.errorhandler(Refused)
    def handled(error: Refused) -> Any:
        return {"refused": str(error)}, 409

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        journal.note(f"teardown {type(error).__name__}")

    @app.after_request
    def after(response: Response) -> Response:
        if "X-Replace" in request.headers:
            return Response("another")
        response.call_on_close(lambda: journal.note("response closed"))
        return response

    return app


async def noted(journal: Journal, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            yield chunk
    except asyncio.CancelledError:
        journal.note("cancelled")
        raise
    finally:
        journal.note("closed")


async def waiting_chunks(gate: Gate) -> AsyncIterator[bytes]:
    yield b"first"
    await gate.for_coroutines.wait()
    yield request.path.encode()  # the request's context lasts as long as the stream


async def late_chunks(gate: Gate) -> AsyncIterator[bytes]:
    await gate.for_coroutines.wait()
    yield b"first"


async def many() -> AsyncIterator[bytes]:
    for _ in range(1000):
        yield MEGABYTE


async def failing() -> AsyncIterator[bytes]:
    yield b"first"
    raise ValueError("on the way")


def failing_sync() -> Iterator[bytes]:
    yield b"first"
    raise ValueError("on the way")


async def refusing() -> AsyncIterator[bytes]:
    raise Refused("before the first byte")
    yield b""


def refusing_sync() -> Iterator[bytes]:
    raise Refused("before the first byte")
    yield b""
