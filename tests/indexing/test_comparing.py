"""Documents are compared in the background, whatever keeps the service busy, and whichever of them cannot be."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from auth.principal import Principal
from domain.conflicts import list_conflicts
from domain.db import Database
from domain.documents import list_documents, replace_document
from domain.paging import Part
from indexing.comparing import DocumentComparer
from indexing.indexer import Indexer
from retrieval.edge import EdgeIndex
from tests.domain.records import ACME, GLOBEX, content
from tests.indexing.test_indexer import running, states, until
from tests.indexing.test_reconciliation import Hashing
from utils.passages import Passage

CUT = "1/220/400/80/16"


class Unreadable(EdgeIndex):
    """The real index, with passages of one document that break whoever looks at what is near them."""

    refused = ""

    async def find_neighbours(self, ctx: Principal, passage: Passage, *, limit: int) -> Sequence[Passage]:
        if passage.document_id == self.refused:
            raise ValueError("no day of any calendar")
        return await super().find_neighbours(ctx, passage, limit=limit)


@pytest.fixture
async def index(database: Database, tmp_path: Path) -> AsyncIterator[Unreadable]:
    """Each of two tenants has two documents that say different things."""
    with database.open_write_session() as session:
        for ctx in (ACME, GLOBEX):
            replace_document(session, ctx, "/old.md", content("The registration fee is 150 dollars."))
            replace_document(session, ctx, "/new.md", content("The registration fee is 180 dollars."))
    index = Unreadable.open(tmp_path / "index", dimension=Hashing.dimension)
    async with running(Indexer(database, index, Hashing(), poll_s=0.01)):
        await until(lambda: all(states(database, ctx) == ["ready", "ready"] for ctx in (ACME, GLOBEX)))
    yield index
    await index.close()


def found(database: Database, ctx: Principal) -> int:
    with database.open_read_session() as session:
        return list_conflicts(session, ctx, Part(10)).total


@pytest.mark.parametrize(("longest_wait_s", "expected"), [(60, 0), (0, 1)])
async def test_work_that_never_ends_is_not_waited_for_for_ever(
    database: Database, index: Unreadable, longest_wait_s: float, expected: int
) -> None:
    comparer = DocumentComparer(
        database=database,
        index=lambda: (index, CUT),
        is_busy=lambda: True,
        delay_s=0,
        longest_wait_s=longest_wait_s,
    )
    await comparer.step()
    assert [found(database, ctx) for ctx in (ACME, GLOBEX)] == [expected, expected]


async def test_a_document_that_cannot_be_compared_does_not_keep_the_others_waiting(
    database: Database, index: Unreadable
) -> None:
    with database.open_read_session() as session:
        index.refused = min(list_documents(session, ACME), key=lambda each: each.created_at).document_id
    comparer = DocumentComparer(database=database, index=lambda: (index, CUT), is_busy=lambda: False, delay_s=0)
    with pytest.raises(ValueError, match="no day of any calendar"):
        await comparer.step()
    assert [found(database, ctx) for ctx in (ACME, GLOBEX)] == [1, 1]
