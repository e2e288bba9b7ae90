"""Servers and databases for tests; a `conftest.py` imports what its tests use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.domain.records import two_tenants
from tests.servers.mariadb import MariadbServer, run_mariadb
from tests.servers.postgres import PostgresServer, run_postgres
from tests.servers.redis import PASSWORD, RedisCluster


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """PostgreSQL, running; a test takes a database of its own from it and does not stop it."""
    yield from run_postgres(tmp_path_factory.mktemp("postgres"))


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariadbServer]:
    """MariaDB, or MySQL, running; a test takes a database of its own from it."""
    yield from run_mariadb(tmp_path_factory.mktemp("mariadb"))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_uri(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'records.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.new_database()
    yield url
    server.drop_database(url)


@pytest.fixture(scope="session")
def migrated_template(postgres: PostgresServer) -> str:
    """A database of PostgreSQL as `two_tenants` leaves it, to be copied."""
    url = postgres.new_database()
    two_tenants(url).close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_uri(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a migrated database with two tenants, of each kind in turn."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'records.db'}"
        two_tenants(url).close()
        yield url
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.new_database_like(request.getfixturevalue("migrated_template"))
    yield url
    server.drop_database(url)


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A Redis Cluster of three masters with a password, running; a test uses keys of its own in it."""
    with RedisCluster(tmp_path_factory.mktemp("cluster"), password=PASSWORD) as cluster:
        yield cluster
