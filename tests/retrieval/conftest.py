"""The adapters of `PassageIndex`, each opened on a folder of its own."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from retrieval.edge import EdgeIndex
from retrieval.index import PassageIndex
from tests.retrieval.corpus import DIMENSION

Open = Callable[[Path], PassageIndex]


def _open_edge(folder: Path) -> PassageIndex:
    return EdgeIndex.open(folder, dimension=DIMENSION)


ADAPTERS: dict[str, Open] = {"edge": _open_edge}


@pytest.fixture(params=ADAPTERS)
def open_index(request: pytest.FixtureRequest) -> Open:
    """Opens the adapter under test in a folder; what is opened is the test's to close."""
    return ADAPTERS[request.param]


@pytest.fixture
async def index(open_index: Open, tmp_path: Path) -> AsyncIterator[PassageIndex]:
    opened = open_index(tmp_path / "index")
    yield opened
    await opened.close()
