"""A PostgreSQL server of our own: the real program on a free port, with a password, gone after the tests."""

import os
import re
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
from psycopg import sql

from tests.programs import not_installed
from tests.servers.database_program import DatabaseProgram

USER = "pustaka"
PASSWORD = "p@ss/w%rd:of#records"  # everything in it has to be written differently in a URL


class PostgresServer(DatabaseProgram):
    """`postgres`, with a password. The same port and data after `stop` and `start`."""

    name, account, end_signal = "PostgreSQL", "postgres", "INT"

    @property
    def url(self) -> str:
        """A database that is there from the beginning, and empty."""
        return self.url_of("postgres")

    def url_of(self, database: str, *, user: str = USER, password: str = PASSWORD) -> str:
        """The URL of *database*, whether there is one or not."""
        return f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        # template1 cannot be copied while the server's own housekeeping is in it.
        self.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        return self.url_of(name)

    def new_database_like(self, template: str) -> str:
        """The URL of a new database with the tables and rows of *template*, which nobody may connect to any more."""
        source = sql.Identifier(urlsplit(template).path.strip("/"))
        name = f"test_{uuid.uuid4().hex[:12]}"
        # Nor may the server's own housekeeping, which would hold up the copy.
        self.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(source))
        self.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), source))
        return self.url_of(name)

    def drop_database(self, url: str) -> None:
        """Remove a database, also one that is in use."""
        name = sql.Identifier(urlsplit(url).path.strip("/"))
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def execute(self, statement: str | sql.Composed) -> None:
        """Run one statement as the administrator, outside any transaction."""
        query = sql.SQL(statement) if isinstance(statement, str) else statement
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            connection.execute(query)

    def launch(self) -> None:
        """As `DatabaseProgram.launch`."""
        if not (self._data / "db").exists():
            self._initialise()
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": "60",
            "shared_buffers": "32MB",
        }
        switches = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self._process = self._run_own("postgres", "-D", str(self._data / "db"), *switches)

    def stop(self) -> None:
        """End it in order; clients are cut off."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it like a power cut."""
        if self._process is None:
            return
        processes = self._processes()
        for pid in processes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._end(signal.SIGKILL)
        _await_end(processes)

    def freeze(self) -> None:
        """Keep every connection, new and old, and answer none, like a host that hangs."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after `freeze`."""
        self._signal_all(signal.SIGCONT)

    def answers(self) -> bool:
        """As `DatabaseProgram.answers`."""
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _initialise(self) -> None:
        password = self._data / "password"
        password.write_text(PASSWORD)
        self._hand_over(self._data, password)
        made = self._run_own(
            *("initdb", "-D", str(self._data / "db"), "--no-sync", "--encoding=UTF8", "--locale=C"),
            *(f"--username={USER}", f"--pwfile={password}", "--auth=scram-sha-256"),
        )
        assert made.wait(60) == 0, self.logged()[-2000:]

    def _run_own(self, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        binaries = _binaries()
        return self._run([str(binaries / program), *arguments], {"PATH": str(binaries), "LC_ALL": "C"})

    def _processes(self) -> list[int]:
        assert self._process is not None
        pid = self._process.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except FileNotFoundError:
            children = []
        return [pid, *map(int, children)]

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None


def run_postgres(folder: Path) -> Iterator[PostgresServer]:
    """The body of a fixture: a server; the tests are skipped where PostgreSQL is not installed, but fail under CI."""
    if shutil.which("postgres") is None and not _installed():
        not_installed("postgresql")
    with PostgresServer(folder) as server:
        yield server


def _installed() -> list[Path]:
    """Debian's folders of server programs, newest last."""
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return [path.parent for path in sorted(found, key=lambda path: int(re.sub(r"\D", "", path.parts[4]) or 0))]


def _binaries() -> Path:
    on_path = shutil.which("postgres")
    if on_path:
        return Path(on_path).resolve().parent
    installed = _installed()
    assert installed, "PostgreSQL is not installed: apt install postgresql"
    return installed[-1]


def _await_end(pids: list[int]) -> None:
    deadline = time.monotonic() + 10
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < deadline, "PostgreSQL's processes do not end"
        time.sleep(0.01)  # between two looks


def _runs(pid: int) -> bool:
    """Whether it is there and more than the entry of a process that nobody has asked about yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
