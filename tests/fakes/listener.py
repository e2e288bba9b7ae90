"""An HTTP server that keeps whatever it is sent: LangSmith's ingest and Sentry's, as far as a client of theirs can see.

Wire formats: https://api.smith.langchain.com/redoc (POST /runs/multipart; the parts are `post.<run id>`,
`post.<run id>.inputs`, `patch.<run id>.outputs` …, each JSON); https://develop.sentry.dev/sdk/data-model/envelopes/.
"""

import gzip
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any, Self

from werkzeug.formparser import parse_form_data


@dataclass(frozen=True, slots=True)
class Received:
    """One request, its body without compression."""

    path: str
    headers: Message
    body: bytes

    def parts(self) -> dict[str, bytes]:
        """The parts of a multipart body by their names."""
        environ = {"wsgi.input": BytesIO(self.body), "CONTENT_LENGTH": str(len(self.body)), "REQUEST_METHOD": "POST"}
        _, form, files = parse_form_data(environ | {"CONTENT_TYPE": self.headers["Content-Type"]})
        return {name: value.encode() for name, value in form.items()} | {
            name: file.read() for name, file in files.items()
        }

    def events(self) -> list[dict[str, Any]]:
        """The events of an envelope: a line about it, then for each item a line about it and its body."""
        lines = self.body.splitlines()
        items = zip(lines[1::2], lines[2::2], strict=False)
        return [json.loads(body) for head, body in items if json.loads(head)["type"] == "event"]


class Listener:
    """Listens on a free port of 127.0.0.1 for the length of a block; `answers` is the status it gives.

    It may be changed. While `held` it takes requests and does not answer.
    """

    def __init__(self, *, answers: int = 202) -> None:
        self.received: list[Received] = []
        self.answers = answers
        self._free = threading.Event()
        self._free.set()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                listener.received.append(Received(self.path, self.headers, body))
                listener._free.wait()
                with suppress(ConnectionError):  # who asked may have gone meanwhile
                    self.send_response(listener.answers)
                    self.send_header("Content-Length", "2")
                    self.end_headers()
                    self.wfile.write(b"{}")

            do_GET = do_PATCH = do_POST

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self._server.server_port}"

    def hold(self) -> None:
        """Answer nothing from now on."""
        self._free.clear()

    def wait_for(self, condition: Callable[[], object], limit_s: float = 20.0) -> None:
        """Wait until *condition()* holds."""
        deadline = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < deadline, [request.path for request in self.received]
            time.sleep(0.02)  # between two looks

    def everything(self) -> bytes:
        """All bodies in one."""
        return b"\n".join(request.body for request in self.received)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._free.set()
        self._server.shutdown()
        self._server.server_close()
