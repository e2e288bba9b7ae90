"""Whatever is loaded by whichever settings: each index holds all documents in passages of its own sizes, each once."""

import asyncio
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from auth.principal import Principal
from domain import index_marks, indexes, indexing
from domain.document_files import Extracted, TextPart
from domain.documents import get_chunks, get_document, list_documents, remove_documents, replace_document
from domain.indexes import IndexSpec, find_serving_index, list_indexes
from domain.models import IndexRow
from domain.slots import ALL_SLOTS
from indexing.indexer import Indexer
from indexing.reconciliation import Findings, reconcile
from ingestion.chunking import ChunkSizes, chunk_text, estimate_tokens
from ingestion.parsers.parsed import Section
from ingestion.rechunker import Rechunker
from providers.files.folder import FolderFileStore
from retrieval.edge import EdgeIndex
from tests.domain.records import ACME, GLOBEX, content, two_tenants
from tests.examples import count_examples
from tests.indexing.test_reconciliation import DIMENSION, Hashing
from tests.servers.postgres import PostgresServer
from utils.passages import Passage

pytestmark = [pytest.mark.long, pytest.mark.soak]

TENANTS = st.sampled_from([ACME, GLOBEX])
ORIGINS = st.sampled_from(["/a.md", "/b.md"])
WHOLE, SMALL = ChunkSizes(), ChunkSizes(target=12, most=20, small=6, tiny=2)
SIZES = st.sampled_from([WHOLE, SMALL])
TEXTS = st.lists(
    st.sampled_from([f"The {colour} room of house {n} costs {n}00 euros a month." for n in (1, 2) for colour in "abc"]),
    min_size=1,
    max_size=5,
).map(" ".join)


def spec(sizes: ChunkSizes) -> IndexSpec:
    return IndexSpec(Hashing.model, DIMENSION, None, "words", sizes.chunking_version)


class EveryIndexHasItsCut(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.database = two_tenants(self.new_database())
        self.files = FolderFileStore(self.folder / "files")
        self.loop = asyncio.Runner()
        self.said: dict[tuple[Principal, str], str] = {}
        self.kept = True
        with self.database.open_write_session() as session:
            session.add(indexes.make_first_row(spec(WHOLE)))
            session.flush()
            indexes.begin_index(session, spec(SMALL))
        self.open: dict[int, EdgeIndex] = {}

    def new_database(self) -> str:
        """The address of an empty one."""
        return f"sqlite:///{self.folder / 'records.db'}"

    def teardown(self) -> None:
        try:
            self.follow()
        finally:
            for index in self.open.values():
                self.loop.run(index.close())
            self.loop.close()
            self.database.close()
            shutil.rmtree(self.folder)

    @initialize(text=TEXTS, sizes=SIZES, follows=st.booleans())
    def begin_with_a_document_each(self, text: str, sizes: ChunkSizes, follows: bool) -> None:
        for ctx in (ACME, GLOBEX):
            self.load(ctx, "/a.md", text, sizes)
        if follows:
            self.follow()

    @rule(ctx=TENANTS, origin=ORIGINS, text=TEXTS, sizes=SIZES)
    def load(self, ctx: Principal, origin: str, text: str, sizes: ChunkSizes) -> None:
        extracted = Extracted(text, (TextPart(0, 0, len(text), 0, None, ()),)).to_bytes()
        sections = [Section((), 0, None, 0, 0, len(text))]
        chunks = chunk_text(text, sections, "en", sizes=sizes, count_tokens=estimate_tokens)
        self.files.put(ctx, extracted)
        with self.database.open_write_session() as session:
            new = replace(content(text), extracted=extracted, chunking_version=sizes.chunking_version, chunks=chunks)
            replace_document(session, ctx, origin, new)
        self.said[ctx, origin] = text

    @rule(ctx=TENANTS, origin=ORIGINS)
    def remove(self, ctx: Principal, origin: str) -> None:
        with self.database.open_write_session() as session:
            ids = [document.document_id for document in list_documents(session, ctx) if document.origin == origin]
            remove_documents(session, ctx, ids)
        self.said.pop((ctx, origin), None)

    @rule()
    @precondition(lambda self: self.kept)
    def lose_the_files(self) -> None:
        """As with documents from before their text was kept: they stay in the chunks they have."""
        for ctx in (ACME, GLOBEX):
            for name in list(self.files.list_hashes(ctx)):
                self.files.delete(ctx, name)
        self.kept = False

    @rule(sizes=SIZES)
    def begin(self, sizes: ChunkSizes) -> None:
        with self.database.open_write_session() as session:
            if len(list_indexes(session)) < 3:
                indexes.begin_index(session, spec(sizes))

    @rule(choice=st.integers(0, 2))
    def switch(self, choice: int) -> None:
        with self.database.open_write_session() as session:
            others = [row.number for row in list_indexes(session) if row.state != "serving"]
            if others:
                indexes.switch_to(session, others[choice % len(others)])

    @rule(choice=st.integers(0, 2))
    def drop(self, choice: int) -> None:
        with self.database.open_write_session() as session:
            others = [row.number for row in list_indexes(session) if row.state != "serving"]
            if not others:
                return
            number = others[choice % len(others)]
            indexes.forget_index(session, number)
        if index := self.open.pop(number, None):
            self.loop.run(index.close())
        shutil.rmtree(self.folder / f"index-{number}", ignore_errors=True)

    @rule(ctx=TENANTS)
    def lose_passages(self, ctx: Principal) -> None:
        """An index lets go of what it was given."""
        with self.database.open_write_session() as session:
            index_marks.mark_undone(session, ctx, ALL_SLOTS)
        for index in self.open.values():
            ids = [each.document_id for each in self.passages(index, ctx)]
            self.loop.run(index.delete_documents(ctx, ids))

    @rule(choice=st.integers(0, 2))
    def follow_one(self, choice: int) -> None:
        rows = self.rows()
        self.bring_up_to_date(rows[choice % len(rows)])

    @rule()
    def follow(self) -> None:
        for row in self.rows():
            self.bring_up_to_date(row)
        self.nothing_is_left_to_do()

    def rows(self) -> list[IndexRow]:
        with self.database.open_read_session() as session:
            rows = list_indexes(session)
            session.expunge_all()
            return rows

    def bring_up_to_date(self, row: IndexRow) -> None:
        index = self.open.get(row.number)
        if index is None:
            index = self.open[row.number] = EdgeIndex.open(self.folder / f"index-{row.number}", dimension=DIMENSION)
        sizes = ChunkSizes.parse(row.chunking_version)
        rechunker = Rechunker(self.database, self.files, slot=row.slot, sizes=sizes)
        self.loop.run(self.until_done(Indexer(self.database, index, Hashing(), slot=row.slot, rechunker=rechunker)))
        self.compare(index, sizes, row.slot)

    def compare(self, index: EdgeIndex, sizes: ChunkSizes, slot: int) -> None:
        for ctx in (ACME, GLOBEX):
            found = self.passages(index, ctx)
            texts = {origin: self.text_of(ctx, found, origin) for owner, origin in self.said if owner == ctx}
            assert texts == {origin: text for (owner, origin), text in self.said.items() if owner == ctx}
            with self.database.open_read_session() as session:
                assert indexing.count_done(session, ctx, slot) == (len(found), len(found))
            if self.kept:
                assert all(estimate_tokens(passage.text) <= sizes.most for passage in found)
                assert sizes == SMALL or len(found) == len(texts)
        stock = self.loop.run(reconcile(self.database, index, slot=slot, repair=False))
        assert stock == Findings()

    def nothing_is_left_to_do(self) -> None:
        """All documents are ready, and no chunk is in the partial index of those with work to do."""
        with self.database.open_read_session() as session:
            serving = find_serving_index(session)
            assert serving is not None
            for ctx in (ACME, GLOBEX):
                for document in list_documents(session, ctx):
                    chunks = get_chunks(session, ctx, document.document_id)
                    mine = [chunk for chunk in chunks if chunk.chunking_version == serving.chunking_version]
                    assert (document.state, document.lexical_slots, document.chunk_count) == ("ready", 15, len(mine))
                    in_use = {row.chunking_version for row in list_indexes(session)}
                    assert {
                        (chunk.lexical_slots, chunk.dense_slots) for chunk in chunks if chunk.chunking_version in in_use
                    } == {(15, 15)}
            for row in list_indexes(session):
                assert indexes.measure_progress(session, row).share == 1

    def passages(self, index: EdgeIndex, ctx: Principal) -> list[Passage]:
        async def listed() -> list[Passage]:
            return [stored.passage async for batch in index.export(ctx) for stored in batch]

        return self.loop.run(listed())

    def text_of(self, ctx: Principal, found: list[Passage], origin: str) -> str:
        with self.database.open_read_session() as session:
            mine = [passage for passage in found if get_document(session, ctx, passage.document_id).origin == origin]
        return " ".join(passage.text for passage in sorted(mine, key=lambda passage: passage.start))

    async def until_done(self, indexer: Indexer) -> None:
        await indexer.catch_up_words()
        while await indexer._embed_vectors():
            pass


def check(machine: type[EveryIndexHasItsCut], examples: int) -> None:
    few = settings(
        max_examples=count_examples(examples), stateful_step_count=12, suppress_health_check=[HealthCheck.too_slow]
    )
    run_state_machine_as_test(machine, settings=few)


def test_every_index_has_its_cut_on_sqlite() -> None:
    check(EveryIndexHasItsCut, 30)


def test_every_index_has_its_cut_on_postgresql(postgres: PostgresServer) -> None:
    class OnServer(EveryIndexHasItsCut):
        def new_database(self) -> str:
            return postgres.new_database()

    check(OnServer, examples=8)


def test_documents_are_ready_in_an_index_that_is_whole_though_another_one_has_none_of_their_chunks() -> None:
    site = EveryIndexHasItsCut()
    for ctx in (ACME, GLOBEX):
        site.load(ctx, "/a.md", "The red room costs 100 euros a month. The blue room costs 200 euros a month.", WHOLE)
    site.follow_one(1)
    site.switch(0)
    with site.database.open_read_session() as session:
        states = {document.state for ctx in (ACME, GLOBEX) for document in list_documents(session, ctx)}
    assert states == {"ready"}
    site.teardown()


def test_the_only_chunks_of_documents_without_a_kept_text_outlive_their_index() -> None:
    site = EveryIndexHasItsCut()
    for ctx in (ACME, GLOBEX):
        site.load(ctx, "/a.md", "The red room costs 100 euros a month.", WHOLE)
    site.lose_the_files()
    site.switch(0)
    site.drop(0)
    site.teardown()
