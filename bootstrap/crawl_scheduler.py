"""Web sources: crawled when they are due, by the one process that does the work in the background."""

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network
from uuid import uuid4

from auth.principal import Principal
from bootstrap.ingesting import make_quotas
from bootstrap.permissions import make_permission_check
from config import Settings
from domain import crawl_leases, crawls
from domain.db import Database
from domain.document_files import DocumentFiles
from domain.jobs import is_any_open
from ingestion.crawl.crawl import CrawlRules
from ingestion.crawl.crawler import Crawler
from ingestion.crawl.site import CrawlPolicy, Politeness, Stopped
from ingestion.jobs import tidy_crawls
from ingestion.parsers.sandbox import ParserProcess
from ingestion.policy import ReadingPolicy
from utils.errors import Conflict, NotFound, ProblemError
from utils.loops import repeat
from utils.reach import Reach

logger = logging.getLogger("bootstrap.crawl_scheduler")

WORKER = "service:"  # of crawls by the leader: whoever becomes it takes over what the former one left
POLL_S = 1.0


def crawl_rules(settings: Settings, policy: ReadingPolicy) -> CrawlRules:
    """How web sources are crawled by these settings."""
    return CrawlRules(
        CrawlPolicy(settings.crawl_user_agent, settings.crawl_delay),
        crawl_reach(settings),
        policy,
        make_quotas(settings),
        make_permission_check(settings),
        lease_s=settings.ingestion_lease,
        max_pages=settings.crawl_max_pages,
    )


def crawl_reach(settings: Settings) -> Reach:
    """Which addresses a crawl may ask."""
    return Reach(tuple(map(ip_network, settings.crawl_networks)), frozenset(settings.crawl_ports))


@dataclass(frozen=True, slots=True)
class _DueCrawl:
    ctx: Principal
    web_source_id: str


class CrawlScheduler:
    """Crawls what is due, *at_once* web sources at a time, in a thread each."""

    def __init__(self, database: Database, document_files: DocumentFiles, rules: CrawlRules, *, at_once: int) -> None:
        self._database, self._document_files, self._rules = database, document_files, rules
        self._at_once = at_once
        self._politeness = Politeness()

    async def run(self) -> None:
        """Crawl until cancelled; whoever runs next goes on with what is not finished."""
        if self._at_once == 0:
            return
        async with self._run_threads() as (threads, under_way):
            step = partial(self._begin_due_crawls, threads, under_way)
            await repeat("Crawling", step, get_poll_s=lambda: POLL_S)

    @asynccontextmanager
    async def _run_threads(self) -> AsyncIterator[tuple[ThreadPoolExecutor, dict[str, tuple[Crawler, Future[None]]]]]:
        under_way: dict[str, tuple[Crawler, Future[None]]] = {}
        threads = ThreadPoolExecutor(self._at_once, thread_name_prefix="crawl")
        try:
            await self._take_over()
            yield threads, under_way
        finally:
            for crawler, _ in under_way.values():
                crawler.stop()
            endings = [asyncio.wrap_future(ending) for _, ending in under_way.values()]
            await asyncio.gather(*endings, return_exceptions=True)
            threads.shutdown(wait=False)

    async def _take_over(self) -> None:
        """What a former leader left is ours now, without waiting for its claims to run out."""
        try:
            await asyncio.to_thread(self._take_over_crawls)
        except ProblemError as exc:
            logger.warning("Web sources of a former process are not resumed yet: %s", exc.detail)

    def _take_over_crawls(self) -> None:
        with self._database.open_read_session() as session:
            tenants = crawl_leases.list_tenants_crawled_by(session, WORKER)
        for ctx in tenants:
            with self._database.open_write_session() as session:
                crawl_leases.take_over(session, ctx, WORKER)

    async def _begin_due_crawls(
        self, threads: ThreadPoolExecutor, under_way: dict[str, tuple[Crawler, Future[None]]]
    ) -> None:
        for web_source_id in [one for one, (_, ending) in under_way.items() if ending.done()]:
            del under_way[web_source_id]
        if len(under_way) >= self._at_once:
            return
        for crawl in await asyncio.to_thread(self._list_due):
            if len(under_way) < self._at_once and crawl.web_source_id not in under_way:
                under_way[crawl.web_source_id] = self._begin(threads, crawl)

    def _list_due(self) -> list[_DueCrawl]:
        """The due crawls of all tenants, one of each in turn: a tenant with hundreds does not delay the others."""
        if is_any_open(self._database):
            tidy_crawls(self._database)  # also where nobody works on documents
        with self._database.open_read_session() as session:
            scheduled = crawls.list_tenants_to_queue(session, WORKER)
        for ctx in scheduled:
            with self._database.open_write_session() as session:
                crawls.queue_due(session, ctx, WORKER)
        if not is_any_open(self._database):
            return []
        with self._database.open_read_session() as session:
            waiting = [(ctx, crawls.list_due(session, ctx)) for ctx in crawls.list_tenants_with_due(session)]
        most = max((len(sources) for _, sources in waiting), default=0)
        return [_DueCrawl(ctx, sources[n]) for n in range(most) for ctx, sources in waiting if n < len(sources)]

    def _begin(self, threads: ThreadPoolExecutor, crawl: _DueCrawl) -> tuple[Crawler, Future[None]]:
        parser = self._rules.policy.open_parser()
        worker = WORKER + uuid4().hex
        crawler = Crawler(
            self._database,
            self._rules,
            parser,
            worker=worker,
            politeness=self._politeness,
            document_files=self._document_files,
        )
        return crawler, threads.submit(partial(self._crawl, crawler, parser, crawl))

    def _crawl(self, crawler: Crawler, parser: ParserProcess, crawl: _DueCrawl) -> None:
        try:
            with parser:
                crawler.crawl(crawler.claim(crawl.ctx, crawl.web_source_id))
        except (Stopped, Conflict, NotFound):
            return  # it goes on elsewhere, or is no more
        except ProblemError as exc:
            logger.warning("A crawl is postponed: %s", exc.detail)
        except Exception:  # the others go on
            logger.exception("A web source could not be crawled.")
