"""A real server for an ASGI application, and connections that send bytes exactly as they are given."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.client import parse_headers
from typing import Any

import uvicorn

from server.asgi import make_uvicorn_options

WAIT_S = 10.0  # never slept through: the most a test waits for what should come at once


class LiveServer(uvicorn.Server):
    """A server that says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self.up.set()

    def serve_until_told(self, listener: socket.socket) -> None:
        """Run; an application that refuses to start ends it at once, with `started` unset."""
        with contextlib.suppress(SystemExit):
            self.run([listener])
        self.up.set()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]  # names in lower case, in order
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next((value for key, value in self.headers if key == name), None)


class Connection(contextlib.ExitStack):
    """A connection that may be pipelined on: what was read too much of one answer is there for the next."""

    def __init__(self, address: "Address") -> None:
        super().__init__()
        self.socket = self.enter_context(socket.create_connection((address.host, address.port), timeout=WAIT_S))
        self._file = self.enter_context(self.socket.makefile("rb"))

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.socket.sendall(data)

    def head(self) -> Answer:
        """The next answer's head, without its body."""
        status = int(self._file.readline().split()[1])
        headers = [(name.lower(), value) for name, value in parse_headers(self._file).items()]
        return Answer(status, headers, b"")

    def chunk(self) -> bytes:
        """The next chunk of a chunked body; empty at its end. `EOFError` if the body breaks off."""
        size = self._file.readline()
        if not size.endswith(b"\r\n"):
            raise EOFError
        return self._exactly(int(size, 16) + 2)[:-2]

    def answer(self) -> Answer:
        """The next whole answer. `EOFError` if it breaks off."""
        answer = self.head()
        if answer.header("transfer-encoding") == "chunked":
            return replace(answer, body=b"".join(iter(self.chunk, b"")))
        return replace(answer, body=self._exactly(int(answer.header("content-length") or 0)))

    def body(self, size_bytes: int) -> bytes:
        """So much of the body whose head was read. `EOFError` if it breaks off."""
        return self._exactly(size_bytes)

    def at_end(self) -> bool:
        """Whether the server has closed the connection; waits for it or for more bytes."""
        return self._file.read(1) == b""

    def _exactly(self, size_bytes: int) -> bytes:
        data = self._file.read(size_bytes)
        if len(data) < size_bytes:
            raise EOFError
        return data


@dataclass(frozen=True)
class Address:
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def ask(self, request: bytes) -> Answer:
        """The answer to *request* on a connection of its own."""
        with Connection(self) as connection:
            connection.send(request)
            return connection.answer()

    def get(self, target: str, *headers: str) -> Answer:
        """The answer to a GET."""
        return self.ask(get(target, *headers))


def get(target: str, *headers: str) -> bytes:
    """A GET request as bytes."""
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: test", *headers, "", ""]).encode("latin-1")


@contextlib.contextmanager
def serving(asgi: Any, *, must_start: bool = True, **options: Any) -> Iterator[Address]:
    """A live server for *asgi*, with the bridge's settings unless *options* of `uvicorn.Config` say otherwise."""
    quiet = {"log_config": None, "log_level": "warning", "access_log": False}  # whatever others here have set
    merged = make_uvicorn_options() | quiet | options
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = LiveServer(uvicorn.Config(asgi, **merged))
        thread = threading.Thread(target=server.serve_until_told, args=(listener,))
        thread.start()
        try:
            assert server.up.wait(WAIT_S)
            assert server.started is must_start
            yield Address(*listener.getsockname())
        finally:
            server.should_exit = True
            thread.join(WAIT_S)
            assert not thread.is_alive()


@dataclass
class Journal:
    """What happened, in order, noted by any thread."""

    entries: list[str] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def note(self, entry: str) -> Any:
        """Add an entry; gives None, for use in a lambda."""
        with self._changed:
            self.entries.append(entry)
            self._changed.notify_all()

    def wait(self, enough: Callable[[list[str]], bool]) -> list[str]:
        """A copy of the entries as soon as they are *enough*, or as they are when time is up."""
        with self._changed:
            self._changed.wait_for(lambda: enough(self.entries), WAIT_S)
            return list(self.entries)

    def wait_for(self, entry: str) -> bool:
        """Whether an entry came in time."""
        return entry in self.wait(lambda entries: entry in entries)

    def take(self) -> list[str]:
        """All entries, which are then forgotten."""
        with self._changed:
            taken, self.entries = self.entries, []
            return taken
