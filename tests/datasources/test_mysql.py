"""MySQL and MariaDB: attacks on a real server, what is read of it, and what ends a query that runs there."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pymysql
import pytest
from pymysql.cursors import SSCursor

from auth.operators import make_operator
from bootstrap.source_opening import make_spec, open_data_sources
from config import load_settings
from datasources.errors import QueryFailed, QueryRefused, SourceUnavailable
from datasources.guard import check_query
from datasources.mysql import MysqlSource, name_tables
from datasources.questions.planning import plan_question
from datasources.questions.refusals import QuestionRefused
from datasources.results import QueryLimits, Result, collect
from datasources.schema import ForeignKey, SchemaLimits
from datasources.server_address import ServerAddress
from datasources.stopping import Stop
from domain.data_sources import create_source, get_source
from domain.db_opening import open_database
from domain.keys import ensure_tenant
from tests.datasources.attacks import BOTH, read_queries
from tests.datasources.mysql_attacks import MYSQL, MYSQL_BOMBS
from tests.datasources.plant import TODAY, open_all
from tests.datasources.staff import MYSQL_ACCESS, MYSQL_TABLES, USER, make_mysql_database
from tests.datasources.test_attacks import LIMITS, OWNED, Run, try_all
from tests.servers.mariadb import ROOT_PASSWORD, MariadbServer
from utils.checkpointer.cipher import Keyring

pytestmark = pytest.mark.long
ATTACKS, BOMBS = read_queries(BOTH + MYSQL), read_queries(MYSQL_BOMBS)
LOOKS = (
    "SELECT * FROM cities ORDER BY name",
    "SELECT * FROM vault",
    "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name",
    "SELECT user, host FROM mysql.user ORDER BY user, host",
    "SELECT * FROM information_schema.global_variables WHERE variable_name IN ('GENERAL_LOG_FILE', 'GENERAL_LOG')",
)


def log_in(server: MariadbServer, database: str, user: str, password: str) -> MysqlSource:
    return MysqlSource(ServerAddress("127.0.0.1", server.port, database, user, password), lambda host, port: host)


@pytest.fixture(scope="module")
def source(mariadb: MariadbServer) -> MysqlSource:
    return make_mysql_database(mariadb)


@pytest.fixture(scope="module")
def everything(mariadb: MariadbServer) -> str:
    """A database with the same tables, for those who may read all of it."""
    name = mariadb.new_database()
    mariadb.execute(MYSQL_TABLES, name)
    return name


@pytest.fixture(params=["both checks", "the guard alone", "the engine alone"])
def run(request: pytest.FixtureRequest, source: MysqlSource, mariadb: MariadbServer, everything: str) -> Run:
    def guard_alone(sql: str) -> Result:
        stored_as = name_tables(MYSQL_ACCESS, everything)
        checked = check_query(sql, "mysql", MYSQL_ACCESS, USER, max_rows=1000, stored_as=stored_as)
        with mariadb.connect(everything) as connection, connection.cursor(SSCursor) as cursor:
            try:
                cursor.execute(f"SET STATEMENT max_statement_time = {LIMITS.seconds} FOR {checked}")
                return collect(sql, [], cursor.fetchmany, LIMITS)
            except pymysql.MySQLError as error:
                raise QueryFailed(str(error)) from error

    return {
        "both checks": lambda sql: source.run(sql, MYSQL_ACCESS, USER, LIMITS, Stop()),
        "the guard alone": guard_alone,
        "the engine alone": lambda sql: source.execute(sql, LIMITS, Stop()),
    }[request.param]


@pytest.fixture
def looks(mariadb: MariadbServer, source: MysqlSource, everything: str) -> Iterator[None]:
    """Nothing of both databases, or of the server, is another afterwards."""

    def look() -> list[object]:
        found: list[object] = []
        for name in (everything, source._address.database):
            with mariadb.connect(name) as connection, connection.cursor() as cursor:
                for query in LOOKS:
                    cursor.execute(query)
                    found.append(cursor.fetchall())
        return found

    before = look()
    yield
    assert look() == before


@pytest.mark.usefixtures("looks")
def test_no_attack_on_mysql_gets_past_either_check(run: Run) -> None:
    assert try_all(run, ATTACKS, BOMBS) == []
    assert not list(Path(OWNED).parent.glob("owned-by-a-query*"))


def test_without_checks_the_attacks_succeed(mariadb: MariadbServer) -> None:
    """Else they would show nothing."""
    name = mariadb.new_database()
    mariadb.execute(MYSQL_TABLES, name)
    succeeded = 0
    mariadb.execute(f"GRANT ALL ON {name}.* TO owner@127.0.0.1 IDENTIFIED BY 'o'")
    for sql in (each for each in ATTACKS if "00000000" not in each and "PASSWORD" not in each):
        login = {"user": "owner", "password": "o"}
        with mariadb.connect(name, init_command="SET max_statement_time = 0.2", **login) as connection:
            cursor = connection.cursor()
            try:
                connection.begin()
                succeeded += cursor.execute(sql) > 0
                told = str(cursor.fetchall())
                connection.rollback()
            except pymysql.MySQLError as error:
                told = "" if "syntax" in str(error) else str(error)
            succeeded += any(leak in told for leak in ("CANARY", "LEAK", "987654", "root:"))
    assert succeeded >= 85


def test_a_schema_tells_tables_columns_keys_and_samples(
    source: MysqlSource, mariadb: MariadbServer, everything: str
) -> None:
    schema = source.read_schema(SchemaLimits(), Stop())
    tables = {table.name: table for table in schema.tables}
    assert set(tables) == {("main", "cities"), ("main", "employees"), ("main", "n")}
    [city] = tables["main", "cities"].columns
    assert (set(city.samples), city.distinct_count, city.type) == ({"Bandung", "Concepción"}, 2, "varchar(100)")
    assert [each.name for each in tables["main", "employees"].columns] == ["id", "name", "region"]
    assert schema.complete
    for limits in (SchemaLimits(tables=2), SchemaLimits(columns=2)):
        assert not source.read_schema(limits, Stop()).complete
    assert source.check(Stop()) == []
    mariadb.execute(f"GRANT SELECT, INSERT ON {everything}.* TO writer@127.0.0.1 IDENTIFIED BY 'w'")
    writer = log_in(mariadb, everything, "writer", "w")
    assert "may write" in writer.check(Stop())[0]
    [vault] = [each for each in writer.read_schema(SchemaLimits(), Stop()).tables if each.name[1] == "vault"]
    assert vault.foreign_keys == (ForeignKey(("city",), ("main", "cities"), ("name",)),)
    with pytest.raises(SourceUnavailable, match="administer"):
        log_in(mariadb, everything, "root", ROOT_PASSWORD).check(Stop())


def test_queries_of_people_are_answered(source: MysqlSource) -> None:
    for sql, rows in (
        ("SELECT name FROM employees ORDER BY id", (("Ana",), ("Budi",))),
        ("SELECT e.region, COUNT(*) AS c FROM employees e GROUP BY e.region", (("north", 2),)),
        ("WITH a AS (SELECT region, count(*) AS c FROM employees GROUP BY region) SELECT c FROM a", ((2,),)),
        ("SELECT name FROM cities UNION SELECT name FROM employees ORDER BY 1 LIMIT 2", (("Ana",), ("Bandung",))),
        ('SELECT name FROM cities WHERE name = "Bandung"', (("Bandung",),)),
        ("SELECT `name` FROM `cities` WHERE name LIKE 'Conc%'", (("Concepción",),)),
        ("SELECT name FROM employees WHERE name = 'O''Brien'", ()),
        ("SELECT row_number() OVER (ORDER BY x DESC) AS r, x FROM n ORDER BY x DESC LIMIT 1", ((1, 300),)),
        ("SELECT CONCAT(name, '!'), ROUND(id / 3, 2), IF(id > 1, 'x', 'y') FROM employees WHERE id < 2",
         (("Ana!", 0.33, "y"),)),
        ("SELECT YEAR('2024-05-06'), DATE_FORMAT('2024-05-06', '%Y-%m'), DATEDIFF('2024-05-06', '2024-05-01')",
         ((2024, "2024-05", 5),)),
        ("SELECT DATE_SUB(CAST('2024-05-06' AS DATE), INTERVAL 1 MONTH)", (("2024-04-06",),)),
        ("SELECT CAST('5' AS SIGNED) + 1, TIMESTAMPDIFF(DAY, '2024-05-01', '2024-05-06')", ((6, 5),)),
    ):  # fmt: skip
        assert source.run(sql, MYSQL_ACCESS, USER, QueryLimits(), Stop()).rows == rows, sql
    with pytest.raises(QueryRefused, match="backslash"):
        source.run("SELECT 'O\\'Brien'", MYSQL_ACCESS, USER, QueryLimits(), Stop())
    with pytest.raises(QueryRefused, match="region"):
        source.run("SELECT name FROM employees", MYSQL_ACCESS, {"region": "a\\"}, QueryLimits(), Stop())


def test_a_column_of_an_enumeration_holds_texts_whatever_their_names(mariadb: MariadbServer) -> None:
    name = mariadb.new_database()
    mariadb.execute(
        "CREATE TABLE machines (name VARCHAR(9), state ENUM('active', 'updated'), size DECIMAL(5, 2));\n"
        "INSERT INTO machines VALUES ('A', 'active', 1), ('B', 'updated', 2), ('C', 'active', 3)",
        name,
    )
    mariadb.execute(f"GRANT SELECT ON {name}.* TO counter@127.0.0.1 IDENTIFIED BY 'c'")
    machines = open_all(log_in(mariadb, name, "counter", "c"), {})
    for question, rows in (
        ("How many machines are active?", ((2,),)),
        ("machines by state", (("active", 2), ("updated", 1))),
    ):
        sql = plan_question(question, machines.vocabulary, TODAY).write_sql()
        assert machines.source.run(sql, machines.access, {}, QueryLimits(), Stop()).rows == rows
    with pytest.raises(QuestionRefused, match="which number"):
        plan_question("average state of machines", machines.vocabulary, TODAY)


async def test_each_of_two_tenants_is_answered_from_its_own_database(
    mariadb: MariadbServer, everything: str, tmp_path: Path
) -> None:
    keys = Keyring({"first": bytes(32)})
    settings = load_settings(_env_file=None, data_dir=tmp_path, data_source_networks=["127.0.0.1"])
    other = mariadb.new_database()
    mariadb.execute(MYSQL_TABLES, other)
    mariadb.execute("DELETE FROM employees WHERE id > 1", other)
    with (
        closing(open_database(f"sqlite:///{tmp_path / 'records.db'}")) as database,
        closing(open_data_sources(settings, database, keys)) as sources,
    ):
        database.migrate()
        for tenant, name, count in (("acme", everything, 3), ("globex", other, 1)):
            mariadb.execute(f"GRANT SELECT ON {name}.* TO {tenant}@127.0.0.1 IDENTIFIED BY 'p@ss'")
            ctx = make_operator(tenant)
            uri = f"mysql+pymysql://{tenant}:p%40ss@127.0.0.1:{mariadb.port}/{name}?sslmode=disable"
            with database.open_write_session() as session:
                ensure_tenant(session, tenant)
                made = create_source(session, ctx, "Staff", "", make_spec(settings, ctx, uri, "mysql"), keys)
                assert (made.location, b"p@ss" in made.uri) == (f"127.0.0.1:{mariadb.port}/{name}", False)
                source_id = made.source_id
            await sources.read_schema(ctx, source_id)
            columns = {"name": {"description": "", "synonyms": []}}
            said = {"description": "", "synonyms": [], "row_filter": "id > 0", "allowed_columns": columns}
            with database.open_write_session() as session:
                get_source(session, ctx, source_id).allowed_tables = {"employees": said}
            answer = await sources.ask(ctx, "How many employees are there?", None)
            assert answer.result.rows == ((count,),)
