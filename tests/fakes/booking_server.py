"""A real HTTP service with a side effect: it books rooms, and counts what it has done by idempotency key.

    POST /bookings   {"room", "day"} with Idempotency-Key: books once for each key     GET /weather?city=…
    GET  /huge       10 MB            GET /never   does not answer

`effects` maps each key to how often it came about, which must be once; `tries` counts the requests of each key.
"""

import json
import threading
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.http_server import HttpServer, QuietHandler


class BookingServer(HttpServer):
    """It on a thread of this process: a context manager. While `answers` is cleared it books, and does not say so."""

    def __init__(self) -> None:
        self.effects: Counter[str] = Counter()
        self.tries: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.answers = threading.Event()
        self.answers.set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        server = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.book(self.headers["Idempotency-Key"], body)
                server.answers.wait(30)
                self._say(f"Room {body['room']} is booked on {body['day']}.".encode())

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/never":
                    server._ended.wait(60)
                elif parts.path == "/huge":
                    self._say(b"A long text. " * 800_000)
                else:
                    city = parse_qs(parts.query)["city"][0]
                    self._say(f"It is 31 degrees in {city} now.".encode())

            def _say(self, text: bytes) -> None:
                try:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)
                except OSError:
                    pass  # whoever asked was killed

        super().__init__(Handler)

    def book(self, key: str, body: dict[str, Any]) -> None:
        """Book, unless that was done under this key."""
        with self._lock:
            self.tries[key] += 1
            if key not in self.effects:
                self.effects[key] += 1
                self.bodies.append(body)

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.answers.set()
        super().__exit__()
