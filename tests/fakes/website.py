"""A site of our own: a real HTTP server on a loopback address, whose pages a test writes and changes."""

import gzip
import hashlib
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.service import free_port


@dataclass
class Page:
    """What the server says at one path; `body` as it is sent, `drip_s` between each two of its bytes."""

    body: bytes = b""
    media_type: str = "text/html; charset=utf-8"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    drip_s: float = 0.0


@dataclass(frozen=True)
class Request:
    """What somebody asked for."""

    path: str
    headers: dict[str, str]
    at: float
    status: int


def html(title: str, *paragraphs: str, links: tuple[str, ...] = (), head: str = "") -> Page:
    """A page with a menu of *links* and a main text long enough to be one."""
    menu = "".join(f'<li><a href="{link}">go on</a></li>' for link in links)
    text = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    return Page(
        f"<!doctype html><html lang=en><head><title>{title}</title>{head}</head><body><nav><ul>{menu}</ul></nav>"
        f"<main><h1>{title}</h1>{text}</main><footer>All rights reserved.</footer></body></html>".encode()
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A visitor who leaves in the middle is what tests are about, and no error."""


class Website:
    """Serves `pages` by path with its query; whatever is not there is a 404. `requests` are in order."""

    def __init__(self, host: str = "127.0.0.1", port: int | None = None) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[Request] = []
        self.max_at_once = 0
        self.validators = False  # whether replies have an ETag, and answer 304 to it
        self._at_once = 0
        self._lock = threading.Lock()
        self._server = _Server((host, port or free_port()), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its address, without a last slash."""
        return f"http://{self._server.server_address[0]}:{self.port}"

    def asked(self) -> list[str]:
        """The paths that were asked for, but for robots.txt and sitemaps."""
        return [request.path for request in self.requests if not request.path.endswith((".txt", ".xml"))]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with site._lock:
                    site._at_once += 1
                    site.max_at_once = max(site.max_at_once, site._at_once)
                try:
                    site._serve(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True
                finally:
                    with site._lock:
                        site._at_once -= 1

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: a test says what it expects."""

        return Handler

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        page = self.pages.get(handler.path) or Page(b"<h1>Not here</h1>", status=404)
        etag = f'"{hashlib.sha256(page.body).hexdigest()[:16]}"'
        unchanged = self.validators and page.status == 200 and handler.headers.get("If-None-Match") == etag
        status = 304 if unchanged else page.status
        with self._lock:
            self.requests.append(Request(handler.path, dict(handler.headers), time.monotonic(), status))
        handler.send_response(status)
        for name, value in page.headers.items():
            handler.send_header(name, value)
        if self.validators:
            handler.send_header("ETag", etag)
        body = b"" if unchanged else page.body
        if not unchanged:
            handler.send_header("Content-Type", page.media_type)
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if not page.drip_s:
            handler.wfile.write(body)
            return
        for start in range(len(body)):
            handler.wfile.write(body[start : start + 1])
            time.sleep(page.drip_s)  # this is what a slow server does


def packed(body: bytes) -> Page:
    """A page that is sent in gzip."""
    return Page(gzip.compress(body), headers={"Content-Encoding": "gzip"})
