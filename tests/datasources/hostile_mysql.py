"""A server that says it is MySQL, and answers what it is asked to SHOW with whatever a test gives it."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_GREETING = (
    b"\x0a8.0.0\0"
    + struct.pack("<I", 1)
    + b"a" * 8
    + b"\0\x00\xa2\x21\x02\x00\x08\x00\x15"  # neither TLS nor compression
    + b"\0" * 10
    + b"b" * 12
    + b"\0mysql_native_password\0"
)
OK, ASKS_FOR_A_FILE, WITHOUT_END = b"\0\0\0\2\0\0\0", b"\xfb/etc/passwd", b"endless"


def make_error(message: bytes) -> bytes:
    """A packet that says that a command failed."""
    return b"\xff\x28\x04#42000" + message


@contextmanager
def hostile_mysql(answer: bytes, *, pause_s: float = 0.0) -> Iterator[int]:
    """Its port, on this machine. It waits *pause_s* between two bytes of its greeting."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_serve, args=(listening, answer, pause_s, ended), daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            ended.set()


def _serve(listening: socket.socket, answer: bytes, pause_s: float, ended: threading.Event) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listening.accept()
            with connection, suppress(OSError, struct.error):
                if pause_s:
                    _trickle(connection, pause_s, ended)
                _send(connection, 0, _GREETING)
                _receive(connection)
                _send(connection, 2, OK)
                while True:
                    asked = _receive(connection)
                    if answer == WITHOUT_END and b"SHOW" in asked:
                        _send_without_end(connection)
                    _send(connection, 1, answer if b"SHOW" in asked else OK)


def _trickle(connection: socket.socket, pause_s: float, ended: threading.Event) -> None:
    connection.sendall(b"\xff\xff\xff\0")
    while not ended.wait(pause_s):
        connection.sendall(b"x")


def _send_without_end(connection: socket.socket) -> None:
    number = 1
    while True:
        _send(connection, number % 256, b"x" * 0xFFFFFF)
        number += 1


def _send(connection: socket.socket, number: int, payload: bytes) -> None:
    connection.sendall(struct.pack("<I", len(payload) | number << 24) + payload)


def _receive(connection: socket.socket) -> bytes:
    (head,) = struct.unpack("<I", connection.recv(4, socket.MSG_WAITALL))
    return connection.recv(head & 0xFFFFFF, socket.MSG_WAITALL)
