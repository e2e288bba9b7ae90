"""Our programs without the seconds that their imports take: forked from a process that has imported everything.

What differs from `python app.py` is the interpreter's own start: a test about that says `Service(...).by_itself()`.
"""

import atexit
import fcntl
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
# Variables that are read while an interpreter starts or a library is loaded.
_READ_AT_START = ("PYTHON", "LD_", "MALLOC_", "OMP_", "OPENBLAS_")
_RUN_ID = "PYTEST_XDIST_TESTRUNUID"  # the same in all workers of a run
_lock = threading.Lock()


class ForkedProcess:
    """A running program of ours, with the part of `subprocess.Popen` that tests use."""

    def __init__(
        self,
        program: list[str],
        *,
        cwd: Path,
        env: dict[str, str],
        stdout: IO[bytes],
        stderr: IO[bytes],
    ) -> None:
        request = {"program": program, "cwd": str(cwd), "root": str(ROOT), "environment": env}
        self.args = program
        self.pid: int = _ask(request, [stdout.fileno(), stderr.fileno()])
        self.returncode: int | None = None
        self._handle = os.pidfd_open(self.pid)

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            self.returncode = _ask({"reap": self.pid})
            if self.returncode is not None:
                os.close(self._handle)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; its exit code."""
        if self.poll() is None:
            ended, _, _ = select.select([self._handle], [], [], timeout)
            if not ended:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


Process = subprocess.Popen[bytes] | ForkedProcess


def start(
    program: list[str], *, preloaded: bool, cwd: Path, env: dict[str, str], stdout: IO[bytes], stderr: IO[bytes]
) -> Process:
    """Start a program of ours: forked if *preloaded* and its variables allow it, else by a new interpreter."""
    if preloaded and not any(name.startswith(_READ_AT_START) and name != "PYTHONUNBUFFERED" for name in env):
        return ForkedProcess(program, cwd=cwd, env=env, stdout=stdout, stderr=stderr)
    return subprocess.Popen([sys.executable, *program], cwd=cwd, env=env, stdout=stdout, stderr=stderr)


def run(
    program: list[str], *, preloaded: bool, cwd: Path, env: dict[str, str], timeout: float
) -> "subprocess.CompletedProcess[str]":
    """Run a program of ours to its end, as `subprocess.run` does with its output captured."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = start(program, preloaded=preloaded, cwd=cwd, env=env, stdout=out, stderr=err)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess([sys.executable, *program], code, *texts)


def _ask(request: dict[str, Any], descriptors: list[int] | None = None) -> Any:
    with _lock:
        control = _server()
        socket.send_fds(control, [json.dumps(request).encode()], descriptors or [])
        return json.loads(control.recv(1024))


@functools.cache
def _server() -> socket.socket:
    """The way to the process that forks, which the workers of one run share; it ends with the last of them."""
    address = os.path.join(tempfile.gettempdir(), f"preloaded-{os.environ.get(_RUN_ID) or uuid.uuid4().hex}")
    ours = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with open(f"{address}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            ours.connect(address)
        except (FileNotFoundError, ConnectionRefusedError):
            _start_server(address, ours)
    atexit.register(ours.close)
    return ours


def _start_server(address: str, ours: socket.socket) -> None:
    """Start it, with *ours* as its first connection: it ends when it has none any more."""
    Path(address).unlink(missing_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen()
        ours.connect(address)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.preloaded_server", address], cwd=ROOT, env=kept, stdin=listener.fileno()
        )

    def wait() -> None:
        if _RUN_ID not in os.environ:  # else other workers may go on
            process.wait(10)

    atexit.register(wait)
