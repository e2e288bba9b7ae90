"""The parts of a running service, in the order in which they are opened; `open_services` puts them together."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from redis.exceptions import RedisError

from agents.answer_cache import AnswerCache
from agents.answer_places import AnswerPlaces
from agents.leases import Leases
from agents.runner import Runner
from agents.runs.outbox import Outbox
from agents.runs.run_store import RunStore
from agents.runs.runs import RunPolicy, Runs
from agents.runs.transcript_writer import TranscriptWriter
from agents.state import AnswerModel
from agents.tools.registry import ToolRegistry
from agents.tools.turn import ToolService
from agents.transcripts import Transcripts
from auth.operators import make_operator
from auth.principal import DEFAULT_TENANT
from bootstrap.background import Background
from bootstrap.bots import StoredBots, make_default_bot
from bootstrap.crawl_scheduler import CrawlScheduler, crawl_rules
from bootstrap.data_folder import open_data_folder, open_link_key
from bootstrap.data_sources import DataSources
from bootstrap.index_opener import IndexOpener, MakeRetriever
from bootstrap.ingesting import make_ingesting, scanner_check
from bootstrap.knowledge import Progress, load_knowledge, retire_samples
from bootstrap.metric_sources import list_models, register_metric_sources, time_statements
from bootstrap.model_registry import ModelRegistry
from bootstrap.models import (
    add_cache,
    make_quotes,
    open_answer_model,
    open_answers,
    open_calibrations,
    open_embedder,
    open_entailment,
    open_reranker,
)
from bootstrap.monitor import Monitor
from bootstrap.permissions import check_in_thread, make_permission_check
from bootstrap.savers import make_keyring, open_saver
from bootstrap.stores import open_conversations, open_deletions, open_files, open_originals, open_records
from bootstrap.telemetry import open_telemetry
from bootstrap.tenant_models import TenantModels
from bootstrap.tools import open_tools, tool_limits
from bootstrap.tracing import trace
from bootstrap.transcript_upkeep import TranscriptUpkeep
from config import SAMPLES, Settings
from domain.db import Database
from domain.document_files import DocumentFiles
from domain.in_thread import write
from domain.leadership import Leadership
from domain.ratings import forget_older
from domain.transcript_retention import DAY_S, Retention
from indexing.active import ActiveIndex
from indexing.check import SelfCheck
from indexing.comparing import DocumentComparer
from indexing.reconciler import IndexReconciler
from ingestion.pipeline import LoadSummary
from ingestion.policy import ReadingPolicy
from retrieval.index import PassageIndex
from retrieval.search import Retriever
from utils.checkpointer import Connections, FallbackCheckpointer
from utils.disk import DiskSpace
from utils.errors import ProblemError
from utils.language import load_models
from utils.log_ids import use_log_key
from utils.ports import Embedder
from utils.telemetry import Telemetry

logger = logging.getLogger("bootstrap.services")

OPERATOR = make_operator(DEFAULT_TENANT)
_LAST_RETURN_S = 7.0  # a Redis that failed is asked again after 5 s


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
    """The models, and the index that they answer from. `asked` is `embedder`, maybe with a cache of questions."""

    embedder: Embedder
    asked: Embedder
    model: AnswerModel
    opener: IndexOpener
    serving: ActiveIndex
    reconciler: IndexReconciler


@dataclass(frozen=True, slots=True)
class Conversations:
    """What answers in conversations."""

    checkpointer: FallbackCheckpointer
    answers: AnswerCache | None
    runs: Runs
    bots: StoredBots
    transcripts: Transcripts
    transcript_writer: TranscriptWriter
    tenant_models: TenantModels
    tools: ToolRegistry
    data_sources: DataSources


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
    asked = add_cache(settings, embedder)
    model = await open_answer_model(stack, settings, asked, telemetry.chat_model)
    await asyncio.to_thread(load_models)  # now, not on the loop with the first question
    opener = IndexOpener(settings, stores.folder, embedder, asked, _make_retrievers(stores))
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
    return Search(embedder, asked, model, opener, serving, reconciler)


def _make_retrievers(stores: Stores) -> MakeRetriever:
    """Makes what searches an index; all of them have one reranker."""
    reranker = open_reranker(stores.stack, stores.settings)

    async def make(
        stack: AsyncExitStack, *, number: int, embedder: Embedder, asked: Embedder, index: PassageIndex
    ) -> Retriever:
        calibrations = await open_calibrations(stack, stores.database, number=number, index=index, embedder=embedder)
        return Retriever(asked, index, stores.telemetry.stores, reranker, calibrations)

    return make


async def open_runs(stores: Stores, search: Search) -> Conversations:
    """The runs of this worker; what it does not end with the stack another one goes on with."""
    stack, settings, model = stores.stack, stores.settings, search.model
    redis = stores.connections.asynchronous()
    leases = Leases(redis, hold_s=settings.run_lease, wait_s=settings.conversation_wait)
    checkpointer = FallbackCheckpointer(open_saver(settings, stores.connections), leases=leases)
    stack.push_async_callback(_return_last, checkpointer)
    deletions = open_deletions(settings, stores.connections)
    answers = open_answers(stack, settings, stores.database, deletions)
    bots = StoredBots(stores.database, make_default_bot(settings))
    stack.callback(bots.close)
    retention, keys, watch = make_retention(settings), make_keyring(settings), stores.telemetry
    transcripts = Transcripts(stores.database, retention=retention, keys=keys, undo_s=settings.conversation_undo)
    tenant_models = TenantModels(
        settings, stores.database, keys, quotes=make_quotes(search.asked), observer=watch.tenant_models
    )
    stack.callback(tenant_models.close)
    models = ModelRegistry(model, tenant_models.open)
    stack.push_async_callback(models.aclose)
    data_sources = DataSources(settings, stores.database, keys)
    stack.callback(data_sources.close)
    tools = open_tools(settings, search.serving.retriever, data_sources.ask)
    check_permission = check_in_thread(stores.database, make_permission_check(settings))
    runner = Runner(
        checkpointer,
        leases=leases,
        retriever=search.serving.retriever,
        models=models,
        bots=bots,
        places=AnswerPlaces(redis, ttl_s=settings.conversation_ttl),
        transcripts=transcripts,
        answers=answers,
        is_judged=settings.verify_judge,
        entailment=await open_entailment(stack, settings),
        tools=ToolService(tools, check_permission, tool_limits(settings)),
    )
    run_store = RunStore(redis, worker=uuid4().hex, hold_s=settings.run_lease, keys=keys, stores=watch.stores)
    policy = RunPolicy(keep_s=settings.run_ttl, hold_s=settings.run_lease)
    outbox = Outbox(redis, default_s=retention.default_s, keys=keys)
    runs = Runs(
        runner,
        run_store,
        policy,
        check_permission=check_permission,
        deletions=deletions,
        outbox=outbox,
        observer=watch.runs,
    )
    writer = TranscriptWriter(
        outbox, stores.database, retention=retention, keys=keys, list_unwritten=runs.list_unwritten
    )
    upkeep = TranscriptUpkeep(stores.database, transcripts, redis, embedded=settings.redis_address is None)
    stack.push_async_callback(_write_last, writer)
    for work in (runs.keep(), writer.run(), upkeep.run()):
        run_until_closed(stack, work)
    stack.push_async_callback(runs.drain, 0)
    return Conversations(checkpointer, answers, runs, bots, transcripts, writer, tenant_models, tools, data_sources)


def make_retention(settings: Settings) -> Retention:
    """How long conversations are kept in SQL."""
    days = settings.transcript_retention_days
    return Retention(settings.conversation_ttl if days is None else days * DAY_S)


async def start_background(
    stores: Stores, search: Search, policy: ReadingPolicy, progress: Progress | None
) -> Background:
    """The work that one process does for all, begun."""
    settings, database, document_files = stores.settings, stores.database, stores.document_files
    crawling = CrawlScheduler(
        database, document_files, crawl_rules(settings, policy), at_once=settings.crawl_concurrency
    )
    comparer = DocumentComparer(
        database=database,
        index=lambda: (search.serving.opened.index, search.serving.opened.spec.chunking_version),
        is_busy=lambda: search.reconciler.pending() > 0,
        delay_s=settings.conflict_scan_delay,
    )
    retire = partial(retire_samples, database, OPERATOR, document_files)
    background = Background(
        search.reconciler,
        partial(_load, stores, progress or _ignore_progress, policy),
        forget=partial(write, database, partial(forget_older, keep_days=settings.ratings_keep_days)),
        working=make_ingesting(settings, database, document_files, policy).make_pool(settings.ingestion_workers),
        leadership=None if settings.is_embedded else Leadership(database, folder=stores.folder),
        crawl=crawling.run,
        compare=comparer.run if settings.conflict_scan else None,
        retire_samples=retire if settings.knowledge_dir is None else None,
        replaced=search.opener.replaced,
    )
    stores.stack.push_async_callback(background.stop)
    await background.start()
    run_until_closed(stores.stack, search.serving.watch())
    return background


async def start_monitor(
    stores: Stores, search: Search, conversations: Conversations, background: Background, disk: DiskSpace
) -> Monitor:
    """What looks at all of them, after its first look, and the metrics."""
    settings, telemetry = stores.settings, stores.telemetry
    monitor = Monitor(
        checkpointer=conversations.checkpointer,
        connections=stores.connections,
        database=stores.database,
        index=search.serving,
        indexer=search.reconciler,
        background=background,
        memory_suffices=settings.allow_memory_fallback or (settings.workers or 1) == 1,
        check_scanner=scanner_check(settings),
        is_scanner_required=settings.scanner_required,
        language_model=search.model.circuit,
        transcript_writer=conversations.transcript_writer,
        stores=telemetry.stores,
        disk=disk,
        keeps_turns_on_disk=settings.redis_address is None,
    )
    await monitor.look()
    run_until_closed(stores.stack, monitor.run())
    if telemetry.sampler:
        register_metric_sources(
            telemetry, monitor, list_models(search.model, search.embedder, search.asked, conversations.answers)
        )
        run_until_closed(stores.stack, telemetry.sampler.run())
    return monitor


def run_until_closed(stack: AsyncExitStack, work: Coroutine[Any, Any, Any]) -> None:
    """Run *work* as a task that is cancelled, and waited for, with *stack*."""
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(end)


async def _return_last(checkpointer: FallbackCheckpointer) -> None:
    """Write what is held in memory to Redis before it is lost with the process; say so where that cannot be done."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_RETURN_S):
            while checkpointer.held_conversations:
                if not await checkpointer.return_held():
                    await asyncio.sleep(_LAST_RETURN_S / 20)
    if lost := checkpointer.held_conversations:
        logger.error("Redis is unavailable: %s conversations held in memory are lost as this process ends.", lost)


async def _write_last(writer: TranscriptWriter) -> None:
    """Write to the transcript what waits as the process ends: of what Redis was not told, nobody else knows."""
    with suppress(TimeoutError, ProblemError, RedisError):
        async with asyncio.timeout(_LAST_RETURN_S):
            while await writer.write_waiting():
                pass


async def _load(stores: Stores, progress: Progress, policy: ReadingPolicy) -> LoadSummary | None:
    summary = await load_knowledge(
        stores.database,
        OPERATOR,
        stores.settings.documents_folder,
        samples=SAMPLES,
        keep_samples=stores.settings.knowledge_dir is not None,
        policy=policy,
        progress=progress,
        document_files=stores.document_files,
        data_dir=stores.settings.data_dir,
    )
    try:
        await asyncio.to_thread(stores.document_files.tidy)
    except ProblemError as exc:
        logger.warning("Orphaned files will be deleted at the next start: %s", exc.detail)
    return summary


def _ignore_progress(done: int, total: int, name: str) -> None:
    """Progress that nobody watches."""
