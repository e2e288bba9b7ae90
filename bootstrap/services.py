"""All wiring: what a running service is made of, made once, owned and closed here."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from agents.answer_cache import AnswerCache
from agents.answer_places import AnswerPlaces
from agents.leases import Leases
from agents.runner import AnswerStyle, Runner
from agents.runs.deletions import Deletions
from agents.runs.run_store import RunStore
from agents.runs.runs import RunPolicy, Runs
from agents.state import AnswerModel
from bootstrap.background import Background
from bootstrap.crawl_scheduler import CrawlScheduler, crawl_rules
from bootstrap.data_folder import load_secret, open_data_folder, open_link_key
from bootstrap.disk_room import wait_for_room
from bootstrap.index_opener import IndexOpener, MakeRetriever
from bootstrap.ingesting import make_ingesting, quotas_of, reading_policy, scanner_check
from bootstrap.knowledge import Progress, check_knowledge, load_knowledge, retire_samples
from bootstrap.looks import Models, look_around, time_statements
from bootstrap.models import (
    add_cache,
    open_answer_model,
    open_answers,
    open_calibrations,
    open_embedder,
    open_entailment,
    open_reranker,
)
from bootstrap.monitor import Monitor
from bootstrap.sandbox import check_walls
from bootstrap.savers import make_keyring, open_saver
from bootstrap.stores import (
    make_disk_space,
    open_conversations,
    open_deletions,
    open_files,
    open_originals,
    open_records,
)
from bootstrap.telemetry import open_telemetry
from bootstrap.tracing import trace
from config import SAMPLES, Settings
from domain.db import Database
from domain.document_files import DocumentFiles
from domain.in_thread import write
from domain.keys import create_first_key
from domain.leadership import Leadership
from domain.ratings import forget_older
from indexing.active import ActiveIndex
from indexing.check import SelfCheck
from indexing.comparing import DocumentComparer
from indexing.reconciler import IndexReconciler
from ingestion.library import Library
from ingestion.pipeline import LoadSummary
from ingestion.policy import ReadingPolicy
from providers.embeddings.openai import OpenAIEmbedder
from providers.embeddings.remembered import RememberingEmbedder
from retrieval.index import PassageIndex
from retrieval.search import Retriever
from utils.checkpointer import Connections, FallbackCheckpointer
from utils.checkpointer.cipher import Keyring
from utils.context import DEFAULT_TENANT, TenantContext
from utils.disk import DiskSpace
from utils.errors import ProblemError
from utils.expiring import Expiring
from utils.language import detect_language
from utils.log_ids import use_log_key
from utils.ports import Embedder
from utils.sandbox.sandbox import Sandbox
from utils.sandbox.walls import WallReport
from utils.telemetry import Telemetry

OPERATOR = TenantContext.for_operator(DEFAULT_TENANT)
_LAST_RETURN_S = 7.0  # a Redis that failed is asked again after 5 s

logger = logging.getLogger("bootstrap.services")


@dataclass(frozen=True, slots=True)
class Services:
    """What the edges work with.

    `page_key` is the secret of the chat page, `link_key` signs links to documents, `state_keys` encrypt ratings.
    """

    settings: Settings
    data_folder: Path
    redis_url: str
    database: Database
    document_files: DocumentFiles
    library: Library
    checkpointer: FallbackCheckpointer
    runs: Runs
    serving: ActiveIndex
    model: AnswerModel
    monitor: Monitor
    disk: DiskSpace
    background: Background
    telemetry: Telemetry
    sandbox: Sandbox
    walls: WallReport
    page_key: str
    link_key: bytes = field(repr=False)
    state_keys: Keyring | None

    @property
    def retriever(self) -> Retriever:
        """What searches the index that serves now: to be asked for once for each question."""
        return self.serving.retriever()

    def make_first_key(self) -> str | None:
        """An API key, if API_KEY is not set and the default tenant has none yet; to be shown once. Blocking."""
        if self.settings.api_key:
            return None
        with self.database.writing() as session:
            return create_first_key(session, DEFAULT_TENANT, "first key")


async def wait_until_it_may_start(settings: Settings) -> None:
    """Return once the disk has room for what is written into mapped files: the embedded stores and the metrics."""
    if settings.is_embedded or settings.prometheus_enabled:
        await wait_for_room(make_disk_space(settings))


@asynccontextmanager
async def open_services(
    settings: Settings, *, progress: Progress | None = None, patience_s: float = 0.0
) -> AsyncIterator[Services]:
    """Everything, started in order and closed in the opposite one, in the running event loop.

    *progress* hears of the documents of KNOWLEDGE_DIR, from a thread of its own. *patience_s*: how long a former
    process may take to let go of the data folder.

    Raises:
        StartError: something is missing or in the way; the message says what to do.
    """
    check_knowledge(settings.documents_folder)
    disk = make_disk_space(settings)
    await wait_until_it_may_start(settings)
    async with AsyncExitStack() as stack:
        folder = await _open_folder(stack, settings, patience_s)
        link_key = await asyncio.to_thread(open_link_key, settings, folder)
        use_log_key(link_key)
        telemetry = await trace(stack, settings, await open_telemetry(stack, settings, folder))
        connections = await open_conversations(stack, settings, folder)
        database = await open_records(stack, settings)
        document_files = open_originals(settings, database)
        if telemetry.sampler:
            time_statements(database, telemetry.stores)
        embedder = await open_embedder(stack, settings, telemetry.embedding_model)
        asked = add_cache(settings, embedder)
        model = await open_answer_model(stack, settings, asked, telemetry.chat_model)
        opener = IndexOpener(settings, folder, embedder, asked, _retrievers(stack, settings, telemetry, database))
        stack.push_async_callback(opener.close_all)
        serving = await ActiveIndex.begin(database, opener)
        tending = IndexReconciler(
            database=database,
            opener=opener,
            serving=serving,
            check=SelfCheck(database),
            keep_days=settings.index_keep_days,
            files=open_files(settings),
        )
        leases = Leases(connections.asynchronous(), hold_s=settings.run_lease, wait_s=settings.conversation_wait)
        checkpointer = FallbackCheckpointer(open_saver(settings, connections), leases=leases)
        stack.push_async_callback(_return_last, checkpointer)
        deletions = open_deletions(settings, connections)
        answers = open_answers(stack, settings, database, deletions)
        runner = Runner(
            checkpointer,
            leases=leases,
            retriever=serving.retriever,
            model=model,
            voice=AnswerStyle(settings.institution, settings.language_policy, settings.unsupported_sentences),
            top_k=settings.top_k,
            places=AnswerPlaces(connections.asynchronous(), ttl_s=settings.conversation_ttl),
            answers=answers,
            judge=model.chat if settings.verify_judge and model.is_language_model else None,
            entailment=await open_entailment(stack, settings),
        )
        runs = _open_runs(stack, settings, connections, runner, deletions, telemetry)
        leadership = None if settings.is_embedded else Leadership(database, folder=folder)
        sandbox = stack.enter_context(Sandbox(required=settings.sandbox_required, prepares=True))
        walls = await asyncio.to_thread(check_walls, sandbox, required=settings.sandbox_required)
        policy = reading_policy(settings, sandbox)
        loading = partial(_load, database, settings, progress or _unseen, document_files, policy)
        crawling = CrawlScheduler(
            database, document_files, crawl_rules(settings, policy), at_once=settings.crawl_concurrency
        )
        stores = make_ingesting(settings, database, document_files, policy)
        working = stores.make_pool(settings.ingestion_workers)
        await asyncio.to_thread(detect_language, "")  # its model is loaded now, not on the loop with the first question
        forget = partial(write, database, partial(forget_older, keep_days=settings.ratings_keep_days))
        retire = partial(retire_samples, database, OPERATOR, document_files) if settings.knowledge_dir is None else None
        comparer = DocumentComparer(
            database=database,
            index=lambda: (serving.opened.index, serving.opened.spec.chunking_version),
            is_busy=lambda: tending.pending() > 0,
            delay_s=settings.conflict_scan_delay,
        )
        background = Background(
            tending,
            loading,
            forget=forget,
            working=working,
            leadership=leadership,
            crawl=crawling.run,
            compare=comparer.run if settings.conflict_scan else None,
            retire_samples=retire,
            replaced=opener.replaced,
        )
        stack.push_async_callback(background.stop)
        await background.start()
        _running(stack, serving.watch())
        monitor = Monitor(
            checkpointer=checkpointer,
            connections=connections,
            database=database,
            index=serving,
            indexer=tending,
            background=background,
            memory_suffices=settings.allow_memory_fallback or (settings.workers or 1) == 1,
            check_scanner=scanner_check(settings),
            is_scanner_required=settings.scanner_required,
            language_model=model.circuit,
            stores=telemetry.stores,
            disk=disk,
            keeps_turns_on_disk=settings.redis_address is None,
        )
        await monitor.look()
        _running(stack, monitor.run())
        if telemetry.sampler:
            look_around(telemetry, monitor, _models_seen(model, embedder, asked, answers))
            _running(stack, telemetry.sampler.run())
        yield Services(
            settings=settings,
            data_folder=folder,
            redis_url=connections.url,
            database=database,
            document_files=document_files,
            library=Library(database, document_files, quotas_of(settings)),
            checkpointer=checkpointer,
            runs=runs,
            serving=serving,
            model=model,
            monitor=monitor,
            disk=disk,
            background=background,
            telemetry=telemetry,
            sandbox=sandbox,
            walls=walls,
            link_key=link_key,
            state_keys=make_keyring(settings),
            page_key=await asyncio.to_thread(open_page_key, settings, folder),
        )


def open_page_key(settings: Settings, folder: Path) -> str:
    """The chat page's key: CHAT_PAGE_KEY, else a secret of the data folder, so that visitors stay who they are."""
    configured = settings.chat_page_key
    return configured.get_secret_value() if configured else load_secret(folder, "page.key").hex()


def _retrievers(stack: AsyncExitStack, settings: Settings, telemetry: Telemetry, database: Database) -> MakeRetriever:
    """Makes what searches an index; all of them have one reranker, closed with *stack*."""
    reranker = open_reranker(stack, settings)

    async def make(
        stack: AsyncExitStack, *, number: int, embedder: Embedder, asked: Embedder, index: PassageIndex
    ) -> Retriever:
        calibrations = await open_calibrations(stack, database, number=number, index=index, embedder=embedder)
        return Retriever(asked, index, telemetry.stores, reranker, calibrations)

    return make


def _open_runs(
    stack: AsyncExitStack,
    settings: Settings,
    connections: Connections,
    runner: Runner,
    deletions: Deletions,
    telemetry: Telemetry,
) -> Runs:
    """The runs of this worker; what it does not end with *stack* another one goes on with."""
    run_store = RunStore(
        connections.asynchronous(),
        worker=uuid4().hex,
        hold_s=settings.run_lease,
        keys=make_keyring(settings),
        stores=telemetry.stores,
    )
    policy = RunPolicy(keep_s=settings.run_ttl, hold_s=settings.run_lease)
    runs = Runs(runner, run_store, policy, deletions=deletions, observer=telemetry.runs)
    _running(stack, runs.keep())
    stack.push_async_callback(runs.drain, 0)
    return runs


def _models_seen(model: AnswerModel, embedder: Embedder, asked: Embedder, answers: AnswerCache | None) -> Models:
    gates = {}
    if model.is_language_model:
        from providers.chat.openai import RemoteChatModel  # here: it takes long to import

        if isinstance(model.chat, RemoteChatModel):
            gates["chat"] = model.chat.gate
    if isinstance(embedder, OpenAIEmbedder):
        gates["embedding"] = embedder.gate
    caches: dict[str, Expiring[Any, Any]] = {}
    if isinstance(asked, RememberingEmbedder):
        caches["queries"] = asked.vectors
    if answers is not None:
        caches["answers"] = answers.answers
    return Models(gates, caches)


async def _return_last(checkpointer: FallbackCheckpointer) -> None:
    """Write what is held in memory to Redis before it is lost with the process; say so where that cannot be done."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_RETURN_S):
            while checkpointer.held_conversations:
                if not await checkpointer.return_held():
                    await asyncio.sleep(_LAST_RETURN_S / 20)
    if lost := checkpointer.held_conversations:
        logger.error("Redis is unavailable: %s conversations held in memory are lost as this process ends.", lost)


async def _open_folder(stack: AsyncExitStack, settings: Settings, patience_s: float) -> Path:
    holding = open_data_folder(settings.data_dir, shared=not settings.is_embedded, patience_s=patience_s)
    return (await asyncio.to_thread(stack.enter_context, holding)).path


async def _load(
    database: Database, settings: Settings, progress: Progress, document_files: DocumentFiles, policy: ReadingPolicy
) -> LoadSummary | None:
    summary = await load_knowledge(
        database,
        OPERATOR,
        settings.documents_folder,
        samples=SAMPLES,
        keep_samples=settings.knowledge_dir is not None,
        policy=policy,
        progress=progress,
        document_files=document_files,
    )
    await _tidy(document_files)
    return summary


async def _tidy(document_files: DocumentFiles) -> None:
    try:
        await asyncio.to_thread(document_files.tidy)
    except ProblemError as exc:
        logger.warning("Orphaned files will be deleted at the next start: %s", exc.detail)


def _unseen(done: int, total: int, name: str) -> None:
    """Progress that nobody watches."""


def _running(stack: AsyncExitStack, work: Coroutine[Any, Any, Any]) -> None:
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(end)
