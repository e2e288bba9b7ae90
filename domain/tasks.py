"""Tasks: the jobs of a tenant of every kind, as callers and operators look at them, and who may see which."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from auth.background import store_kind
from auth.principal import Principal, PrincipalKind
from auth.scopes import Scope
from domain.job_leases import OPEN
from domain.models import Job, JobKind, WebSource
from domain.progress import find_progress
from domain.scoping import scoped
from utils.errors import NotFound

# Whoever may read what a job is about may see all of that kind; a job of another kind is seen by whoever asked for it.
_SEEN_BY: dict[str, Scope] = {JobKind.DOCUMENT: Scope.DOCUMENTS_READ, JobKind.CRAWL: Scope.WEB_SOURCES_READ}


@dataclass(frozen=True, slots=True)
class Task:
    """A job with how much of its stage is done, 0 to 1, and what a reader knows it by: a file or an address.

    `stage` is None once it is over.
    """

    job: Job
    progress: float
    source: str

    @property
    def stage(self) -> str | None:
        """What is done now."""
        return self.job.stage if self.job.status in OPEN else None


def get_task(session: Session, ctx: Principal, task_id: str) -> Task:
    """One task.

    Raises:
        NotFound: the tenant has none of this id, or *ctx* may not see it.
    """
    job = session.scalar(scoped(ctx, Job).where(Job.job_id == task_id))
    tasks = _add_sources(session, ctx, [job]) if job is not None and _may_see(ctx, job) else []
    if not tasks:
        raise NotFound(f"Task {task_id!r} not found.")
    return tasks[0]


def list_tasks(session: Session, ctx: Principal, *, statuses: Sequence[str], limit: int) -> list[Task]:
    """The tenant's tasks in one of *statuses* that *ctx* may see, those that changed last first."""
    tasks = scoped(ctx, Job).where(Job.status.in_(statuses)).order_by(Job.updated_at.desc(), Job.job_id).limit(limit)
    return _add_sources(session, ctx, [job for job in session.scalars(tasks) if _may_see(ctx, job)])


def _may_see(ctx: Principal, job: Job) -> bool:
    if ctx.kind is PrincipalKind.OPERATOR or _SEEN_BY.get(job.kind) in ctx.scopes:
        return True
    return (job.subject_id, job.subject_kind) == (ctx.subject_id, store_kind(ctx.kind))


def _add_sources(session: Session, ctx: Principal, jobs: Sequence[Job]) -> list[Task]:
    """The jobs as tasks, without those of documents that are removed."""
    documents = find_progress(session, ctx, [job.document_id for job in jobs if job.document_id])
    ids = [job.web_source_id for job in jobs if job.web_source_id]
    sources = scoped(ctx, WebSource).where(WebSource.web_source_id.in_(ids))
    urls = {source.web_source_id: source.url for source in session.scalars(sources)} if ids else {}
    tasks = []
    for job in jobs:
        if job.document_id is None:
            tasks.append(Task(job, job.progress, urls.get(job.web_source_id or "", job.kind)))
        elif found := documents.get(job.document_id):
            tasks.append(Task(job, found.progress, found.document.source))
    return tasks
