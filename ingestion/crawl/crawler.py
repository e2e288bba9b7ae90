"""Crawls web sources, one after the other; what is done is in SQL after every page, in one transaction a page."""

import threading

from sqlalchemy.orm import Session

from auth.principal import Principal
from domain import crawl_leases, web_sources
from domain.db import Database
from domain.document_files import DocumentFiles
from domain.models import WebSource
from ingestion.crawl.crawl import ClaimedCrawl, Crawl, CrawlRules
from ingestion.crawl.fetch import Fetcher
from ingestion.crawl.frontier import CrawlScope
from ingestion.crawl.site import Politeness, Site, Stopped
from ingestion.job_lease import JobLease
from ingestion.parsers.sandbox import ParserProcess


class Crawler:
    """Crawls as *worker*, that claims what it crawls; `stop` may be called from another thread.

    *parser* is used by no other thread meanwhile. *document_files* keeps the pages and files as they came.
    """

    def __init__(
        self,
        database: Database,
        rules: CrawlRules,
        parser: ParserProcess,
        *,
        worker: str,
        politeness: Politeness,
        document_files: DocumentFiles,
    ) -> None:
        self._database, self._rules, self._worker, self._politeness = database, rules, worker, politeness
        self._document_files, self._reader = document_files, rules.policy.make_reader(parser)
        self._stopping = threading.Event()
        self._fetcher: Fetcher | None = None

    def claim(self, ctx: Principal, web_source_id: str) -> ClaimedCrawl:
        """Take a web source to be crawled by us, and by nobody else meanwhile.

        Raises:
            NotFound: the tenant has none of this id.
            Conflict: somebody else crawls it.
        """
        with self._database.open_write_session() as session:
            return self.claim_in(session, ctx, web_source_id)

    def claim_in(self, session: Session, ctx: Principal, web_source_id: str) -> ClaimedCrawl:
        """Claim a web source within a transaction.

        Raises:
            NotFound: the tenant has none of this id.
            Conflict: somebody else crawls it.
        """
        lease_s = self._rules.lease_s
        return ClaimedCrawl(ctx, *crawl_leases.claim(session, ctx, web_source_id, worker=self._worker, lease_s=lease_s))

    def crawl(self, claim: ClaimedCrawl) -> WebSource | None:
        """Crawl it to its end, and tell how it is then; None if it was removed meanwhile. Blocking, for long.

        Stopped, it ends soon, and whoever claims it next goes on from there.
        """
        source, rules = claim.source, self._rules
        lease = JobLease(self._database, claim.ctx, claim.job, rules.lease_s, on_lost=_ignore_loss)
        scope = CrawlScope(source.url, source.kind == "site", source.max_depth, min(source.max_pages, rules.max_pages))
        with Fetcher(rules.crawl_policy.agent, rules.reach, resolver=rules.resolver) as self._fetcher:
            if self._stopping.is_set():
                self._fetcher.abort()
            file_bytes = rules.policy.limits.size_bytes
            site = Site(scope, self._fetcher, rules.crawl_policy, self._politeness, self._stopping, file_bytes)
            try:
                with lease:
                    Crawl(self._database, self._document_files, claim, site, self._reader, lease, rules).run()
            except (Stopped, KeyboardInterrupt):
                self._release(claim)
                raise
        self._document_files.delete_expired(claim.ctx)
        with self._database.open_read_session() as session:
            return web_sources.find_web_source(session, claim.ctx, source.url)

    def stop(self) -> None:
        """End what is under way, and crawl nothing any more."""
        self._stopping.set()
        if self._fetcher is not None:
            self._fetcher.abort()

    def _release(self, claim: ClaimedCrawl) -> None:
        with self._database.open_write_session() as session:
            crawl_leases.release_crawl(session, claim.ctx, claim.job)


def _ignore_loss() -> None:
    """A crawl that is not ours any more ends when its next page is to be written."""
