"""Child processes that end with the service, its ports, and the error that tells people why it cannot start."""

import errno
import gc
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from utils.sandbox import kernel

_EXEC_CHILD = str(Path(__file__).with_name("exec_child.py"))
_LOG_LIMIT_BYTES = 5_000_000
_POLL_S = 0.01
logger = logging.getLogger(__name__)
_KEPT_VARIABLES = frozenset(
    {"PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH"}
)


def tune_collector() -> None:
    """Let the garbage collector look at what requests leave behind, not at all that was there before the first.

    With 1000 requests in flight it looks at all of them again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def switch_threads_often() -> None:
    """Let the event loop have the interpreter soon while other threads work on texts.

    It gives it away with each look at a socket, and waits for it this long each time, 5 ms by default. With 0.2 ms the
    99th percentile of `/health` under attack fell from 0.26 s to 0.16 s (`tests/security/test_health_under_attack.py`).
    """
    sys.setswitchinterval(0.000_2)


def hide_from_others() -> None:
    """Let no other process of this user read our environment and memory, where keys are, nor debug us.

    What is forked inherits it, a program that is executed does not. Root may still. Nothing happens but on Linux.
    """
    with suppress(OSError):
        kernel.set_inspectable(False)


def allow_open_files(needed: int) -> None:
    """Let this process have as many files and connections open as the system allows; warn if that is below *needed*.

    The usual soft limit of 1024 is there for programs that use select(); the hard one is what the administrator means.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # a system whose kernel allows less than the limit says
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    if soft != resource.RLIM_INFINITY and soft < needed:
        logger.warning(
            "This process may open %s files and connections; all it takes on would need %s: raise the limit of open "
            "files (ulimit -Hn, LimitNOFILE of systemd, --ulimit nofile of Docker).",
            soft,
            needed,
        )


class StartError(Exception):
    """The service cannot start: one clear line for the person who started it, with what to do about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run as a child: *argv* starts with a full path, *variables* are added to a plain environment.

    Secrets go in *variables*, never in *argv*, which every user of the machine can read. What the child prints is
    appended to *log_path*. File descriptors in *inherited* stay open in it.
    """

    name: str
    argv: Sequence[str]
    cwd: Path
    log_path: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    inherited: Sequence[int] = ()


class Child:
    """A running program of ours, in a session of its own, so that Ctrl-C in the terminal reaches the service alone.

    On Linux the kernel ends it with us. It does so when the *thread* that made the child ends, so a thread that lives
    exactly as long as the child makes it, whatever thread this constructor is called from.

    Raises:
        StartError: the log cannot be written, or no process can be made.
    """

    def __init__(self, command: Command) -> None:
        self.name, self.log_path = command.name, command.log_path
        self._log_offset = _trim_log(command.log_path)
        self._ended = threading.Event()
        started: Future[subprocess.Popen[bytes]] = Future()
        threading.Thread(target=self._keep, args=(command, started), name=f"keep-{command.name}", daemon=True).start()
        try:
            self._process = started.result()
        except OSError as exc:
            raise StartError(f"{command.name} cannot be started: {exc}.") from exc

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.returncode if self._ended.is_set() else None

    def is_alive(self) -> bool:
        """Whether the program still runs."""
        return not self._ended.is_set()

    def log(self) -> str:
        """What it has printed since it was started."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_offset)
            return log.read().decode(errors="replace")

    def wait_until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait for *condition* while the program runs; False when time is up or the program has ended."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline or self._ended.wait(_POLL_S):
                return False
        return True

    def stop(self, timeout_s: float) -> bool:
        """End it and all it has started; False when it had to be killed. Ending it twice is no error."""
        self._send_signal(signal.SIGTERM)
        if self._ended.wait(timeout_s):
            return True
        self._send_signal(signal.SIGKILL)
        self._ended.wait()
        return False

    def _keep(self, command: Command, started: "Future[subprocess.Popen[bytes]]") -> None:
        try:
            process = _spawn(command)
        except Exception as exc:  # whatever it is, the constructor waits for it
            started.set_exception(exc)
            return
        started.set_result(process)
        process.wait()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # what it has left behind
        self._ended.set()

    def _send_signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if self.is_alive():
                os.killpg(self.pid, number)


def reserve_port(host: str, port: int, *, variable: str, shared: bool = False) -> socket.socket:
    """A listening socket on *host* and *port* (0: any free port), to hand to the server.

    It listens at once, because a socket that is only bound does not keep a second instance from binding too. *shared*:
    other processes of this user that share it too may listen beside us; each connection comes to one of them.

    Raises:
        StartError: the port is in use or not allowed, or the host is not ours; names *variable*.
    """
    if not 0 <= port <= 65535:  # some resolvers wrap it round
        raise StartError(f"{port} is no port; set {variable} to one from 1 to 65535.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as exc:
        raise StartError(f"{host!r} is not an address to listen on: {exc.strerror}.") from exc
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as exc:
        listener.close()
        raise StartError(_explain_no_port(exc, host, port, variable)) from exc
    return listener


def _explain_no_port(exc: OSError, host: str, port: int, variable: str) -> str:
    if exc.errno == errno.EADDRINUSE:
        return f"Port {port} is in use by another program; stop it or set {variable} to another port."
    if exc.errno in (errno.EACCES, errno.EPERM):
        return f"Port {port} is not allowed for this user; set {variable} to a port above 1023."
    return f"Nothing can listen on {host} port {port} ({variable}): {exc.strerror}."


def _spawn(command: Command) -> "subprocess.Popen[bytes]":
    private = os.open(command.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(private, "ab") as log:
        return subprocess.Popen(  # noqa: S603 - our own programs, no shell
            [sys.executable, "-I", "-S", _EXEC_CHILD, str(os.getpid()), *command.argv],
            cwd=command.cwd,
            env=_make_environment() | dict(command.variables),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=command.inherited,
            start_new_session=True,
            umask=0o077,  # conversations are nobody else's
        )


def _make_environment() -> dict[str, str]:
    """What programs need to run at all.

    Not our configuration: its keys are none of a child's business, and Streamlit would take our PORT for its own.
    """
    return {name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES}


def _trim_log(path: Path) -> int:
    """Put a long log aside, and give the offset at which the next line will stand."""
    try:
        size_bytes = path.stat().st_size if path.exists() else 0
        if size_bytes < _LOG_LIMIT_BYTES:
            return size_bytes
        path.replace(path.with_name(path.name + ".1"))
    except OSError as exc:
        raise StartError(f"The log {path} cannot be written: {exc.strerror}.") from exc
    return 0
