"""systemd's units of `deploy/systemd`, read and run as systemd would, but for its rights and its sandbox."""

import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.service import ROOT, plain_environment

FOLDER = ROOT / "deploy" / "systemd"
EXAMPLE, CHAT_EXAMPLE = FOLDER / "pustaka.env.example", FOLDER / "pustaka-chat.env.example"
_HOME = "/opt/pustaka"


class Unit:
    """One service, at home in this checkout instead of /opt/pustaka."""

    def __init__(self, name: str) -> None:
        self.name = name
        text = (FOLDER / name).read_text().replace(f"{_HOME}/.venv/bin", str(Path(sys.executable).parent))
        self.text = text.replace(_HOME, str(ROOT))
        self._settings = re.findall(r"^(\w+)=(.*)$", self.text, re.M)

    def all(self, name: str) -> list[str]:
        """Every value of a setting, in order."""
        return [value for known, value in self._settings if known == name]

    def one(self, name: str) -> str:
        """The value of a setting that is there once."""
        (value,) = self.all(name)
        return value

    def seconds(self, name: str) -> float:
        """A setting in seconds."""
        return float(self.one(name))

    def command(self, name: str = "ExecStart") -> list[str]:
        """Program and arguments."""
        return shlex.split(self.one(name))

    def environment(self, file: str, **changes: str) -> dict[str, str]:
        """The variables of the program: those of the unit, then of *file*, then *changes*, less what is unset."""
        own = dict(word.split("=", 1) for line in self.all("Environment") for word in shlex.split(line))
        read = dict(line.split("=", 1) for line in file.splitlines() if line and not line.startswith("#"))
        unset = {name for line in self.all("UnsetEnvironment") for name in line.split()}
        merged = plain_environment({**own, **read, **changes})
        return {name: value for name, value in merged.items() if name not in unset}


class Notifications:
    """Where a service of `Type=notify` says that it is ready (sd_notify(3))."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(60)

    @property
    def address(self) -> str:
        """For NOTIFY_SOCKET."""
        return str(self._path)

    def wait_until_ready(self) -> None:
        """Wait for the message."""
        while "READY=1" not in self._socket.recv(4096).decode():
            pass

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


@contextmanager
def notifications() -> Iterator[Notifications]:
    """In a folder of their own: the path of a socket must be short."""
    with tempfile.TemporaryDirectory(prefix="pustaka-notify-") as folder:
        opened = Notifications(Path(folder) / "socket")
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def started(
    unit: Unit, command: list[str], environment: dict[str, str], log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """The unit's program; ended as systemd ends it, in the time it grants."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=unit.one("WorkingDirectory"), env=environment, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(unit.seconds("TimeoutStopSec"))


def reload(unit: Unit, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """What `systemctl reload` does: it fails where this does."""
    command = unit.command("ExecReload")
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)


def await_true(process: "subprocess.Popen[bytes]", log: Path, condition: Callable[[], bool]) -> None:
    """Wait until *condition()* holds while the program runs."""
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.02)  # between two looks at the condition
