"""A column that is named with its table is one of that table's own: PostgreSQL reads `row.function` as a call."""

import pytest

from datasources.errors import QueryRefused
from datasources.functions import Dialect
from datasources.guard import check_query
from datasources.results import QueryLimits
from datasources.stopping import Stop
from tests.datasources.staff import POSTGRES_ACCESS, SQLITE_ACCESS, USER, make_postgres_database
from tests.servers.postgres import PostgresServer

CALLS = [
    "SELECT e.row_to_json, 1 AS row_to_json FROM employees e",
    "SELECT e.json_agg FROM employees e, (SELECT 1 AS json_agg) x",
    "SELECT e.json_agg FROM employees e UNION SELECT 1 AS json_agg",
    "SELECT e.json_agg FROM (SELECT 1 AS json_agg, 2 AS y) AS e(x, y)",
    "SELECT e.json_agg FROM (SELECT 'json_agg', 1) AS e",
    "WITH e AS (SELECT name FROM employees), b AS (SELECT 1 AS json_agg) SELECT e.json_agg FROM e, b",
    "WITH e(x) AS (SELECT 1 AS json_agg) SELECT e.json_agg FROM e",
    # What looks like the nearer `e` cannot be seen from there, so the database takes the farther one.
    "SELECT (SELECT 1 FROM (SELECT e.json_agg FROM n) x, (SELECT 1 AS json_agg) e) FROM employees e",
    "SELECT (WITH q AS (SELECT e.json_agg FROM n) SELECT 1 FROM q, (SELECT 1 AS json_agg) e) FROM employees e",
    "SELECT (SELECT 1 FROM n JOIN cities ON e.json_agg IS NULL, (SELECT 1 AS json_agg) e) FROM employees e",
    "SELECT (SELECT 1 FROM n, (n b JOIN n c ON e.json_agg IS NULL), (SELECT 1 AS json_agg) e) FROM employees e",
]


@pytest.mark.parametrize("sql", CALLS)
def test_a_name_after_a_table_calls_nothing(sql: str) -> None:
    with pytest.raises(QueryRefused, match=r"no column 'e\."):
        check_query(sql, "postgres", POSTGRES_ACCESS, USER, max_rows=10)


def test_a_row_has_no_number_on_sqlite() -> None:
    with pytest.raises(QueryRefused, match=r"no column 'e\.rowid'"):
        check_query("SELECT e.rowid, 1 AS rowid FROM employees e", "sqlite", SQLITE_ACCESS, USER, max_rows=10)


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_columns_are_found_where_their_tables_are_named(dialect: Dialect, postgres: PostgresServer) -> None:
    access = {"sqlite": SQLITE_ACCESS, "postgres": POSTGRES_ACCESS}[dialect]
    source = make_postgres_database(postgres.new_database()) if dialect == "postgres" else None
    for sql in (
        "SELECT E.Name FROM Employees e",
        "SELECT m.name, m.total FROM (SELECT m.name, sum(m.id) AS total FROM employees m GROUP BY m.name) m",
        "SELECT e.name FROM employees e JOIN cities c ON c.name <> e.name"
        " WHERE EXISTS (SELECT 1 FROM n WHERE n.x = e.id)",
        "SELECT c.name, (SELECT count(*) FROM employees c WHERE c.id > 1) FROM cities c",
        "SELECT a.name FROM n q JOIN (employees a JOIN n b ON a.id = b.x) ON q.x = b.x",
        "WITH a AS (SELECT e.* FROM employees e), b AS (SELECT a.name, a.id FROM a)"
        " SELECT b.name, a.region FROM a JOIN b ON a.id = b.id",
        "WITH a(x, y) AS (SELECT id, name FROM employees) SELECT a.x, z.y FROM a JOIN a z ON z.x = a.x ORDER BY a.y",
        "SELECT u.name FROM (SELECT name FROM employees UNION SELECT name FROM cities) u ORDER BY u.name",
        "SELECT t.id, max(t.id) OVER (PARTITION BY t.region) FROM employees t"
        " WHERE t.id IN (SELECT y.id FROM employees y WHERE y.region = t.region)",
    ):
        check_query(sql, dialect, access, USER, max_rows=10)
        if source is not None:
            assert source.run(sql, access, USER, QueryLimits(), Stop()).rows
