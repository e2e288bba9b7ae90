"""An installation's records, indexes and embedding models, without the rest of the service: for tests of switches."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auth.principal import Principal
from bootstrap.index_opener import IndexOpener, make_plain_retriever
from bootstrap.models import open_embedder
from bootstrap.stores import open_files
from cli.index_status import IndexStatus, read_indexes
from config import Settings, load_settings
from domain.db import Database
from domain.documents import replace_document
from domain.indexes import list_indexes
from domain.models import IndexRow
from indexing.active import ActiveIndex
from indexing.check import IndexCheck, SelfCheck
from indexing.reconciler import IndexReconciler
from retrieval.search import SearchResult
from tests.domain.records import ACME, GLOBEX, content
from tests.fakes.model_server import FakeModelServer

RULES = {
    ACME: [f"Room {n} of the dormitory costs {n}00 euros a month." for n in range(6)],
    GLOBEX: [f"Visitors of hall {n} leave at {n} o'clock in the evening." for n in range(6)],
}


@dataclass
class Site:
    """What is running: `switched` of it is what a turn would take."""

    settings: Settings
    database: Database
    opener: IndexOpener
    serving: ActiveIndex
    tending: IndexReconciler

    async def find(self, ctx: Principal, question: str) -> SearchResult:
        return await self.serving.make_retriever().search(ctx, question, limit=3)

    async def finds_both(self, model: str) -> bool:
        """Each tenant finds its own by words and by the meaning *model* gives, and nothing of the other's."""
        for ctx, question in (
            (ACME, "What does room 4 of the dormitory cost?"),
            (GLOBEX, "When leave visitors of hall 4?"),
        ):
            found = await self.find(ctx, question)
            if self.serving.make_retriever().embedder.model != model or not found.hits or found.hits[0].dense is None:
                return False
            assert found.hits[0].passage.text == RULES[ctx][4]
            assert {hit.passage.text for hit in found.hits} <= {*RULES[ctx]}
        return True

    def rows(self) -> list[IndexRow]:
        with self.database.open_read_session() as session:
            found = list_indexes(session)
            session.expunge_all()
            return found

    def status(self) -> dict[int, IndexStatus]:
        return {each.number: each for each in read_indexes(self.settings, self.database)}

    def states(self) -> dict[int, str]:
        return {number: each.state for number, each in self.status().items()}


def add_rules(database: Database) -> None:
    """Two tenants with six passages each."""
    for ctx, texts in RULES.items():
        for number, text in enumerate(texts):
            say(database, ctx, f"/{number}.md", text)


def say(database: Database, ctx: Principal, origin: str, *texts: str) -> str:
    with database.open_write_session() as session:
        return replace_document(session, ctx, origin, content(*texts)).document_id


def settings_for(folder: Path, model: FakeModelServer, name: str, **fields: Any) -> Settings:
    """Settings of an installation in *folder* whose embedding model is *name*, at *model*."""
    where = {"embedding_base_url": model.base_url, "embedding_model": name}
    return load_settings(_env_file=None, data_dir=folder, **where, **fields)


@asynccontextmanager
async def running(
    settings: Settings, database: Database, *, check: IndexCheck | None = None, leads: bool = True, keep_days: float = 7
) -> AsyncIterator[Site]:
    """A process of the installation; one that *leads* looks after the indexes."""
    async with AsyncExitStack() as stack:
        embedder = await open_embedder(stack, settings)
        opener = IndexOpener(settings, settings.data_dir, embedder, embedder, make_plain_retriever)
        stack.push_async_callback(opener.close_all)
        serving = await ActiveIndex.begin(database, opener, linger_s=0.1, look_s=0.02)
        tending = IndexReconciler(
            database=database,
            opener=opener,
            serving=serving,
            check=check or SelfCheck(database),
            keep_days=keep_days,
            files=open_files(settings),
            tick_s=0.05,
            poll_s=0.05,
        )
        works = [serving.watch()] + ([tending.run()] if leads else [])
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield Site(settings, database, opener, serving, tending)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def fill(settings: Settings, database: Database) -> None:
    """Run until the index of the model that is configured serves, with all vectors."""
    async with running(settings, database) as site:
        await until(lambda: site.finds_both(settings.embedding_model or ""))
        await until(lambda: site.status()[site.serving.opened.number].share == 1)


async def until(condition: Callable[[], Awaitable[bool]] | Callable[[], bool], limit_s: float = 30) -> None:
    """Wait until *condition* holds."""
    async with asyncio.timeout(limit_s):
        while True:
            holds = condition()
            if await holds if isinstance(holds, Awaitable) else holds:
                return
            await asyncio.sleep(0.05)
