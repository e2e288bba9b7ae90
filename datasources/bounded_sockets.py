"""Sockets that receive no more than is wanted: a server could else fill the memory with one packet without end."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_UNASKED_BYTES = 1_000_000  # outside of `receive_at_most`
_allowance = threading.local()


@contextmanager
def receive_at_most(size_bytes: int) -> Iterator[None]:
    """Within it, this thread receives no more from all of these sockets together: then they raise OSError."""
    before = getattr(_allowance, "bytes", _UNASKED_BYTES)
    _allowance.bytes = size_bytes
    try:
        yield
    finally:
        _allowance.bytes = before


def _count(received: int) -> int:
    _allowance.bytes = getattr(_allowance, "bytes", _UNASKED_BYTES) - received
    if _allowance.bytes < 0:
        raise OSError("The server sends too much.")
    return received


class BoundedSocket(socket.socket):
    """A connection without TLS."""

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int = 0, flags: int = 0) -> int:
        """Receive as `socket.recv_into` does, within the time."""
        return _count(super().recv_into(buffer, nbytes, flags))


class BoundedTlsSocket(ssl.SSLSocket):
    """One with TLS, as an `SSLContext` makes it that has this as its `sslsocket_class`."""

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int | None = None, flags: int = 0) -> int:
        """Receive as `SSLSocket.recv_into` does, within the time."""
        return _count(super().recv_into(buffer, nbytes, flags))


def connect(address: tuple[str, int], timeout_s: float) -> BoundedSocket:
    """A connection to *address*."""
    plain = socket.create_connection(address, timeout_s)
    bounded = BoundedSocket(fileno=plain.detach())
    bounded.settimeout(timeout_s)
    return bounded
