"""A PostgreSQL server of our own: the real program on a free port, with a password, gone after the tests."""

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import quote, urlsplit

import psycopg
from psycopg import sql

from tests.programs import not_installed
from tests.service import free_port

USER = "pustaka"
PASSWORD = "p@ss/w%rd:of#records"  # everything in it has to be written differently in a URL
START_LIMIT_S = 30.0


class PostgresServer:
    """`postgres` on a port of 127.0.0.1; what it logs is in *folder*. The same port and data after `stop` and `start`.

    Its data is in a folder of its own, since a root's tests must run it as another user, who cannot look into theirs.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._log = folder / "postgres.log"
        self._binaries = _binaries()
        self._user = _unprivileged_user()
        self._data = Path(tempfile.mkdtemp(prefix="pustaka-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None

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
        """Start it without waiting until it answers."""
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
        self._process = self._run("postgres", "-D", str(self._data / "db"), *switches)

    def start(self) -> Self:
        """Start it and wait until it answers."""
        if not (self._data / "db").exists():
            self._initialise()
        self.launch()
        deadline = time.monotonic() + START_LIMIT_S
        while not self._answers():
            assert self._process is not None
            assert self._process.poll() is None, f"PostgreSQL ended:\n{self.logged()[-2000:]}"
            assert time.monotonic() < deadline, f"PostgreSQL does not answer:\n{self.logged()[-2000:]}"
            time.sleep(0.02)  # between two looks
        return self

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

    def _initialise(self) -> None:
        password = self._data / "password"
        password.write_text(PASSWORD)
        if self._user is not None:
            account = pwd.getpwnam(self._user)
            for path in (self._data, password):
                os.chown(path, account.pw_uid, account.pw_gid)
        made = self._run(
            *("initdb", "-D", str(self._data / "db"), "--no-sync", "--encoding=UTF8", "--locale=C"),
            *(f"--username={USER}", f"--pwfile={password}", "--auth=scram-sha-256"),
        )
        assert made.wait(60) == 0, self.logged()[-2000:]

    def _run(self, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*_ending_with_us(), str(self._binaries / program), *arguments],
                user=self._user,
                cwd="/",
                env={"PATH": str(self._binaries), "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the tests is not for it
            )

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

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


def _ending_with_us() -> list[str]:
    """On Linux the server ends with the thread that started it, also when the tests are killed."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "INT"] if setpriv else []


def _unprivileged_user() -> str | None:
    """Whom to run it as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    known = {account.pw_name for account in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


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
