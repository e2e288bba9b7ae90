"""A server that says it is PostgreSQL, and sends without end what a test gives it, when it is asked what a role may."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_ASKED = b"has_table_privilege"
_MAX_BYTES = 300_000_000  # then it ends, where nobody has ended it
_NO_TLS, _CANCEL = 80877103, 80877102


def make_message(kind: bytes, payload: bytes, *, announced_bytes: int | None = None) -> bytes:
    """One of the protocol; *announced_bytes* is what it says that its payload has, if that is not true."""
    return kind + struct.pack(">I", (len(payload) if announced_bytes is None else announced_bytes) + 4) + payload


_STATUS = [(b"server_version", b"16.0"), (b"client_encoding", b"UTF8"), (b"is_superuser", b"off")]
_READY, _IN_TRANSACTION = make_message(b"Z", b"I"), make_message(b"Z", b"T")
_GREETING = (
    make_message(b"R", bytes(4))
    + b"".join(make_message(b"S", name + b"\0" + value + b"\0") for name, value in _STATUS)
    + make_message(b"K", bytes(8))
    + _READY
)
_COLUMN = make_message(b"T", struct.pack(">H", 1) + b"x\0" + struct.pack(">IHIhih", 0, 0, 25, -1, -1, 0))
# What it begins with, and what it goes on with.
LONG_ROW = _COLUMN + make_message(b"D", b"\0\1\x3f\0\0\0", announced_bytes=0x3F000006), b"x" * 100_000
MANY_ROWS = make_message(b"T", b"\0\0"), make_message(b"D", b"\0\0") * 10_000
LONG_NOTICE = make_message(b"N", b"M", announced_bytes=0x3F000000), b"x" * 100_000


@dataclass(slots=True)
class HostilePostgres:
    """`port` is on this machine. It floods at its greeting, or when it is asked."""

    flood: tuple[bytes, bytes]
    greets: bool
    port: int = 0
    sent_bytes: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def serve(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection, suppress(OSError, struct.error):
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        while (code := _receive(connection)[:4]) == struct.pack(">I", _NO_TLS):
            connection.sendall(b"N")
        if code == struct.pack(">I", _CANCEL):
            return
        if not self.greets:
            connection.sendall(make_message(b"R", bytes(4)))
            self._send_without_end(connection)
        connection.sendall(_GREETING)
        while connection.recv(1):
            if _ASKED in _receive(connection):
                self._send_without_end(connection)
            connection.sendall(make_message(b"C", b"SET\0") + _IN_TRANSACTION)

    def _send_without_end(self, connection: socket.socket) -> None:
        first, others = self.flood
        connection.sendall(first)
        while self.sent_bytes < _MAX_BYTES and not self.ended.is_set():
            connection.sendall(others)
            self.sent_bytes += len(others)


@contextmanager
def hostile_postgres(flood: tuple[bytes, bytes], *, greets: bool = True) -> Iterator[HostilePostgres]:
    """Such a server."""
    server = HostilePostgres(flood, greets)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server.port = listening.getsockname()[1]
        threading.Thread(target=server.serve, args=(listening,), daemon=True).start()
        try:
            yield server
        finally:
            server.ended.set()


def _receive(connection: socket.socket) -> bytes:
    (size,) = struct.unpack(">I", connection.recv(4, socket.MSG_WAITALL))
    return connection.recv(size - 4, socket.MSG_WAITALL)
