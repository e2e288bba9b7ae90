"""Connections to public addresses only: what keeps a web source from reaching into the network of the service.

A name is resolved once, every address it stands for is checked, and the connection is made to one that was checked. So
a name server that answers differently the next time gains nothing. Redirects are new requests, and pass here again.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any

import httpcore
from httpcore import SOCKET_OPTION, NetworkBackend, NetworkStream, SyncBackend

from utils.reach import Reach

Resolve = Callable[[str, int], Sequence[str]]

CONNECT_S = 10.0


class NoAddress(Exception):
    """The name leads nowhere, or nobody could say where."""


class DeadlineExceeded(Exception):
    """The time for a request was over before the other side was done."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of *host* as the system's resolver has them; `OSError` if there are none."""
    result = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in result))


@dataclass(slots=True)
class Clock:
    """Until when the present request may go on, and the way to end it before."""

    deadline: float = 0.0
    aborted: bool = False
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, within_s: float) -> None:
        """A request begins that may take so long, from its connection to the end of its body."""
        self.deadline = time.monotonic() + within_s

    def limit(self, max_s: float | None) -> float:
        """Seconds the next step may take: *max_s*, or what is left if that is less.

        Raises:
            TookTooLong: nothing is left.
        """
        remaining = self.deadline - time.monotonic()
        if remaining <= 0 or self.aborted:
            raise DeadlineExceeded
        return remaining if max_s is None else min(remaining, max_s)

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return self.aborted or time.monotonic() >= self.deadline

    def keep(self, connection: socket.socket) -> None:
        """A connection that `abort` is to end."""
        with self._lock:
            self._open.add(connection)

    def release(self, connection: socket.socket) -> None:
        """It is closed."""
        with self._lock:
            self._open.discard(connection)

    def abort(self) -> None:
        """End what is under way in another thread, and what would come after it: every step fails from now on."""
        self.aborted = True
        with self._lock:
            for connection in self._open:
                with suppress(OSError):  # it is closed already
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)  # of TLS too, which must not be touched here


class GuardedBackend(NetworkBackend):
    """What httpcore makes connections with: to checked addresses, within the time of *clock*."""

    def __init__(self, reach: Reach, clock: Clock, resolver: Resolve = resolve) -> None:
        self._reach, self._clock, self._resolver = reach, clock, resolver
        self._plain = SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> NetworkStream:
        """A connection to one of the addresses of *host*, in the order they were given.

        Raises:
            AddressRefused: one of them is not allowed.
            NoAddress: there is none.
        """
        try:
            addresses = self._resolver(host.strip("[]"), port)
        except (OSError, UnicodeError) as exc:
            raise NoAddress from exc
        for address in addresses:
            self._reach.check(address, port)
        failure: Exception = NoAddress()
        for address in addresses:
            try:
                within_s = self._clock.limit(CONNECT_S if timeout is None else timeout)
                return _GuardedStream(self._plain.connect_tcp(address, port, within_s), self._clock)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
        raise failure


class _GuardedStream(NetworkStream):
    """A connection whose every step ends with the time of the request."""

    def __init__(self, stream: NetworkStream, clock: Clock) -> None:
        self._stream, self._clock = stream, clock
        self._socket: socket.socket = stream.get_extra_info("socket")
        clock.keep(self._socket)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._clock.limit(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._clock.limit(timeout))

    def close(self) -> None:
        self._clock.release(self._socket)
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> NetworkStream:
        self._clock.release(self._socket)
        return _GuardedStream(
            self._stream.start_tls(ssl_context, server_hostname, self._clock.limit(timeout)), self._clock
        )

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
