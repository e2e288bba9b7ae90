"""The port Prometheus asks: served by every process, from a thread of its own, for all of them.

They listen on it together (SO_REUSEPORT, socket(7)): the kernel gives each scrape to one of those that live, so nobody
has to take over from a process that dies, and one whose event loop hangs still answers.
"""

import socket
import threading
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.registry import Collector

_SCRAPES_AT_ONCE = 4
_PATIENCE_S = 5.0  # for a client that connects and says nothing


class Exposition:
    """Serves what *source* collects to whoever connects to *listener*, until it is closed."""

    def __init__(self, source: Collector, listener: socket.socket) -> None:
        registry = CollectorRegistry()
        registry.register(source)
        self._server = _MetricsServer(listener)
        self._server.set_app(make_wsgi_app(registry))
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Stop listening. Blocking, for half a second at most."""
        self._server.shutdown()
        self._server.server_close()


class _MetricsServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket) -> None:
        host, port = listener.getsockname()[:2]
        super().__init__((host, port), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = host, port
        self.setup_environ()
        self._free = threading.BoundedSemaphore(_SCRAPES_AT_ONCE)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._free.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is no error of ours; wsgiref has told of any other."""


class _Handler(WSGIRequestHandler):
    timeout = _PATIENCE_S

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: scrapes come every few seconds."""
