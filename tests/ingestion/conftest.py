from collections.abc import Iterator

import pytest

from domain.db import Database
from providers.ocr.chosen import available
from tests.domain.records import two_tenants
from tests.ocr import tesseract_installed, without_rapidocr
from utils.sandbox.sandbox import Sandbox


@pytest.fixture
def database(database_uri: str) -> Iterator[Database]:
    """A migrated database with two tenants, of each kind in turn."""
    database = two_tenants(database_uri)
    yield database
    database.close()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Where processes that read files come from."""
    with Sandbox() as opened:
        yield opened


@pytest.fixture(params=["rapidocr", "tesseract"])
def recognition(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each text recognition in turn, as the one that this process finds."""
    if request.param == "tesseract":
        tesseract_installed()
        without_rapidocr(monkeypatch)
    assert available() == request.param
    yield request.param
    available.cache_clear()
