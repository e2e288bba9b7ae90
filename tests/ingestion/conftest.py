from collections.abc import Iterator

import pytest

from domain.db import Database
from tests.domain.records import two_tenants


@pytest.fixture
def database(database_uri: str) -> Iterator[Database]:
    """A migrated database with two tenants, of each kind in turn."""
    database = two_tenants(database_uri)
    yield database
    database.close()
