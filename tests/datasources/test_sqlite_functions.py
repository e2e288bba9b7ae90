"""SQLite's functions of texts with a limit of their own: what they give, what they refuse, and what a query holds."""

import sqlite3
import time
import tracemalloc
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest

from datasources.access import TableAccess
from datasources.errors import QueryFailed
from datasources.results import QueryLimits, Result
from datasources.sqlite import SqliteSource
from datasources.sqlite_functions import LONGEST_TEXT, TextFunctions
from datasources.stopping import Stop

VALUES = (None, "", "abca", " ab ", "ñú", "1", 1, -12, 1.0, -0.0, 0.1 + 0.2, 1e20, 1e-7, 1e999, b"", b"bca", b"a")
ONES = "1" * 999
ACCESS = {("main", "texts"): TableAccess(("id",), ""), ("main", "wide"): TableAccess(("c299",), "")}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "texts.db")) as connection:
        columns = ", ".join(f"c{each}" for each in range(300))
        connection.executescript(f"""
            CREATE TABLE wide ({columns});
            CREATE TABLE texts (id, body, made AS (replace(id, '1', 'one')));
            CREATE INDEX trimmed ON texts (trim(id, 'x'));
            INSERT INTO texts (id, body) VALUES ('1', 'short'), ('2', '{"é" * LONGEST_TEXT}'), ('x', x'e9');
        """)  # noqa: S608
    return tmp_path / "texts.db"


def run(file: Path, sql: str, *columns: str, row_filter: str = "") -> Result:
    access = {("main", "texts"): TableAccess(columns or ("id", "body"), row_filter)}
    return SqliteSource(file).run(sql, access, {}, QueryLimits(), Stop())


@pytest.mark.parametrize(
    ("name", "count"), [("instr", 2), ("glob", 2), ("trim", 2), ("ltrim", 2), ("rtrim", 2), ("replace", 3)]
)
def test_functions_of_texts_give_what_those_of_sqlite_give(name: str, count: int) -> None:
    query = f"SELECT {name}({', '.join('?' * count)})"
    with closing(sqlite3.connect(":memory:")) as plain, closing(sqlite3.connect(":memory:")) as ours:
        TextFunctions(time.monotonic() + 60).register(ours)
        for values in product(VALUES, repeat=count):
            expected = plain.execute(query, values).fetchone()[0]
            given = ours.execute(query, values).fetchone()[0]
            assert (type(given), given) == (type(expected), expected), values


def test_functions_of_texts_work_in_filters_and_in_tables_that_use_them(file: Path) -> None:
    sql = "SELECT made FROM texts WHERE trim(id, 'x') = '1'"
    assert run(file, sql, "id", "made", row_filter="ltrim(id, 'y') <> 'z'").rows == (("one",),)


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT body FROM texts", "more than 150,000 bytes"),
        (f"SELECT replace(replace(id, '1', '{ONES}'), '1', '{ONES}') FROM texts", "more than 150,000 characters"),  # noqa: S608
        ("SELECT instr(CAST(body AS TEXT), 'a') FROM texts WHERE id = '2'", "more than 150,000 bytes"),
        (f"SELECT id FROM texts WHERE id LIKE '{ONES}'", "too complex"),  # noqa: S608
    ],
)
def test_what_is_too_long_is_refused_in_words(sql: str, told: str, file: Path) -> None:
    with pytest.raises(QueryFailed, match=told):
        run(file, sql)
    assert run(file, "SELECT body FROM texts WHERE id = '1'").rows == (("short",),)


def test_a_result_is_held_to_columns_and_to_what_it_shows_of_texts(file: Path) -> None:
    def ask(columns: str, table: str = "texts") -> Result:
        limits = QueryLimits(rows=2)
        return SqliteSource(file).run(f"SELECT {columns} FROM {table}", ACCESS, {}, limits, Stop())  # noqa: S608

    with pytest.raises(QueryFailed, match="too many columns"):
        ask(", ".join(["id"] * 251))
    assert len(ask(", ".join(["id"] * 250)).columns) == 250
    assert ask("c299", "wide").rows == ()  # a table may have more
    long = ask(f"replace('{ONES}', '1', '{'2' * 140}')")
    assert (len(str(long.rows[0][0])), long.truncated) == (10_000, True)


def test_a_result_with_wide_rows_takes_no_memory_before_it_is_measured(file: Path) -> None:
    """Texts of 140,000 bytes in 250 columns: 35 MB as they are, and 3.5 GB for 100 rows at once."""
    wide = ", ".join(["q.y"] * 250)
    tracemalloc.start()
    try:
        found = run(file, f"SELECT {wide} FROM (SELECT replace('{ONES}', '1', '{'2' * 140}') y FROM texts) q")  # noqa: S608
        held_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.rows, found.truncated) == ((), True)
    assert held_bytes < 30_000_000


def test_calls_of_glob_end_with_the_time_of_their_query(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("INSERT INTO texts (id, body) VALUES ('long', ?)", ("a" * 149_000,))
        connection.commit()
    calls, pattern = ", ".join(["body GLOB p"] * 200), "*" + "[a-c]" * 19 + "b*"
    sql = f"SELECT {calls} FROM (SELECT body, '{pattern}' p FROM texts WHERE id = 'long') q"  # noqa: S608
    access, began_s = {("main", "texts"): TableAccess(("id", "body"), "")}, time.monotonic()
    with pytest.raises(QueryFailed, match="was cancelled"):
        SqliteSource(file).run(sql, access, {}, QueryLimits(seconds=0.1), Stop())
    assert time.monotonic() - began_s < 2
