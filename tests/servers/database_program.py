"""A database server of our own: the real program on a free port, gone after the tests."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from tests.service import free_port

START_LIMIT_S = 60.0


class DatabaseProgram(ABC):
    """One on a port of 127.0.0.1; what it logs is in *folder*.

    Its data is in a folder of its own, since a root's tests must run it as another user, who cannot look into theirs.
    """

    name: ClassVar[str]
    account: ClassVar[str]  # that Debian's package makes
    end_signal: ClassVar[str]  # that it gets when the tests are killed

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._log = folder / f"{self.account}.log"
        self._user = self._find_user()
        self._data = Path(tempfile.mkdtemp(prefix=f"pustaka-{self.account}-"))
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def launch(self) -> None:
        """Start it without waiting until it answers."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it takes connections."""

    @abstractmethod
    def kill(self) -> None:
        """End it like a power cut."""

    def start(self) -> Self:
        """Start it and wait until it answers."""
        self.launch()
        deadline = time.monotonic() + START_LIMIT_S
        while not self.answers():
            assert self._process is not None
            assert self._process.poll() is None, f"{self.name} ended:\n{self.logged()[-2000:]}"
            assert time.monotonic() < deadline, f"{self.name} does not answer:\n{self.logged()[-2000:]}"
            time.sleep(0.02)  # between two looks
        return self

    def logged(self) -> str:
        """What it wrote to its log, over all its lives."""
        return self._log.read_text(errors="replace")

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *failure: object) -> None:
        self.kill()
        shutil.rmtree(self._data, ignore_errors=True)

    def _hand_over(self, *paths: Path) -> None:
        """Let the user that it runs as own these."""
        if self._user is not None:
            account = pwd.getpwnam(self._user)
            for path in paths:
                os.chown(path, account.pw_uid, account.pw_gid)

    def _make(self, command: list[str], env: Mapping[str, str]) -> None:
        assert self._run(command, env).wait(START_LIMIT_S) == 0, self.logged()[-2000:]

    def _run(self, command: list[str], env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        setpriv = shutil.which("setpriv")  # on Linux it ends with the thread that started it
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*([setpriv, "--pdeathsig", self.end_signal] if setpriv else []), *command],
                user=self._user,
                cwd="/",
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the tests is not for it
            )

    def _find_user(self) -> str | None:
        """Whom to run it as: it refuses root."""
        if os.geteuid() != 0:
            return None
        return self.account if self.account in {account.pw_name for account in pwd.getpwall()} else "nobody"
