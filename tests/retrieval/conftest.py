"""The adapters of `PassageIndex`, each opened on a folder of its own."""

import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import AsyncQdrantClient

from retrieval.edge import EdgeIndex
from retrieval.index import PassageIndex
from retrieval.server import ServerIndex
from tests.fakes.qdrant_server import FakeQdrantServer
from tests.retrieval.corpus import DIMENSION
from tests.retrieval.memory import MemoryWire

Open = Callable[[Path], PassageIndex]
KEY = "a key for tests"


@cache
def running_server() -> FakeQdrantServer:
    """One fake server for all tests that do not take it away; its thread ends with the process."""
    server = FakeQdrantServer(api_key=KEY)
    server.start()
    return server


def server_index(server: FakeQdrantServer, collection: str = "tests", *, dimension: int = DIMENSION) -> ServerIndex:
    """The adapter on *server*, which is the test's to close."""
    return ServerIndex(
        server.url, api_key=KEY, collection=collection, dimension=dimension, model="a model", timeout_s=60
    )


def _open_edge(folder: Path) -> PassageIndex:
    return EdgeIndex.open(folder, dimension=DIMENSION)


def _open_server(folder: Path) -> PassageIndex:
    return server_index(running_server(), _collection(folder))


def _open_memory(folder: Path) -> PassageIndex:
    warnings.filterwarnings("ignore", message="Payload indexes have no effect in the local Qdrant")
    client = _memory(folder)
    made_for: dict[str, Any] = {"collection": "tests", "dimension": DIMENSION, "model": "a model"}
    return ServerIndex("", api_key=None, **made_for, client=client, wire=MemoryWire(client))


@cache
def _memory(folder: Path) -> AsyncQdrantClient:
    return AsyncQdrantClient(":memory:")


def _collection(folder: Path) -> str:
    return str(folder).replace("/", "-")


ADAPTERS: dict[str, Open] = {"edge": _open_edge, "server": _open_server, "memory": _open_memory}


@pytest.fixture(params=ADAPTERS)
def open_index(request: pytest.FixtureRequest) -> Open:
    """Opens the adapter under test in a folder; what is opened is the test's to close."""
    return ADAPTERS[request.param]


@asynccontextmanager
async def opened(open_index: Open, folder: Path) -> AsyncIterator[PassageIndex]:
    """The index that *open_index* opens in *folder*, closed afterwards."""
    index = open_index(folder)
    try:
        yield index
    finally:
        await index.close()


@pytest.fixture
async def index(open_index: Open, tmp_path: Path) -> AsyncIterator[PassageIndex]:
    async with opened(open_index, tmp_path / "index") as index:
        yield index


@pytest.fixture
def server() -> Iterator[FakeQdrantServer]:
    """A fake server of the test's own, to be taken away and brought back."""
    with FakeQdrantServer(api_key=KEY) as running:
        yield running
