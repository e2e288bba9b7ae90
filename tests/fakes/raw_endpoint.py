"""An endpoint that writes whatever bytes it is told to, over real sockets, until all are written or nobody reads."""

import json
import socket
import socketserver
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

Json = dict[str, Any]


class Answer(Protocol):
    """What it writes to a request with this path and body."""

    def __call__(self, path: str, body: Json, end: threading.Event) -> Iterable[bytes]: ...


class RawEndpoint:
    """`answer` may be changed; `end` is set when it is to stop writing."""

    def __init__(self) -> None:
        self.answer: Answer = lambda path, body, end: []
        self.base_url = ""
        self.end = threading.Event()


@contextmanager
def serve_raw() -> Iterator[RawEndpoint]:
    """One on the loopback."""
    endpoint = RawEndpoint()

    class Handler(socketserver.StreamRequestHandler):
        timeout = 30

        def handle(self) -> None:
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with suppress(OSError, ValueError):
                path, length = self.rfile.readline().split()[1].decode(), 0
                while line := self.rfile.readline().strip():
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                body = json.loads(self.rfile.read(length) or b"{}")
                for piece in endpoint.answer(path, body, endpoint.end):
                    self.wfile.write(piece)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads, allow_reuse_address, block_on_close = True, True, False

    with Server(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        endpoint.base_url = f"http://127.0.0.1:{listening.server_address[1]}"
        try:
            yield endpoint
        finally:
            endpoint.end.set()
            listening.shutdown()
            thread.join()
