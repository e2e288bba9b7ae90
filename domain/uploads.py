"""Files that are taken into a dataset: recognised where they are there already, else a document with a job."""

from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.datasets import lock_dataset
from domain.documents import claim_document
from domain.job_requests import begin_again, replace_job
from domain.models import Document, DocumentState, Job, JobStatus
from domain.scoping import scoped
from utils.context import TenantContext


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file that is in the store of files already, as `content_hash`; `name` is without a path."""

    name: str
    content_hash: str
    size_bytes: int
    title: str | None = None
    tags: list[str] = field(default_factory=list)
    labels: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a file: its document and the job that reads it; `is_known`: the dataset had this very file."""

    document: Document
    job: Job
    is_known: bool


def accept(session: Session, ctx: TenantContext, dataset_id: str, incoming: Incoming) -> Accepted:
    """Take a file into a dataset; flushed, not committed.

    A file that the dataset holds under any name is recognised, and read once more only if that had failed or was
    cancelled. Another one of the same name is the document's next version, and the former is answered from until it is
    read.

    Raises:
        NotFound: the tenant has no such dataset.
    """
    lock_dataset(session, ctx, dataset_id, shared=True)
    known = _with_content(session, ctx, dataset_id, incoming.content_hash)
    if known is not None:
        return _again_if_needed(session, ctx, *known)
    document = claim_document(session, ctx, _new(ctx, dataset_id, incoming))
    document.given_title, document.tags, document.labels = incoming.title, incoming.tags, incoming.labels
    hash_, size = incoming.content_hash, incoming.size_bytes
    job = replace_job(session, ctx, document.document_id, hash_, file_name=incoming.name, size_bytes=size)
    return Accepted(document, job, is_known=False)


def origin_of(dataset_id: str, name: str) -> str:
    """What an uploaded document is recognised by."""
    return f"dataset:{dataset_id}/{name}"


def _with_content(
    session: Session, ctx: TenantContext, dataset_id: str, content_hash: str
) -> tuple[Document, Job] | None:
    jobs = scoped(ctx, Job).where(Job.content_hash == content_hash).subquery()
    present = Document.dataset_id == dataset_id, Document.state != DocumentState.REMOVED
    ids = select(Document.document_id).join(jobs, jobs.c.document_id == Document.document_id).where(*present)
    document = session.scalar(
        scoped(ctx, Document).where(Document.document_id.in_(ids)).order_by(Document.created_at).limit(1)
    )
    if document is None:
        return None
    job = session.scalars(scoped(ctx, Job).where(Job.document_id == document.document_id)).one()
    return document, job


def _again_if_needed(session: Session, ctx: TenantContext, document: Document, job: Job) -> Accepted:
    if job.status in (JobStatus.FAILED, JobStatus.CANCELLED):
        job = begin_again(session, ctx, document.document_id)
    return Accepted(document, job, is_known=True)


def _new(ctx: TenantContext, dataset_id: str, incoming: Incoming) -> Document:
    return Document(
        tenant_id=ctx.tenant_id,
        dataset_id=dataset_id,
        origin=origin_of(dataset_id, incoming.name),
        source=incoming.name,
        title=incoming.title or incoming.name,
        size_bytes=incoming.size_bytes,
        version=0,
        state=DocumentState.STORED,
    )
