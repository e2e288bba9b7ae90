"""One crawl of a web source, page by page."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from auth.principal import Principal
from auth.scopes import Scope
from domain import crawl_leases, web_sources
from domain.crawl_leases import LeasedCrawl
from domain.db import Database
from domain.document_files import DocumentFiles
from domain.documents import DocumentContent, record_failure, replace_document
from domain.job_leases import LEASE_S
from domain.models import Document, DocumentState, WebPage, WebSource
from domain.permissions import PermissionCheck
from domain.quotas import Quotas, count_pages, lock_usage, require_pages, require_room
from ingestion.crawl import sitemap
from ingestion.crawl.addresses import format_address, link, make_root_address
from ingestion.crawl.fetch import FetchFailed
from ingestion.crawl.frontier import Frontier
from ingestion.crawl.guard import Resolve, resolve
from ingestion.crawl.site import CrawlPolicy, Site, Stopped
from ingestion.crawl.visit import PageVisitor, SiteAway, VisitOutcome
from ingestion.job_lease import JobLease
from ingestion.policy import ReadingPolicy
from ingestion.reader import PARSER_VERSION, DocumentReader
from utils.errors import Forbidden, ProblemError, QuotaExceeded, ScannerUnavailable
from utils.reach import AddressRefused, Reach

logger = logging.getLogger("ingestion.crawl.crawler")


@dataclass(frozen=True, slots=True)
class ClaimedCrawl:
    """A web source that is ours to crawl for as long as we renew the lease."""

    ctx: Principal
    source: WebSource
    job: LeasedCrawl


@dataclass(frozen=True, slots=True)
class CrawlRules:
    """How web sources are crawled: politely, where, and what is made of what is found."""

    crawl_policy: CrawlPolicy
    reach: Reach
    policy: ReadingPolicy
    quotas: Quotas  # of the tenant whose web source it is
    permissions: PermissionCheck  # of whoever asked for the crawl
    lease_s: float = LEASE_S
    max_pages: int = 20_000  # of a web source, whatever it asks for
    resolver: Resolve = resolve


class _ClaimLost(Exception):
    """The web source was removed, cancelled, or somebody else crawls it now."""


class Crawl:
    """One crawl; `run` goes on with it to its end."""

    def __init__(
        self,
        database: Database,
        document_files: DocumentFiles,
        claim: ClaimedCrawl,
        site: Site,
        reader: DocumentReader,
        lease: JobLease,
        rules: CrawlRules,
    ) -> None:
        self._database, self._document_files, self._rules, self._lease = database, document_files, rules, lease
        self._ctx, self._source, self._job = claim.ctx, claim.source, claim.job
        self._site, self._reader = site, reader
        with self._database.open_read_session() as session:
            pages = web_sources.list_pages(session, self._ctx, self._source)
        self._frontier = Frontier(site.scope, self._source.crawl, pages)
        texts = {page.text_hash: page.url for page in pages if page.taken and not page.waiting}
        self._visitor = PageVisitor(site, self._frontier, reader, self._find_current, texts)

    def run(self) -> None:
        """Visit page after page until none is left, or as many as allowed were taken.

        Raises:
            Stopped: the crawler is to stop; whoever claims the web source next goes on from here.
        """
        try:
            with self._database.open_read_session() as session:
                self._rules.permissions.check(session, self._job.requester, Scope.WEB_SOURCES_WRITE)
            self._add_first_addresses()
            while not self._has_enough() and (page := self._frontier.next()) is not None:
                self._record(page, self._visitor.visit(page))
        except SiteAway as exc:
            self._finish(str(exc))
        except (Forbidden, QuotaExceeded, ScannerUnavailable) as exc:
            self._finish(exc.detail)
        except _ClaimLost:
            return
        except (Stopped, ProblemError):
            raise
        except Exception:  # otherwise it would be begun again and again, and fail each time
            logger.exception("A crawl failed unexpectedly.")
            self._finish("Something went wrong on our side.")
        else:
            self._finish(None)

    def _add_first_addresses(self) -> None:
        """The first address, and those of the sitemaps; what was written down before is there already."""
        try:
            robots = self._site.get_robots(self._source.url)
        except FetchFailed as exc:
            if isinstance(exc.__cause__, AddressRefused):  # of which robots.txt is but the first file
                raise SiteAway(exc.reason) from exc
            raise SiteAway(f"Its robots.txt could not be asked. {exc.reason}") from exc
        first = self._frontier.add(self._source.url, depth=0)
        new = [first] if first else []
        if self._site.scope.whole_site and not self._source.counts:
            named = [at for at in (link(one, self._source.url) for one in robots.sitemaps) if at]
            places = named or [make_root_address(self._source.url, "/sitemap.xml")]
            listed = sitemap.iter_addresses(
                places, self._site.fetch_sitemap, admits=self._site.scope.holds, limit=self._site.scope.max_addresses
            )
            new += [page for page in (self._frontier.add(at, depth=1, listed=True) for at in listed) if page]
        self._write(None, None, new)

    def _has_enough(self) -> bool:
        counts = self._source.counts
        pages = sum(counts.get(name, 0) for name in ("added", "changed", "unchanged"))
        return pages >= self._site.scope.max_pages or self._site.requests >= self._site.scope.max_requests

    def _find_current(self, page: WebPage) -> Document | None:
        """The page's document, if it need not be read again when the page did not change."""
        if not page.taken:
            return None
        with self._database.open_read_session() as session:
            document = web_sources.find_document_at(session, self._ctx, page.url)
        readable = (DocumentState.PENDING, DocumentState.SEARCHABLE, DocumentState.READY)
        fits = document is not None and document.state in readable and document.parser_version == PARSER_VERSION
        return document if fits and document and document.error is None else None

    def _record(self, page: WebPage, outcome: VisitOutcome) -> None:
        if outcome.became != "later":
            page.waiting = False
        self._write(page, outcome, outcome.new)

    def _write(self, page: WebPage | None, outcome: VisitOutcome | None, new: Sequence[WebPage]) -> None:
        """Everything about one page in one transaction, if the crawl is still ours."""
        content = outcome.content if outcome else None
        files = (outcome.data, content.extracted) if outcome and content else ()
        with self._document_files.open_write_session(self._ctx, *files) as (session, _):
            source = self._renew(session)
            if source is not None:
                if page is not None and outcome is not None:
                    self._write_document(session, page, outcome)
                    _count(source, page, outcome)
                for one in new:
                    one.tenant_id, one.web_source_id = self._ctx.tenant_id, source.web_source_id
                session.add_all(new)
                web_sources.put_pages(session, self._ctx, source.web_source_id, [page] if page is not None else [])
                self._source = source
        if source is None:  # committed all the same: a crawl that is cancelled is noted as over
            self._document_files.try_discard(self._ctx, *files)
            raise _ClaimLost

    def _renew(self, session: Session) -> WebSource | None:
        self._lease.progress = min(1.0, sum(self._source.counts.values()) / max(1, self._frontier.address_count))
        return crawl_leases.renew_crawl(
            session, self._ctx, self._job, progress=self._lease.progress, lease_s=self._rules.lease_s
        )

    def _write_document(self, session: Session, page: WebPage, outcome: VisitOutcome) -> None:
        origin = web_sources.ORIGIN + page.url
        if outcome.content is not None:
            self._require_room(session, outcome.content, is_new=outcome.became == "added")
            replace_document(session, self._ctx, origin, outcome.content)
        elif outcome.unreadable:
            record_failure(session, self._ctx, origin, format_address(page.url), outcome.unreadable)
        elif outcome.remove:
            web_sources.remove_pages(session, self._ctx, self._source.web_source_id, [page.url])
            page.taken, page.etag, page.last_modified, page.text_hash = False, None, None, ""

    def _require_room(self, session: Session, content: DocumentContent, *, is_new: bool) -> None:
        lock_usage(session, self._ctx)
        require_pages(session, self._ctx, self._rules.quotas)
        require_room(session, self._ctx, self._rules.quotas, documents=int(is_new), size_bytes=content.size_bytes)
        count_pages(session, self._ctx, content)

    def _finish(self, error: str | None) -> None:
        with self._database.open_write_session() as session:
            source = self._renew(session)
            if source is None:
                return
            if error is None:
                self._drop_beyond_limits(session, source)
                error = self._explain_nothing_found(source)
            crawl_leases.finish(session, self._ctx, source, self._job, error)
        facts = {"tenant_id": self._ctx.tenant_id, "web_source_id": source.web_source_id, **source.counts}
        logger.info("A web source was crawled.", extra={**facts, "trapped": self._frontier.trapped, "error": error})

    def _drop_beyond_limits(self, session: Session, source: WebSource) -> None:
        beyond = [page for page in self._frontier.list_unfetched() if page.taken]
        web_sources.remove_pages(session, self._ctx, source.web_source_id, [page.url for page in beyond])
        for page in beyond:
            page.taken = page.waiting = False
        web_sources.put_pages(session, self._ctx, source.web_source_id, beyond)
        if beyond:
            source.counts = {**source.counts, "gone": source.counts.get("gone", 0) + len(beyond)}
        if self._frontier.trapped:
            source.counts = {**source.counts, "trapped": self._frontier.trapped}

    def _explain_nothing_found(self, source: WebSource) -> str | None:
        counts = source.counts
        if any(counts.get(name) for name in ("added", "changed", "unchanged", "gone")):
            return None
        reason = next((problem["reason"] for problem in source.problems), "There is no text on it.")
        return f"Nothing could be read. {reason}"


def _count(source: WebSource, page: WebPage, outcome: VisitOutcome) -> None:
    if outcome.became == "later":
        return
    source.counts = {**source.counts, outcome.became: source.counts.get(outcome.became, 0) + 1}
    if outcome.reason and len(source.problems) < web_sources.MAX_PROBLEMS:
        problem = {"url": page.url, "became": outcome.became, "reason": outcome.reason}
        source.problems = [*source.problems, problem]
