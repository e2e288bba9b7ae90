"""The lease of a job of any kind: given, renewed, released, and the job's end. The table is the truth, whoever works.

A row is locked before any of these changes it; what belongs to it, a document or a web source, is locked first.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, select
from sqlalchemy.orm import Session

from auth.background import make_system, restore_principal
from auth.principal import Principal
from auth.scopes import Scope
from domain.models import Job, JobKind, JobStage, JobStatus, now
from domain.scoping import scoped

LEASE_S = 15.0
MAX_ATTEMPTS = 6  # at one stage
LONGEST_PAUSE_S = 60.0
OPEN = (JobStatus.PENDING, JobStatus.PROCESSING)
WORKER_ENDED = "The worker stopped before it was done, {} times."
ASK_AGAIN = "Try it once more; if it fails again, the log of the worker says why."


class LeaseLost(Exception):
    """The job is not this worker's any more: it was given to another one, replaced, cancelled or removed."""


@dataclass(frozen=True, slots=True)
class LeasedJob:
    """A job as its worker knows it: `worker` is the name that its lease was given to, `requester` who asked for it."""

    job_id: str
    worker: str
    stage: JobStage
    attempts: int
    requester: Principal

    def make_log_facts(self) -> dict[str, object]:
        """What log lines about the job name."""
        return {"job_id": self.job_id, "stage": self.stage}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job came to nothing, in plain words, and what to do about it."""

    reason: str
    advice: str | None = None


def read_moment(session: Session) -> datetime:
    """The present moment as all workers count it: a server's own clock where there is one."""
    if session.get_bind().dialect.name != "postgresql":
        return now()
    return session.scalars(select(func.clock_timestamp())).one()  # type: ignore[no-any-return]


def is_open() -> ColumnElement[bool]:
    """Jobs that are not over; with literal values, as in the partial index of the table."""
    return Job.status.in_(bindparam(None, [status.value for status in OPEN], expanding=True, literal_execute=True))


def is_due(kind: JobKind, at: datetime) -> ColumnElement[bool]:
    """Jobs that a worker may take."""
    return and_(is_open(), Job.kind == kind, Job.status == JobStatus.PENDING, Job.not_before <= at)


def is_abandoned(kind: JobKind, at: datetime) -> ColumnElement[bool]:
    """Jobs whose worker has not renewed its lease."""
    return and_(is_open(), Job.kind == kind, Job.lease_until < at)


def assign(job: Job, worker: str, until: datetime) -> None:
    """Give *job*, which is locked, to *worker*."""
    job.status, job.worker, job.lease_until = JobStatus.PROCESSING, worker, until
    job.attempts += 1
    job.error, job.advice = None, None  # why it waited


def renew(session: Session, ctx: Principal, claimed: LeasedJob, *, progress: float, lease_s: float = LEASE_S) -> Job:
    """Hold the job for *lease_s* more, and say how much of its stage is done.

    Raises:
        LeaseLost: it is not this worker's any more, or is to be cancelled.
    """
    job = lock_claimed_job(session, ctx, claimed)
    job.lease_until = read_moment(session) + timedelta(seconds=lease_s)
    job.progress = progress
    session.flush()
    return job


def lock_claimed_job(session: Session, ctx: Principal, claimed: LeasedJob) -> Job:
    """The job, which is ours, locked until the commit.

    Raises:
        LeaseLost: it is not this worker's any more, or is to be cancelled.
    """
    job = session.scalar(select_claimed(ctx, claimed).with_for_update())
    if job is None or job.cancel_requested:
        raise LeaseLost
    return job


def select_claimed(ctx: Principal, claimed: LeasedJob) -> Select[Job]:
    """The job, if it is still ours."""
    this = scoped(ctx, Job).where(Job.job_id == claimed.job_id, Job.worker == claimed.worker)
    return this.where(Job.status == JobStatus.PROCESSING)


def release(job: Job, not_before: datetime, *, progress: float = 0.0) -> None:
    """Let any worker have *job*, which is locked, from *not_before* on."""
    job.status, job.worker, job.lease_until, job.not_before = JobStatus.PENDING, None, None, not_before
    job.progress = progress


def retry(job: Job, failure: Failure, not_before: datetime, *, progress: float = 0.0) -> bool:
    """Let *job*, which is locked, be tried again from *not_before* on; False where it was the last time."""
    if job.attempts >= MAX_ATTEMPTS:
        return False
    job.error = failure.reason
    release(job, not_before, progress=progress)
    return True


def compute_pause(job: Job) -> timedelta:
    """How long it waits before the next try, longer each time."""
    return timedelta(seconds=min(2.0 ** (job.attempts - 1), LONGEST_PAUSE_S))


def end(job: Job, status: JobStatus, failure: Failure | None = None) -> None:
    """Let *job*, which is locked, be over as *status*."""
    job.status, job.worker, job.lease_until, job.cancel_requested = status, None, None, False
    job.recognised = None
    job.error, job.advice = (failure.reason, failure.advice) if failure else (None, None)


def find_asker(job: Job, *scopes: Scope) -> Principal:
    """Who asked for it, with *scopes*; in rows of 1.0.0 the service itself."""
    if job.subject_id is None or job.subject_kind is None:
        return make_system(job.tenant_id)
    return restore_principal(job.tenant_id, job.subject_id, job.subject_kind, set(scopes))
