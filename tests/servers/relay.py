"""A TCP proxy before a server: slow, cut off, half open, or stopped at a command of one's choice."""

import asyncio
import re
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

_CHUNK = 1 << 16
_START_LIMIT_S = 10.0


class Relay:
    """Passes bytes between clients of a port of its own and the server at *target*, a URL; a context manager.

    `delay_s` is added to whatever passes, each way; it may be changed.
    """

    def __init__(self, target: str) -> None:
        self.delay_s = 0.0
        self._target = urlsplit(target)
        self._port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._pattern: re.Pattern[bytes] | None = None
        self._held = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="relay", daemon=True)
        self._ready = threading.Event()

    @property
    def url(self) -> str:
        """The target's address by way of this."""
        login, at, _ = self._target.netloc.rpartition("@")
        return urlunsplit(self._target._replace(netloc=f"{login}{at}127.0.0.1:{self._port}"))

    def cut(self) -> None:
        """Close every connection there is, in the middle of whatever it carries. New ones are served."""
        self._do(self._cut())

    def freeze(self) -> None:
        """Keep every connection, new and old, and pass nothing, like a network that is gone without a word."""
        self._do(self._freeze())

    def thaw(self) -> None:
        """Go on after `freeze`, and pass what a `hold` has kept."""
        self._do(self._thaw())

    def hold(self, pattern: bytes) -> threading.Event:
        """Keep back the next bytes to the server in which *pattern*, a regular expression, is found, and all that
        comes after them on that connection. Gives what is set when they are there. Their end is `cut` or `thaw`."""
        self._held = threading.Event()
        self._pattern = re.compile(pattern, re.DOTALL)
        return self._held

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(_START_LIMIT_S), "the relay did not start"
        return self

    def __exit__(self, *failure: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_START_LIMIT_S)

    async def _serve(self) -> None:
        self._loop, self._stop, self._passes = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self._passes.set()
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        await self._cut()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        far: asyncio.StreamWriter | None = None
        with suppress(OSError):
            far_reader, far = await asyncio.open_connection(self._target.hostname, self._target.port)
            self._writers.add(far)
            ways = [asyncio.create_task(self._pass(reader, far, self._await_hold))]
            ways.append(asyncio.create_task(self._pass(far_reader, writer, _at_once)))
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        for end in filter(None, (writer, far)):
            self._writers.discard(end)
            end.transport.abort()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        look: Callable[[bytes], Coroutine[Any, Any, None]],
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await look(data)
                await self._passes.wait()
                writer.write(data)
                await writer.drain()

    async def _await_hold(self, data: bytes) -> None:
        if self._pattern is None or not self._pattern.search(data):
            return
        self._pattern, self._let_go = None, asyncio.Event()
        self._held.set()
        await self._let_go.wait()

    async def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _freeze(self) -> None:
        self._passes.clear()

    async def _thaw(self) -> None:
        self._pattern = None
        self._passes.set()
        if self._held.is_set():
            self._let_go.set()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_LIMIT_S)


async def _at_once(data: bytes) -> None:
    """Whatever a server says is passed."""
