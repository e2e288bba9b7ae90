"""Files that are taken into a dataset: recognised where they are there already, else a document with a job."""

import uuid
from dataclasses import dataclass, field

from sqlalchemy import Select, select, union_all
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.datasets import lock_dataset
from domain.job_requests import Work, begin_again, get_job, replace_job
from domain.models import Document, DocumentState, DocumentVersion, Job, JobStatus
from domain.quotas import Quotas, lock_usage, require_room
from domain.scoping import scoped

LONGEST_EXTERNAL_ID = 200


@dataclass(frozen=True, slots=True)
class Description:
    """What whoever sends a file says of it. `external_id` is what they call the document; readers are shown `source`,
    the name of the file where it is empty."""

    title: str | None = None
    tags: list[str] = field(default_factory=list)
    labels: dict[str, object] = field(default_factory=dict)
    external_id: str | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file that is in the store of files already, as `content_hash`.

    `name` is without a path, and its ending says how to read it.
    """

    name: str
    content_hash: str
    size_bytes: int
    about: Description = Description()


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a file: its document and the job that reads it, None for one that a folder has brought.

    `unchanged`: the dataset had it already. `replaced`: the document of its external id said something else before.
    `former_file`: the hash of the file that its former job was to read; nothing else may name that now.
    """

    document: Document
    job: Job | None
    unchanged: bool = False
    replaced: bool = False
    former_file: str | None = None


def accept(session: Session, ctx: Principal, dataset_id: str, incoming: Incoming, quotas: Quotas) -> Accepted:
    """Take a file into a dataset; flushed, not committed.

    With an external id it is the document of that id and no other: a new one, or the next version, and the former is
    answered from until that is read. Without, it is a new document, unless the dataset holds this very content.

    Raises:
        NotFound: the tenant has no such dataset.
        QuotaExceeded: the tenant may not keep it, or have no further job.
    """
    lock_usage(session, ctx)
    lock_dataset(session, ctx, dataset_id, shared=True)
    if incoming.about.external_id is None:
        document = _find_content(session, ctx, dataset_id, incoming.content_hash)
        if document is not None:
            return _retry_if_failed(session, ctx, document, quotas)
    else:
        document = session.scalar(_select_by_name(ctx, dataset_id, incoming.about.external_id))
    if document is None:
        document, is_new = _add(session, ctx, dataset_id, incoming, quotas)
        if is_new:
            return Accepted(document, _make_job(session, ctx, document, incoming, quotas))
    if _is_unchanged(session, ctx, document, incoming):
        return _retry_if_failed(session, ctx, document, quotas)
    require_room(session, ctx, quotas, documents=0, size_bytes=incoming.size_bytes)
    _describe(document, incoming)
    former = get_job(session, ctx, document.document_id)
    former_file = former.content_hash if former else None
    job = _make_job(session, ctx, document, incoming, quotas)
    return Accepted(document, job, replaced=True, former_file=former_file)


def _select_by_name(ctx: Principal, dataset_id: str, external_id: str) -> Select[Document]:
    its = Document.dataset_id == dataset_id, Document.external_id == external_id
    return scoped(ctx, Document).where(*its).with_for_update()


def _find_content(session: Session, ctx: Principal, dataset_id: str, content_hash: str) -> Document | None:
    """The document with this content; rather one without an external id, as nothing takes its place."""
    by_job = scoped(ctx, Job).where(Job.content_hash == content_hash).with_only_columns(Job.document_id)
    has_job = scoped(ctx, Job).where(Job.document_id == DocumentVersion.document_id).exists()
    present = DocumentVersion.replaced_at.is_(None), DocumentVersion.deleted_at.is_(None)
    loaded = scoped(ctx, DocumentVersion).where(DocumentVersion.content_hash == content_hash, *present, ~has_job)
    ids = union_all(by_job, loaded.with_only_columns(DocumentVersion.document_id)).subquery()
    conditions = Document.dataset_id == dataset_id, Document.state != DocumentState.REMOVED
    in_order = Document.external_id.is_not(None), Document.created_at, Document.document_id
    content = scoped(ctx, Document).where(*conditions, Document.document_id.in_(select(ids)))
    return session.scalar(content.order_by(*in_order).limit(1))


def _retry_if_failed(session: Session, ctx: Principal, document: Document, quotas: Quotas) -> Accepted:
    """Read it once more only if that had failed or was cancelled."""
    job = get_job(session, ctx, document.document_id)
    if job and job.status in (JobStatus.FAILED, JobStatus.CANCELLED):
        job = begin_again(session, ctx, document.document_id, quotas)
    return Accepted(document, job, unchanged=True)


def _add(
    session: Session, ctx: Principal, dataset_id: str, incoming: Incoming, quotas: Quotas
) -> tuple[Document, bool]:
    """A new document, or the one that another transaction has just given the same external id; whether it is new."""
    require_room(session, ctx, quotas, documents=1, size_bytes=incoming.size_bytes)
    document_id = str(uuid.uuid4())
    document = Document(
        document_id=document_id,
        tenant_id=ctx.tenant_id,
        dataset_id=dataset_id,
        origin=f"upload:{document_id}",
        external_id=incoming.about.external_id,
        size_bytes=incoming.size_bytes,
        version=0,
        state=DocumentState.STORED,
    )
    _describe(document, incoming)
    try:
        with session.begin_nested():
            session.add(document)
    except IntegrityError:  # PostgreSQL: another one was first
        return session.scalars(_select_by_name(ctx, dataset_id, incoming.about.external_id or "")).one(), False
    return document, True


def _describe(document: Document, incoming: Incoming) -> None:
    about = incoming.about
    document.source, document.given_title = about.source or incoming.name, about.title
    document.tags, document.labels = about.tags, about.labels
    if about.title or not document.version:  # else what is read gives it its title
        document.title = about.title or incoming.name


def _is_unchanged(session: Session, ctx: Principal, document: Document, incoming: Incoming) -> bool:
    job = get_job(session, ctx, document.document_id)
    if job is None or job.content_hash != incoming.content_hash:
        return False
    about = incoming.about
    stored = document.source, document.given_title, document.tags, document.labels
    return stored == (about.source or incoming.name, about.title, about.tags, about.labels)


def _make_job(session: Session, ctx: Principal, document: Document, incoming: Incoming, quotas: Quotas) -> Job:
    work = Work(incoming.content_hash, incoming.name, incoming.size_bytes)
    return replace_job(session, ctx, document.document_id, work, quotas)
