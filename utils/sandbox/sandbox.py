"""Starts processes that read strangers' files, one for each, and talks with them: bytes in and out, by a deadline."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Literal

from utils.closing import ClosedAtExit
from utils.errors import NotReady
from utils.sandbox.jobs import SandboxJob
from utils.sandbox.walls import Wall, WallReport

_ROOT = Path(__file__).parents[2]
# Nothing of our configuration: its keys are none of a file's business. Each heap of a thread takes 64 MB of the limit.
_ENVIRONMENT = {"PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"}
_START_S = 60.0  # imports on a machine that does other things too
_END_S = 10.0
_READY_BYTES = 65_536
_CHUNK_BYTES = 1 << 18
_LOST = 1  # the exit code of one that nobody can tell the end of
NO_SUCH_PROGRAM = 127  # the exit code of one that was to become a program that is not there, as shells say it
_UNUSABLE = "Files cannot be read at present: no process for them can be started ({})."
_LOOK = SandboxJob(serve="utils.sandbox.probe:register_metric_sources", memory_bytes=1_000_000_000, cpu_s=10)

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

    def read_line(self, most_bytes: int, deadline: float) -> bytes:
        """The next line, without its end."""
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            self._receive_more(most_bytes, deadline)
        return self._take(end + 1)[:-1]

    def read(self, count: int, deadline: float) -> bytes:
        """The next *count* bytes."""
        while len(self._received) < count:
            self._receive_more(count, deadline)
        return self._take(count)

    def read_to_end(self, most_bytes: int, deadline: float) -> bytes:
        """All that it writes until it ends."""
        while received := self._receive(self._connection, deadline):
            self._received += received
            self._check_size(most_bytes)
        return self._take(len(self._received))

    def read_errors(self, most_bytes: int, deadline: float) -> bytes:
        """The first *most_bytes* that a program has written to its standard error, once it has ended."""
        complaints = bytearray()
        while self._errors and len(complaints) < most_bytes and (received := self._receive(self._errors, deadline)):
            complaints += received
        return bytes(complaints[:most_bytes])

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

    def _receive_more(self, most_bytes: int, deadline: float) -> None:
        received = self._receive(self._connection, deadline)
        if not received:
            raise self._make_process_ended()
        self._received += received
        self._check_size(most_bytes + _CHUNK_BYTES)  # what follows an answer may have come along

    def _receive(self, source: socket.socket, deadline: float) -> bytes:
        """What there is; nothing at its end."""
        try:
            source.settimeout(_compute_seconds_left(deadline))
            return source.recv(_CHUNK_BYTES)
        except TimeoutError:
            raise self._end("time", "it did not answer in time") from None
        except OSError:
            return b""

    def _check_size(self, most_bytes: int) -> None:
        if len(self._received) > most_bytes:
            raise self._end("size", f"it answered more than {most_bytes:,} bytes")

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
        self._lifeline.settimeout(_END_S)
        try:
            return int(self._lifeline.recv(64) or _LOST)
        except TimeoutError:  # it goes on, although nobody can hear it
            self.kill()
        except OSError:
            pass
        return _LOST


class Sandbox(ClosedAtExit):
    """Where a service's processes that read strangers' files come from. For all of its threads.

    They are forked by one process without data, which begins with the first of them. *required*: none is started where
    a wall is missing. *prepares*: `prepare` begins processes ahead of time; else it does nothing.
    """

    def __init__(self, *, required: bool = False, prepares: bool = False) -> None:
        self._required, self._prepares = required, prepares
        self._lock = threading.Lock()
        self._server: _ForkServerClient | None = None

    def start(self, job: SandboxJob, file: BinaryIO | None = None) -> SandboxedProcess:
        """A process for one file, with its walls up. It can read an open *file* by the descriptor `jobs.FILE`.

        Raises:
            NotReady: none can be started, or a wall that is required is missing.
            ProcessEnded: the job's memory is not enough to begin with.
        """
        spare = None if file else self._take_spare(job)
        process, report = spare or self._start(job, file)
        if self._required and report.missing:
            process.close()
            missing = ", ".join(report.missing)
            raise NotReady(f"Files are not read: SANDBOX_REQUIRED is set, and these walls are missing: {missing}.")
        return process

    def prepare(self, job: SandboxJob) -> None:
        """Begin a process for the next *job* that is like this one, which `start` need not wait for then.

        It has read nothing and waits; there is one at most, for the job that was prepared last.
        """
        with self._lock, suppress(OSError):  # the next `start` begins another fork server
            if self._prepares and self._server is not None and not self._server.is_others():
                self._server.prepare(job)

    def look(self) -> WallReport:
        """Which walls stand on this system: tried from inside.

        Raises:
            NotReady: no process can be started.
        """
        process, report = self._start(_LOOK)
        with process:
            try:
                holding = json.loads(process.read_line(_READY_BYTES, time.monotonic() + _START_S))
            except ProcessEnded as exc:
                raise NotReady(_UNUSABLE.format(exc)) from exc
        broken = {wall: "it is put up, but does not hold" for wall in report.standing if not holding[wall]}
        standing = {wall: means for wall, means in report.standing.items() if wall not in broken}
        return WallReport(standing, {**report.missing, **broken})

    def close(self) -> None:
        """End all of its processes. It can be used again."""
        with self._lock:
            self._stop()

    def _take_spare(self, job: SandboxJob) -> tuple[SandboxedProcess, WallReport] | None:
        """The process that was prepared for such a job; None where there is none."""
        with self._lock:
            server = None if self._server is None or self._server.is_others() else self._server
            spare = server.take_spare(job) if server else None
        try:
            return self._begin(spare) if spare else None
        except (ProcessEnded, NotReady):  # it ended, or was ended, while it waited: another one may do better
            return None

    def _start(self, job: SandboxJob, file: BinaryIO | None = None) -> tuple[SandboxedProcess, WallReport]:
        return self._begin(self._fork(job, file))

    def _begin(self, process: SandboxedProcess) -> tuple[SandboxedProcess, WallReport]:
        try:
            ready = json.loads(process.read_line(_READY_BYTES, time.monotonic() + _START_S))
            if "failed" in ready:
                raise NotReady(_UNUSABLE.format(ready["failed"]))
        except BaseException as exc:
            process.close()
            if isinstance(exc, ProcessEnded) and exc.reason != "memory":
                raise NotReady(_UNUSABLE.format(exc)) from exc
            raise
        walls = ({Wall(name): text for name, text in ready[kind].items()} for kind in ("standing", "missing"))
        return process, WallReport(*walls)

    def _fork(self, job: SandboxJob, file: BinaryIO | None) -> SandboxedProcess:
        return _connect(job, file, self._ask_for)

    def _ask_for(self, job: SandboxJob, descriptors: list[int]) -> None:
        with self._lock:
            for _ in range(2):  # a fork server that was killed is replaced
                if self._server is None or self._server.is_others():
                    self._server = _ForkServerClient()
                with suppress(OSError):
                    self._server.ask_for(job, descriptors)
                    return
                self._stop()
        raise NotReady(_UNUSABLE.format("the process that starts others ended"))

    def _stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.stop()


class _ForkServerClient:
    """`fork_server.py`, as we see it."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._spare: tuple[SandboxJob, SandboxedProcess] | None = None
        self._unanswered = 0
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "utils.sandbox.fork_server"],
                cwd=_ROOT,
                env=_ENVIRONMENT,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the service, which ends it itself
            )

    def is_others(self) -> bool:
        """Whether it was started before we were forked, by our parent: it is the parent's to use."""
        return self._owner != os.getpid()

    def ask_for(self, job: SandboxJob, descriptors: list[int]) -> None:
        """Have a process started that gets *descriptors*.

        Raises:
            OSError: the fork server is no more.
        """
        self._send(job, descriptors)
        self._control.settimeout(_START_S)
        while self._unanswered:
            answers = self._control.recv(self._unanswered)
            if not answers:
                raise BrokenPipeError
            self._unanswered -= len(answers)

    def prepare(self, job: SandboxJob) -> None:
        """Have one started that waits for `take_spare`, in place of the one that was started for another job.

        Raises:
            OSError: the fork server is no more.
        """
        spare = self.take_spare(job)
        if spare is None:
            self._end_spare()
            spare = _connect(replace(job, is_ahead=True), None, self._send)
        self._spare = job, spare

    def take_spare(self, job: SandboxJob) -> SandboxedProcess | None:
        """The process that was prepared for such a job, if it is there."""
        if self._spare is None or self._spare[0] != job:
            return None
        _, process = self._spare
        self._spare = None
        if process.is_alive():
            return process
        process.close()
        return None

    def stop(self) -> None:
        """End it and all that it has started."""
        if self.is_others():
            self._control.close()
            return
        self._end_spare()
        self._control.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self, job: SandboxJob, descriptors: list[int]) -> None:
        socket.send_fds(self._control, [job.to_json()], descriptors)
        self._unanswered += 1

    def _end_spare(self) -> None:
        if self._spare is not None:
            self._spare[1].close()
            self._spare = None


def _connect(
    job: SandboxJob, file: BinaryIO | None, ask_for: Callable[[SandboxJob, list[int]], None]
) -> SandboxedProcess:
    """A process that *ask_for* has started, or will have."""
    ours, theirs = zip(*(socket.socketpair() for _ in range(3 if job.program else 2)), strict=True)
    process = SandboxedProcess(*ours)
    try:
        ask_for(job, [end.fileno() for end in filter(None, (*theirs, file))])
    except BaseException:
        for end in (*ours, *theirs):
            end.close()
        raise
    for end in theirs:  # else we would not see the end of what the process writes
        end.close()
    return process


def _compute_seconds_left(deadline: float) -> float:
    """Seconds until then; 0 would mean not to wait at all, and to fail in another way."""
    return max(0.001, deadline - time.monotonic())
