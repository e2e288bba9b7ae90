"""The ASGI bridge on a live server: Flask's own behaviour, and what Flask alone cannot do."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import uvicorn
from flask import Flask, request

from api.asgi import FlaskAsgi, uvicorn_options
from api.streaming import AsyncStream

WAIT_S = 10.0  # never slept: the most a test waits for something that should come at once


class LiveServer(uvicorn.Server):
    """A server that says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.loop = asyncio.get_running_loop()
        self.up.set()


@contextlib.contextmanager
def serving(asgi: Any, **options: Any) -> Iterator[tuple[str, int]]:
    """The address of a live server for *asgi*, with the bridge's settings unless *options* say otherwise."""
    merged = uvicorn_options() | {"log_level": "error", "access_log": False} | options
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server = LiveServer(uvicorn.Config(asgi, **merged))
        thread = threading.Thread(target=server.run, args=([sock],))
        thread.start()
        try:
            assert server.up.wait(WAIT_S)
            yield sock.getsockname()
        finally:
            server.should_exit = True
            thread.join(WAIT_S)
            assert not thread.is_alive()


def test_views_of_both_kinds_and_streams_are_answered() -> None:
    app = Flask("smoke")

    @app.get("/stream")
    async def stream() -> AsyncStream:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"1"
            yield request.args["q"].encode()

        return AsyncStream(chunks())

    @app.get("/a")
    async def a() -> dict[str, str]:
        await asyncio.sleep(0)
        return {"a": request.args["q"]}

    @app.get("/b")
    def b() -> dict[str, str]:
        return {"b": threading.current_thread().name}

    with serving(FlaskAsgi(app)) as (host, port), httpx.Client(base_url=f"http://{host}:{port}") as http:
        assert http.get("/a?q=1").json() == {"a": "1"}
        assert http.get("/b").json()["b"].startswith("sync-view")
        assert http.get("/stream?q=2").content == b"12"
        assert http.get("/c").status_code == 404
        assert http.post("/a", content=b"x").status_code == 405
