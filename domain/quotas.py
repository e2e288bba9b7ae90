"""What a tenant may keep and have read: its quotas, what it uses of them, and the refusal of what is beyond."""

import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import BindParameter, bindparam, func
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.documents import DocumentContent
from domain.models import Document, DocumentState, DocumentVersion, Job, JobKind, JobStatus, PagesRead, Tenant
from domain.scoping import scoped, scoped_delete, scoped_update
from utils.errors import QuotaExceeded

CHARACTERS_PER_PAGE = 3_000  # of documents that have no pages
_DAYS_KEPT = 31
_REASONS = {
    "documents": "This tenant may keep {limit:,} documents, and keeps {used:,}.",
    "bytes": "This tenant may keep {limit:,} bytes of files, and keeps {used:,}.",
    "pages_per_day": "This tenant may have {limit:,} pages read a day, and has had {used:,} today.",
    "queued_jobs": "This tenant may have {limit:,} jobs in the queue, and has {used:,}.",
}
_FREE_SOME = "Delete documents that are not needed any more, or ask the operator for a larger quota."


@dataclass(frozen=True, slots=True)
class Quotas:
    """What every tenant may have: documents, bytes of their files, pages read a day (UTC), and jobs that wait."""

    documents: int
    size_bytes: int
    pages_per_day: int
    queued_jobs: int


UNLIMITED = Quotas(sys.maxsize, sys.maxsize, sys.maxsize, sys.maxsize)  # for the operator's own commands


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tenant has; `size_bytes` counts the files of earlier versions that are kept, and of jobs to come."""

    documents: int
    size_bytes: int
    pages_today: int
    queued_jobs: int


def lock_usage(session: Session, ctx: Principal) -> None:
    """Let nobody else add to what the tenant has until the commit.

    First thing in a transaction: documents and jobs are locked after it. On SQLite a transaction that writes is alone.
    """
    session.get(Tenant, ctx.tenant_id, with_for_update={"key_share": True})


def get_usage(session: Session, ctx: Principal) -> Usage:
    """What the tenant has now."""
    # Literal, as the partial index of the table is.
    removed: BindParameter[str] = bindparam(None, DocumentState.REMOVED.value, literal_execute=True)
    documents = scoped(ctx, Document).where(Document.state != removed)
    pages = scoped(ctx, PagesRead).where(PagesRead.day == _get_today()).with_only_columns(PagesRead.pages)
    return Usage(
        documents=session.scalar(documents.with_only_columns(func.count())) or 0,
        size_bytes=_sum_kept_bytes(session, ctx) + _sum_coming_bytes(session, ctx),
        pages_today=session.scalar(pages) or 0,
        queued_jobs=_count_queued_jobs(session, ctx),
    )


def count_failed_documents(session: Session, ctx: Principal) -> int:
    """How many of the tenant's documents could not be read: they count until they are deleted."""
    failed = scoped(ctx, Document).where(Document.state == DocumentState.FAILED)
    return session.scalar(failed.with_only_columns(func.count())) or 0


def require_room(session: Session, ctx: Principal, quotas: Quotas, *, documents: int, size_bytes: int) -> None:
    """Return if so many more documents and bytes may be kept; `lock_usage` comes first.

    Raises:
        QuotaExceeded: they may not.
    """
    used = get_usage(session, ctx)
    if used.documents + documents > quotas.documents:
        raise _make_quota_error("documents", quotas.documents, used.documents, _FREE_SOME)
    if used.size_bytes + size_bytes > quotas.size_bytes:
        raise _make_quota_error("bytes", quotas.size_bytes, used.size_bytes, _FREE_SOME)


def find_room_bytes(quotas: Quotas, used_bytes: int, *, needed_bytes: int = 1) -> int:
    """How many bytes more the tenant may keep, which keeps *used_bytes*.

    Raises:
        QuotaExceeded: fewer than *needed_bytes*.
    """
    if used_bytes + needed_bytes > quotas.size_bytes:
        raise _make_quota_error("bytes", quotas.size_bytes, used_bytes, _FREE_SOME)
    return quotas.size_bytes - used_bytes


def require_room_in_queue(session: Session, ctx: Principal, quotas: Quotas) -> None:
    """Return if one job more may wait, and pages may be read today; `lock_usage` comes first.

    Raises:
        QuotaExceeded: it may not.
    """
    waiting = _count_queued_jobs(session, ctx)
    if waiting >= quotas.queued_jobs:
        advice = "Wait until some of them are done."
        raise _make_quota_error("queued_jobs", quotas.queued_jobs, waiting, advice, retry_after_s=60)
    require_pages(session, ctx, quotas)


def require_pages(session: Session, ctx: Principal, quotas: Quotas) -> None:
    """Return if the tenant may have more pages read today.

    Raises:
        QuotaExceeded: it may not before `find_next_day`.
    """
    pages = scoped(ctx, PagesRead).where(PagesRead.day == _get_today()).with_only_columns(PagesRead.pages)
    read = session.scalar(pages) or 0
    if read >= quotas.pages_per_day:
        wait_s = max(1, int((find_next_day() - datetime.now(UTC)).total_seconds()))
        advice = f"More are read from {find_next_day():%Y-%m-%d %H:%M} UTC on."
        raise _make_quota_error("pages_per_day", quotas.pages_per_day, read, advice, retry_after_s=wait_s)


def count_pages(session: Session, ctx: Principal, content: DocumentContent) -> None:
    """Count the pages of a document that was read: its own, or as many as its text would fill; at least one."""
    characters = content.details.get("characters")
    filled = -(-characters // CHARACTERS_PER_PAGE) if isinstance(characters, int) else 0
    add_pages(session, ctx, max(1, content.pages or filled))


def add_pages(session: Session, ctx: Principal, pages: int) -> None:
    """Count pages that were read for the tenant today; flushed, not committed."""
    today = _get_today()
    counted = scoped_update(ctx, PagesRead).where(PagesRead.day == today).values(pages=PagesRead.pages + pages)
    if session.execute(counted).rowcount:  # type: ignore[attr-defined]
        return
    session.execute(scoped_delete(ctx, PagesRead).where(PagesRead.day < today - timedelta(days=_DAYS_KEPT)))
    try:
        with session.begin_nested():
            session.add(PagesRead(tenant_id=ctx.tenant_id, day=today, pages=pages))
    except IntegrityError:  # PostgreSQL: another worker was first
        session.execute(counted)


def find_next_day() -> datetime:
    """When pages are counted again."""
    return datetime.combine(_get_today() + timedelta(days=1), time(), UTC)


def _get_today() -> date:
    return datetime.now(UTC).date()


def _sum_kept_bytes(session: Session, ctx: Principal) -> int:
    versions = scoped(ctx, DocumentVersion).where(DocumentVersion.deleted_at.is_(None))
    return int(session.scalar(versions.with_only_columns(func.sum(DocumentVersion.size_bytes))) or 0)


def _sum_coming_bytes(session: Session, ctx: Principal) -> int:
    """The bytes of files whose jobs have made no version, or not yet."""
    unfinished = Job.status.in_([JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.FAILED, JobStatus.CANCELLED])
    coming = scoped(ctx, Job).join(Document, Document.document_id == Job.document_id)
    coming = coming.where(unfinished, Job.content_hash != Document.content_hash)
    return int(session.scalar(coming.with_only_columns(func.sum(Job.size_bytes))) or 0)


def _count_queued_jobs(session: Session, ctx: Principal) -> int:
    queued = scoped(ctx, Job).where(
        Job.kind == JobKind.DOCUMENT, Job.status.in_([JobStatus.PENDING, JobStatus.PROCESSING])
    )
    return session.scalar(queued.with_only_columns(func.count())) or 0


def _make_quota_error(
    name: str, limit: int, used: int, advice: str, *, retry_after_s: int | None = None
) -> QuotaExceeded:
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s else {}
    reason = _REASONS[name].format(limit=limit, used=used)
    return QuotaExceeded(
        f"{reason} {advice}", headers=headers, members={"quota": {"name": name, "limit": limit, "used": used}}
    )
