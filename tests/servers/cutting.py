"""A proxy before a Redis that cuts connections where it is told to: before, within or after a command."""

import re
import select
import socket
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self

Cut = Literal["before", "within", "after", "held"]
_COMMAND = re.compile(rb"\*\d+\r\n\$\d+\r\n(\w+)\r\n")
_GREETINGS = (b"CLIENT", b"HELLO", b"AUTH", b"SELECT")
_CHUNK = 1 << 20


class CuttingProxy:
    """Passes everything between clients of its unix socket *path* and the Redis at *target*; a context manager.

    Its clients wait for the reply to a command before they send the next one, as ours do.
    """

    def __init__(self, path: Path, target: Path) -> None:
        self.url = f"unix://{path}"
        self._target = str(target)
        self._cuts: deque[Cut | None] = deque()
        self._released = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *cuts: Cut | None) -> None:
        """Treat the next commands so, one each, whoever sends them; None passes one, and so do those that follow.

        The connection is closed "before" the server has seen anything of the command, "within" it, or "after" it was
        carried out, with the reply withheld. A reply that is "held" comes with `release`. What a client says to greet
        the server is no command.
        """
        self._released.clear()
        self._cuts = deque(cuts)

    def release(self) -> None:
        """Let the replies come that are held."""
        self._released.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        # `close` alone does not wake a thread that waits in `accept`.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        with client, server, suppress(OSError):
            server.connect(self._target)
            is_answered, cut = True, None
            while True:
                readable, _, _ = select.select([client, server], [], [])
                if server in readable:
                    reply = server.recv(_CHUNK)
                    if not reply or cut == "after":
                        return
                    if cut == "held":
                        self._released.wait(10)
                    client.sendall(reply)
                    is_answered = True
                else:
                    asked = client.recv(_CHUNK)
                    cut = self._next_cut(asked) if is_answered else cut
                    is_answered = False
                    if not asked or cut == "before":
                        return
                    server.sendall(asked[: len(asked) // 2] if cut == "within" else asked)
                    if cut == "within":
                        return

    def _next_cut(self, asked: bytes) -> Cut | None:
        command = _COMMAND.match(asked)
        if command is None or command[1].upper() in _GREETINGS or not self._cuts:
            return None
        return self._cuts.popleft()
