"""Accepting connections from a socket that several workers listen on."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

logger = logging.getLogger(__name__)

_PAUSE_S = 0.001
_FAILED_PAUSE_S = 1.0


class Acceptor:
    """Takes one connection at a time, with a moment between two in which another worker may take the next.

    An event loop's own server takes all that wait at once: of 32 clients that came together, one of two workers had up
    to 31, and kept them. Here a worker that is busy comes to the socket less often, and so gets fewer.

    Args:
        listener: bound and listening; closed with this.
        protocol: makes what serves a connection.
        tls: what connections are encrypted by, if they are.
    """

    def __init__(
        self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None = None
    ) -> None:
        self._listener, self._protocol, self._tls = listener, protocol, tls
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._opening: set[asyncio.Task[None]] = set()
        listener.setblocking(False)
        self._watch()

    def close(self) -> None:
        """Accept what waits already, which would be reset otherwise if no other worker listens, and no more."""
        if self._listener.fileno() < 0:
            return
        self._loop.remove_reader(self._listener)
        if self._pause is not None:
            self._pause.cancel()
        with suppress(OSError):
            while self._take():
                pass
        self._listener.close()

    async def wait_closed(self) -> None:
        """Return when every connection that was accepted is served."""
        if self._opening:
            await asyncio.wait(self._opening)

    def _watch(self) -> None:
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            if self._take():
                self._rest(_PAUSE_S)
        except OSError as exc:  # mostly: no more open files
            logger.error("A connection could not be accepted: %s", exc)
            self._rest(_FAILED_PAUSE_S)

    def _take(self) -> bool:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError):
            return False  # another worker was quicker
        except ConnectionAbortedError:
            return True  # the client has left
        opening = self._loop.create_task(self._open(connection))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        return True

    def _rest(self, pause_s: float) -> None:
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(pause_s, self._watch)

    async def _open(self, connection: socket.socket) -> None:
        with suppress(OSError):  # the client has left
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(self._protocol, connection, ssl=self._tls)
