"""uvicorn's HTTP/1.1, with an end to everything a client may leave open: heads, pipelines, answers it does not read.

A proxy in front has such limits as well, but a service must not depend on one. Bodies are for `server/request_body.py`.
"""

import asyncio
import json
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote
from uuid import uuid4

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.security_headers import CAREFUL
from utils.errors import make_problem_document, make_refusal

logger = logging.getLogger("app")
_LINGER_S = 1.0  # a refused client is let finish its sentence: closing at once would reset the answer away
_MIN_PROGRESS_BYTES = 32_768
_KEEP_ALIVE_PROBES = 3
_OWN_FILES = 1000
_LONGEST_INSTANCE = 200
SURPLUS, DISCONNECT, PAUSES = "pustaka.surplus", "pustaka.disconnect", "pustaka.pauses"  # in the scope of a request


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection, and all of a process, may take.

    Args:
        head_bytes: of a request's first line and headers, and again of its trailers; 431 beyond.
        head_s: from the connection, or a head's first byte, to the head's end; 408 beyond.
        pipelined: requests that wait for the answer before theirs; a client that sends more is dropped.
        unread_s: seconds in which a client that has an answer to read must take 32 KB of it; dropped otherwise. One
            whose machine is gone is noticed in the same time where there is something to send, else in twice that.
            An answer that is played as it comes may have more, see `AsyncStream`.
        connections: of one process. A further one is served its probes; other requests get 503 and its end.
        spare_connections: that many of those; what comes beyond is closed at once.
    """

    head_bytes: int = 32_768
    head_s: float = 10.0
    pipelined: int = 100
    unread_s: float = 30.0
    connections: int = 10_000
    spare_connections: int = 100

    @property
    def open_files(self) -> int:
        """What a process needs at most: for these, and for its own connections, files and libraries."""
        return self.connections + self.spare_connections + _OWN_FILES


class DisconnectSignal:
    """Whether the client of a connection has left, and a call for the moment it does."""

    __slots__ = ("call", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self.call: Callable[[], None] | None = None

    def set(self) -> None:
        """The client leaves."""
        self.is_set = True
        if self.call is not None:
            self.call()


def drop_upgrade_warnings(record: logging.LogRecord) -> bool:
    """A filter of uvicorn's log: clients offer upgrades by the way, such as `h2c`; ignoring the offer is no news."""
    return record.msg != "Unsupported upgrade request." and not str(record.msg).startswith("No supported WebSocket")


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, limits: ConnectionLimits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._unconsumed_bytes = 0  # since the parser last had something to say: heads and trailers, while they grow
        self._in_body = self._is_surplus = self._is_refused = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self._disconnect = DisconnectSignal()
        self._unread_s = limits.unread_s

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """A client has connected; it has to say something soon."""
        super().connection_made(transport)
        _watch_connection(transport, self._unread_s)
        surplus = len(self.connections) - self._limits.connections
        self._is_surplus = surplus > 0
        if surplus > self._limits.spare_connections:
            transport.abort()
        else:
            self._head_timer = self.loop.call_later(self._limits.head_s, self._refuse_late_head)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended, whoever wanted it."""
        super().connection_lost(exc)
        self._disconnect.set()
        for timer in (self._head_timer, self._unread_timer, self.timeout_keep_alive_task):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse what has come, and see that a head comes to its end."""
        if self._is_refused or self.parser is None:
            return
        self._unconsumed_bytes += len(data)
        super().data_received(data)
        if not self._unconsumed_bytes or self._is_refused:
            return
        if self._unconsumed_bytes > self._limits.head_bytes:
            self._refuse(431, "Send fewer or shorter headers.")
        elif self._head_timer is None and not self._in_body:
            self._head_timer = self.loop.call_later(self._limits.head_s, self._refuse_late_head)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if len(self.pipeline) >= self._limits.pipelined:
            self.transport.abort()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; not a trailer, which says nothing of who sent the request and what it is (RFC 9110, 6.5.1)."""
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The end of a head: the request starts."""
        self._unconsumed_bytes, self._in_body = 0, True
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if len(self.url) + sum([len(name) + len(value) + 4 for name, value in self.headers]) > self._limits.head_bytes:
            self._refuse(431, "Send fewer or shorter headers.")
        if self._is_refused or self.transport.is_closing():
            return
        extras = cast("dict[str, Any]", self.scope)
        extras[DISCONNECT], extras[PAUSES] = self._disconnect, self._allow_pauses
        if self._is_surplus:
            extras[SURPLUS] = True
        if self.cycle is None or self.cycle.response_complete:
            self._limit_pauses(self._limits.unread_s)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._unconsumed_bytes = 0
        if not self._is_refused and self.cycle is not None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        self._unconsumed_bytes, self._in_body = 0, False
        if not self._is_refused and self.cycle is not None:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """The end of an answer, which the client may not have read yet: its pauses are allowed until the next one."""
        has_next = bool(self.pipeline)
        super().on_response_complete()
        if self.transport.is_closing():
            if self.transport.get_write_buffer_size():
                self._expect_reading()
        elif has_next:
            self._limit_pauses(self._limits.unread_s)

    def pause_writing(self) -> None:
        """64 KB wait for the client to read."""
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """It has read."""
        super().resume_writing()
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def timeout_keep_alive_handler(self) -> None:
        """No request has come for long; what it has not read of the last answer it never will."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        self._refuse(400, "This is not a valid HTTP/1.1 request.")

    def _refuse_late_head(self) -> None:
        self._head_timer = None
        if self.flow.read_paused:  # it waits for us, not we for it
            self._head_timer = self.loop.call_later(self._limits.head_s, self._refuse_late_head)
        elif self._unconsumed_bytes:
            self._refuse(408, f"Send the whole head of a request within {self._limits.head_s:g} seconds.")
        else:
            self.transport.close()

    def _refuse(self, status: int, detail: str) -> None:
        """Answer, unless another answer is under way, which this one would end up in the middle of; and hang up."""
        if self._is_refused:
            return
        self._is_refused = True
        current = self.cycle if self.cycle is not None and not self.cycle.response_complete else None
        if current is not None and (current.response_started or self.pipeline or not self._in_body):
            self.transport.close()
            return
        if current is not None:  # it goes no further: its body cannot be read
            current.disconnected = True
            current.message_event.set()
            self._disconnect.set()
        self.transport.write(_make_problem(status, detail, instance=_read_path(getattr(self, "url", b""))))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.abort)

    def _expect_reading(self) -> None:
        if self._unread_timer is None:
            waiting_bytes = self.transport.get_write_buffer_size()
            wait = partial(self._check_reading, waiting_bytes)
            self._unread_timer = self.loop.call_later(self._unread_s, wait)

    def _allow_pauses(self, longest_s: float) -> None:
        """Let the client of this answer stop reading for so long; it may be playing what it has read."""
        if not self.transport.is_closing():
            self._limit_pauses(max(longest_s, self._limits.unread_s))

    def _limit_pauses(self, longest_s: float) -> None:
        if longest_s != self._unread_s:
            self._unread_s = longest_s
            _watch_connection(self.transport, longest_s)

    def _check_reading(self, waited_bytes: int) -> None:
        self._unread_timer = None
        waiting_bytes = self.transport.get_write_buffer_size()
        if waiting_bytes and waited_bytes - waiting_bytes < min(_MIN_PROGRESS_BYTES, waited_bytes):
            self.logger.info("A client does not read its response; closing the connection.")
            self.transport.abort()
        elif waiting_bytes:
            self._expect_reading()


def _watch_connection(transport: asyncio.Transport, limit_s: float) -> None:
    """Let the kernel find out that the other machine is gone, or does not read, within about *limit_s*."""
    connection: socket.socket = transport.get_extra_info("socket")
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        tcp, probe_s = socket.IPPROTO_TCP, max(1, int(limit_s / _KEEP_ALIVE_PROBES))
        connection.setsockopt(tcp, socket.TCP_KEEPIDLE, max(1, int(limit_s)))
        connection.setsockopt(tcp, socket.TCP_KEEPINTVL, probe_s)
        connection.setsockopt(tcp, socket.TCP_KEEPCNT, _KEEP_ALIVE_PROBES)
        connection.setsockopt(tcp, socket.TCP_USER_TIMEOUT, int(limit_s * 1000))


def _read_path(url: bytes) -> str:
    """The path of a request as far as it was read, "" where that is no path; without the query, which may be secret."""
    path = url.partition(b"?")[0][:_LONGEST_INSTANCE].decode("latin-1")
    return quote(path, safe="/%") if path.startswith("/") else ""


def _make_problem(status: int, detail: str, *, instance: str) -> bytes:
    """A whole response with a problem document (RFC 9457): there is no request yet that the app could answer."""
    this_id = str(uuid4())
    body = json.dumps(make_problem_document(make_refusal(status, detail), instance=instance, request_id=this_id))
    logger.info("Request refused", extra={"status": status, "request_id": this_id})
    headers = {"content-type": "application/problem+json", "content-length": str(len(body)), "x-request-id": this_id}
    lines = [f"{name}: {value}" for name, value in {**headers, **CAREFUL, "connection": "close"}.items()]
    return "\r\n".join([f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *lines, "", body]).encode()
