"""A tenant's web sources: made, listed, changed, claimed by whoever crawls them, and removed with their documents."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, or_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.documents import remove_documents
from domain.models import CrawlState, Document, WebPage, WebSource, now
from domain.paging import Part, Rows, read_part
from domain.scoping import scoped, scoped_count, scoped_delete, scoped_update, tenants_with
from utils.errors import Conflict, NotFound
from utils.slices import cut_into_slices

ORIGIN = "web:"
MOST_SOURCES = 100  # of a tenant
MOST_PROBLEMS = 50  # told of one crawl
MOST_MISSED = 3  # crawls that an address without a document is tried again in
MOST_AT_ONCE = 500  # addresses in one statement


@dataclass(frozen=True, slots=True)
class CrawlPlan:
    """How far a web source is followed, and how often: `every_s` seconds after the last time, None for once."""

    kind: str = "site"
    max_depth: int = 5
    max_pages: int = 200
    every_s: int | None = None


def create_web_source(session: Session, ctx: Principal, url: str, plan: CrawlPlan) -> WebSource:
    """Add a web source at the canonical address *url*, to be crawled at once; flushed, not committed.

    Raises:
        Conflict: the tenant has it already, or has as many as it may.
    """
    if (session.scalar(scoped_count(ctx, WebSource)) or 0) >= MOST_SOURCES:
        raise Conflict(f"There are {MOST_SOURCES} web sources already: remove one first.")
    source = WebSource(
        tenant_id=ctx.tenant_id,
        url=url,
        kind=plan.kind,
        max_depth=plan.max_depth,
        max_pages=plan.max_pages,
        every_s=plan.every_s,
        next_at=now(),
    )
    try:
        with session.begin_nested():
            session.add(source)
    except IntegrityError as exc:
        raise Conflict(f"There is a web source at {url} already: change that one.") from exc
    return source


def list_web_sources(session: Session, ctx: Principal, part: Part | None = None) -> Rows[WebSource]:
    """A part of the tenant's web sources, or all, by address."""
    total = session.scalar(scoped_count(ctx, WebSource)) or 0
    return read_part(session, scoped(ctx, WebSource), (WebSource.url,), part or Part(MOST_SOURCES), total=total)


def get_web_source(session: Session, ctx: Principal, web_source_id: str) -> WebSource:
    """One web source.

    Raises:
        NotFound: the tenant has none of this id.
    """
    return _get_source(session.scalar(scoped(ctx, WebSource).where(WebSource.web_source_id == web_source_id)))


def find_web_source(session: Session, ctx: Principal, url: str) -> WebSource | None:
    """The tenant's web source at *url*, if there is one."""
    return session.scalar(scoped(ctx, WebSource).where(WebSource.url == url))


def change_web_source(session: Session, ctx: Principal, web_source_id: str, plan: CrawlPlan) -> WebSource:
    """Follow it by another *plan* from the next crawl on; when that is starts again.

    Raises:
        NotFound: the tenant has none of this id.
    """
    source = lock_web_source(session, ctx, web_source_id)
    source.kind, source.max_depth, source.max_pages = plan.kind, plan.max_depth, plan.max_pages
    if source.every_s != plan.every_s:
        source.every_s = plan.every_s
        if source.state != CrawlState.WAITING:
            _schedule(source)
    session.flush()
    return source


def request_crawl(session: Session, ctx: Principal, web_source_id: str) -> WebSource:
    """Let it be crawled as soon as there is room; one that is crawled now goes on.

    Raises:
        NotFound: the tenant has none of this id.
    """
    source = lock_web_source(session, ctx, web_source_id)
    if source.state != CrawlState.RUNNING:
        source.state, source.next_at = CrawlState.WAITING, now()
    session.flush()
    return source


def cancel_crawl(session: Session, ctx: Principal, web_source_id: str) -> WebSource:
    """End the crawl that runs or waits. What it has read stays; the schedule goes on.

    Raises:
        NotFound: the tenant has none of this id.
    """
    source = lock_web_source(session, ctx, web_source_id)
    if source.state == CrawlState.RUNNING:
        source.cancelled = True
        if source.held_until is None or source.held_until < now():
            _end(source, CrawlState.CANCELLED, None)
    elif source.state == CrawlState.WAITING:
        _end(source, CrawlState.CANCELLED, None)
    session.flush()
    return source


def remove_web_source(session: Session, ctx: Principal, web_source_id: str) -> int:
    """Forget it and the documents that no other web source has; how many those were.

    Raises:
        NotFound: the tenant has none of this id.
    """
    source = lock_web_source(session, ctx, web_source_id)
    pages = scoped(ctx, WebPage).where(WebPage.web_source_id == web_source_id, WebPage.taken)
    removed = remove_pages(session, ctx, web_source_id, [page.url for page in session.scalars(pages)])
    session.execute(scoped_delete(ctx, WebPage).where(WebPage.web_source_id == web_source_id))
    session.delete(source)
    session.flush()
    return removed


def list_tenants_with_due(session: Session) -> list[Principal]:
    """The tenants with web sources to be crawled now."""
    return tenants_with(session, WebSource, _is_due())


def list_due(session: Session, ctx: Principal) -> list[WebSource]:
    """Those of the tenant, the longest overdue first."""
    return list(session.scalars(scoped(ctx, WebSource).where(_is_due()).order_by(WebSource.next_at)))


def claim(session: Session, ctx: Principal, web_source_id: str, *, holder: str, hold_s: float) -> WebSource:
    """Begin to crawl it, or go on with the crawl that somebody left; until `hold_s` after the last sign of life.

    Raises:
        NotFound: the tenant has none of this id.
        Conflict: somebody else crawls it.
    """
    source = lock_web_source(session, ctx, web_source_id)
    running = source.state == CrawlState.RUNNING
    if running and source.holder not in (None, holder) and source.held_until and source.held_until > now():
        raise Conflict("This web source is already being crawled.")
    if not running:
        _begin(session, ctx, source)
    source.holder, source.held_until = holder, now() + timedelta(seconds=hold_s)
    session.flush()
    return source


def renew_crawl(
    session: Session, ctx: Principal, web_source_id: str, *, holder: str, hold_s: float
) -> WebSource | None:
    """Go on with a crawl: a sign of life, and a lock on the web source until the transaction ends.

    None if it is not to be gone on with: it was removed, cancelled, or is somebody else's now.
    """
    mine = scoped(ctx, WebSource).where(WebSource.web_source_id == web_source_id, WebSource.holder == holder)
    source = session.scalar(mine.with_for_update())
    if source is None:
        return None
    if source.cancelled:
        _end(source, CrawlState.CANCELLED, None)
        session.flush()
        return None
    source.held_until = now() + timedelta(seconds=hold_s)
    return source


def release_crawl(session: Session, ctx: Principal, web_source_id: str, *, holder: str) -> None:
    """Leave a crawl for somebody to go on with at once."""
    mine = scoped_update(ctx, WebSource).where(WebSource.web_source_id == web_source_id, WebSource.holder == holder)
    session.execute(mine.values(holder=None, held_until=None))


def release_crawls_of(session: Session, holder_prefix: str) -> None:
    """Leave every crawl of those whose name begins so: they are not there any more."""
    theirs = WebSource.holder.startswith(holder_prefix, autoescape=True)
    for ctx in tenants_with(session, WebSource, theirs):
        session.execute(scoped_update(ctx, WebSource).where(theirs).values(holder=None, held_until=None))


def finish(session: Session, source: WebSource, error: str | None) -> None:
    """The crawl is over: failed as a whole with *error*, or completed."""
    _end(source, CrawlState.FAILED if error else CrawlState.COMPLETED, error)
    session.flush()


def list_pages(session: Session, ctx: Principal, source: WebSource) -> list[WebPage]:
    """What is known of the addresses of the present crawl."""
    known = scoped(ctx, WebPage).where(WebPage.web_source_id == source.web_source_id)
    return list(session.scalars(known.order_by(WebPage.position)))


def count_waiting(session: Session, ctx: Principal, web_source_id: str) -> int:
    """How many of its addresses are still to be fetched; more may be found on them."""
    left = scoped_count(ctx, WebPage).where(WebPage.web_source_id == web_source_id, WebPage.waiting)
    return session.scalar(left) or 0


def put_pages(session: Session, pages: Sequence[WebPage]) -> None:
    """Write these as they are now, new or not."""
    for page in pages:
        session.merge(page)


def find_document_at(session: Session, ctx: Principal, url: str) -> Document | None:
    """The document of the page at *url*, also one that is being removed."""
    return session.scalar(scoped(ctx, Document).where(Document.origin == ORIGIN + url))


def remove_pages(session: Session, ctx: Principal, web_source_id: str, urls: Sequence[str]) -> int:
    """Take away the documents of these pages, but of those that another web source of the tenant has too."""
    removed = 0
    for some in cut_into_slices(urls, MOST_AT_ONCE):
        others = scoped(ctx, WebPage).where(WebPage.url.in_(some), WebPage.taken)
        shared = {page.url for page in session.scalars(others.where(WebPage.web_source_id != web_source_id))}
        lost = [ORIGIN + url for url in some if url not in shared]
        documents = session.scalars(scoped(ctx, Document).where(Document.origin.in_(lost)))
        removed += remove_documents(session, ctx, [document.document_id for document in documents])
    return removed


def _is_due() -> ColumnElement[bool]:
    """To be begun, or left by whoever crawled it."""
    asked = (WebSource.state != CrawlState.RUNNING) & (WebSource.next_at <= now())
    left = (WebSource.state == CrawlState.RUNNING) & or_(WebSource.held_until.is_(None), WebSource.held_until < now())
    return or_(asked, left)


def _begin(session: Session, ctx: Principal, source: WebSource) -> None:
    source.crawl += 1
    source.state, source.cancelled, source.error = CrawlState.RUNNING, False, None
    source.counts, source.problems = {}, []
    source.started_at, source.finished_at = now(), None
    its = WebPage.web_source_id == source.web_source_id
    session.execute(scoped_delete(ctx, WebPage).where(its, ~WebPage.taken, WebPage.missed >= MOST_MISSED))
    again = {"crawl": source.crawl, "waiting": True, "tries": 0, "hops": 0, "alias": False}
    session.execute(scoped_update(ctx, WebPage).where(its).values(**again))


def _end(source: WebSource, state: CrawlState, error: str | None) -> None:
    source.state, source.error, source.cancelled = state, error, False
    source.holder = source.held_until = None
    source.finished_at = now()
    _schedule(source)


def _schedule(source: WebSource) -> None:
    source.next_at = now() + timedelta(seconds=source.every_s) if source.every_s else None


def lock_web_source(session: Session, ctx: Principal, web_source_id: str) -> WebSource:
    """The web source, kept as it is by others until the commit.

    Raises:
        NotFound: the tenant has none of this id.
    """
    its = scoped(ctx, WebSource).where(WebSource.web_source_id == web_source_id)
    return _get_source(session.scalar(its.with_for_update()))


def _get_source(source: WebSource | None) -> WebSource:
    if source is None:
        raise NotFound("Web source not found.")
    return source
