"""All wiring: what a running service is made of, made once, owned and closed here."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import redis.asyncio

from agents.leases import Leases
from agents.runner import Runner, Voice
from agents.state import AnswerModel
from bootstrap.data_folder import open_data_folder
from bootstrap.knowledge import load_knowledge
from bootstrap.models import open_answer_model, open_embedder
from bootstrap.monitor import Monitor
from bootstrap.valkey import ValkeyChild
from config import Settings
from domain.db import Database, open_database
from domain.keys import create_key, ensure_tenant, has_keys
from ingestion.indexer import Indexer
from retrieval.edge import EdgeIndex
from retrieval.search import Retriever
from utils.checkpointer import FallbackCheckpointer, RedisCheckpointer
from utils.context import DEFAULT_TENANT, TenantContext
from utils.processes import StartError

logger = logging.getLogger("bootstrap.services")

OPERATOR = TenantContext(DEFAULT_TENANT, "operator")
# Longer than the longest turn: the model, its retries and its fallback all at their limits.
_LEASE_S = 900.0
_LEASE_WAIT_S = 15.0


@dataclass(frozen=True, slots=True)
class Services:
    """What the edges work with. `first_key` is the API key made at this start, None when there was one already."""

    database: Database
    checkpointer: FallbackCheckpointer
    runner: Runner
    model: AnswerModel
    monitor: Monitor
    redis_url: str
    environment: str
    first_key: str | None


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Everything, started in order and closed in the opposite one, in the running event loop.

    Raises:
        StartError: something is missing or in the way; the message says what to do.
    """
    if settings.qdrant_url:
        raise StartError("QDRANT_URL: this version keeps its index itself; unset it. A Qdrant server is not used yet.")
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(open_data_folder(settings.data_dir)).path
        redis_url = settings.redis_address or await _start_valkey(stack, folder)
        database = await asyncio.to_thread(_open_records, settings)
        stack.callback(database.close)
        embedder = await open_embedder(stack, settings.embedding_endpoint, dimension=settings.embedding_dimension)
        index_folder = folder / "index" / f"{settings.qdrant_collection_name}-{_slug(embedder.model)}"
        index = await asyncio.to_thread(_open_index, index_folder, embedder.dimension)
        stack.push_async_callback(index.close)
        model = await open_answer_model(stack, settings)
        checkpointer, client = _open_state(stack, redis_url, settings.conversation_ttl)
        indexer = Indexer(database, index, embedder)
        await indexer.catch_up_words()
        runner = Runner(
            checkpointer,
            leases=Leases(client, hold_s=_LEASE_S, wait_s=_LEASE_WAIT_S),
            retriever=Retriever(embedder, index),
            model=model,
            voice=Voice(settings.institution, settings.language_policy),
            top_k=settings.top_k,
        )
        monitor = Monitor(redis=client, database=database, pending=indexer.pending, notes=lambda: _notes(indexer))
        await monitor.look()
        await _keep_running(stack, indexer.run(), monitor.run(), load_knowledge(database, OPERATOR, settings, embedder))
        first_key = await asyncio.to_thread(_first_key, database, settings)
        environment = settings.flask_env
        yield Services(database, checkpointer, runner, model, monitor, redis_url, environment, first_key)
