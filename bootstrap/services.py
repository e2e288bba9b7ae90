"""All wiring: what a running service is made of, made once, owned and closed here."""

import asyncio
import logging
import re
import secrets
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from agents.leases import Leases
from agents.runner import Runner, Voice
from agents.state import AnswerModel
from bootstrap.data_folder import open_data_folder
from bootstrap.knowledge import Progress, check_knowledge, load_knowledge
from bootstrap.models import open_answer_model, open_embedder
from bootstrap.monitor import Monitor
from bootstrap.valkey import ValkeyChild
from config import SAMPLES, Settings
from domain.db import Database, open_database
from domain.keys import create_key, ensure_tenant, has_keys
from ingestion.indexer import Indexer
from ingestion.parsers.parsed import Limits
from ingestion.pipeline import LoadSummary
from retrieval.edge import EdgeIndex
from retrieval.search import Retriever
from utils.checkpointer import Connections, FallbackCheckpointer, RedisCheckpointer
from utils.context import DEFAULT_TENANT, TenantContext
from utils.errors import ProblemError
from utils.processes import StartError

logger = logging.getLogger("bootstrap.services")

OPERATOR = TenantContext(DEFAULT_TENANT, "operator")
_LEASE_S, _LEASE_WAIT_S = 15.0, 20.0


@dataclass(frozen=True, slots=True)
class Services:
    """What the edges work with.

    `page_key` is a secret of this process alone, for its own chat page. `knowledge` ends when KNOWLEDGE_DIR is loaded.
    """

    settings: Settings
    data_folder: Path
    redis_url: str
    database: Database
    checkpointer: FallbackCheckpointer
    runner: Runner
    model: AnswerModel
    monitor: Monitor
    knowledge: asyncio.Task[LoadSummary | None]
    page_key: str

    def make_first_key(self) -> str | None:
        """An API key, if API_KEY is not set and the default tenant has none yet; to be shown once. Blocking."""
        return None if self.settings.api_key else _first_key(self.database)


@asynccontextmanager
async def open_services(settings: Settings, *, progress: Progress | None = None) -> AsyncIterator[Services]:
    """Everything, started in order and closed in the opposite one, in the running event loop.

    *progress* hears of the documents of KNOWLEDGE_DIR, from a thread of its own.

    Raises:
        StartError: something is missing or in the way; the message says what to do.
    """
    if settings.qdrant_url:
        raise StartError("QDRANT_URL: this version keeps its index itself and uses no Qdrant server yet; unset it.")
    check_knowledge(settings.knowledge_dir)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(open_data_folder(settings.data_dir)).path
        redis_url = settings.redis_address or await _start_valkey(stack, folder)
        database = await _open_records(stack, settings)
        embedder = await open_embedder(stack, settings.embedding_endpoint, dimension=settings.embedding_dimension)
        model = await open_answer_model(stack, settings, embedder)
        index_folder = folder / "index" / f"{settings.qdrant_collection_name}-{_file_name(embedder.model)}"
        index = await _open_index(stack, index_folder, embedder.dimension)
        connections = Connections(redis_url)
        stack.push_async_callback(connections.aclose)
        checkpointer = FallbackCheckpointer(RedisCheckpointer(connections, ttl_s=settings.conversation_ttl))
        indexer = Indexer(database, index, embedder)
        await indexer.catch_up_words()
        runner = Runner(
            checkpointer,
            leases=Leases(connections.asynchronous(), hold_s=_LEASE_S, wait_s=_LEASE_WAIT_S),
            retriever=Retriever(embedder, index),
            model=model,
            voice=Voice(settings.institution, settings.language_policy),
            top_k=settings.top_k,
        )
        monitor = Monitor(checkpointer=checkpointer, database=database, indexer=indexer)
        await monitor.look()
        loading = _load_and_index(database, indexer, settings, progress)
        for work in (indexer.run(), monitor.run()):
            _running(stack, work)
        knowledge = _running(stack, loading)
        yield Services(
            settings=settings,
            data_folder=folder,
            redis_url=redis_url,
            database=database,
            checkpointer=checkpointer,
            runner=runner,
            model=model,
            monitor=monitor,
            knowledge=knowledge,
            page_key=secrets.token_urlsafe(32),
        )


async def _start_valkey(stack: AsyncExitStack, folder: Path) -> str:
    valkey = ValkeyChild(folder)
    await asyncio.to_thread(valkey.start)
    stack.push_async_callback(asyncio.to_thread, valkey.stop)
    _running(stack, _keep_alive(valkey))
    return valkey.url


async def _keep_alive(valkey: ValkeyChild) -> None:
    """Start it again when it dies: what was written is in its append-only file."""
    while True:
        await asyncio.sleep(1)
        if valkey.is_alive():
            continue
        logger.error("The embedded Valkey has ended by itself; it is started again.")
        try:
            await asyncio.to_thread(valkey.stop)
            await asyncio.to_thread(valkey.start)
        except (StartError, OSError) as exc:
            logger.error("The embedded Valkey cannot be started again: %s", exc)


async def _open_records(stack: AsyncExitStack, settings: Settings) -> Database:
    try:
        database = open_database(settings.database_address)
        stack.callback(database.close)
        await asyncio.to_thread(_prepare, database)
    except (SQLAlchemyError, ImportError, ProblemError) as exc:
        # The driver's message may repeat the address, and with it the password.
        reason = exc.detail if isinstance(exc, ProblemError) else type(exc).__name__
        raise StartError(f"DATABASE_URI: the database cannot be used: {reason}") from exc
    return database


async def _open_index(stack: AsyncExitStack, folder: Path, dimension: int) -> EdgeIndex:
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        index = await asyncio.to_thread(EdgeIndex.open, folder, dimension=dimension)
    except ProblemError as exc:
        raise StartError(exc.detail) from exc
    stack.push_async_callback(index.close)
    return index


async def _load_and_index(
    database: Database, indexer: Indexer, settings: Settings, progress: Progress | None
) -> LoadSummary | None:
    limits = Limits(size_bytes=settings.max_file_size)
    folder = settings.knowledge_dir
    summary = await load_knowledge(
        database, OPERATOR, folder, samples=SAMPLES, limits=limits, progress=progress or _unseen
    )
    await indexer.catch_up_words()  # so that whoever is told "loaded" finds it
    return summary


def _unseen(done: int, total: int, name: str) -> None:
    """Progress that nobody watches."""


def _prepare(database: Database) -> None:
    database.migrate()
    with database.writing() as session:
        ensure_tenant(session, DEFAULT_TENANT)


def _first_key(database: Database) -> str | None:
    with database.writing() as session:
        return None if has_keys(session, DEFAULT_TENANT) else create_key(session, DEFAULT_TENANT, "first key")[1]


def _running(stack: AsyncExitStack, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(end)
    return task


def _file_name(model: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip(".-")
