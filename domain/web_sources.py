"""A tenant's web sources: made, listed, changed, and removed with their documents. `domain/crawls.py` has the rest."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.crawls import add_crawl, is_under_way, lock_web_source, make_missing_error, schedule
from domain.documents import remove_documents
from domain.models import Document, Job, WebPage, WebSource
from domain.paging import Part, Rows, read_part
from domain.scoping import scoped, scoped_count, scoped_delete
from utils.errors import Conflict
from utils.slices import cut_into_slices

ORIGIN = "web:"
MAX_SOURCES = 100  # of a tenant
MAX_PROBLEMS = 50  # told of one crawl
MAX_AT_ONCE = 500  # addresses in one statement


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
    if (session.scalar(scoped_count(ctx, WebSource)) or 0) >= MAX_SOURCES:
        raise Conflict(f"There are {MAX_SOURCES} web sources already: remove one first.")
    source = WebSource(
        tenant_id=ctx.tenant_id,
        url=url,
        kind=plan.kind,
        max_depth=plan.max_depth,
        max_pages=plan.max_pages,
        every_s=plan.every_s,
    )
    try:
        with session.begin_nested():
            session.add(source)
    except IntegrityError as exc:
        raise Conflict(f"There is a web source at {url} already: change that one.") from exc
    add_crawl(session, ctx, source)
    return source


def list_web_sources(session: Session, ctx: Principal, part: Part | None = None) -> Rows[WebSource]:
    """A part of the tenant's web sources, or all, by address."""
    total = session.scalar(scoped_count(ctx, WebSource)) or 0
    return read_part(session, scoped(ctx, WebSource), (WebSource.url,), part or Part(MAX_SOURCES), total=total)


def get_web_source(session: Session, ctx: Principal, web_source_id: str) -> WebSource:
    """One web source.

    Raises:
        NotFound: the tenant has none of this id.
    """
    source = session.scalar(scoped(ctx, WebSource).where(WebSource.web_source_id == web_source_id))
    if source is None:
        raise make_missing_error()
    return source


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
        if not is_under_way(session, ctx, source):
            schedule(source)
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
    session.execute(scoped_delete(ctx, Job).where(Job.web_source_id == web_source_id))
    session.delete(source)
    session.flush()
    return removed


def list_pages(session: Session, ctx: Principal, source: WebSource) -> list[WebPage]:
    """What is known of the addresses of the present crawl."""
    statement = scoped(ctx, WebPage).where(WebPage.web_source_id == source.web_source_id)
    return list(session.scalars(statement.order_by(WebPage.position)))


def count_waiting(session: Session, ctx: Principal, web_source_id: str) -> int:
    """How many of its addresses are still to be fetched; more may be found on them."""
    count = scoped_count(ctx, WebPage).where(WebPage.web_source_id == web_source_id, WebPage.waiting)
    return session.scalar(count) or 0


def put_pages(session: Session, ctx: Principal, web_source_id: str, pages: Sequence[WebPage]) -> None:
    """Write these of the web source as they are now, new or not."""
    for some in cut_into_slices(pages, MAX_AT_ONCE):
        statement = scoped(ctx, WebPage).where(WebPage.web_source_id == web_source_id)
        rows = session.scalars(statement.where(WebPage.url.in_([page.url for page in some]))).all()
        for page in some:
            session.merge(page)
        del rows  # which keep what was read in the session until then


def find_document_at(session: Session, ctx: Principal, url: str) -> Document | None:
    """The document of the page at *url*, also one that is being removed."""
    return session.scalar(scoped(ctx, Document).where(Document.origin == ORIGIN + url))


def remove_pages(session: Session, ctx: Principal, web_source_id: str, urls: Sequence[str]) -> int:
    """Take away the documents of these pages, but of those that another web source of the tenant has too."""
    removed = 0
    for some in cut_into_slices(urls, MAX_AT_ONCE):
        others = scoped(ctx, WebPage).where(WebPage.url.in_(some), WebPage.taken)
        shared = {page.url for page in session.scalars(others.where(WebPage.web_source_id != web_source_id))}
        origins = [ORIGIN + url for url in some if url not in shared]
        documents = session.scalars(scoped(ctx, Document).where(Document.origin.in_(origins)))
        removed += remove_documents(session, ctx, [document.document_id for document in documents])
    return removed
