"""A MariaDB or MySQL server of our own: the real program on a free port, gone after the tests."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql

from tests.programs import not_installed
from tests.servers.database_program import DatabaseProgram

ROOT_PASSWORD = "r00t-of-tests"


class MariadbServer(DatabaseProgram):
    """`mariadbd`, or `mysqld`."""

    name, account, end_signal = "MariaDB", "mysql", "KILL"

    def __init__(self, folder: Path, program: str) -> None:
        super().__init__(folder)
        self._program = program

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

    def launch(self) -> None:
        """As `DatabaseProgram.launch`."""
        own = ["--no-defaults", f"--datadir={self._data / 'db'}", "--innodb-flush-log-at-trx-commit=0"]
        env = {"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin", "HOME": str(self._data)}
        script = self._data / "begin.sql"
        script.write_text(
            f"ALTER USER root@localhost IDENTIFIED BY '{ROOT_PASSWORD}';\n"
            "CREATE USER IF NOT EXISTS root@127.0.0.1;\n"
            f"ALTER USER root@127.0.0.1 IDENTIFIED BY '{ROOT_PASSWORD}';\n"
            "GRANT ALL PRIVILEGES ON *.* TO root@127.0.0.1 WITH GRANT OPTION;\n"
        )
        self._hand_over(self._data, script)
        installer = shutil.which("mariadb-install-db")
        if installer and "maria" in self._program:
            self._make([installer, *own[:2], "--skip-test-db", "--auth-root-authentication-method=normal"], env)
        else:
            self._make([self._program, *own[:2], "--initialize-insecure"], env)
        options = (f"--port={self.port}", "--bind-address=127.0.0.1", f"--socket={self._data / 'socket'}")
        small = ("--innodb-buffer-pool-size=32M", "--skip-name-resolve", f"--init-file={script}")
        self._process = self._run([self._program, *own, *options, *small, f"--pid-file={self._data / 'pid'}"], env)

    def answers(self) -> bool:
        """As `DatabaseProgram.answers`."""
        try:
            self.connect().close()
        except pymysql.MySQLError:
            return False
        return True

    def kill(self) -> None:
        """As `DatabaseProgram.kill`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)


def run_mariadb(folder: Path) -> Iterator[MariadbServer]:
    """The body of a fixture: a server; the tests are skipped where none is installed, but fail under CI."""
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    program = next(filter(None, (shutil.which(name, path=path) for name in ("mariadbd", "mysqld"))), None)
    if program is None:
        not_installed("mariadb-server")
    with MariadbServer(folder, program) as server:
        yield server
