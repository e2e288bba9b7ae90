"""Jobs of documents: a file taken in, worked on under a lease, brought to its end.

The order of locks is that of `lock_documents`: a document first, then its job.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, not_, or_
from sqlalchemy.orm import Session

from auth.principal import Principal
from auth.scopes import Scope
from domain.db import Database
from domain.documents import lock_documents, split_into_batches
from domain.job_leases import (
    ASK_AGAIN,
    LEASE_S,
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
    retry,
    select_claimed,
)
from domain.models import Document, DocumentState, Job, JobKind, JobStage, JobStatus
from domain.scoping import count_everywhere, list_tenants_with, scoped, scoped_update, select_everywhere
from domain.webhook_deliveries import queue_finished

_QUOTA_CHECK_S = 600.0
SMALL_BYTES = 200_000  # of a file that takes a second or two
_LAST = 2_000_000_000  # more than any file has bytes, and near the limit of PostgreSQL's integers
_KIND = JobKind.DOCUMENT
_OPEN = select_everywhere(Job).where(is_open()).with_only_columns(Job.job_id).limit(1)


@dataclass(frozen=True, slots=True)
class ClaimedJob(LeasedJob):
    """A job of a document as its worker knows it."""

    document_id: str
    content_hash: str
    file_name: str

    def make_log_facts(self) -> dict[str, object]:
        """What log lines about the job name."""
        return {"job_id": self.job_id, "document_id": self.document_id, "stage": self.stage}


def is_any_open(database: Database) -> bool:
    """Whether any job of any tenant and kind is not over: asked twice a second, nearly always in vain."""
    return bool(database.list_everywhere(_OPEN))


def is_any_processed(session: Session) -> bool:
    """Whether a document of any tenant is being read, or indexed after that."""
    return bool(count_everywhere(session, Job, and_(is_open(), Job.kind == _KIND, Job.status == JobStatus.PROCESSING)))


def is_small() -> ColumnElement[bool]:
    """Jobs that take a moment: small files, but no pages to be recognised."""
    return and_(Job.size_bytes <= SMALL_BYTES, Job.stage != JobStage.RECOGNISING)


def follows_index() -> ColumnElement[bool]:
    """Jobs that are over as soon as the index holds their document."""
    return and_(is_open(), Job.status == JobStatus.PROCESSING, Job.stage == JobStage.INDEXING)


def list_tenants_with_due(session: Session, *, small_only: bool = False) -> list[Principal]:
    """The tenants with jobs that a worker may take, that with the smallest job first."""
    condition = _is_claimable(read_moment(session), small_only=small_only)
    return list_tenants_with(session, Job, condition, first=_estimate_effort())


def count_large_of(session: Session, pool: str) -> int:
    """How many jobs that are not small are held by workers whose names begin with *pool*."""
    condition = and_(is_open(), Job.lease_until >= read_moment(session), Job.worker.startswith(pool, autoescape=True))
    return count_everywhere(session, Job, and_(condition, not_(is_small())))


def list_tenants_to_tidy(session: Session) -> list[Principal]:
    """The tenants for which `tidy` may have something to do."""
    return list_tenants_with(session, Job, or_(is_abandoned(_KIND, read_moment(session)), follows_index()))


def claim(
    session: Session,
    ctx: Principal,
    *,
    worker: str,
    lease_s: float = LEASE_S,
    oldest_first: bool = False,
    small_only: bool = False,
) -> ClaimedJob | None:
    """A job of the tenant, now held by *worker*; None if none is due or others have them all.

    The smallest file comes first, and pages to be recognised, which take seconds each, last; among equals, the one that
    has waited longest. With *oldest_first* that one comes first in any case. A job that gave way, or failed, waits
    again from then on.
    """
    at = read_moment(session)
    order = [] if oldest_first else [_estimate_effort()]
    statement = scoped(ctx, Job).join(Document, Document.document_id == Job.document_id)
    statement = statement.where(_is_claimable(at, small_only=small_only))
    first = statement.order_by(*order, Job.not_before, Job.created_at).limit(1)
    # Locked with its document, which has a copy of the status. Whoever holds that may wait for the job: skip it.
    job = session.scalar(first.with_for_update(of=[Job, Document], skip_locked=True))
    if job is None:
        return None
    if job.stage == JobStage.STORED:
        job.stage = JobStage.READING
    assign(job, worker, at + timedelta(seconds=lease_s))
    session.flush()
    return _make_claimed(job, worker)


def _is_claimable(at: datetime, *, small_only: bool) -> ColumnElement[bool]:
    return and_(is_due(_KIND, at), is_small()) if small_only else is_due(_KIND, at)


def _estimate_effort() -> ColumnElement[int]:
    return case((Job.stage == JobStage.RECOGNISING, _LAST), else_=Job.size_bytes)


def postpone_reading(session: Session, ctx: Principal, failure: Failure, *, until: datetime) -> None:
    """Let the tenant's due jobs wait, and say why; at most ten minutes at a time, as quotas may change."""
    at = read_moment(session)
    statement = scoped_update(ctx, Job).where(is_due(_KIND, at), Job.stage.in_([JobStage.STORED, JobStage.READING]))
    again_at = min(until, at + timedelta(seconds=_QUOTA_CHECK_S))
    session.execute(statement.values(not_before=again_at, error=failure.reason, advice=failure.advice))


def lock_claimed_document(session: Session, ctx: Principal, claimed: ClaimedJob) -> Document:
    """The document of a job of ours, both locked until the commit: call it before the result is written.

    Raises:
        LeaseLost: the job is not this worker's any more, or is to be cancelled.
    """
    statement = scoped(ctx, Document).where(Document.document_id == claimed.document_id).with_for_update()
    document = session.scalar(statement)
    if document is None or document.state == DocumentState.REMOVED:
        raise LeaseLost
    lock_claimed_job(session, ctx, claimed)
    return document


def advance(session: Session, ctx: Principal, claimed: ClaimedJob, stage: JobStage) -> ClaimedJob:
    """The job at its next stage.

    From INDEXING on nobody holds it: it is over when the index has its document. For RECOGNISING it waits for its turn
    again, as that may take minutes.

    Raises:
        LeaseLost: the job is not this worker's any more.
    """
    job = lock_claimed_job(session, ctx, claimed)
    job.stage, job.progress, job.attempts = stage, 0.0, 1
    if stage == JobStage.INDEXING:
        job.lease_until, job.worker, job.recognised = None, None, None
    if stage == JobStage.RECOGNISING:
        release(job, read_moment(session))
        job.attempts = 0
    session.flush()
    return _make_claimed(job, claimed.worker)


def fail(session: Session, ctx: Principal, claimed: ClaimedJob, failure: Failure) -> None:
    """End the job without success.

    Raises:
        LeaseLost: the job is not this worker's any more.
    """
    _fail(session, ctx, lock_claimed_job(session, ctx, claimed), failure)


def retry_later(session: Session, ctx: Principal, claimed: ClaimedJob, failure: Failure) -> bool:
    """Let the job be tried again, later each time; False where it was the last time, and the job has failed.

    Raises:
        LeaseLost: the job is not this worker's any more.
    """
    job = lock_claimed_job(session, ctx, claimed)
    return _retry_or_fail(session, ctx, job, failure)


def wait(session: Session, ctx: Principal, claimed: ClaimedJob, failure: Failure, *, pause_s: float) -> None:
    """Let the job be tried again after a pause, as often as it takes: what it needs is away.

    Raises:
        LeaseLost: the job is not this worker's any more.
    """
    job = lock_claimed_job(session, ctx, claimed)
    job.attempts -= 1
    job.error, job.advice = failure.reason, failure.advice
    release(job, read_moment(session) + timedelta(seconds=pause_s))


def hand_back(session: Session, ctx: Principal, claimed: ClaimedJob) -> None:
    """Let another worker have the job at once: this one stops.

    Raises:
        LeaseLost: the job is not this worker's any more.
    """
    job = lock_claimed_job(session, ctx, claimed)
    job.attempts -= 1
    release(job, read_moment(session))


def get_recognised(session: Session, ctx: Principal, claimed: ClaimedJob) -> str | None:
    """The last `recognised` of `yield_to_others` for this job; None where it has not given way."""
    return session.scalar(select_claimed(ctx, claimed).with_only_columns(Job.recognised))


def yield_to_others(session: Session, ctx: Principal, claimed: ClaimedJob, *, recognised: str, progress: float) -> None:
    """Let others go first, and whoever has the job next go on after what is *recognised*.

    Raises:
        LeaseLost: it is not this worker's any more.
    """
    job = lock_claimed_job(session, ctx, claimed)
    release(job, read_moment(session))
    job.attempts, job.recognised, job.progress = 0, recognised, progress


def end_cancelled(session: Session, ctx: Principal, claimed: ClaimedJob) -> bool:
    """End a job of ours that is to be cancelled; False if that was not asked for, or it is not ours."""
    lock_documents(session, ctx, [claimed.document_id])
    job = session.scalar(select_claimed(ctx, claimed).with_for_update())
    if job is None or not job.cancel_requested:
        return False
    end(job, JobStatus.CANCELLED)
    return True


def tidy(session: Session, ctx: Principal) -> int:
    """Give jobs of workers that are gone to others, and end those whose document is in the index; how many."""
    abandoned = scoped(ctx, Job).where(is_abandoned(_KIND, read_moment(session)))
    ready = scoped(ctx, Document).where(Document.state == DocumentState.READY)
    indexed = follows_index(), Job.document_id.in_(ready.with_only_columns(Document.document_id))
    of_indexed = scoped(ctx, Job).where(*indexed)
    # All at once: in two steps two that tidy could wait for each other.
    both = [jobs.with_only_columns(Job.document_id) for jobs in (abandoned, of_indexed)]
    locked = set(lock_documents(session, ctx, {str(each) for ids in both for each in session.scalars(ids)}))
    # What fits since then is left for the next time.
    candidates = session.scalars(abandoned.with_for_update(skip_locked=True))
    jobs = [job for job in candidates if job.document_id in locked]
    for job in jobs:
        if job.cancel_requested:
            end(job, JobStatus.CANCELLED)
        else:
            _retry_or_fail(session, ctx, job, Failure(WORKER_ENDED.format(job.attempts), ASK_AGAIN))
    ended = of_indexed.order_by(Job.job_id).with_for_update(skip_locked=True)
    rows = session.execute(ended.with_only_columns(Job.job_id, Job.document_id))
    finished = {job_id: document_id for job_id, document_id in rows if document_id in locked}
    done = list(finished)
    for ids in split_into_batches(done):
        these = scoped_update(ctx, Job).where(Job.job_id.in_(ids))
        session.execute(these.values(status=JobStatus.COMPLETED, progress=1.0, error=None, advice=None))
    queue_finished(session, ctx, finished.values(), "ready")
    return len(jobs) + len(done)


def _make_claimed(job: Job, worker: str) -> ClaimedJob:
    return ClaimedJob(
        job_id=job.job_id,
        worker=worker,
        stage=JobStage(job.stage),
        attempts=job.attempts,
        requester=find_asker(job, Scope.DOCUMENTS_WRITE),
        document_id=str(job.document_id),
        content_hash=job.content_hash,
        file_name=job.file_name,
    )


def _retry_or_fail(session: Session, ctx: Principal, job: Job, failure: Failure) -> bool:
    is_retried = retry(job, failure, read_moment(session) + compute_pause(job))
    if not is_retried:
        _fail(session, ctx, job, failure)
    return is_retried


def _fail(session: Session, ctx: Principal, job: Job, failure: Failure) -> None:
    """End it, and say so at its document; what that said before stays in use."""
    end(job, JobStatus.FAILED, failure)
    document = scoped_update(ctx, Document).where(Document.document_id == job.document_id)
    session.execute(document.values(error=failure.reason))
    session.execute(document.where(Document.state == DocumentState.STORED).values(state=DocumentState.FAILED))
    queue_finished(session, ctx, [job.document_id], "failed")
