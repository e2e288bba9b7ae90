"""A fake Qdrant server: its REST interface over real HTTP, on Qdrant's engine in this process.

In a test: `with FakeQdrantServer(api_key="k") as server: … server.url`. Any number of threads and processes may use it
at once; requests are answered one after the other. `stop` takes it away in mid-sentence, as a power cut does, and
`start` brings it back on the same port with what it held. `python -m` makes it a process of its own.
"""

import argparse
import asyncio
import re
import signal
import threading
from collections import deque
from types import TracebackType
from typing import Self, cast
from urllib.parse import unquote

import httptools

from tests.fakes.qdrant_engine import Answer, FakeEngine

_OPEN_TO_ALL = ("/", "/healthz", "/livez", "/readyz")
_READING = ("/points/query", "/points/query/batch", "/facet", "/points/count", "/points/scroll", "/points")
_WORDS = re.compile(rb'"indices":\[[^]]*\],"values":\[[^]]*\]')


class QdrantProtocol(asyncio.Protocol):
    """One connection: parses requests and writes answers, one at a time."""

    transport: asyncio.Transport

    def __init__(self, server: "FakeQdrantServer") -> None:
        self.server = server
        self.parser = httptools.HttpRequestParser(self)

    # The parser's callbacks, by httptools' names.
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()

    def on_message_begin(self) -> None:
        self.target, self.body, self.headers = b"", bytearray(), dict[str, str]()

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        path = unquote(self.target.split(b"?")[0].decode())
        method = self.parser.get_method().decode()
        status, body = self.server.answer(method, path, self.headers, bytes(self.body))
        kind = "application/json" if body[:1] in (b"{", b"[") else "text/plain"
        head = f"HTTP/1.1 {status} .\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)
        if not self.parser.should_keep_alive():
            self.transport.close()


class FakeQdrantServer:
    """The fake on a thread of this process; a context manager.

    *url* is what a client is given; *requests* are the last ones that were answered, as "POST /collections/x/facet".
    One that *remembers* answers a search as it did one with the same vector of meaning, whatever the words: for
    benchmarks, whose questions differ in words that stand in no passage.
    """

    def __init__(
        self, *, api_key: str | None = None, version: str = "1.20.0", port: int = 0, remembers: bool = False
    ) -> None:
        self.api_key, self._engine = api_key, FakeEngine(version=version)
        self._port = port
        self._thread: threading.Thread | None = None
        self.connections = set[QdrantProtocol]()
        self.requests = deque[str](maxlen=1000)
        self._slipped: dict[str, tuple[str, str, bytes]] = {}
        self._remembered: dict[tuple[str, bytes], Answer] | None = {} if remembers else None

    @property
    def url(self) -> str:
        assert self._port, "not started yet"
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen, if it does not: on a free port the first time, on the same one afterwards."""
        if self._thread and self._thread.is_alive():
            return
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="fake-qdrant", daemon=True)
        self._thread.start()
        assert self._ready.wait(10), "the fake Qdrant server did not start"

    def stop(self) -> None:
        """Refuse connections and break off those that are open; nothing that was written is lost."""
        self._loop.call_soon_threadsafe(self._stop.set)
        assert self._thread
        self._thread.join(timeout=10)

    def slip_in(self, before: str, method: str, path: str, body: bytes) -> None:
        """Do another request right before the next one like *before*, as when another process is quicker."""
        self._slipped[before] = method, path, body

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._thread and self._thread.is_alive():
            self.stop()
        self._engine.close()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """The HTTP status and body for a request; called on the server's thread alone."""
        self.requests.append(f"{method} {path}")
        if slipped := self._slipped.pop(self.requests[-1], None):
            self._engine.answer(*slipped)
        if refusal := self._refusal(path, headers):
            return refusal
        if path in _OPEN_TO_ALL[1:]:
            return 200, b"healthz check passed"
        return (
            self._engine.answer(method, path, body) if self._remembered is None else self._recalled(method, path, body)
        )

    def _recalled(self, method: str, path: str, body: bytes) -> Answer:
        """The answer of a search with the same vector of meaning, if nothing was written since."""
        assert self._remembered is not None
        if not (method == "POST" and path.endswith(_READING)):
            self._remembered.clear()
            return self._engine.answer(method, path, body)
        key = path, _WORDS.sub(b"", body)
        if key not in self._remembered:
            self._remembered[key] = self._engine.answer(method, path, body)
        return self._remembered[key]

    def _refusal(self, path: str, headers: dict[str, str]) -> Answer | None:
        if self.api_key is None or path in _OPEN_TO_ALL:
            return None
        given = headers.get("api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if not given:
            return 401, b"Must provide an API key or an Authorization bearer token"
        return None if given == self.api_key else (401, b"Invalid API key or JWT")

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await self._loop.create_server(lambda: QdrantProtocol(self), "127.0.0.1", self._port, backlog=512)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for connection in list(self.connections):
            connection.transport.abort()
        await server.wait_closed()


def main() -> None:
    """Serve in a process of its own until a signal, so that a benchmark does not count it; prints the address."""
    parser = argparse.ArgumentParser(description="A fake Qdrant server.")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one; the address is printed")
    parser.add_argument("--api-key", default=None)
    parser.add_argument("--remembers", action="store_true", help="cheap answers to searches it has seen")
    args = parser.parse_args()
    server = FakeQdrantServer(api_key=args.api_key, port=args.port, remembers=args.remembers)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with server:
        print(server.url, flush=True)
        stopped.wait()


if __name__ == "__main__":
    main()
