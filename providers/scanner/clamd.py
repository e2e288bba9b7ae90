"""ClamAV's daemon, asked over its socket: INSTREAM for a file, PING for a sign of life.

Source: https://docs.clamav.net/manual/Usage/Scanning.html#clamd, and the manual page clamd(8)
"""

import re
import socket
import struct
import time
from urllib.parse import urlsplit

from utils.errors import ScannerUnavailable, UnreadableDocument

_CHUNK_BYTES = 262_144
_LONGEST_REPLY = 4096
_CONNECT_S = 5.0
_FOUND = re.compile(r"stream: (?P<signature>[^\r\n]{1,200}) FOUND")
_TOO_LARGE = "It is larger than the malware scanner takes: split it, or raise StreamMaxLength of clamd."


class Clamd:
    """`MalwareScanner` at *address*: unix:///path or tcp://host:port. Each call has a connection of its own.

    *timeout_s*: of a whole scan.
    """

    def __init__(self, address: str, *, timeout_s: float = 120.0) -> None:
        self._address, self._timeout_s = urlsplit(address), timeout_s

    def scan(self, data: bytes) -> str | None:
        """See `MalwareScanner`."""
        reply = self._ask(b"zINSTREAM\0", data)
        if reply == "stream: OK":
            return None
        if match := _FOUND.fullmatch(reply):
            return match["signature"]
        if "size limit exceeded" in reply:
            raise UnreadableDocument(_TOO_LARGE)
        raise ScannerUnavailable("The malware scanner answers with an error. See the log of clamd.")

    def ping(self) -> None:
        """Return if it answers.

        Raises:
            ScannerUnavailable: it does not.
        """
        if self._ask(b"zPING\0", None) != "PONG":
            raise ScannerUnavailable("CLAMD_ADDRESS: what answers there is no clamd.")

    def _ask(self, command: bytes, data: bytes | None) -> str:
        deadline_s = time.monotonic() + self._timeout_s
        try:
            with self._connect() as connection:
                connection.sendall(command)
                if data is not None:
                    self._send(connection, data, deadline_s)
                return self._reply(connection, deadline_s)
        except OSError as exc:
            reason = exc.strerror or type(exc).__name__
            raise ScannerUnavailable(f"CLAMD_ADDRESS: the malware scanner does not answer: {reason}.") from exc

    def _connect(self) -> socket.socket:
        if self._address.scheme == "tcp":
            return socket.create_connection((self._address.hostname, self._address.port), timeout=_CONNECT_S)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_CONNECT_S)
            connection.connect(self._address.path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _send(self, connection: socket.socket, data: bytes, deadline_s: float) -> None:
        """In chunks, each after its length in four bytes; one of no length ends them."""
        view = memoryview(data)
        try:
            for start in range(0, len(data), _CHUNK_BYTES):
                chunk = view[start : start + _CHUNK_BYTES]
                _wait_until(connection, deadline_s)
                connection.sendall(struct.pack("!L", len(chunk)))
                connection.sendall(chunk)
            connection.sendall(struct.pack("!L", 0))
        except (BrokenPipeError, ConnectionResetError):
            return  # it has heard enough, and says why: the file is larger than it takes

    def _reply(self, connection: socket.socket, deadline_s: float) -> str:
        reply = b""
        while not reply.endswith(b"\0") and len(reply) < _LONGEST_REPLY:
            _wait_until(connection, deadline_s)
            piece = connection.recv(_LONGEST_REPLY)
            if not piece:
                break
            reply += piece
        return reply.rstrip(b"\0\r\n").decode("utf-8", "replace")


def _wait_until(connection: socket.socket, deadline_s: float) -> None:
    connection.settimeout(max(0.001, deadline_s - time.monotonic()))
