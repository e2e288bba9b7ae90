"""How far documents are: the document, its job, and what the index has of it, read together."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func
from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.document_dates import find_period
from domain.documents import is_present
from domain.job_leases import OPEN
from domain.models import Chunk, Document, DocumentState, Job, JobStage, JobStatus
from domain.paging import Part, Rows, read_part
from domain.scoping import scoped
from domain.slots import find_serving_slot, is_passage_of
from utils.errors import NotFound
from utils.validity import today

# Of documents without a job, such as `flask load` brings.
_STATUS_OF_STATE = {
    DocumentState.STORED: JobStatus.PENDING,
    DocumentState.PENDING: JobStatus.PROCESSING,
    DocumentState.SEARCHABLE: JobStatus.PROCESSING,
    DocumentState.READY: JobStatus.COMPLETED,
    DocumentState.FAILED: JobStatus.FAILED,
}


@dataclass(frozen=True, slots=True)
class DocumentProgress:
    """A document on its way; `progress` is that of its `stage`, None when it is on none."""

    document: Document
    job: Job | None
    status: JobStatus
    stage: JobStage | None
    progress: float

    @property
    def is_searchable(self) -> bool:
        """Whether questions can find it today, at least by its words; a former version counts."""
        is_indexed = self.document.state in (DocumentState.SEARCHABLE, DocumentState.READY)
        return is_indexed and find_period(self.document).validity(today()) == "valid"


def get_progress(session: Session, ctx: Principal, document_id: str) -> DocumentProgress:
    """One document.

    Raises:
        NotFound: the tenant has no such document.
    """
    progress = _read(session, ctx, _select_present(ctx).where(Document.document_id == document_id))
    if not progress:
        raise NotFound(f"Document {document_id!r} not found.")
    return progress[0]


def list_progress(
    session: Session, ctx: Principal, dataset_id: str | None, part: Part, *, status: str | None = None
) -> Rows[DocumentProgress]:
    """A part of the documents of a dataset, or of all, oldest first; with *status*, of those alone."""
    statement = _select_present(ctx) if status is None else scoped(ctx, Document).where(Document.status == status)
    if dataset_id is not None:
        statement = statement.where(Document.dataset_id == dataset_id)
    total = session.scalar(statement.with_only_columns(func.count())) or 0
    keys = Document.created_at, Document.document_id
    rows = read_part(session, statement, keys, part, total=total)
    return Rows(_add_progress(session, ctx, rows.rows), total, rows.next_after)


def count_under_way(session: Session, ctx: Principal) -> int:
    """Documents of the tenant that are still read, or get their vectors."""
    under_way = scoped(ctx, Document).where(Document.status.in_([status.value for status in OPEN]))
    return session.scalar(under_way.with_only_columns(func.count())) or 0


def find_progress(session: Session, ctx: Principal, document_ids: Sequence[str]) -> dict[str, DocumentProgress]:
    """The progress of these documents, by their ids, without those that were removed."""
    if not document_ids:
        return {}
    rows = _read(session, ctx, _select_present(ctx).where(Document.document_id.in_(document_ids)))
    return {progress.document.document_id: progress for progress in rows}


def derive_status(document: Document, job: Job | None) -> JobStatus:
    """The status of a document for readers: that of its job, or without a job by its state in the index."""
    return JobStatus(job.status) if job else _STATUS_OF_STATE[DocumentState(document.state)]


def _select_present(ctx: Principal) -> Select[Document]:
    return scoped(ctx, Document).where(is_present())


def _read(session: Session, ctx: Principal, documents: Select[Document]) -> list[DocumentProgress]:
    return _add_progress(session, ctx, session.scalars(documents).all())


def _add_progress(session: Session, ctx: Principal, documents: Sequence[Document]) -> list[DocumentProgress]:
    if not documents:  # without ids SQLite would look through all jobs
        return []
    ids = [document.document_id for document in documents]
    jobs = {job.document_id: job for job in session.scalars(scoped(ctx, Job).where(Job.document_id.in_(ids)))}
    following = [one.document_id for one in documents if _follows_index(one, jobs.get(one.document_id))]
    done = _count_vectors(session, ctx, following)
    return [_make_progress(document, jobs.get(document.document_id), done) for document in documents]


def _follows_index(document: Document, job: Job | None) -> bool:
    """Whether its passages are to be counted: what is done, or failed, need not be."""
    if job is None:
        return derive_status(document, None) in OPEN
    return job.status == JobStatus.PROCESSING and job.stage == JobStage.INDEXING


def _count_vectors(session: Session, ctx: Principal, document_ids: list[str]) -> dict[str, int]:
    if not document_ids:
        return {}
    slot = find_serving_slot(session)
    has_vector = Chunk.dense_slots.bitwise_and(slot) != 0
    chunks = scoped(ctx, Chunk).where(Chunk.document_id.in_(document_ids), has_vector, is_passage_of(slot))
    counted = chunks.with_only_columns(Chunk.document_id, func.count()).group_by(Chunk.document_id)
    return {document_id: count for document_id, count in session.execute(counted)}


def _make_progress(document: Document, job: Job | None, with_vectors: dict[str, int]) -> DocumentProgress:
    status = derive_status(document, job)
    if status not in OPEN:
        return DocumentProgress(document, job, status, None, 1.0 if status == JobStatus.COMPLETED else 0.0)
    stage = JobStage(job.stage) if job else JobStage.INDEXING
    if job and not _follows_index(document, job):
        return DocumentProgress(document, job, status, stage, job.progress)
    indexed = with_vectors.get(document.document_id, 0) / max(1, document.chunk_count)
    return DocumentProgress(document, job, status, stage, indexed)
