"""Row filters and hidden columns: what a failure tells of them, and what is equal to an attribute of who asks."""

import pytest

from datasources.access import TableAccess
from datasources.errors import QueryFailed
from datasources.results import QueryLimits
from datasources.source import DataSource
from datasources.stopping import Stop
from tests.datasources.staff import USER, make_mysql_database, make_postgres_database
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="module", params=["postgres", pytest.param("mysql", marks=pytest.mark.long)])
def server(request: pytest.FixtureRequest) -> DataSource:
    if request.param == "mysql":
        return make_mysql_database(request.getfixturevalue("mariadb"))
    postgres: PostgresServer = request.getfixturevalue("postgres")
    return make_postgres_database(postgres.new_database())


def fail(source: DataSource, row_filter: str, sql: str = "SELECT region FROM employees") -> str:
    schema = "public" if source.dialect == "postgres" else "main"
    access = {(schema, "employees"): TableAccess(("region",), row_filter)}
    with pytest.raises(QueryFailed) as raised:
        source.run(sql, access, USER, QueryLimits(), Stop())
    return str(raised.value)


def test_a_failure_tells_no_hidden_value(server: DataSource) -> None:
    if server.dialect == "postgres":
        assert fail(server, "CAST(name AS int) = 1") == "PostgreSQL: invalid text representation."
    else:
        assert fail(server, "id + 9223372036854775807 > 0") == "MySQL: error 1690."
    assert "number of columns" in fail(server, "", "SELECT region FROM employees UNION SELECT 1, 2")
