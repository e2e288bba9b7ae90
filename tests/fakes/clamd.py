"""A scanner that speaks clamd's wire format over a real socket: INSTREAM and PING, with commands that end with NUL.

Wire format: the manual page clamd(8). It knows one malware, the test file of EICAR, which is none.
"""

import contextlib
import socket
import socketserver
import struct
import threading
from pathlib import Path
from typing import Self

# In parts: scanners on a developer's machine would take this file away.
EICAR = b"".join((b"X5O!P%@AP[4\\PZX54(P^)7CC)7}", b"$EICAR-STANDARD-", b"ANTIVIRUS-TEST-FILE!", b"$H+H*"))
SIGNATURE = "Eicar-Test-Signature"


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        clamd: FakeClamd = self.server.clamd  # type: ignore[attr-defined]
        with contextlib.suppress(ConnectionError):
            command = self._until_nul()
            if clamd.reply is not None:
                self.wfile.write(clamd.reply)
            elif command == b"zPING":
                self.wfile.write(b"PONG\0")
            elif command == b"zINSTREAM":
                self.wfile.write(self._scan(clamd))

    def _until_nul(self) -> bytes:
        command = b""
        while (byte := self.rfile.read(1)) not in (b"", b"\0"):
            command += byte
        return command

    def _scan(self, clamd: "FakeClamd") -> bytes:
        data = b""
        while size := struct.unpack("!L", self.rfile.read(4))[0]:
            data += self.rfile.read(size)
            if len(data) > clamd.max_bytes:
                return b"INSTREAM size limit exceeded. ERROR\0"
        clamd.scanned.append(data)
        return f"stream: {SIGNATURE} FOUND\0".encode() if EICAR in data else b"stream: OK\0"


class FakeClamd:
    """Listens for the length of a block on the socket *path*, or on a port of 127.0.0.1, which stays the same.

    `scanned` is what it has looked at, `reply` what it says to everything where it is set, `max_bytes` its
    StreamMaxLength.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.scanned: list[bytes] = []
        self.reply: bytes | None = None
        self.max_bytes = 100_000_000
        self._path, self._port = path, 0
        self._server: socketserver.BaseServer | None = None

    @property
    def address(self) -> str:
        """What CLAMD_ADDRESS is to be."""
        return f"unix://{self._path}" if self._path else f"tcp://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen; again after `stop`."""
        if self._path:
            self._path.unlink(missing_ok=True)
            self._server = socketserver.ThreadingUnixStreamServer(str(self._path), _Handler)
        else:
            socketserver.ThreadingTCPServer.allow_reuse_address = True
            server = socketserver.ThreadingTCPServer(("127.0.0.1", self._port), _Handler)
            self._port, self._server = server.server_address[1], server
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self._server.clamd = self  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """Go away."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop()


def closed_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
