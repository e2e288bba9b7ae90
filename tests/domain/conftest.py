from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.db import Database
from tests.domain.records import two_tenants


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = two_tenants(tmp_path)
    yield database
    database.close()
