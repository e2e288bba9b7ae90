"""Crawls web sources, one after the other, with all they need; in the service and for `flask crawl`."""

import threading
from dataclasses import dataclass

from sqlalchemy.orm import Session

from domain import web_sources
from domain.db import Database
from domain.document_files import DocumentFiles
from domain.models import WebSource
from domain.quotas import Quotas
from ingestion.crawl.crawl import HOLD_S, Claim, CrawlPosition, crawl
from ingestion.crawl.fetch import Fetcher
from ingestion.crawl.frontier import Scope
from ingestion.crawl.guard import Reach, Resolve, resolve
from ingestion.crawl.politeness import Politeness, Stopped
from ingestion.crawl.site import CrawlPolicy, Site
from ingestion.parsers.sandbox import ParserProcess
from ingestion.policy import ReadingPolicy
from utils.context import TenantContext


@dataclass(frozen=True, slots=True)
class CrawlRules:
    """How web sources are crawled: politely, where, and what is made of what is found."""

    crawl_policy: CrawlPolicy
    reach: Reach
    policy: ReadingPolicy
    quotas: Quotas  # of the tenant whose web source it is
    max_pages: int = 20_000  # of a web source, whatever it asks for
    resolver: Resolve = resolve


class Crawler:
    """Crawls for one *holder*, who claims what it crawls; `stop` may be called from another thread.

    *parser* is used by no other thread meanwhile. *document_files* keeps the pages and files as they came.
    """

    def __init__(
        self,
        database: Database,
        rules: CrawlRules,
        parser: ParserProcess,
        *,
        holder: str,
        politeness: Politeness,
        document_files: DocumentFiles | None = None,
    ) -> None:
        self._database, self._rules, self._holder, self._politeness = database, rules, holder, politeness
        self._place = CrawlPosition(database, document_files, rules.quotas)
        self._reader = rules.policy.reader(parser)
        self._stopping = threading.Event()
        self._fetcher: Fetcher | None = None

    def claim(self, ctx: TenantContext, web_source_id: str) -> Claim:
        """Take a web source to be crawled by us, and by nobody else meanwhile.

        Raises:
            NotFound: the tenant has none of this id.
            Conflict: somebody else crawls it.
        """
        with self._database.writing() as session:
            return self.claim_in(session, ctx, web_source_id)

    def claim_in(self, session: Session, ctx: TenantContext, web_source_id: str) -> Claim:
        """The same within a transaction.

        Raises:
            NotFound: the tenant has none of this id.
            Conflict: somebody else crawls it.
        """
        source = web_sources.claim(session, ctx, web_source_id, holder=self._holder, hold_s=HOLD_S)
        return Claim(ctx, source, self._holder)

    def crawl(self, claim: Claim) -> WebSource | None:
        """Crawl it to its end, and tell how it is then; None if it was removed meanwhile. Blocking, for long.

        Stopped, it ends soon, and whoever claims it next goes on from there.
        """
        source, rules = claim.source, self._rules
        scope = Scope(source.url, source.kind == "site", source.max_depth, min(source.max_pages, rules.max_pages))
        with Fetcher(rules.crawl_policy.agent, rules.reach, resolver=rules.resolver) as self._fetcher:
            if self._stopping.is_set():
                self._fetcher.abort()
            file_bytes = rules.policy.limits.size_bytes
            site = Site(scope, self._fetcher, rules.crawl_policy, self._politeness, self._stopping, file_bytes)
            try:
                crawl(self._place, claim, site, self._reader)
            except (Stopped, KeyboardInterrupt):
                self._let_go(claim)
                raise
        with self._database.reading() as session:
            return web_sources.find_web_source(session, claim.ctx, source.url)

    def stop(self) -> None:
        """End what is under way, and crawl nothing any more."""
        self._stopping.set()
        if self._fetcher is not None:
            self._fetcher.abort()

    def _let_go(self, claim: Claim) -> None:
        with self._database.writing() as session:
            web_sources.let_go(session, claim.ctx, claim.source.web_source_id, holder=claim.holder)
