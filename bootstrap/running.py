"""What goes on beside the requests of a service: background work, and the monitor."""

import asyncio
import logging
from functools import partial

from auth.operators import make_operator
from auth.principal import DEFAULT_TENANT
from bootstrap.agent import Agent, open_result_files
from bootstrap.background import Background
from bootstrap.crawl_scheduler import CrawlScheduler, crawl_rules
from bootstrap.ingesting import make_ingesting, make_scanner_check
from bootstrap.knowledge import Progress, load_knowledge, retire_samples
from bootstrap.metric_sources import list_models, register_metric_sources
from bootstrap.monitor import Monitor
from bootstrap.parts import Search, Stores, run_until_closed
from bootstrap.sample_data import follow_samples, refresh_sample_data
from bootstrap.savers import make_keyring
from bootstrap.webhook_sender import WebhookSender, make_webhook_reach
from config import SAMPLES
from domain.in_thread import write
from domain.leadership import Leadership
from domain.ratings import delete_older
from indexing.comparing import DocumentComparer
from ingestion.pipeline import LoadSummary
from ingestion.policy import ReadingPolicy
from providers.charts.renderer import ChartRenderer
from utils.disk import DiskSpace
from utils.errors import ProblemError

logger = logging.getLogger("bootstrap.services")

OPERATOR = make_operator(DEFAULT_TENANT)


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
        is_busy=lambda: search.reconciler.count_pending() > 0,
        delay_s=settings.conflict_scan_delay,
    )
    background = Background(
        search.reconciler,
        partial(_load, stores, progress or _ignore_progress, policy),
        delete_old=partial(_run_hourly, stores),
        working=make_ingesting(settings, database, document_files, policy).make_pool(settings.ingestion_workers),
        leadership=None if settings.is_embedded else Leadership(database, folder=stores.folder),
        crawl=crawling.run,
        compare=comparer.run if settings.conflict_scan else None,
        send_webhooks=WebhookSender(database, make_keyring(settings), make_webhook_reach(settings)).run,
        retire_samples=partial(_retire_samples, stores) if settings.knowledge_dir is None else None,
        replaced=search.opener.replaced,
    )
    stores.stack.push_async_callback(background.stop)
    await background.start()
    run_until_closed(stores.stack, search.serving.watch())
    return background


async def start_monitor(
    stores: Stores, search: Search, agent: Agent, background: Background, disk: DiskSpace, charts: ChartRenderer
) -> Monitor:
    """What looks at all of them, after its first look, and the metrics."""
    settings, telemetry = stores.settings, stores.telemetry
    monitor = Monitor(
        checkpointer=agent.checkpointer,
        connections=stores.connections,
        database=stores.database,
        index=search.serving,
        indexer=search.reconciler,
        background=background,
        memory_suffices=settings.allow_memory_fallback or (settings.workers or 1) == 1,
        check_scanner=make_scanner_check(settings),
        is_scanner_required=settings.scanner_required,
        language_model=search.model.circuit,
        transcript_writer=agent.transcript_writer,
        stores=telemetry.stores,
        disk=disk,
        keeps_turns_on_disk=settings.redis_address is None,
        counts_sessions=telemetry.sampler is not None,
    )
    await monitor.check_once()
    run_until_closed(stores.stack, monitor.run())
    if telemetry.sampler:
        models = list_models(search.model, search.embedder, search.cached, agent.answers)
        register_metric_sources(telemetry, monitor, models, charts)
        run_until_closed(stores.stack, telemetry.sampler.run())
    return monitor


async def _load(stores: Stores, progress: Progress, policy: ReadingPolicy) -> LoadSummary | None:
    try:
        await asyncio.to_thread(follow_samples, stores.settings, stores.database, OPERATOR)
    except Exception:  # a database to try the service out must not keep it from its documents
        logger.exception("The sample database cannot be made")
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


async def _run_hourly(stores: Stores) -> None:
    """What is done every hour."""
    await write(stores.database, partial(delete_older, keep_days=stores.settings.ratings_keep_days))
    await asyncio.to_thread(refresh_sample_data, stores.settings, stores.database, OPERATOR)
    await asyncio.to_thread(open_result_files(stores.settings).delete_unused)


async def _retire_samples(stores: Stores) -> None:
    await retire_samples(stores.database, OPERATOR, stores.document_files)
    await asyncio.to_thread(follow_samples, stores.settings, stores.database, OPERATOR)


def _ignore_progress(done: int, total: int, name: str) -> None:
    """Progress that nobody watches."""
