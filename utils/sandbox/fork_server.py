"""The process that forks one process for each file: `python -m utils.sandbox.fork_server`, started by `sandbox.py`.

It imports what parsers need, once, and never reads a byte of a file: so each fork begins with warm imports, and with
nothing of a former document. It has one thread, since a fork copies only one.

Its standard input is a socket. A request is a job (`jobs.py`) with descriptors of sockets beside it: the connection
that the job's process reads from and writes to, a lifeline, and a third one for a program's errors or of an open file.
A byte answers it once the fork is made. A process is killed when its lifeline is closed; once it has ended, its exit
code is written there.
"""

import contextlib
import fcntl
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, NoReturn

from utils.sandbox import kernel
from utils.sandbox.jobs import SandboxJob
from utils.sandbox.walls import SandboxResources, Wall, Walls, lay_grounds

_REQUEST_BYTES = 65_536
_CONNECTION, _ERRORS = 3, 4  # descriptors in a job's process; the latter is `jobs.FILE` where it is no program's
_MAX_DESCRIPTORS = os.sysconf("SC_OPEN_MAX")
_NO_SUCH_PROGRAM = 127  # exit code; see `sandbox.NO_SUCH_PROGRAM`


class _ForkServer:
    def __init__(self, control: socket.socket) -> None:
        self._control, self._children = control, dict[int, socket.socket]()
        self._later: list[str] = []
        self._common: SandboxResources | None = None
        self._selector = selectors.DefaultSelector()
        self._woken, waking = socket.socketpair()
        for end in (self._woken, waking):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waking.detach())
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._selector.register(control, selectors.EVENT_READ)

    def run(self) -> None:
        """Serve until the service closes its end, or ends; no process is left behind then."""
        try:
            while all([self._handle(key) for key, _ in self._selector.select(self._get_timeout_s())]):
                self._reap_children()
                if not self._children and self._later:
                    _import([self._later.pop(0)])
        finally:
            for pid in self._children:
                _kill(pid)

    def _get_timeout_s(self) -> float | None:
        """How long to wait for a request: not at all while there is something to import, and nobody has to wait."""
        return 0 if self._later and not self._children else None

    def _handle(self, key: selectors.SelectorKey) -> bool:
        """Do what a socket asks for; False when there is nobody left to serve."""
        if key.fileobj is self._control:
            return self._take_request()
        if key.fileobj is self._woken:
            self._woken.recv(4096)
        else:
            _kill(key.data)
            self._selector.unregister(key.fileobj)
        return True

    def _take_request(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._control, _REQUEST_BYTES, 3)
        if not message:
            return False
        connection, lifeline, *others = descriptors
        job = SandboxJob.from_json(message)
        _import([job.serve.partition(":")[0], *job.preload])
        self._later += [name for name in job.later if name not in sys.modules and name not in self._later]
        if job.is_ahead:
            _import(self._later)
            self._later.clear()
        grounds = self._prepare_grounds(job)
        pid = self._fork(grounds, [connection, *others])
        for one in (connection, *others):
            os.close(one)
        if job.program or job.reads:
            grounds.close()
        watched = socket.socket(fileno=lifeline)
        if pid is None:
            watched.close()
        else:
            self._children[pid] = watched
            self._selector.register(watched, selectors.EVENT_READ, pid)
        self._control.send(b"\n")
        return True

    def _prepare_grounds(self, job: SandboxJob) -> SandboxResources:
        """What its walls are put up from; the same for all that read what our own code reads."""
        if job.program or job.reads:
            return lay_grounds(job)
        self._common = self._common or lay_grounds(job)
        return replace(self._common, job=job)

    def _fork(self, grounds: SandboxResources, descriptors: Sequence[int]) -> int | None:
        """The process that does a job; None where the system allows no more of them: its lifeline is closed then."""
        server = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            return None
        if pid == 0:
            _work(grounds, descriptors, server)
        return pid

    def _reap_children(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self._send_end(self._children.pop(pid), status)

    def _send_end(self, lifeline: socket.socket, status: int) -> None:
        with contextlib.suppress(KeyError):  # it was killed
            self._selector.unregister(lifeline)
        with contextlib.suppress(OSError):  # nobody wants to know
            lifeline.send(json.dumps(os.waitstatus_to_exitcode(status)).encode())
        lifeline.close()


def main() -> None:
    """Serve the socket that is our standard input."""
    with contextlib.suppress(OSError):  # not Linux
        kernel.set_inspectable(False)
    control = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.chdir("/")
    os.environ.clear()
    _ForkServer(control).run()


def _import(names: Sequence[str]) -> None:
    """Import what is not there yet. What cannot be is left to the job, which says so."""
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.freeze()  # else the collector of each fork would write into, and so copy, what they share


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _work(grounds: SandboxResources, descriptors: Sequence[int], server: int) -> NoReturn:
    """Be the process of a job, from its fork to its end."""
    job = grounds.job
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        walls = Walls(grounds)
        _keep(descriptors, walls)
        ready = _prepare(job, walls, server)
        os.write(_CONNECTION, json.dumps(ready).encode() + b"\n")
        if "failed" not in ready:
            _become(job) if job.program else _serve(job)
            os._exit(0)
    except MemoryError:
        os.abort()
    finally:
        os._exit(1)


def _keep(descriptors: Sequence[int], walls: Walls) -> None:
    """Close all but these, which get the numbers they are known by, and enclose the process meanwhile."""
    copies = [fcntl.fcntl(one, fcntl.F_DUPFD, 10 + _CONNECTION) for one in descriptors]
    walls.enclose()
    for number, copy in enumerate(copies, _CONNECTION):
        os.dup2(copy, number)
    os.closerange(_CONNECTION + len(copies), _MAX_DESCRIPTORS)


def _prepare(job: SandboxJob, walls: Walls, server: int) -> dict[str, Any]:
    """Load what the job takes and seal the process; which walls stand, or why the job cannot be begun."""
    try:
        if job.prepare:
            _find_function(job.prepare)()
        if job.serve:
            _find_function(job.serve)  # imported now, while all that takes is allowed
    except Exception as exc:  # whatever its packages raise: nothing of a file has been read
        return {"failed": f"{type(exc).__name__}: {exc}"[:500]}
    kernel.end_with(server)
    report = walls.seal()
    if job.writes and Wall.FILES in report.missing:
        return {"failed": f"it could write anywhere, since a wall is missing: {report.missing[Wall.FILES]}"}
    return asdict(report)


def _serve(job: SandboxJob) -> None:
    with os.fdopen(_CONNECTION, "rb") as requests, os.fdopen(os.dup(_CONNECTION), "wb") as answers:
        _find_function(job.serve)(requests, answers)


def _become(job: SandboxJob) -> None:
    for number in (0, 1):
        os.dup2(_CONNECTION, number)
    os.dup2(_ERRORS, 2)
    try:
        os.execve(job.program[0], job.program, dict(job.variables))  # noqa: S606 - a program and words of our own
    except OSError:
        os._exit(_NO_SUCH_PROGRAM)


def _find_function(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


if __name__ == "__main__":
    main()
