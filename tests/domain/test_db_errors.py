"""A database that cannot be used is told apart from one that is away, with what to do, and never with the password."""

import os
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from domain import db, engines
from domain.db import Database
from domain.db_opening import open_database, wait_for_database
from domain.documents import list_documents, replace_document
from tests.domain.records import ACME, GLOBEX, content, two_tenants
from tests.servers.postgres import PASSWORD, PostgresServer
from utils.errors import ProblemError, StoreDamaged, StoreRefused, StoreUnavailable

SECRET = "hush-hush"


@contextmanager
def opened(uri: str, pool_size: int = 5) -> Iterator[Database]:
    database = open_database(uri, pool_size=pool_size)
    try:
        yield database
    finally:
        database.close()


def refusal(call: Callable[[], object], *secrets: str) -> ProblemError:
    """What *call* raises, which names the variable and holds no secret in anything that is logged of it."""
    with pytest.raises(ProblemError) as caught:
        call()
    logged = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    for secret in (SECRET, PASSWORD, *secrets):
        assert secret not in logged
    return caught.value


@pytest.mark.parametrize(
    ("uri", "match"),
    [
        (f"mysql://user:{SECRET}@host/records", "mysql is not supported"),
        (f"mysql+pymysql://user:{SECRET}@host/records", "mysql is not supported"),
        (f"mongodb://user:{SECRET}@host/records", "mongodb is not supported"),
        ("", "not the address of a database"),
        (SECRET, "not the address of a database"),
        (f"postgresql//user:{SECRET}@host", "not the address of a database"),
        (f"postgresql://user:half@{SECRET}@host/records", "not the address of a database"),
        (f"postgresql://user:half@{SECRET}:5432:5432/records", "not the address of a database"),
    ],
)
def test_an_address_that_is_none_is_refused_at_once(uri: str, match: str) -> None:
    error = refusal(lambda: open_database(uri))
    assert type(error) is StoreRefused
    assert error.detail.startswith("DATABASE_URI: ")
    assert match in error.detail


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2", "postgresql+asyncpg"])
def test_every_way_to_say_postgresql_is_understood(postgres: PostgresServer, scheme: str) -> None:
    with opened(postgres.url.replace("postgresql", scheme)) as database:
        database.check()
        with database.open_read_session() as session:
            assert session.scalar(text("SELECT current_setting('application_name')")) == "pustaka"


def test_the_password_is_in_no_text_about_a_database(postgres: PostgresServer) -> None:
    user, rest = postgres.url.removeprefix("postgresql://").split("@", 1)
    name, password = user.split(":", 1)
    for uri in (postgres.url, f"postgresql://{name}@{rest}?password={password}"):
        with opened(uri) as database:
            database.check()
            shown = f"{database!r} {database.engine!r} {database.engine.url} {database.engine.pool!r}"
            assert PASSWORD not in shown
            assert password not in shown


@pytest.mark.parametrize(
    ("user", "password", "name", "match"),
    [
        ("pustaka", SECRET, "postgres", "user or password"),
        ("nobody", SECRET, "postgres", "user or password"),
        ("pustaka", PASSWORD, "no-such", "no such database"),
    ],
    ids=["password", "user", "database"],
)
def test_a_server_that_lets_nobody_in_is_refused(
    postgres: PostgresServer, user: str, password: str, name: str, match: str
) -> None:
    with opened(postgres.url_of(name, user=user, password=password)) as database:
        for call in (database.check, database.migrate, lambda: wait_for_database(database, 60)):
            error = refusal(call)
            assert type(error) is StoreRefused
            assert error.detail.startswith("DATABASE_URI: ")
            assert match in error.detail


@pytest.mark.parametrize("option", ["sslmode=require", "sslmode=perhaps", "no_such_option=1", "port=99999"])
def test_options_that_do_not_work_are_refused(postgres: PostgresServer, option: str) -> None:
    with opened(f"{postgres.url}?{option}") as database:
        assert type(refusal(database.check)) is StoreRefused


def test_a_host_nobody_knows_and_a_port_nobody_listens_at_are_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for host, match in ((f"127.0.0.1:{port}", "listens"), ("no-such-host.invalid", "host name")):
        with opened(f"postgresql://user:{SECRET}@{host}/records") as database:
            error = refusal(database.check)
            assert type(error) is StoreUnavailable
            assert match in error.detail


def test_a_socket_whose_folder_is_closed_to_this_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as server, opened(f"postgresql://user@/records?host={folder}") as database:
        server.bind(str(folder / ".s.PGSQL.5432"))
        server.listen()
        folder.chmod(0)
        user = os.geteuid()
        os.seteuid(user or 65534)  # root may enter every folder
        try:
            error = refusal(database.check)
        finally:
            os.seteuid(user)
            folder.chmod(0o700)
    assert type(error) is StoreRefused
    assert "may not enter the folder of the server's socket" in error.detail


@contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """The address of a server that says one thing after another to whoever says something."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    with listener.accept()[0] as client:
                        for answer in answers:
                            client.recv(1000)
                            client.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"postgresql://user:{SECRET}@127.0.0.1:{listener.getsockname()[1]}/records?connect_timeout=2"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def message(kind: bytes, body: bytes) -> bytes:
    """One of PostgreSQL's: https://www.postgresql.org/docs/current/protocol-message-formats.html"""
    return kind + (len(body) + 4).to_bytes(4, "big") + body


def greeting(**parameters: str) -> bytes:
    """What a server says that lets everyone in."""
    told = b"".join(message(b"S", f"{name}\0{value}\0".encode()) for name, value in parameters.items())
    return message(b"R", bytes(4)) + told + message(b"Z", b"I")


@pytest.mark.parametrize(
    ("answers", "kind", "match"),
    [
        ([b"-ERR unknown command\r\n"], StoreRefused, "not a PostgreSQL server"),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], StoreRefused, "not a PostgreSQL server"),
        ([b""], StoreUnavailable, "closed the connection"),
        ([b"N", greeting(server_version="9.6.24", server_encoding="UTF8")], StoreRefused, "PostgreSQL 9; 12 or newer"),
        ([b"N", greeting(server_version="15.1", server_encoding="LATIN1")], StoreRefused, "ENCODING 'UTF8'"),
    ],
    ids=["redis", "http", "mute", "old", "latin"],
)
def test_a_server_of_another_kind_is_named(answers: list[bytes], kind: type[ProblemError], match: str) -> None:
    with answering(*answers) as uri, opened(uri) as database:
        error = refusal(database.check)
        assert type(error) is kind
        assert match in error.detail


def test_a_server_that_says_nothing_is_away_after_a_moment() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        uri = f"postgresql://user:{SECRET}@127.0.0.1:{listener.getsockname()[1]}/records?connect_timeout=2"
        with opened(uri) as database:
            assert "does not answer in time" in refusal(database.check).detail


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    """An empty database on the server."""
    url = postgres.new_database()
    yield url
    postgres.drop_database(url)


def name_of(url: str) -> str:
    return url.rsplit("/", 1)[1]


def test_a_user_without_the_right_to_make_tables_is_refused(postgres: PostgresServer, url: str) -> None:
    postgres.execute(f"CREATE ROLE reader_{name_of(url)} LOGIN PASSWORD '{SECRET}'")
    with opened(postgres.url_of(name_of(url), user=f"reader_{name_of(url)}", password=SECRET)) as poor:
        for call in (poor.check, poor.migrate):
            error = refusal(call)
            assert type(error) is StoreRefused
            assert "GRANT CREATE" in error.detail


def test_a_database_that_takes_no_changes_is_refused(postgres: PostgresServer, url: str) -> None:
    postgres.execute(f"ALTER DATABASE {name_of(url)} SET default_transaction_read_only = on")
    with opened(url) as database:
        for call in (database.check, database.migrate):
            error = refusal(call)
            assert type(error) is StoreRefused
            assert "read-only" in error.detail


def test_tables_that_are_gone_are_told_while_the_service_runs(database_uri: str) -> None:
    database = two_tenants(database_uri)
    with database.open_write_session() as session:
        session.execute(text("DROP TABLE jobs"))
        session.execute(text("DROP TABLE chunks"))
        session.execute(text("DROP TABLE documents"))

    def look() -> None:
        with database.open_read_session() as session:
            list_documents(session, ACME)

    error = refusal(look)
    assert type(error) is StoreRefused
    assert "Start the service again" in error.detail
    database.close()


def test_a_database_of_a_newer_version_is_refused_by_every_question_and_left_alone(database_uri: str) -> None:
    database = two_tenants(database_uri)
    with database.open_write_session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for call in (database.check, database.migrate, lambda: wait_for_database(database, 60)):
        error = refusal(call)
        assert type(error) is StoreRefused
        assert "newer version" in error.detail
    with database.open_read_session() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
    database.close()


def test_a_file_that_is_no_database_and_a_folder_that_is_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("Dear diary, today I was no database at all, but a text. " * 100)
    for path, kind, begin, match in (
        (tmp_path / "notes.db", StoreDamaged, f"{tmp_path}/notes.db is no SQLite database", "restore a backup"),
        (tmp_path / "no" / "x.db", StoreRefused, "DATABASE_URI, DATA_DIR: ", "folder"),
    ):
        with opened(f"sqlite:///{path}") as database:
            for call in (database.check, database.migrate):
                error = refusal(call)
                assert type(error) is kind
                assert error.detail.startswith(begin)
                assert match in error.detail


def test_another_process_that_writes_for_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_MS", 100)
    database = two_tenants(f"sqlite:///{tmp_path / 'records.db'}")
    with database.open_write_session() as session:
        replace_document(session, ACME, "/a.md", content("text"))
        error = refusal(database.migrate)
    assert type(error) is StoreUnavailable
    assert "another process" in error.detail
    database.close()


def test_another_process_that_migrates_for_too_long_is_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "MIGRATION_PATIENCE_S", 0.2)
    with opened(url) as database, database.engine.connect() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": db.MIGRATION_LOCK})
        assert "migration is running" in refusal(database.migrate).detail
        other.rollback()
        database.migrate()


def test_a_request_does_not_wait_for_a_connection_for_ever(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "POOL_TIMEOUT_S", 0.2)
    with opened(url, pool_size=1) as database, database.open_read_session() as session:
        session.execute(text("SELECT 1"))

        def another() -> None:
            with database.open_read_session() as second:
                second.execute(text("SELECT 1"))

        assert refusal(another).detail.startswith("DB_POOL_SIZE: ")


def test_a_statement_does_not_run_for_ever(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engines._SESSION, "statement_timeout", 100)
    with opened(url) as database:

        def sleep() -> None:
            with database.open_read_session() as session:
                session.execute(text("SELECT pg_sleep(30)"))

        assert type(refusal(sleep)) is StoreUnavailable


def test_a_server_with_no_connection_left_is_away(postgres: PostgresServer, url: str) -> None:
    postgres.execute(f"CREATE ROLE crowd_{name_of(url)} LOGIN PASSWORD '{SECRET}' CONNECTION LIMIT 0")
    with opened(postgres.url_of(name_of(url), user=f"crowd_{name_of(url)}", password=SECRET)) as database:
        error = refusal(database.check)
        assert type(error) is StoreUnavailable
        assert "max_connections" in error.detail


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A server to be stopped; `postgres` is asked for so that both are skipped together."""
    with PostgresServer(tmp_path_factory.mktemp("stopped")) as server:
        yield server


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_that_goes_is_away_and_one_that_comes_back_is_used_without_an_error(
    own_server: PostgresServer, how: str
) -> None:
    database = two_tenants(own_server.new_database())

    def write() -> None:
        for ctx in (ACME, GLOBEX):
            with database.open_write_session() as session:
                replace_document(session, ctx, "/a.md", content("text"))

    def write_while_it_goes() -> None:
        with database.open_write_session() as session:
            replace_document(session, ACME, "/a.md", content("lost"))
            getattr(own_server, how)()

    write()
    assert type(refusal(write_while_it_goes)) is StoreUnavailable
    for call in (write, database.check, database.migrate):
        assert type(refusal(call)) is StoreUnavailable
    own_server.start()
    write()
    getattr(own_server, how)()
    own_server.start()
    write()  # nobody noticed that it was gone
    with database.open_read_session() as session:
        assert [document.version for document in list_documents(session, ACME)] == [3]
    database.close()


def test_a_start_waits_for_a_database_that_comes_up_later(
    own_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    own_server.stop()
    with opened(own_server.url) as database:
        with pytest.raises(StoreUnavailable):
            wait_for_database(database, 0.1)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(wait_for_database, database, 30)
            with pytest.raises(TimeoutError):
                waiting.result(0.5)
            own_server.start()
            waiting.result(10)
    assert "listens there" in caplog.text
    assert "Waiting for it" in caplog.text
    assert PASSWORD not in caplog.text


def test_a_server_that_hangs_holds_up_one_question_only(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "CONNECT_TIMEOUT_S", 0.2)
    with opened(own_server.url) as database, ThreadPoolExecutor(2) as pool:
        database.check()
        own_server.freeze()
        try:
            hanging = pool.submit(database.check)
            with pytest.raises(TimeoutError):
                hanging.result(0.2)
            began = time.monotonic()
            assert "in time" in refusal(database.check).detail
            assert time.monotonic() - began < 1
        finally:
            own_server.thaw()
        hanging.result(5)
