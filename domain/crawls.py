"""Crawls: each is the job of a web source, which holds until its next one. Asked for, scheduled, held, and ended.

The order of locks: a web source first, then its job. A web source of 1.0.0 has no job before one is made here: until
then its own columns say how its last crawl was.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import Session

from auth.background import store_kind
from auth.principal import Principal
from domain.job_leases import (
    OPEN,
    Failure,
    end,
    is_due,
    is_open,
    read_moment,
)
from domain.models import CrawlState, Job, JobKind, JobStage, JobStatus, WebSource, now
from domain.scoping import list_tenants_with, scoped, scoped_delete
from utils.errors import NotFound

MAX_MISSED = 3  # crawls that an address without a document is tried again in
CRAWL = JobKind.CRAWL
_STATUS_OF_STATE = {CrawlState.WAITING: JobStatus.PENDING, CrawlState.RUNNING: JobStatus.PROCESSING}


def find_crawls(session: Session, ctx: Principal, sources: Sequence[WebSource]) -> dict[str, Job]:
    """The newest crawls of these web sources, by the sources' ids."""
    ids = [source.web_source_id for source in sources]
    return {str(job.web_source_id): job for job in session.scalars(scoped(ctx, Job).where(Job.web_source_id.in_(ids)))}


def derive_status(source: WebSource, crawl: Job | None) -> JobStatus:
    """How its newest crawl is."""
    state = CrawlState(source.state)
    return JobStatus(crawl.status) if crawl else _STATUS_OF_STATE.get(state) or JobStatus(state.value)


def derive_error(source: WebSource, crawl: Job | None) -> str | None:
    """Why its newest crawl came to nothing, or has to wait."""
    return crawl.error if crawl else source.error


def add_crawl(session: Session, ctx: Principal, source: WebSource) -> Job:
    """A new crawl of *source*, which is locked or new, asked for by *ctx*; the former one is forgotten."""
    former = lock_crawl(session, ctx, source)
    was_abandoned = former is None and source.state == CrawlState.RUNNING
    session.execute(scoped_delete(ctx, Job).where(Job.web_source_id == source.web_source_id))
    if former is not None:
        session.expunge(former)
    crawl = Job(
        tenant_id=ctx.tenant_id,
        kind=CRAWL,
        web_source_id=source.web_source_id,
        subject_id=ctx.subject_id,
        subject_kind=store_kind(ctx.kind),
        stage=JobStage.CRAWLING if was_abandoned else JobStage.QUEUED,
        not_before=read_moment(session),
    )
    session.add(crawl)
    source.next_at = None
    session.flush()
    return crawl


def request_crawl(session: Session, ctx: Principal, web_source_id: str) -> WebSource:
    """Let it be crawled as soon as there is room; a crawl that waits, or is under way, goes on.

    Raises:
        NotFound: the tenant has none of this id.
    """
    source = lock_web_source(session, ctx, web_source_id)
    crawl = lock_crawl(session, ctx, source)
    if crawl is None or crawl.status not in OPEN:
        add_crawl(session, ctx, source)
    return source


def cancel_crawl(session: Session, ctx: Principal, web_source_id: str) -> WebSource:
    """End the crawl that runs or waits. What it has read stays; the schedule goes on.

    Raises:
        NotFound: the tenant has none of this id.
    """
    source = lock_web_source(session, ctx, web_source_id)
    crawl = lock_crawl(session, ctx, source)
    if derive_status(source, crawl) in OPEN:
        crawl = crawl or add_crawl(session, ctx, source)
        if crawl.lease_until is None:
            end_crawl(source, crawl, JobStatus.CANCELLED)
        else:
            crawl.cancel_requested = True
    session.flush()
    return source


def schedule(source: WebSource) -> None:
    """Let it be crawled again after its pause, from now on."""
    source.next_at = now() + timedelta(seconds=source.every_s) if source.every_s else None


def is_under_way(session: Session, ctx: Principal, source: WebSource) -> bool:
    """Whether a crawl of it waits or runs."""
    return derive_status(source, lock_crawl(session, ctx, source)) in OPEN


def list_tenants_to_queue(session: Session, former_worker: str) -> list[Principal]:
    """The tenants for which `queue_due` has something to do."""
    return list_tenants_with(session, WebSource, _needs_crawl(former_worker))


def queue_due(session: Session, ctx: Principal, former_worker: str) -> None:
    """Make the crawls that the tenant's schedules ask for, and those that 1.0.0 was asked for, or has left.

    *former_worker*: how the names begin of those whose crawls are left, as only one of them is there at a time.
    """
    statement = scoped(ctx, WebSource).where(_needs_crawl(former_worker)).order_by(WebSource.web_source_id)
    for source in session.scalars(statement.with_for_update(skip_locked=True)).all():
        add_crawl(session, ctx, source)


def list_tenants_with_due(session: Session) -> list[Principal]:
    """The tenants with web sources to be crawled now."""
    return list_tenants_with(session, Job, is_due(CRAWL, read_moment(session)))


def list_due(session: Session, ctx: Principal) -> list[str]:
    """The ids of those of the tenant, the longest overdue first."""
    statement = scoped(ctx, Job).where(is_due(CRAWL, read_moment(session))).order_by(Job.not_before)
    return [str(web_source_id) for web_source_id in session.scalars(statement.with_only_columns(Job.web_source_id))]


def lock_web_source(session: Session, ctx: Principal, web_source_id: str) -> WebSource:
    """The web source, kept as it is by others until the commit.

    Raises:
        NotFound: the tenant has none of this id.
    """
    source = find_locked(session, ctx, web_source_id)
    if source is None:
        raise make_missing_error()
    return source


def make_missing_error() -> NotFound:
    """That the tenant has no such web source."""
    return NotFound("Web source not found.")


def find_locked(session: Session, ctx: Principal, web_source_id: str) -> WebSource | None:
    return session.scalar(scoped(ctx, WebSource).where(WebSource.web_source_id == web_source_id).with_for_update())


def lock_crawl(session: Session, ctx: Principal, source: WebSource) -> Job | None:
    return session.scalar(select_crawl(ctx, source.web_source_id).with_for_update())


def select_crawl(ctx: Principal, web_source_id: str) -> Select[Job]:
    return scoped(ctx, Job).where(Job.web_source_id == web_source_id)


def _needs_crawl(former_worker: str) -> ColumnElement[bool]:
    crawls = select(Job.job_id).where(Job.web_source_id == WebSource.web_source_id)
    runs_in_1_0_0 = and_(WebSource.state == CrawlState.RUNNING, ~crawls.exists())
    is_free = or_(
        WebSource.held_until.is_(None),
        WebSource.held_until < now(),
        WebSource.holder.startswith(former_worker, autoescape=True),
    )
    is_due = and_(WebSource.next_at <= now(), ~crawls.where(is_open()).exists(), ~runs_in_1_0_0)
    return or_(is_due, and_(runs_in_1_0_0, is_free))


def end_crawl(source: WebSource, crawl: Job, status: JobStatus, failure: Failure | None = None) -> None:
    end(crawl, status, failure)
    if status == JobStatus.COMPLETED:
        crawl.progress = 1.0
    source.finished_at = now()
    schedule(source)
