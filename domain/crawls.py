"""Crawls: each is the job of a web source, which holds until its next one. Asked for, scheduled, held, and ended.

The order of locks: a web source first, then its job. A web source of 1.0.0 has no job before one is made here: until
then its own columns say how its last crawl was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import Session

from auth.background import store_kind
from auth.principal import Principal
from auth.scopes import Scope
from domain.job_leases import (
    ASK_AGAIN,
    LEASE_S,
    OPEN,
    WORKER_ENDED,
    Failure,
    LeasedJob,
    LeaseLost,
    assign,
    compute_pause,
    end,
    find_asker,
    is_abandoned,
    is_due,
    is_open,
    lock_claimed_job,
    read_moment,
    release,
    renew,
    retry,
    select_claimed,
)
from domain.models import CrawlState, Job, JobKind, JobStage, JobStatus, WebPage, WebSource, now
from domain.scoping import list_tenants_with, scoped, scoped_delete, scoped_update
from utils.errors import Conflict, NotFound

MOST_MISSED = 3  # crawls that an address without a document is tried again in
_KIND = JobKind.CRAWL
_STATUS_OF_STATE = {CrawlState.WAITING: JobStatus.PENDING, CrawlState.RUNNING: JobStatus.PROCESSING}


@dataclass(frozen=True, slots=True)
class LeasedCrawl(LeasedJob):
    """A crawl as whoever crawls knows it."""

    web_source_id: str

    def make_log_facts(self) -> dict[str, object]:
        """What log lines about the job name."""
        return {"job_id": self.job_id, "web_source_id": self.web_source_id, "stage": self.stage}


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
    former = _lock_crawl(session, ctx, source)
    was_abandoned = former is None and source.state == CrawlState.RUNNING
    session.execute(scoped_delete(ctx, Job).where(Job.web_source_id == source.web_source_id))
    if former is not None:
        session.expunge(former)
    crawl = Job(
        tenant_id=ctx.tenant_id,
        kind=_KIND,
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
    crawl = _lock_crawl(session, ctx, source)
    if crawl is None or crawl.status not in OPEN:
        add_crawl(session, ctx, source)
    return source


def cancel_crawl(session: Session, ctx: Principal, web_source_id: str) -> WebSource:
    """End the crawl that runs or waits. What it has read stays; the schedule goes on.

    Raises:
        NotFound: the tenant has none of this id.
    """
    source = lock_web_source(session, ctx, web_source_id)
    crawl = _lock_crawl(session, ctx, source)
    if derive_status(source, crawl) in OPEN:
        crawl = crawl or add_crawl(session, ctx, source)
        if crawl.lease_until is None:
            _end(source, crawl, JobStatus.CANCELLED)
        else:
            crawl.cancel_requested = True
    session.flush()
    return source


def schedule(source: WebSource) -> None:
    """Let it be crawled again after its pause, from now on."""
    source.next_at = now() + timedelta(seconds=source.every_s) if source.every_s else None


def is_under_way(session: Session, ctx: Principal, source: WebSource) -> bool:
    """Whether a crawl of it waits or runs."""
    return derive_status(source, _lock_crawl(session, ctx, source)) in OPEN


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
    return list_tenants_with(session, Job, is_due(_KIND, read_moment(session)))


def list_due(session: Session, ctx: Principal) -> list[str]:
    """The ids of those of the tenant, the longest overdue first."""
    statement = scoped(ctx, Job).where(is_due(_KIND, read_moment(session))).order_by(Job.not_before)
    return [str(web_source_id) for web_source_id in session.scalars(statement.with_only_columns(Job.web_source_id))]


def claim(
    session: Session, ctx: Principal, web_source_id: str, *, worker: str, lease_s: float = LEASE_S
) -> tuple[WebSource, LeasedCrawl]:
    """Begin to crawl it, or go on with the crawl that somebody left.

    Raises:
        NotFound: the tenant has none of this id.
        Conflict: somebody else crawls it.
    """
    source = lock_web_source(session, ctx, web_source_id)
    crawl, at = _lock_crawl(session, ctx, source), read_moment(session)
    if _is_leased(source, crawl, at):
        raise Conflict("This web source is already being crawled.")
    if crawl is None or crawl.status not in OPEN or crawl.cancel_requested:
        crawl = add_crawl(session, ctx, source)
    if crawl.stage == JobStage.QUEUED:
        _begin(session, ctx, source)
        crawl.stage = JobStage.CRAWLING
    assign(crawl, worker, at + timedelta(seconds=lease_s))
    session.flush()
    requester = find_asker(crawl, Scope.WEB_SOURCES_WRITE)
    stage = JobStage(crawl.stage)
    return source, LeasedCrawl(crawl.job_id, worker, stage, crawl.attempts, requester, source.web_source_id)


def renew_crawl(
    session: Session, ctx: Principal, claimed: LeasedCrawl, *, progress: float, lease_s: float
) -> WebSource | None:
    """Go on with a crawl that has come further, and keep its web source as it is by others until the commit.

    None if it is not to be gone on with: its source was removed, it was cancelled, or is somebody else's now.
    """
    source = _find_and_lock(session, ctx, claimed.web_source_id)
    try:
        crawl = renew(session, ctx, claimed, progress=progress, lease_s=lease_s)
    except LeaseLost:
        _end_cancelled(session, ctx, source, claimed)
        return None
    crawl.attempts = 1  # of the page that is next
    return source


def release_crawl(session: Session, ctx: Principal, claimed: LeasedCrawl) -> None:
    """Leave a crawl for somebody to go on with at once; one that is not ours is let be."""
    try:
        crawl = lock_claimed_job(session, ctx, claimed)
    except LeaseLost:
        return
    crawl.attempts -= 1
    release(crawl, read_moment(session), progress=crawl.progress)


def finish(session: Session, ctx: Principal, source: WebSource, claimed: LeasedCrawl, error: str | None) -> None:
    """The crawl, which was renewed before, is over: failed as a whole with *error*, or completed."""
    status = JobStatus.FAILED if error else JobStatus.COMPLETED
    _end(source, lock_claimed_job(session, ctx, claimed), status, Failure(error) if error else None)
    session.flush()


def list_tenants_to_tidy(session: Session) -> list[Principal]:
    """The tenants for which `tidy` may have something to do."""
    return list_tenants_with(session, Job, is_abandoned(_KIND, read_moment(session)))


def tidy(session: Session, ctx: Principal) -> None:
    """Let the crawls whose worker has not renewed its lease be tried again."""
    at = read_moment(session)
    for source, crawl in _lock_each(session, ctx, is_abandoned(_KIND, at)):
        _retry_or_fail(source, crawl, at + compute_pause(crawl))


def list_tenants_crawled_by(session: Session, worker: str) -> list[Principal]:
    """The tenants with crawls of workers whose names begin with *worker*."""
    return list_tenants_with(session, Job, _is_leased_by(worker))


def take_over(session: Session, ctx: Principal, worker: str) -> None:
    """Let what workers whose names begin so have left be tried again at once: they are not there any more."""
    for source, crawl in _lock_each(session, ctx, _is_leased_by(worker)):
        _retry_or_fail(source, crawl, read_moment(session))


def lock_web_source(session: Session, ctx: Principal, web_source_id: str) -> WebSource:
    """The web source, kept as it is by others until the commit.

    Raises:
        NotFound: the tenant has none of this id.
    """
    source = _find_and_lock(session, ctx, web_source_id)
    if source is None:
        raise make_missing_error()
    return source


def make_missing_error() -> NotFound:
    """That the tenant has no such web source."""
    return NotFound("Web source not found.")


def _find_and_lock(session: Session, ctx: Principal, web_source_id: str) -> WebSource | None:
    return session.scalar(scoped(ctx, WebSource).where(WebSource.web_source_id == web_source_id).with_for_update())


def _lock_crawl(session: Session, ctx: Principal, source: WebSource) -> Job | None:
    return session.scalar(_select_crawl(ctx, source.web_source_id).with_for_update())


def _select_crawl(ctx: Principal, web_source_id: str) -> Select[Job]:
    return scoped(ctx, Job).where(Job.web_source_id == web_source_id)


def _lock_each(session: Session, ctx: Principal, condition: ColumnElement[bool]) -> list[tuple[WebSource, Job]]:
    ids = session.scalars(scoped(ctx, Job).where(condition).with_only_columns(Job.web_source_id)).all()
    locked = [(_find_and_lock(session, ctx, each), each) for each in sorted(map(str, ids))]
    result = [
        (source, session.scalar(_select_crawl(ctx, each).where(condition).with_for_update())) for source, each in locked
    ]
    return [(source, crawl) for source, crawl in result if source is not None and crawl is not None]


def _is_leased_by(worker: str) -> ColumnElement[bool]:
    return and_(is_open(), Job.kind == _KIND, Job.worker.startswith(worker, autoescape=True))


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


def _is_leased(source: WebSource, crawl: Job | None, at: datetime) -> bool:
    if crawl is None:  # by a process of 1.0.0, if at all
        return source.state == CrawlState.RUNNING and source.held_until is not None and source.held_until >= at
    return crawl.lease_until is not None and crawl.lease_until >= at


def _begin(session: Session, ctx: Principal, source: WebSource) -> None:
    source.crawl += 1
    source.counts, source.problems = {}, []
    source.started_at, source.finished_at = now(), None
    its = WebPage.web_source_id == source.web_source_id
    session.execute(scoped_delete(ctx, WebPage).where(its, ~WebPage.taken, WebPage.missed >= MOST_MISSED))
    again = {"crawl": source.crawl, "waiting": True, "tries": 0, "hops": 0, "alias": False}
    session.execute(scoped_update(ctx, WebPage).where(its).values(**again))


def _retry_or_fail(source: WebSource, crawl: Job, not_before: datetime) -> None:
    failure = Failure(WORKER_ENDED.format(crawl.attempts), ASK_AGAIN)
    if crawl.cancel_requested:
        _end(source, crawl, JobStatus.CANCELLED)
    elif not retry(crawl, failure, not_before, progress=crawl.progress):
        _end(source, crawl, JobStatus.FAILED, failure)


def _end_cancelled(session: Session, ctx: Principal, source: WebSource | None, claimed: LeasedCrawl) -> None:
    crawl = session.scalar(select_claimed(ctx, claimed).with_for_update())
    if source is not None and crawl is not None and crawl.cancel_requested:
        _end(source, crawl, JobStatus.CANCELLED)
        session.flush()


def _end(source: WebSource, crawl: Job, status: JobStatus, failure: Failure | None = None) -> None:
    end(crawl, status, failure)
    if status == JobStatus.COMPLETED:
        crawl.progress = 1.0
    source.finished_at = now()
    schedule(source)
