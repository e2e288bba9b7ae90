"""How far documents are: the document, its job, and what the index has of it, read together."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from domain.jobs import OPEN
from domain.models import Chunk, Document, DocumentState, Job, JobStage, JobStatus
from domain.scoping import scoped
from domain.slots import of_cut, serving_slot
from utils.context import TenantContext
from utils.errors import NotFound

# Of documents without a job, such as `flask load` brings.
_STATUS_OF_STATE = {
    DocumentState.STORED: JobStatus.PENDING,
    DocumentState.PENDING: JobStatus.PROCESSING,
    DocumentState.SEARCHABLE: JobStatus.PROCESSING,
    DocumentState.READY: JobStatus.COMPLETED,
    DocumentState.FAILED: JobStatus.FAILED,
}


@dataclass(frozen=True, slots=True)
class Progress:
    """A document on its way; `share_done` is that of its `stage`, None when it is on none."""

    document: Document
    job: Job | None
    status: JobStatus
    stage: JobStage | None
    share_done: float

    @property
    def is_searchable(self) -> bool:
        """Whether questions can find it, at least by its words; a former version counts."""
        return self.document.state in (DocumentState.SEARCHABLE, DocumentState.READY)


def get_progress(session: Session, ctx: TenantContext, document_id: str) -> Progress:
    """One document.

    Raises:
        NotFound: the tenant has no such document.
    """
    found = _read(session, ctx, _present(ctx).where(Document.document_id == document_id))
    if not found:
        raise NotFound(f"There is no document {document_id!r}.")
    return found[0]


def list_progress(
    session: Session, ctx: TenantContext, dataset_id: str | None, *, status: str | None, limit: int, offset: int
) -> tuple[list[Progress], int]:
    """A page of the documents of a dataset, or of all, oldest first, and how many there are; with *status*, of those
    alone."""
    wanted = _present(ctx) if dataset_id is None else _present(ctx).where(Document.dataset_id == dataset_id)
    if status is not None:
        of_status = scoped(ctx, Job).where(Job.status == status).with_only_columns(Job.document_id)
        wanted = wanted.where(Document.document_id.in_(of_status))
    total = session.scalar(select(func.count()).select_from(wanted.subquery())) or 0
    page = wanted.order_by(Document.created_at, Document.document_id).limit(limit).offset(offset)
    return _read(session, ctx, page), total


def list_jobs(session: Session, ctx: TenantContext, *, statuses: Sequence[str], limit: int) -> list[Progress]:
    """The tenant's documents whose jobs are in one of *statuses*, those that changed last first."""
    wanted = scoped(ctx, Job).where(Job.status.in_(statuses)).order_by(Job.updated_at.desc(), Job.job_id).limit(limit)
    order = {job.document_id: place for place, job in enumerate(session.scalars(wanted))}
    found = _read(session, ctx, _present(ctx).where(Document.document_id.in_(order)))
    return sorted(found, key=lambda progress: order[progress.document.document_id])


def status_of(document: Document, job: Job | None) -> JobStatus:
    """What readers are told of a document: how its job is, or for one without a job how it is in the index."""
    return JobStatus(job.status) if job else _STATUS_OF_STATE[DocumentState(document.state)]


def _present(ctx: TenantContext) -> Select[Document]:
    return scoped(ctx, Document).where(Document.state != DocumentState.REMOVED)


def _read(session: Session, ctx: TenantContext, documents: Select[Document]) -> list[Progress]:
    found = session.scalars(documents).all()
    ids = [document.document_id for document in found]
    jobs = {job.document_id: job for job in session.scalars(scoped(ctx, Job).where(Job.document_id.in_(ids)))}
    following = [key for key in ids if _follows_index(jobs.get(key))]
    done = _with_vectors(session, ctx, following)
    return [_progress(document, jobs.get(document.document_id), done) for document in found]


def _follows_index(job: Job | None) -> bool:
    return job is None or (job.status == JobStatus.PROCESSING and job.stage == JobStage.INDEXING)


def _with_vectors(session: Session, ctx: TenantContext, document_ids: list[str]) -> dict[str, int]:
    slot = serving_slot(session)
    has_vector = Chunk.vectors_in.bitwise_and(slot) != 0
    chunks = scoped(ctx, Chunk).where(Chunk.document_id.in_(document_ids), has_vector, of_cut(slot))
    counted = chunks.with_only_columns(Chunk.document_id, func.count()).group_by(Chunk.document_id)
    return {document_id: count for document_id, count in session.execute(counted)}


def _progress(document: Document, job: Job | None, with_vectors: dict[str, int]) -> Progress:
    indexed = with_vectors.get(document.document_id, 0) / max(1, document.chunk_count)
    status = status_of(document, job)
    if job is None:
        return Progress(document, None, status, JobStage.INDEXING if status in OPEN else None, indexed)
    if status not in OPEN:
        return Progress(document, job, status, None, 1.0 if status == JobStatus.COMPLETED else 0.0)
    return Progress(document, job, status, JobStage(job.stage), indexed if _follows_index(job) else job.share_done)
