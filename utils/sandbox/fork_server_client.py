"""The process that starts others, `fork_server.py`, as we see it."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from utils.sandbox.jobs import SandboxJob
from utils.sandbox.process import END_S, SandboxedProcess

_ROOT = Path(__file__).parents[2]
# Nothing of our configuration: its keys are none of a file's business. Each heap of a thread takes 64 MB of the limit.
_ENVIRONMENT = {"PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"}
START_S = 60.0  # imports on a machine that does other things too


class ForkServerClient:
    """`fork_server.py`, as we see it."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._spare: tuple[SandboxJob, SandboxedProcess] | None = None
        self._unanswered = 0
        self._control, other_end = socket.socketpair()
        with other_end:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "utils.sandbox.fork_server"],
                cwd=_ROOT,
                env=_ENVIRONMENT,
                stdin=other_end.fileno(),
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
        self._control.settimeout(START_S)
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
            spare = connect(replace(job, is_ahead=True), None, self._send)
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
            self._process.wait(END_S)
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


def connect(
    job: SandboxJob, file: BinaryIO | None, ask_for: Callable[[SandboxJob, list[int]], None]
) -> SandboxedProcess:
    """A process that *ask_for* has started, or will have."""
    own_ends, other_ends = zip(*(socket.socketpair() for _ in range(3 if job.program else 2)), strict=True)
    process = SandboxedProcess(*own_ends)
    try:
        ask_for(job, [end.fileno() for end in filter(None, (*other_ends, file))])
    except BaseException:
        for end in (*own_ends, *other_ends):
            end.close()
        raise
    for end in other_ends:  # else we would not see the end of what the process writes
        end.close()
    return process
