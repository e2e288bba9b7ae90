"""A MariaDB or MySQL server of our own: the real program on a free port, gone after the tests."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pymysql

from tests.programs import not_installed
from tests.service import free_port

ROOT_PASSWORD = "r00t-of-tests"
START_LIMIT_S = 60.0


class MariadbServer:
    """`mariadbd` on a port of 127.0.0.1; what it logs is in *folder*. Its data is in a folder of its own user."""

    def __init__(self, folder: Path, program: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._program, self._log = program, folder / "mariadb.log"
        self._user = _unprivileged_user()
        self._data = Path(tempfile.mkdtemp(prefix="pustaka-mariadb-"))
        self._process: subprocess.Popen[bytes] | None = None

    def connect(self, database: str | None = None, **login: Any) -> "pymysql.Connection[Any]":
        """A connection of the administrator, or with another *login*."""
        given = {"user": "root", "password": ROOT_PASSWORD, "ssl_disabled": True, **login}
        return pymysql.connect(host="127.0.0.1", port=self.port, database=database, autocommit=True, **given)

    def execute(self, script: str, database: str | None = None) -> None:
        """Run statements, each ended by a semicolon at the end of a line, as the administrator."""
        with self.connect(database) as connection, connection.cursor() as cursor:
            for statement in filter(None, map(str.strip, script.split(";\n"))):
                cursor.execute(statement)

    def new_database(self) -> str:
        """The name of a new, empty database."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return name

    def start(self) -> Self:
        """Start it and wait until it answers."""
        own = ["--no-defaults", f"--datadir={self._data / 'db'}", "--innodb-flush-log-at-trx-commit=0"]
        script = self._data / "begin.sql"
        script.write_text(
            f"ALTER USER root@localhost IDENTIFIED BY '{ROOT_PASSWORD}';\n"
            "CREATE USER IF NOT EXISTS root@127.0.0.1;\n"
            f"ALTER USER root@127.0.0.1 IDENTIFIED BY '{ROOT_PASSWORD}';\n"
            "GRANT ALL PRIVILEGES ON *.* TO root@127.0.0.1 WITH GRANT OPTION;\n"
        )
        if self._user is not None:
            account = pwd.getpwnam(self._user)
            for path in (self._data, script):
                os.chown(path, account.pw_uid, account.pw_gid)
        self._initialise(own)
        options = (f"--port={self.port}", "--bind-address=127.0.0.1", f"--socket={self._data / 'socket'}")
        small = ("--innodb-buffer-pool-size=32M", "--skip-name-resolve", f"--init-file={script}")
        self._process = self._run([self._program, *own, *options, *small, f"--pid-file={self._data / 'pid'}"])
        deadline = time.monotonic() + START_LIMIT_S
        while not self._answers():
            assert self._process.poll() is None, f"MariaDB ended:\n{self.logged()[-2000:]}"
            assert time.monotonic() < deadline, f"MariaDB does not answer:\n{self.logged()[-2000:]}"
            time.sleep(0.05)  # between two looks
        return self

    def logged(self) -> str:
        """What it wrote to its log."""
        return self._log.read_text(errors="replace")

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *failure: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
        shutil.rmtree(self._data, ignore_errors=True)

    def _initialise(self, own: list[str]) -> None:
        installer = shutil.which("mariadb-install-db")
        if installer and "maria" in self._program:
            making = [installer, *own[:2], "--skip-test-db", "--auth-root-authentication-method=normal"]
        else:
            making = [self._program, *own[:2], "--initialize-insecure"]
        assert self._run(making).wait(START_LIMIT_S) == 0, self.logged()[-2000:]

    def _run(self, command: list[str]) -> "subprocess.Popen[bytes]":
        setpriv = shutil.which("setpriv")  # on Linux the server ends with the thread that started it
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*([setpriv, "--pdeathsig", "KILL"] if setpriv else []), *command],
                user=self._user,
                cwd="/",
                env={"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin", "HOME": str(self._data)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the tests is not for it
            )

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except pymysql.MySQLError:
            return False
        return True


def run_mariadb(folder: Path) -> Iterator[MariadbServer]:
    """The body of a fixture: a server; the tests are skipped where none is installed, but fail under CI."""
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    program = next(filter(None, (shutil.which(name, path=path) for name in ("mariadbd", "mysqld"))), None)
    if program is None:
        not_installed("mariadb-server")
    with MariadbServer(folder, program) as server:
        yield server


def _unprivileged_user() -> str | None:
    """Whom to run it as: it refuses root."""
    if os.geteuid() != 0:
        return None
    known = {account.pw_name for account in pwd.getpwall()}
    return "mysql" if "mysql" in known else "nobody"
