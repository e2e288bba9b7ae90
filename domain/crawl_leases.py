"""Crawls under way: leased to a worker, renewed, released, and ended.

The order of locks: a web source first, then its job."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_
from sqlalchemy.orm import Session

from auth.principal import Principal
from auth.scopes import Scope
from domain.crawls import (
    CRAWL,
    MAX_MISSED,
    add_crawl,
    end_crawl,
    find_locked,
    lock_crawl,
    lock_web_source,
    select_crawl,
)
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
    find_asker,
    is_abandoned,
    is_open,
    lock_claimed_job,
    read_moment,
    release,
    renew,
    retry,
    select_claimed,
)
from domain.models import CrawlState, Job, JobStage, JobStatus, WebPage, WebSource, now
from domain.scoping import list_tenants_with, scoped, scoped_delete, scoped_update
from utils.errors import Conflict


@dataclass(frozen=True, slots=True)
class LeasedCrawl(LeasedJob):
    """A crawl as whoever crawls knows it."""

    web_source_id: str

    def make_log_facts(self) -> dict[str, object]:
        """What log lines about the job name."""
        return {"job_id": self.job_id, "web_source_id": self.web_source_id, "stage": self.stage}


def claim(
    session: Session, ctx: Principal, web_source_id: str, *, worker: str, lease_s: float = LEASE_S
) -> tuple[WebSource, LeasedCrawl]:
    """Begin to crawl it, or go on with the crawl that somebody left.

    Raises:
        NotFound: the tenant has none of this id.
        Conflict: somebody else crawls it.
    """
    source = lock_web_source(session, ctx, web_source_id)
    crawl, at = lock_crawl(session, ctx, source), read_moment(session)
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
    source = find_locked(session, ctx, claimed.web_source_id)
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
    end_crawl(source, lock_claimed_job(session, ctx, claimed), status, Failure(error) if error else None)
    session.flush()


def list_tenants_to_tidy(session: Session) -> list[Principal]:
    """The tenants for which `tidy` may have something to do."""
    return list_tenants_with(session, Job, is_abandoned(CRAWL, read_moment(session)))


def tidy(session: Session, ctx: Principal) -> None:
    """Let the crawls whose worker has not renewed its lease be tried again."""
    at = read_moment(session)
    for source, crawl in _lock_each(session, ctx, is_abandoned(CRAWL, at)):
        _retry_or_fail(source, crawl, at + compute_pause(crawl))


def list_tenants_crawled_by(session: Session, worker: str) -> list[Principal]:
    """The tenants with crawls of workers whose names begin with *worker*."""
    return list_tenants_with(session, Job, _is_leased_by(worker))


def take_over(session: Session, ctx: Principal, worker: str) -> None:
    """Let what workers whose names begin so have left be tried again at once: they are not there any more."""
    for source, crawl in _lock_each(session, ctx, _is_leased_by(worker)):
        _retry_or_fail(source, crawl, read_moment(session))


def _lock_each(session: Session, ctx: Principal, condition: ColumnElement[bool]) -> list[tuple[WebSource, Job]]:
    ids = session.scalars(scoped(ctx, Job).where(condition).with_only_columns(Job.web_source_id)).all()
    locked = [(find_locked(session, ctx, each), each) for each in sorted(map(str, ids))]
    result = [
        (source, session.scalar(select_crawl(ctx, each).where(condition).with_for_update())) for source, each in locked
    ]
    return [(source, crawl) for source, crawl in result if source is not None and crawl is not None]


def _is_leased_by(worker: str) -> ColumnElement[bool]:
    return and_(is_open(), Job.kind == CRAWL, Job.worker.startswith(worker, autoescape=True))


def _is_leased(source: WebSource, crawl: Job | None, at: datetime) -> bool:
    if crawl is None:  # by a process of 1.0.0, if at all
        return source.state == CrawlState.RUNNING and source.held_until is not None and source.held_until >= at
    return crawl.lease_until is not None and crawl.lease_until >= at


def _begin(session: Session, ctx: Principal, source: WebSource) -> None:
    source.crawl += 1
    source.counts, source.problems = {}, []
    source.started_at, source.finished_at = now(), None
    its = WebPage.web_source_id == source.web_source_id
    session.execute(scoped_delete(ctx, WebPage).where(its, ~WebPage.taken, WebPage.missed >= MAX_MISSED))
    again = {"crawl": source.crawl, "waiting": True, "tries": 0, "hops": 0, "alias": False}
    session.execute(scoped_update(ctx, WebPage).where(its).values(**again))


def _retry_or_fail(source: WebSource, crawl: Job, not_before: datetime) -> None:
    failure = Failure(WORKER_ENDED.format(crawl.attempts), ASK_AGAIN)
    if crawl.cancel_requested:
        end_crawl(source, crawl, JobStatus.CANCELLED)
    elif not retry(crawl, failure, not_before, progress=crawl.progress):
        end_crawl(source, crawl, JobStatus.FAILED, failure)


def _end_cancelled(session: Session, ctx: Principal, source: WebSource | None, claimed: LeasedCrawl) -> None:
    crawl = session.scalar(select_claimed(ctx, claimed).with_for_update())
    if source is not None and crawl is not None and crawl.cancel_requested:
        end_crawl(source, crawl, JobStatus.CANCELLED)
        session.flush()
