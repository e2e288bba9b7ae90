"""An institution's website: pages with a strict policy, and a style of their own that would spoil a chat."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Acme</title>
<link rel="icon" href="/none"><link rel="stylesheet" href="/style.css"></head>
<body><h1>Acme College</h1><p><a href="/other">Another page</a></p>{comment}
<script src="{api}/widget.js" {attributes}></script></body></html>"""
_STYLE = """* { font-size: 5px !important; letter-spacing: 9px; color: red !important }
button, textarea, details { display: none !important } section { position: static !important }"""


@dataclass
class Website:
    """Where it is, and what its next page has: the address of the service, the attributes of the script, and HTML of
    strangers."""

    url: str = ""
    api: str = ""
    attributes: str = ""
    comment: str = ""

    def render(self) -> str:
        """A page of it."""
        return _PAGE.format(api=self.api, attributes=self.attributes, comment=self.comment)

    @property
    def policy(self) -> str:
        """Nothing but its own style, and the service."""
        own = "default-src 'none'; base-uri 'none'; img-src 'self'; style-src 'self'"
        return f"{own}; script-src {self.api}; connect-src {self.api}"


@contextmanager
def serve_website() -> Iterator[Website]:
    """A website at an origin of its own."""
    site = Website()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_style = self.path == "/style.css"
            body = (_STYLE if is_style else site.render()).encode()
            self.send_response(404 if self.path == "/none" else 200)
            self.send_header("Content-Type", "text/css" if is_style else "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", site.policy)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    site.url = f"http://localhost:{server.server_port}"  # another host than the service's 127.0.0.1
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
