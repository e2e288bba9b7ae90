"""Servers that all tests share; `tests/conftest.py` imports them."""

from collections.abc import Iterator

import pytest

from tests.servers.postgres import PostgresServer, run_postgres


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """PostgreSQL, running; a test takes a database of its own from it and does not stop it."""
    yield from run_postgres(tmp_path_factory.mktemp("postgres"))
