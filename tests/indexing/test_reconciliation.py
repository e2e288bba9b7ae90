"""A scan finds what SQL and the index say differently of any tenant, and mends it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from auth.credentials import make_key_principal
from auth.principal import Principal
from domain.db import Database
from domain.document_files import DocumentFiles
from domain.documents import remove_documents, replace_document
from domain.indexed_documents import list_known_documents
from domain.indexing import list_tenants_with_documents
from domain.models import Document
from domain.quotas import UNLIMITED
from domain.scoping import EVERYWHERE
from indexing.indexer import Indexer
from indexing.reconciliation import FileFindings, Findings, reconcile, reconcile_files
from ingestion.library import Library
from providers.files.folder import FolderFileStore
from retrieval.edge import EdgeIndex
from retrieval.index import IndexCounts, PassageIndex
from retrieval.server import ServerIndex
from tests.domain.records import ACME, GLOBEX, content, two_tenants
from tests.domain.uploaded import new_dataset
from tests.fakes.model_answers import embedding
from tests.fakes.qdrant_server import FakeQdrantServer
from tests.retrieval.corpus import passage
from utils.ports import FloatArray

STRANGER = make_key_principal("restored-from-elsewhere", "test")
TENANTS = (ACME, GLOBEX)
DIMENSION = 16


class Hashing:
    """Vectors without a model."""

    model, dimension = "hashing", DIMENSION

    async def embed_query(self, text: str) -> FloatArray:
        return embedding(text, DIMENSION)

    async def embed_passages(self, texts: Sequence[str], *, urgent: bool = False) -> FloatArray:
        return np.stack([embedding(text, DIMENSION) for text in texts])


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = two_tenants(f"sqlite:///{tmp_path / 'records.db'}")
    yield database
    database.close()


@pytest.fixture(params=["engine", "server"])
async def index(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[PassageIndex]:
    if request.param == "engine":
        index: PassageIndex = EdgeIndex.open(tmp_path / "index", dimension=DIMENSION)
        yield index
        await index.close()
        return
    with FakeQdrantServer() as server:
        index = ServerIndex(server.url, api_key=None, collection="c", dimension=DIMENSION, model="hashing")
        yield index
        await index.close()


def say(database: Database, ctx: Principal, origin: str, *texts: str) -> str:
    with database.open_write_session() as session:
        return replace_document(session, ctx, origin, content(*texts)).document_id


async def follow(database: Database, index: PassageIndex) -> None:
    """Bring the index in step with SQL, words and vectors."""
    indexer = Indexer(database, index, Hashing(), poll_s=0.01)
    await indexer.catch_up_words()
    task = asyncio.create_task(indexer.run())
    async with asyncio.timeout(20):
        while indexer.count_pending():
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def both_hold(index: PassageIndex, passages: int) -> bool:
    return [await index.counts(ctx) for ctx in TENANTS] == [IndexCounts(passages, 0)] * 2


async def test_an_index_in_step_has_nothing_to_find(database: Database, index: PassageIndex) -> None:
    for ctx in TENANTS:
        say(database, ctx, "/a.md", "one", "two")
    assert (await reconcile(database, index, slot=1, repair=True)).count == 0  # all of it still waits
    await follow(database, index)
    assert (await reconcile(database, index, slot=1, repair=True)).count == 0
    assert await both_hold(index, 2)


async def test_passages_of_documents_sql_does_not_know_are_found_and_removed(
    database: Database, index: PassageIndex
) -> None:
    for ctx in TENANTS:
        say(database, ctx, "/a.md", "one", "two")
    await follow(database, index)
    for ctx in (ACME, STRANGER):  # as after SQL was restored from a backup
        await index.put(ctx, [passage("left over", document_id="forgotten"), passage("too", document_id="forgotten")])
    found = await reconcile(database, index, slot=1, repair=False)
    assert found == Findings(unknown=4)
    assert (await index.counts(STRANGER)).passages == 2
    assert await reconcile(database, index, slot=1, repair=True) == Findings(unknown=4)
    assert await index.list_tenant_ids() == {"acme", "globex"}
    assert await both_hold(index, 2)
    assert (await reconcile(database, index, slot=1, repair=False)).count == 0


async def test_what_one_tenant_lost_is_put_in_again_and_the_other_is_left_alone(
    database: Database, index: PassageIndex
) -> None:
    lost = say(database, ACME, "/a.md", "one", "two")
    say(database, ACME, "/b.md", "three")
    theirs = say(database, GLOBEX, "/a.md", "one", "two")
    say(database, GLOBEX, "/b.md", "three")
    await follow(database, index)
    await index.delete_documents(ACME, [lost])
    # As many as before, so that counting does not show it.
    await index.put(ACME, [passage("former", document_id=lost), passage("older", document_id=lost)])
    found = await reconcile(database, index, slot=1, repair=True)
    assert found == Findings(stale=2, missing=2)
    with database.open_read_session() as session:
        assert session.get_one(Document, lost, execution_options=EVERYWHERE).state == "pending"
        assert session.get_one(Document, theirs, execution_options=EVERYWHERE).state == "ready"
    await follow(database, index)
    assert await both_hold(index, 3)
    assert (await reconcile(database, index, slot=1, repair=False)).count == 0


async def test_a_vector_that_was_lost_is_computed_again(database: Database, index: PassageIndex) -> None:
    ids = {ctx.tenant_id: say(database, ctx, "/a.md", "one", "two") for ctx in TENANTS}
    await follow(database, index)
    stored = [each async for batch in index.export(GLOBEX) for each in batch]
    await index.put(GLOBEX, [stored[0].passage])  # takes its vector away
    assert stored[0].passage.document_id == ids["globex"]
    assert await reconcile(database, index, slot=1, repair=True) == Findings(vectors=1)
    await follow(database, index)
    assert await both_hold(index, 2)


async def test_after_every_document_is_removed_nothing_is_left_anywhere(
    database: Database, index: PassageIndex
) -> None:
    for ctx in TENANTS:
        for number in range(3):
            say(database, ctx, f"/{number}.md", f"{number} one", f"{number} two")
    await follow(database, index)
    for ctx in TENANTS:
        with database.open_write_session() as session:
            remove_documents(session, ctx, list_known_documents(session, ctx))
    await follow(database, index)
    assert await index.list_tenant_ids() == set()
    with database.open_read_session() as session:
        assert list_tenants_with_documents(session) == []
    assert (await reconcile(database, index, slot=1, repair=False)).count == 0


def test_files_of_no_document_are_found_and_removed_and_missing_ones_told(database: Database, tmp_path: Path) -> None:
    files = FolderFileStore(tmp_path / "files")
    lost: list[str] = []
    for ctx in TENANTS:
        data = f"{ctx.tenant_id}".encode()
        lost.append(hashlib.sha256(data).hexdigest())
        said = replace(content("one"), content_hash=lost[-1], extracted=b"{}")
        DocumentFiles(database, files).replace(ctx, "/a.md", data, said)
    assert reconcile_files(database, files, repair=True) == FileFindings()
    stray = files.put(ACME, b"left over")
    files.delete(GLOBEX, lost[1])
    assert reconcile_files(database, files, repair=False) == FileFindings(unknown=1, missing=1)
    assert stray in files.list_hashes(ACME)
    assert reconcile_files(database, files, repair=True) == FileFindings(unknown=1, missing=1)
    assert set(files.list_hashes(ACME)) == {lost[0], hashlib.sha256(b"{}").hexdigest()}


def test_a_file_that_waits_to_be_read_is_neither_unknown_nor_removed(database: Database, tmp_path: Path) -> None:
    files = FolderFileStore(tmp_path / "files")
    uploaded = {}
    for ctx in TENANTS:
        data = f"of {ctx.tenant_id}".encode()
        Library(database, DocumentFiles(database, files), UNLIMITED).take(ctx, new_dataset(database, ctx), "a.md", data)
        uploaded[ctx] = hashlib.sha256(data).hexdigest()
    assert reconcile_files(database, files, repair=False) == FileFindings()
    reconcile_files(database, files, repair=True)
    assert [set(files.list_hashes(ctx)) for ctx in TENANTS] == [{uploaded[ctx]} for ctx in TENANTS]
