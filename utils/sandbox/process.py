"""A program in the sandbox: its input, its output, and its end."""

import json
import select
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Literal

from utils.closing import ClosedAtExit

END_S = 10.0
_CHUNK_BYTES = 1 << 18
_LOST = 1  # the exit code of one that nobody can tell the end of

Reason = Literal["time", "memory", "wall", "interrupted", "size", "crash"]
_REASONS: dict[int, Reason] = {
    -signal.SIGXCPU: "time",
    -signal.SIGKILL: "memory",  # nobody else kills one: the system did, for want of memory
    -signal.SIGABRT: "memory",  # as C++ ends when it gets none
    -signal.SIGSYS: "wall",
}


class ProcessEnded(Exception):
    """A process in the sandbox ended, or had to be, before it had answered; `reason` says why as far as it is known.

    "wall": it made a system call that nothing that reads a file has any use for; the kernel's log tells which, in a
    line with `type=1326`. "size": it answered more than allowed. "interrupted": by `SandboxedProcess.kill`.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason


class SandboxedProcess(ClosedAtExit):
    """A process with walls around it. For one thread; `kill` is for all. What reads and writes raises `ProcessEnded`.

    A deadline is a moment of `time.monotonic`: a process that lets it pass is ended.
    """

    def __init__(self, connection: socket.socket, lifeline: socket.socket, errors: socket.socket | None = None) -> None:
        self._connection, self._lifeline, self._errors = connection, lifeline, errors
        self._received = bytearray()
        self._exit_code: int | None = None
        self._is_killed = False

    def write(self, data: bytes, deadline: float) -> None:
        """Send *data*."""
        try:
            self._connection.settimeout(_compute_seconds_left(deadline))
            self._connection.sendall(data)
        except TimeoutError:
            raise self._end("time", "it did not take its file in") from None
        except OSError:
            raise self._make_process_ended() from None

    def write_request(self, header: Mapping[str, object], data: bytes, deadline: float) -> None:
        """Send *header* as a line of JSON, then *data*."""
        self.write(json.dumps(header).encode() + b"\n" + data, deadline)

    def is_alive(self) -> bool:
        """Whether it has not ended yet, as far as is known."""
        return not select.select([self._lifeline], [], [], 0)[0]

    def finish_writing(self) -> None:
        """Let the process see the end of what it reads."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def read_line(self, max_bytes: int, deadline: float) -> bytes:
        """The next line, without its end."""
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            self._receive_more(max_bytes, deadline)
        return self._take(end + 1)[:-1]

    def read(self, count: int, deadline: float) -> bytes:
        """The next *count* bytes."""
        while len(self._received) < count:
            self._receive_more(count, deadline)
        return self._take(count)

    def read_to_end(self, max_bytes: int, deadline: float) -> bytes:
        """All that it writes until it ends."""
        while received := self._receive(self._connection, deadline):
            self._received += received
            self._check_size(max_bytes)
        return self._take(len(self._received))

    def read_errors(self, max_bytes: int, deadline: float) -> bytes:
        """The first *max_bytes* that a program has written to its standard error, once it has ended."""
        complaints = bytearray()
        while self._errors and len(complaints) < max_bytes and (received := self._receive(self._errors, deadline)):
            complaints += received
        return bytes(complaints[:max_bytes])

    def kill(self) -> None:
        """End it, from any thread: whoever waits for it gets `ProcessEnded`. Once more is no error."""
        self._is_killed = True
        with suppress(OSError):
            self._lifeline.shutdown(socket.SHUT_WR)

    def exit_code(self) -> int:
        """Its exit code, negative for a signal, once it has ended; it gets a moment for that."""
        if self._exit_code is None:
            self._exit_code = self._await_end()
        return self._exit_code

    def close(self) -> None:
        """End it, and wait until it is no more."""
        if self._lifeline.fileno() < 0:
            return
        self.kill()
        self.exit_code()
        for end in filter(None, (self._connection, self._lifeline, self._errors)):
            end.close()

    def _receive_more(self, max_bytes: int, deadline: float) -> None:
        received = self._receive(self._connection, deadline)
        if not received:
            raise self._make_process_ended()
        self._received += received
        self._check_size(max_bytes + _CHUNK_BYTES)  # what follows an answer may have come along

    def _receive(self, source: socket.socket, deadline: float) -> bytes:
        """What there is; nothing at its end."""
        try:
            source.settimeout(_compute_seconds_left(deadline))
            return source.recv(_CHUNK_BYTES)
        except TimeoutError:
            raise self._end("time", "it did not answer in time") from None
        except OSError:
            return b""

    def _check_size(self, max_bytes: int) -> None:
        if len(self._received) > max_bytes:
            raise self._end("size", f"it answered more than {max_bytes:,} bytes")

    def _take(self, count: int) -> bytes:
        data = bytes(self._received[:count])
        del self._received[:count]
        return data

    def _end(self, reason: Reason, detail: str) -> ProcessEnded:
        self.kill()
        return ProcessEnded(reason, detail)

    def _make_process_ended(self) -> ProcessEnded:
        """Why it is no more, or has closed its connection, which comes to the same."""
        was_killed, code = self._is_killed, self.exit_code()
        if was_killed:
            return ProcessEnded("interrupted", "it was ended")
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return ProcessEnded(_REASONS.get(code, "crash"), name)

    def _await_end(self) -> int:
        self._lifeline.settimeout(END_S)
        try:
            return int(self._lifeline.recv(64) or _LOST)
        except TimeoutError:  # it goes on, although nobody can hear it
            self.kill()
        except OSError:
            pass
        return _LOST


def _compute_seconds_left(deadline: float) -> float:
    """Seconds until then; 0 would mean not to wait at all, and to fail in another way."""
    return max(0.001, deadline - time.monotonic())
