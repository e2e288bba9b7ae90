"""A port of this machine that leads to a server, and passes on no more of what that sends than is wanted.

For drivers whose sockets are not ours: libpq makes room for as much as a server announces, such as a row of a gigabyte.
"""

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_PIECE_BYTES = 65_536
_UNREAD_BYTES = 1_000_000  # the kernel would keep 33 MB of what is sent faster than it is read


@dataclass(slots=True)
class BoundedRelay:
    """What connects to `port` is connected to the server at *address*, which may send `left_bytes` more, over all
    connections: then they are cut."""

    address: tuple[str, int]
    timeout_s: float  # to connect to it
    left_bytes: int
    port: int = 0

    @contextmanager
    def open(self) -> Iterator[None]:
        """Within it, it is there."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = listening.getsockname()[1]
            threading.Thread(target=self._accept, args=(listening,), daemon=True).start()
            try:
                yield
            finally:
                with suppress(OSError):
                    listening.shutdown(socket.SHUT_RDWR)  # what waits there would not hear that it is closed

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listening.accept()
                threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        with near, suppress(OSError), socket.create_connection(self.address, self.timeout_s) as far:
            far.settimeout(None)
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UNREAD_BYTES)
            with selectors.DefaultSelector() as selector:
                for one, other in ((near, far), (far, near)):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    selector.register(one, selectors.EVENT_READ, (one, other))
                while all(self._pass_on(*key.data, is_counted=key.fileobj is far) for key, _ in selector.select()):
                    pass

    def _pass_on(self, source: socket.socket, target: socket.socket, *, is_counted: bool) -> bool:
        """Whether there may be more."""
        data = source.recv(_PIECE_BYTES)
        if is_counted:
            self.left_bytes -= len(data)
        if not data or self.left_bytes < 0:
            return False
        target.sendall(data)
        return True
