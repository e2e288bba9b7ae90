"""The parts of a running service, in the order in which they are opened; `open_services` puts them together."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.state import AnswerModel
from bootstrap.data_folder import open_data_folder, open_link_key
from bootstrap.index_opener import IndexOpener, MakeRetriever
from bootstrap.metric_sources import time_statements
from bootstrap.models import (
    add_cache,
    open_answer_model,
    open_calibrations,
    open_embedder,
    open_reranker,
)
from bootstrap.stores import open_conversations, open_files, open_originals, open_records
from bootstrap.telemetry import open_telemetry
from bootstrap.tracing import trace
from config import Settings
from domain.db import Database
from domain.document_files import DocumentFiles
from indexing.active import ActiveIndex
from indexing.check import SelfCheck
from indexing.reconciler import IndexReconciler
from retrieval.index import PassageIndex
from retrieval.search import Retriever
from utils.checkpointer import Connections
from utils.language import load_models
from utils.log_ids import use_log_key
from utils.ports import Embedder
from utils.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Stores:
    """What every other part works with; all of it ends with `stack`."""

    stack: AsyncExitStack
    settings: Settings
    folder: Path
    link_key: bytes
    telemetry: Telemetry
    connections: Connections
    database: Database
    document_files: DocumentFiles


@dataclass(frozen=True, slots=True)
class Search:
    """The models, and the index that they answer from. `cached` is `embedder`, maybe with a cache of questions."""

    embedder: Embedder
    cached: Embedder
    model: AnswerModel
    opener: IndexOpener
    serving: ActiveIndex
    reconciler: IndexReconciler


async def open_stores(stack: AsyncExitStack, settings: Settings, *, patience_s: float) -> Stores:
    """The stores; *patience_s*: how long a former process may take to let go of the data folder."""
    holding = open_data_folder(settings.data_dir, shared=not settings.is_embedded, patience_s=patience_s)
    folder = (await asyncio.to_thread(stack.enter_context, holding)).path
    link_key = await asyncio.to_thread(open_link_key, settings, folder)
    use_log_key(link_key)
    telemetry = await trace(stack, settings, await open_telemetry(stack, settings, folder))
    connections = await open_conversations(stack, settings, folder)
    database = await open_records(stack, settings)
    if telemetry.sampler:
        time_statements(database, telemetry.stores)
    document_files = open_originals(settings, database)
    return Stores(stack, settings, folder, link_key, telemetry, connections, database, document_files)


async def open_search(stores: Stores) -> Search:
    """The models and the index that serves."""
    stack, settings, telemetry, database = stores.stack, stores.settings, stores.telemetry, stores.database
    embedder = await open_embedder(stack, settings, telemetry.embedding_model)
    cached = add_cache(settings, embedder)
    model = await open_answer_model(stack, settings, cached, telemetry.chat_model)
    await asyncio.to_thread(load_models)  # now, not on the loop with the first question
    opener = IndexOpener(settings, stores.folder, embedder, cached, _make_retrievers(stores))
    stack.push_async_callback(opener.close_all)
    serving = await ActiveIndex.begin(database, opener)
    reconciler = IndexReconciler(
        database=database,
        opener=opener,
        serving=serving,
        check=SelfCheck(database),
        keep_days=settings.index_keep_days,
        files=open_files(settings),
    )
    return Search(embedder, cached, model, opener, serving, reconciler)


def _make_retrievers(stores: Stores) -> MakeRetriever:
    """Makes what searches an index; all of them have one reranker."""
    reranker = open_reranker(stores.stack, stores.settings)

    async def make(
        stack: AsyncExitStack, *, number: int, embedder: Embedder, cached: Embedder, index: PassageIndex
    ) -> Retriever:
        calibrations = await open_calibrations(stack, stores.database, number=number, index=index, embedder=embedder)
        return Retriever(cached, index, stores.telemetry.stores, reranker, calibrations)

    return make


def run_until_closed(stack: AsyncExitStack, work: Coroutine[Any, Any, Any]) -> None:
    """Run *work* as a task that is cancelled, and waited for, with *stack*."""
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(end)
