"""Attacks on databases: nothing read, written or held beyond what is allowed, also with either check taken away."""

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from datasources.errors import QueryFailed, QueryRefused
from datasources.functions import Dialect
from datasources.guard import check_query
from datasources.postgres import PostgresSource
from datasources.results import QueryLimits, Result, collect
from datasources.sqlite import SqliteSource, name_views
from datasources.stopping import Stop
from tests.datasources.attacks import BOTH, POSTGRES, POSTGRES_BOMBS, SQLITE, SQLITE_BOMBS, read_queries
from tests.datasources.staff import POSTGRES_ACCESS, SQLITE_ACCESS, USER, make_postgres_database, make_sqlite_file
from tests.servers.postgres import PostgresServer

LIMITS = QueryLimits(rows=1000, seconds=0.1)
PATIENCE_S = 3.0  # for the limit above; a query that is held up by nothing takes minutes
ATTACKS = {"sqlite": read_queries(BOTH + SQLITE), "postgres": read_queries(BOTH + POSTGRES)}
BOMBS = {"sqlite": read_queries(SQLITE_BOMBS), "postgres": read_queries(POSTGRES_BOMBS)}
LEAKS = ("CANARY", "LEAK", "987654", "root:", "division by zero", "integer overflow", "owned")
LOOKS = (
    "SELECT * FROM cities ORDER BY name",
    "SELECT * FROM employees ORDER BY id",
    "SELECT count(*) FROM pg_class",
    "SELECT last_value FROM numbers",
    "SELECT count(*) FROM pg_largeobject_metadata",
    "SELECT rolname, rolsuper FROM pg_roles ORDER BY rolname",
)
UNQUALIFIED = re.compile(r"\b(FROM|JOIN|INTO|UPDATE|TABLE)\s+(employees|vault|cities)\b", re.IGNORECASE)
OWNED = "/tmp/owned-by-a-query"  # noqa: S108 # what attacks would write
Run = Callable[[str], Result]


@pytest.fixture(scope="module")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("staff") / "staff.db"
    make_sqlite_file(file)
    return file


@pytest.fixture(scope="module")
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    url = postgres.new_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture(scope="module")
def postgres_source(postgres_url: str) -> PostgresSource:
    return make_postgres_database(postgres_url)


@pytest.fixture(params=["both checks", "the guard alone", "the engine alone"])
def run_on_sqlite(request: pytest.FixtureRequest, sqlite_file: Path) -> Run:
    source = SqliteSource(sqlite_file)

    def guard_alone(sql: str) -> Result:
        checked = check_query(sql, "sqlite", SQLITE_ACCESS, USER, max_rows=1000)
        connection = sqlite3.connect(sqlite_file, isolation_level=None)
        try:
            with Stop().ending(connection.interrupt, LIMITS.seconds):
                cursor = connection.execute(checked)
                return collect(sql, [], cursor.fetchmany, LIMITS)
        except sqlite3.Error as error:
            raise QueryFailed(str(error)) from error
        finally:
            connection.close()

    return {
        "both checks": lambda sql: source.run(sql, SQLITE_ACCESS, USER, LIMITS, Stop()),
        "the guard alone": guard_alone,
        "the engine alone": lambda sql: source.execute(
            sql, SQLITE_ACCESS, USER, LIMITS, Stop(), views=name_views(SQLITE_ACCESS)
        ),
    }[request.param]


@pytest.fixture(params=["both checks", "the guard alone", pytest.param("the engine alone", marks=pytest.mark.long)])
def run_on_postgres(request: pytest.FixtureRequest, postgres_source: PostgresSource, postgres_url: str) -> Run:
    def guard_alone(sql: str) -> Result:
        checked = check_query(sql, "postgres", POSTGRES_ACCESS, USER, max_rows=1000)
        try:
            with (
                psycopg.connect(postgres_url, autocommit=True) as connection,
                Stop().ending(connection.cancel_safe, LIMITS.seconds),
            ):
                cursor = connection.execute(checked.encode())
                return collect(sql, [], cursor.fetchmany, LIMITS)
        except psycopg.Error as error:
            raise QueryFailed(str(error)) from error

    return {
        "both checks": lambda sql: postgres_source.run(sql, POSTGRES_ACCESS, USER, LIMITS, Stop()),
        "the guard alone": guard_alone,
        "the engine alone": lambda sql: postgres_source.execute(
            re.sub(UNQUALIFIED, r"\1 public.\2", sql), USER, LIMITS, Stop()
        ),
    }[request.param]


def try_all(run: Run, attacks: list[str], bombs: list[str]) -> list[tuple[str, str]]:
    """The attacks that got further than they may, and what they got."""
    successful: list[tuple[str, str]] = []
    for sql in attacks + bombs:
        began_s = time.monotonic()
        try:
            told = str(run(sql).rows)
        except (QueryRefused, QueryFailed) as refusal:
            told = "" if "syntax" in str(refusal) or isinstance(refusal, QueryRefused) else str(refusal)
        if any(leak in told for leak in LEAKS):
            successful.append((sql, told[:200]))
        if time.monotonic() - began_s > PATIENCE_S:
            successful.append((sql, "took too long"))
    return successful


def dump(file: Path) -> list[str]:
    connection = sqlite3.connect(file)
    try:
        return [*connection.iterdump(), *map(str, connection.execute("PRAGMA user_version"))]
    finally:
        connection.close()


def test_no_attack_on_sqlite_gets_past_either_check(run_on_sqlite: Run, sqlite_file: Path) -> None:
    before = dump(sqlite_file)
    assert try_all(run_on_sqlite, ATTACKS["sqlite"], BOMBS["sqlite"]) == []
    assert dump(sqlite_file) == before
    assert not list(Path(OWNED).parent.glob("owned-by-a-query*"))


LONG, OTHER_LONG = (f"replace('{each * 1000}', '{each}', '{each * 140}')" for each in "ab")
TEXTS = f"(SELECT x, {LONG} y, substr({LONG}, 1, 70000) || 'b' z, substr({OTHER_LONG}, 1, 11000) || 'a' t FROM n) q"  # noqa: S608
HEAVY = {
    **{
        call: f"SELECT {', '.join([call] * 50)} FROM {TEXTS}"  # noqa: S608
        for call in ("trim(y, t)", "rtrim(y, t)", "instr(y, z)")
    },
    "trim": f"SELECT length(trim({LONG}, {OTHER_LONG} || 'a')) FROM n",  # noqa: S608
    "replace": f"SELECT length(replace({LONG}, 'a', {OTHER_LONG})) FROM n",  # noqa: S608
    "like": f"SELECT count(*) FROM {TEXTS} WHERE y || x LIKE '%{'a' * 96}b%'",  # noqa: S608
    "glob": f"SELECT count(*) FROM {TEXTS} WHERE y || x GLOB '*{'[a-c]' * 19}b*'",  # noqa: S608
    "strftime": f"SELECT {', '.join(['strftime(z, x)'] * 200)} "  # noqa: S608
    f"FROM (SELECT x, replace(substr({LONG}, 1, 16000), 'aa', '%J') z FROM n) q",
}


@pytest.mark.parametrize("sql", HEAVY.values(), ids=HEAVY)
def test_no_call_of_sqlite_holds_a_query_past_its_limit(sql: str, sqlite_file: Path) -> None:
    began_s = time.monotonic()
    with suppress(QueryFailed):
        SqliteSource(sqlite_file).run(sql, SQLITE_ACCESS, USER, LIMITS, Stop())
    assert time.monotonic() - began_s < LIMITS.seconds + 2


def test_no_attack_on_postgresql_gets_past_either_check(run_on_postgres: Run, postgres_url: str) -> None:
    def look() -> list[object]:
        with psycopg.connect(postgres_url) as connection:
            return [connection.execute(each.encode()).fetchall() for each in LOOKS]

    before = look()
    assert try_all(run_on_postgres, ATTACKS["postgres"], BOMBS["postgres"]) == []
    assert look() == before
    assert not list(Path(OWNED).parent.glob("owned-by-a-query*"))


def test_without_checks_the_attacks_succeed(sqlite_file: Path, tmp_path: Path) -> None:
    """Else they would show nothing."""
    script = "\n".join(line for line in dump(sqlite_file)[:-1] if 'INTO "n"' not in line)
    succeeded = 0
    for sql in (each for each in ATTACKS["sqlite"] if "00000000" not in each):  # those fill the memory
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.executescript(script)
        before = list(connection.iterdump())
        try:
            told = str(connection.execute(sql.replace(OWNED, str(tmp_path / "owned"))).fetchall())
        except (sqlite3.Error, sqlite3.Warning, MemoryError):
            told = ""
        succeeded += any(leak in told for leak in LEAKS) or list(connection.iterdump()) != before
        connection.close()
    assert succeeded >= 85


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT name FROM employees ORDER BY id", (("Ana",), ("Budi",))),
        ("SELECT count(*), max(e.id) FROM employees AS e", ((2, 2),)),
        ("SELECT * FROM employees WHERE id = 1", ((1, "Ana", "north"),)),
        ("WITH a AS (SELECT region, count(*) AS c FROM employees GROUP BY region) SELECT c FROM a", ((2,),)),
        ("SELECT name FROM cities UNION SELECT name FROM employees ORDER BY 1 LIMIT 2", (("Ana",), ("Bandung",))),
        ("SELECT c.name, (SELECT count(*) FROM employees e WHERE e.id > 1) FROM cities c ORDER BY 1 LIMIT 1",
         (("Bandung", 1),)),
        ("SELECT CASE WHEN id > 1 THEN 'x' ELSE name END, round(id / 3.0, 2) FROM employees ORDER BY id",
         (("Ana", 0.33), ("x", 0.67))),
        ("SELECT upper(substr(name, 1, 1)) || lower(name) FROM employees WHERE name LIKE 'B%'", (("Bbudi",),)),
        ("SELECT row_number() OVER (ORDER BY x DESC), x FROM n ORDER BY x DESC LIMIT 1;", ((1, 300),)),
        ("SELECT name FROM employees WHERE name = 'O''Brien; -- no'", ()),
        ("SELECT count(*) FROM employees a, employees b, cities", ((8,),)),
        ("SELECT EXISTS (SELECT 1 FROM n, cities)", ((1,),)),
    ],
)  # fmt: skip
def test_a_query_that_is_allowed_is_answered(
    sql: str, rows: tuple[tuple[object, ...], ...], sqlite_file: Path, postgres_source: PostgresSource
) -> None:
    limits = QueryLimits()
    assert SqliteSource(sqlite_file).run(sql, SQLITE_ACCESS, USER, limits, Stop()).rows == rows
    assert postgres_source.run(sql, POSTGRES_ACCESS, USER, limits, Stop()).rows == rows
    if "employees" in sql:
        with pytest.raises(QueryRefused, match="'region'"):
            SqliteSource(sqlite_file).run(sql, SQLITE_ACCESS, {}, limits, Stop())


def test_a_text_in_double_quotes_is_one_on_sqlite_where_it_is_compared(sqlite_file: Path) -> None:
    def check(sql: str) -> str:
        return check_query(sql, "sqlite", SQLITE_ACCESS, USER, max_rows=10)

    assert "`name` = 'Bandung'" in check('SELECT name FROM cities WHERE name = "Bandung"')
    assert "'vault''s'" in check('SELECT name FROM cities WHERE name IN ("vault\'s")')
    for sql in ('SELECT "nmae" FROM cities', "SELECT 1 FROM cities WHERE nmae = 1", 'SELECT x."a" = 1 FROM cities x'):
        with pytest.raises(QueryRefused, match="no column"):
            check(sql)


def test_a_query_that_is_refused_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    for sql in ("SELECT 1; FETCH secret", "FETCH secret", "SELECT 1; VACUUM secret; SELECT 2"):
        with pytest.raises(QueryRefused, match="Only one SELECT"):
            check_query(sql, "postgres", POSTGRES_ACCESS, USER, max_rows=10)
    assert not caplog.records


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_subqueries_that_grow_in_each_other_are_refused(dialect: Dialect) -> None:
    def nest(times: int) -> str:
        query = "n"
        for inner, outer in pairwise("xabcd"):
            query = f"(SELECT {' + '.join([inner] * times)} AS {outer} FROM {query}) AS q"  # noqa: S608
        return query

    access = SQLITE_ACCESS if dialect == "sqlite" else POSTGRES_ACCESS
    derived = "SELECT d FROM " + nest(40)  # noqa: S608
    chain = (("n", "x", "a"), ("qa", "a", "b"), ("qb", "b", "c"), ("qc", "c", "d"))
    ctes = ", ".join(f"q{o} AS (SELECT {' + '.join([i] * 40)} AS {o} FROM {f})" for f, i, o in chain)  # noqa: S608
    for sql in (derived, f"WITH {ctes} SELECT d FROM qd", f"SELECT d FROM (WITH {ctes} SELECT * FROM qd) AS q"):  # noqa: S608
        with pytest.raises(QueryRefused, match="too often"):
            check_query(sql, dialect, access, USER, max_rows=10)
    alias = f"SELECT {' + '.join(['a'] * 120)} AS b FROM {{}} WHERE {' + '.join(['b'] * 120)} > 0"  # noqa: S608
    inner = f"(SELECT {' + '.join(['x'] * 120)} AS a FROM n) AS q"  # noqa: S608
    with pytest.raises(QueryRefused, match="too often"):
        check_query(alias.format(inner), dialect, access, USER, max_rows=10)
    few = "SELECT d FROM " + nest(5)  # noqa: S608
    assert check_query(few, dialect, access, USER, max_rows=10)
