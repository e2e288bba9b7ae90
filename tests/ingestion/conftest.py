from collections.abc import Iterator

import pytest

from providers.ocr.chosen import find_available
from tests.ocr import tesseract_installed, without_rapidocr
from tests.reading import SANDBOX
from utils.sandbox.sandbox import Sandbox


@pytest.fixture
def sandbox() -> Sandbox:
    """Where processes that read files come from."""
    return SANDBOX


@pytest.fixture(params=["rapidocr", "tesseract"])
def recognition(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each text recognition in turn, as the one that this process finds."""
    if request.param == "tesseract":
        tesseract_installed()
        without_rapidocr(monkeypatch)
    assert find_available() == request.param
    yield request.param
    find_available.cache_clear()
