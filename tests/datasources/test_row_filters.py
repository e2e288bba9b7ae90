"""Row filters and hidden columns: what a failure tells of them, and what is equal to an attribute of who asks."""

import pytest

from datasources.access import TableAccess
from datasources.errors import QueryFailed, QueryRefused
from datasources.mysql import MysqlSource
from datasources.results import QueryLimits
from datasources.row_filters import check_row_filter
from datasources.server_address import ServerAddress
from datasources.source import DataSource
from datasources.stopping import Stop
from tests.datasources.staff import USER, make_mysql_database, make_postgres_database
from tests.servers.mariadb import MariadbServer
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


@pytest.fixture(scope="module")
def owned(mariadb: MariadbServer) -> MysqlSource:
    name = mariadb.new_database()
    mariadb.execute(
        "CREATE TABLE machines (id INT, owner VARCHAR(9) COLLATE utf8mb4_bin);\n"
        "INSERT INTO machines VALUES (7, 'Ana'), (0, 'ana')",
        name,
    )
    mariadb.execute(f"GRANT SELECT ON {name}.* TO owner@127.0.0.1 IDENTIFIED BY 'o'")
    return MysqlSource(ServerAddress("127.0.0.1", mariadb.port, name, "owner", "o", "disable"), lambda host, port: host)


@pytest.mark.long
@pytest.mark.parametrize(
    ("row_filter", "user", "seen"),
    [
        ("id = {user.id}", "7d5b2c90-aaaa", []),
        ("id = {user.id}", "7", [7]),
        ("{user.id} <=> (id)", "7d5b", []),
        ("id IN ({user.id}, 'x')", "7d5b", []),
        ("{user.id} IN (3, id)", "3d5b", []),
        ("id BETWEEN lower({user.id}) AND {user.id}", "7d5b", []),
        ("id = 7 AND NOT id <> {user.id}", "7d5b", []),
        ("owner = {user.id}", "7d5b", []),
        ("owner = {user.id}", "ana", [0]),
    ],
)
def test_mysql_compares_attributes_of_users_as_texts(
    owned: MysqlSource, row_filter: str, user: str, seen: list[int]
) -> None:
    access = {("main", "machines"): TableAccess(("id",), row_filter)}
    found = owned.run("SELECT id FROM machines", access, {"id": user}, QueryLimits(), Stop())
    assert [number for (number,) in found.rows] == seen


@pytest.mark.parametrize(
    "row_filter",
    ["{user.id}", "id = {user.id} + 0", "id = CAST({user.id} AS SIGNED)", "CASE id WHEN {user.id} THEN 1 END",
     "(id, owner) = ({user.id}, 'x')", "coalesce(owner, {user.id}) = 7"],
)  # fmt: skip
def test_mysql_makes_no_number_of_an_attribute(row_filter: str) -> None:
    with pytest.raises(QueryRefused, match="compared as it is"):
        check_row_filter(row_filter, "mysql", ["id", "owner"])
    check_row_filter("lower(owner) = lower(trim({user.id}))", "mysql", ["id", "owner"])
