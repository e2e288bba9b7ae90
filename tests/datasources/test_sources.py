"""Databases as they are found: empty, locked, damaged, odd, large; and what ends a query that runs."""

import os
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from datasources.access import TableAccess
from datasources.errors import QueryFailed, SourceUnavailable
from datasources.mysql import MysqlSource
from datasources.postgres import PostgresSource
from datasources.questions.planning import plan_question
from datasources.questions.refusals import QuestionRefused
from datasources.results import QueryLimits
from datasources.schema import Column, ForeignKey, SchemaLimits
from datasources.server_address import ServerAddress
from datasources.source import DataSource
from datasources.sqlite import SqliteSource
from datasources.stopping import Stop
from tests.datasources.hostile_mysql import ASKS_FOR_A_FILE, WITHOUT_END, hostile_mysql, make_error
from tests.datasources.hostile_postgres import LONG_NOTICE, LONG_ROW, MANY_ROWS, hostile_postgres
from tests.datasources.plant import TODAY, open_all
from tests.datasources.staff import (
    MYSQL_ACCESS,
    POSTGRES_ACCESS,
    READER,
    SQLITE_ACCESS,
    USER,
    make_mysql_database,
    make_postgres_database,
    make_sqlite_file,
)
from tests.servers.postgres import PostgresServer

ACCESS = {"sqlite": SQLITE_ACCESS, "postgres": POSTGRES_ACCESS, "mysql": MYSQL_ACCESS}
RUNNING = "SELECT info FROM information_schema.processlist WHERE info LIKE 'SEL%' AND id <> CONNECTION_ID()"
ENDLESS = "SELECT count(*) FROM n a, n b, n c, n d, n e, n f"


@pytest.fixture(scope="module", params=["sqlite", "postgres", pytest.param("mysql", marks=pytest.mark.long)])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DataSource:
    if request.param == "sqlite":
        file = tmp_path_factory.mktemp("staff") / "staff.db"
        make_sqlite_file(file)
        return SqliteSource(file)
    if request.param == "mysql":
        return make_mysql_database(request.getfixturevalue("mariadb"))
    postgres: PostgresServer = request.getfixturevalue("postgres")
    return make_postgres_database(postgres.new_database())


@pytest.mark.parametrize("source", ["sqlite", "postgres"], indirect=True)
def test_a_schema_tells_tables_columns_keys_and_samples(source: DataSource) -> None:
    schema = source.read_schema(SchemaLimits(), Stop())
    is_sqlite = source.dialect == "sqlite"
    tables = {table.name[1]: table for table in schema.tables}
    # The role in PostgreSQL sees what it may read: two rows of three, and no salaries.
    assert set(tables) == ({"cities", "employees", "n", "vault"} if is_sqlite else {"cities", "employees", "n"})
    name = next(column for column in tables["employees"].columns if column.name == "name")
    assert (name.type.lower(), name.is_nullable) == ("text", False)
    assert tables["employees"].primary_key == ("id",)
    assert ("salary" in [each.name for each in tables["employees"].columns]) is is_sqlite
    [city] = tables["cities"].columns
    assert (set(city.samples), city.distinct_count, tables["cities"].sampled_rows) == ({"Bandung", "Concepción"}, 2, 2)
    assert schema.complete
    if is_sqlite:
        assert tables["vault"].foreign_keys == (ForeignKey(("city",), ("main", "cities"), ("name",)),)
    assert not source.read_schema(SchemaLimits(tables=2), Stop()).complete
    narrow = source.read_schema(SchemaLimits(columns=2), Stop())
    assert ({len(table.columns) for table in narrow.tables}, narrow.complete) == ({1, 2}, False)
    assert source.check(Stop()) == []


def test_a_query_ends_when_its_asker_leaves_and_the_server_is_free(
    source: DataSource, request: pytest.FixtureRequest
) -> None:
    access = ACCESS[source.dialect]
    stop = Stop()
    timer = threading.Timer(0.2, stop.stop)
    timer.start()
    began_s = time.monotonic()
    with pytest.raises(QueryFailed, match="cancelled"):
        source.run(ENDLESS, access, USER, QueryLimits(seconds=25), stop)
    assert time.monotonic() - began_s < 20  # it would take years
    timer.join()
    if source.dialect == "mysql":  # which does not look whether its client is still there
        with request.getfixturevalue("mariadb").connect() as connection, connection.cursor() as cursor:
            while cursor.execute(RUNNING):
                assert time.monotonic() - began_s < 20
    with pytest.raises(QueryFailed, match="cancelled"):
        source.run(ENDLESS, access, USER, QueryLimits(seconds=60), stop)  # it was left before it began
    with pytest.raises(QueryFailed, match=r"0\.1 seconds"):
        source.run(ENDLESS, access, USER, QueryLimits(seconds=0.1), Stop())


def test_a_result_is_held_to_rows_and_bytes(source: DataSource) -> None:
    access = ACCESS[source.dialect]
    run = source.run("SELECT a.x, b.x FROM n a, n b", access, USER, QueryLimits(rows=250), Stop())
    assert (len(run.rows), run.truncated, run.columns) == (250, True, ("x", "x"))
    run = source.run("SELECT x FROM n ORDER BY x", access, USER, QueryLimits(rows=300), Stop())
    assert (len(run.rows), run.truncated) == (300, False)
    run = source.run("SELECT x FROM n", access, USER, QueryLimits(size_bytes=80), Stop())
    assert (len(run.rows), run.truncated) == (10, True)


def test_names_of_columns_hide_nothing(source: DataSource) -> None:
    sql = 'SELECT x AS "a\u202eb\nc", x AS "día 1" FROM n LIMIT 1'
    run = source.run(sql, ACCESS[source.dialect], USER, QueryLimits(), Stop())
    assert run.columns == ("a?b?c", "día 1")


def test_a_mean_is_a_figure_and_an_amount_that_is_not_exact_as_one_a_text(source: DataSource) -> None:
    access = ACCESS[source.dialect]
    [[mean]] = source.run("SELECT avg(x) FROM n WHERE x IN (1, 2, 4)", access, USER, QueryLimits(), Stop()).rows
    assert mean == pytest.approx(7 / 3, abs=1e-4)
    if source.dialect != "sqlite":  # which has no such numbers
        sql = "SELECT CAST(99999999999999.99 AS DECIMAL(20, 2))"
        assert source.run(sql, access, USER, QueryLimits(), Stop()).rows == (("99999999999999.99",),)


def test_rules_ask_a_postgresql_database_that_has_columns_of_odd_types(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    named = make_postgres_database(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TYPE progress AS ENUM ('begun', 'done')")
        connection.execute("CREATE TABLE tasks (name text, tags text[], stage progress, ok boolean, more jsonb)")
        connection.execute("INSERT INTO tasks VALUES ('Alpha', '{x,y}', 'begun', true), ('Beta', '{x}', 'done', false)")
        connection.execute(f"GRANT SELECT ON tasks TO {READER}")
    opened = open_all(named, {})
    for question, rows in (
        ("How many tasks are done?", ((1,),)),
        ("tasks by stage", (("begun", 1), ("done", 1))),
        ("What is the stage of Alpha?", (("begun",),)),
    ):
        sql = plan_question(question, opened.vocabulary, TODAY).write_sql()
        assert tuple(sorted(named.run(sql, opened.access, {}, QueryLimits(), Stop()).rows)) == rows
    for question in ("average ok of tasks", "tasks with ok over 1", "sum of the tags of tasks"):
        with pytest.raises(QuestionRefused):
            plan_question(question, opened.vocabulary, TODAY)


@pytest.mark.parametrize("source", ["postgres", pytest.param("mysql", marks=pytest.mark.long)], indirect=True)
def test_an_unknown_password_or_host_is_told_without_the_login(source: PostgresSource | MysqlSource) -> None:
    address = source._address
    for wrong in (
        replace(address, password="pass-w0rd-x"),
        replace(address, port=1),
        replace(address, database="n0ne"),
        replace(address, sslmode="verify-full"),
    ):
        with pytest.raises(SourceUnavailable) as caught:
            type(source)(wrong, lambda host, port: host).check(Stop())
        chain = f"{caught.value!r} {caught.value.__cause__!r} {wrong!r}"
        assert "pass-w0rd-x" not in chain
        assert address.password not in chain


def test_a_query_ends_on_the_file_that_it_began_with(tmp_path: Path) -> None:
    file = tmp_path / "staff.db"
    make_sqlite_file(file)
    source = SqliteSource(file, missing="It was replaced.")

    def is_open() -> bool:
        found = (Path(os.path.realpath(each)) for each in Path("/proc/self/fd").iterdir())
        return file in found

    def run() -> object:
        limits = QueryLimits(seconds=60)
        return source.run("SELECT count(*) FROM n a, n b, n c", SQLITE_ACCESS, USER, limits, Stop()).rows[0][0]

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(run)
        while not (is_open() or answer.done()):
            continue
        file.unlink()
        assert not answer.done()
        assert answer.result() == 300**3
    with pytest.raises(SourceUnavailable, match="replaced"):
        run()


def test_databases_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    damaged, empty, locked = (tmp_path / name for name in ("damaged.db", "empty.db", "locked.db"))
    damaged.write_bytes(b"no database " * 1000)
    empty.touch()
    make_sqlite_file(locked)
    for file in (damaged, tmp_path / "missing.db", tmp_path):
        with pytest.raises(SourceUnavailable):
            SqliteSource(file).check(Stop())
    assert SqliteSource(empty).read_schema(SchemaLimits(), Stop()).tables == ()
    assert not (tmp_path / "missing.db").exists()
    writer = sqlite3.connect(locked, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(SourceUnavailable, match="locked"):
        SqliteSource(locked).check(Stop())
    writer.close()


def test_a_server_that_is_no_mysql_says_so_and_nothing_long() -> None:
    for answer, told in (
        (ASKS_FOR_A_FILE, "protocol"),
        (b"\xfe\1", "protocol"),
        (make_error(b"x" * 100_000), "xxx"),
        (WITHOUT_END, "too much"),
    ):
        with hostile_mysql(answer) as port, pytest.raises(SourceUnavailable, match=told) as raised:
            make_mysql_source(port).check(Stop())
        assert len(str(raised.value)) < 400


def test_a_server_that_greets_byte_by_byte_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasources.mysql.CONNECT_S", 0.1)
    with hostile_mysql(b"", pause_s=0.02) as port, pytest.raises(SourceUnavailable, match="does not answer"):
        make_mysql_source(port).check(Stop())


@pytest.mark.parametrize("flood", [LONG_ROW, MANY_ROWS, LONG_NOTICE], ids=["a row", "rows", "a notice"])
def test_what_a_postgresql_server_sends_is_bounded(flood: tuple[bytes, bytes]) -> None:
    with hostile_postgres(flood) as server, pytest.raises(SourceUnavailable, match="sends too much"):
        make_postgres_source(server.port).check(Stop())
    assert 20_000_000 < server.sent_bytes < 50_000_000


def test_a_postgresql_server_that_sends_much_before_it_is_asked_is_left() -> None:
    with hostile_postgres(LONG_NOTICE, greets=False) as server, pytest.raises(SourceUnavailable, match="not answer"):
        make_postgres_source(server.port).check(Stop())
    assert server.sent_bytes < 20_000_000  # what fits between the two


def make_postgres_source(port: int) -> PostgresSource:
    return PostgresSource(ServerAddress("127.0.0.1", port, "d", "u", "p", "disable"), lambda host, port: host)


def make_mysql_source(port: int) -> MysqlSource:
    return MysqlSource(ServerAddress("127.0.0.1", port, "d", "u", "p"), lambda host, port: host)


def test_odd_names_old_encodings_and_hundreds_of_tables(tmp_path: Path) -> None:
    file = tmp_path / "odd.db"
    names = ['a "b', "select", "tabel ñ", "a`b", "a]b", "x'; DROP TABLE y; --", "1st", " "]
    with sqlite3.connect(file) as connection:
        for name in names:
            quoted = '"' + name.replace('"', '""') + '"'
            connection.execute(f"CREATE TABLE {quoted} ({quoted}, b BLOB, c TEXT)")
            row = "(1, x'00ff', CAST(x'4d61f161' AS TEXT))"
            connection.execute(f"INSERT INTO {quoted} VALUES {row}")  # noqa: S608
        for number in range(520):
            connection.execute(f"CREATE TABLE zz{number} (x)")
        connection.execute("CREATE VIRTUAL TABLE words USING fts5(x)")
        connection.execute("CREATE VIEW shown AS SELECT 1 AS x")
    connection.close()
    source = SqliteSource(file)
    schema = source.read_schema(SchemaLimits(), Stop())
    assert (len(schema.tables), schema.complete) == (500, False)
    assert "words" not in {table.name[1] for table in schema.tables}
    tables = {table.name[1]: table for table in source.read_schema(SchemaLimits(tables=600), Stop()).tables}
    for name in names:
        assert tables[name].columns[0] == Column(name, "", True, ("1",), 1)
        assert tables[name].columns[2].samples == ("Ma\ufffda",)
        quoted = '"' + name.replace('"', '""') + '"'
        access = {("main", name): TableAccess((name, "b", "c"), f"{quoted} = 1")}
        sql = f"SELECT t.{quoted}, b, c FROM {quoted} AS t"  # noqa: S608
        found = source.run(sql, access, {}, QueryLimits(), Stop())
        assert found.rows == ((1, "(2 bytes)", "Ma\ufffda"),)


def test_a_superuser_is_refused_and_a_role_that_may_write_is_told(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    source = make_postgres_database(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("GRANT INSERT ON cities TO reader")
        [told] = source.check(Stop())
        assert "write to 1 tables" in told
        connection.execute("ALTER ROLE reader SUPERUSER")
        try:
            with pytest.raises(SourceUnavailable, match="superuser"):
                source.run("SELECT 1", POSTGRES_ACCESS, USER, QueryLimits(), Stop())
        finally:
            connection.execute("ALTER ROLE reader NOSUPERUSER")
