"""Requests about jobs: to read a document, to read it again, to cancel that, to remove it.

Workers do the rest, see `domain/jobs.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from auth.background import store_kind
from auth.principal import Principal
from domain.documents import remove_documents, split_into_batches
from domain.job_leases import OPEN, end, read_moment
from domain.models import Document, DocumentState, Job, JobStatus
from domain.quotas import Quotas, lock_usage, require_room_in_queue
from domain.scoping import scoped, scoped_delete, scoped_update
from utils.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class Work:
    """The file that a job is to read, in the store of files."""

    content_hash: str
    file_name: str
    size_bytes: int


def get_job(session: Session, ctx: Principal, document_id: str) -> Job | None:
    """The document's newest job; None for one that came without, such as by `flask load`."""
    return session.scalar(scoped(ctx, Job).where(Job.document_id == document_id))


def cancel(session: Session, ctx: Principal, document_id: str) -> Job:
    """End the document's job, at once where nobody works on it, else as soon as the worker notices.

    What the index holds of the document stays.

    Raises:
        NotFound: there is no job of this document.
        Conflict: it is over.
    """
    job = _get_job_of(session, ctx, document_id)
    if job.status not in OPEN:
        raise Conflict(f"There is nothing to cancel: it is {job.status}.")
    if job.lease_until is None:
        end(job, JobStatus.CANCELLED)
    else:
        job.cancel_requested = True
    session.flush()
    return job


def begin_again(session: Session, ctx: Principal, document_id: str, quotas: Quotas) -> Job:
    """A new job over the same file, from the first stage on; a worker that has the former one loses it.

    Raises:
        NotFound: there is no job of this document.
        QuotaExceeded: the tenant may have no further job.
    """
    lock_usage(session, ctx)
    former = _get_job_of(session, ctx, document_id)
    work = Work(former.content_hash, former.file_name, former.size_bytes)
    return replace_job(session, ctx, document_id, work, quotas)


def replace_job(session: Session, ctx: Principal, document_id: str, work: Work, quotas: Quotas) -> Job:
    """The document's one job, which *ctx* asks for. The former one is forgotten, and a worker that has it loses it.
    After `lock_usage`.

    Raises:
        QuotaExceeded: the tenant may have no further job.
    """
    session.execute(scoped_delete(ctx, Job).where(Job.document_id == document_id))
    require_room_in_queue(session, ctx, quotas)
    failed = scoped_update(ctx, Document).where(Document.document_id == document_id)
    failed = failed.where(Document.state == DocumentState.FAILED)
    session.execute(failed.values(state=DocumentState.STORED, error=None))
    job = Job(
        tenant_id=ctx.tenant_id,
        document_id=document_id,
        subject_id=ctx.subject_id,
        subject_kind=store_kind(ctx.kind),
        content_hash=work.content_hash,
        file_name=work.file_name,
        size_bytes=work.size_bytes,
        not_before=read_moment(session),
    )
    session.add(job)
    session.flush()
    return job


def remove_with_jobs(session: Session, ctx: Principal, document_ids: Sequence[str]) -> set[str]:
    """Take documents away as `remove_documents` does, with their jobs; gives the files that these were to read.

    Their origins and external ids are free at once: a file with one of them is another document, even while the index
    still holds the removed one.
    """
    remove_documents(session, ctx, document_ids)
    files: set[str] = set()
    for ids in split_into_batches(document_ids):
        statement = scoped_update(ctx, Document).where(Document.document_id.in_(ids))
        session.execute(statement.values(origin="removed:" + Document.document_id, external_id=None))
        files.update(
            session.scalars(scoped(ctx, Job).where(Job.document_id.in_(ids)).with_only_columns(Job.content_hash))
        )
        session.execute(scoped_delete(ctx, Job).where(Job.document_id.in_(ids)))
    return files


def _get_job_of(session: Session, ctx: Principal, document_id: str) -> Job:
    session.execute(scoped(ctx, Document).where(Document.document_id == document_id).with_for_update())
    job = session.scalar(scoped(ctx, Job).where(Job.document_id == document_id).with_for_update())
    if job is None:
        raise NotFound(f"There is no job of a document {document_id!r}.")
    return job
