"""Starts processes that read strangers' files, one for each, and talks with them: bytes in and out, by a deadline."""

import json
import threading
import time
from contextlib import suppress
from typing import BinaryIO

from utils.closing import ClosedAtExit
from utils.errors import NotReady
from utils.sandbox.fork_server_client import START_S, ForkServerClient, connect
from utils.sandbox.jobs import SandboxJob
from utils.sandbox.process import ProcessEnded, SandboxedProcess
from utils.sandbox.walls import Wall, WallReport

_READY_BYTES = 65_536
NO_SUCH_PROGRAM = 127  # the exit code of one that was to become a program that is not there, as shells say it
_UNUSABLE = "Files cannot be read at present: no process for them can be started ({})."
_LOOK = SandboxJob(serve="utils.sandbox.probe:register_metric_sources", memory_bytes=1_000_000_000, cpu_s=10)


class Sandbox(ClosedAtExit):
    """Where a service's processes that read strangers' files come from. For all of its threads.

    They are forked by one process without data, which begins with the first of them. *required*: none is started where
    a wall is missing. *prepares*: `prepare` begins processes ahead of time; else it does nothing.
    """

    def __init__(self, *, required: bool = False, prepares: bool = False) -> None:
        self._required, self._prepares = required, prepares
        self._lock = threading.Lock()
        self._server: ForkServerClient | None = None

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

    def find_walls(self) -> WallReport:
        """Which walls stand on this system: tried from inside.

        Raises:
            NotReady: no process can be started.
        """
        process, report = self._start(_LOOK)
        with process:
            try:
                holding = json.loads(process.read_line(_READY_BYTES, time.monotonic() + START_S))
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
            ready = json.loads(process.read_line(_READY_BYTES, time.monotonic() + START_S))
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
        return connect(job, file, self._ask_for)

    def _ask_for(self, job: SandboxJob, descriptors: list[int]) -> None:
        with self._lock:
            for _ in range(2):  # a fork server that was killed is replaced
                if self._server is None or self._server.is_others():
                    self._server = ForkServerClient()
                with suppress(OSError):
                    self._server.ask_for(job, descriptors)
                    return
                self._stop()
        raise NotReady(_UNUSABLE.format("the process that starts others ended"))

    def _stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.stop()
