"""A real HTTP server that is told of events, and says of each whether its signature is right.

`answers` are the statuses of its next answers; after those it says 204.
"""

import base64
import hashlib
import hmac
import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.fakes.http_server import HttpServer, QuietHandler


@dataclass(frozen=True, slots=True)
class Received:
    """A message as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def type(self) -> str:
        return str(json.loads(self.body)["type"])

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.body)["data"]
        return data

    def is_signed_with(self, secret: str) -> bool:
        """Whether it is, by the words of the specification, and is not a minute old."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        sent_at = self.headers["webhook-timestamp"]
        signed = f"{self.message_id}.{sent_at}.".encode() + self.body
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return self.headers["webhook-signature"] == f"v1,{expected}" and abs(time.time() - int(sent_at)) < 60


class WebhookReceiver(HttpServer):
    """It on a thread of this process: a context manager."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: deque[int] = deque()
        receiver = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status = receiver.answers.popleft() if receiver.answers else 204
                receiver.received.append(Received(self.path, headers, body))
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

        super().__init__(Handler)

    def at(self, path: str) -> list[Received]:
        """What came to *path*."""
        return [one for one in self.received if one.path == path]
