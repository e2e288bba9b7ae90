"""A document as the API shows it."""

from typing import Any

from api.conditional import make_etag
from api.dataset_schemas import DocumentOut
from domain.document_dates import find_date, find_period
from domain.progress import DocumentProgress
from utils.validity import today

_SAME = (
    "dataset_id", "external_id", "title", "source", "version", "size_bytes", "media_type", "language", "chunk_count",
    "tags", "created_at", "updated_at",
)  # fmt: skip


def describe(progress: DocumentProgress) -> DocumentOut:
    """The document and how far it is."""
    return DocumentOut.model_validate(make_members(progress))


def compute_etag(view: DocumentOut) -> str:
    """The tag of what callers can change of it."""
    return make_etag(view.model_dump(include={"tags", "metadata"}))


def make_members(progress: DocumentProgress) -> dict[str, Any]:
    """The members of a `DocumentOut`."""
    document, job = progress.document, progress.job
    period, (day, source) = find_period(document), find_date(document)
    error, advice = (job.error, job.advice) if job else (document.error, None)
    return {
        **{name: getattr(document, name) for name in _SAME},
        "id": document.document_id,
        "status": progress.status,
        "stage": progress.stage,
        "progress": round(progress.progress, 3),
        "share_done": round(progress.progress, 3),
        "searchable": progress.is_searchable,
        "error": {"detail": error, "advice": advice} if error else None,
        "advice": advice,
        "attempt_count": job.attempts if job else 0,
        "attempts": job.attempts if job else 0,
        "page_count": document.details.get("pages"),
        "pages": document.details.get("pages"),
        "scanned": document.details.get("scanned"),
        "unread_pages": document.details.get("unread_pages") or [],
        "garbled_pages": document.details.get("garbled_pages") or [],
        "notes": document.details.get("notes") or [],
        "chunks": document.chunk_count,
        "metadata": document.labels,
        "date": day,
        "date_source": source,
        "valid_from": period.valid_from,
        "valid_until": period.valid_until,
        "validity": period.validity(today()),
        "precedence": period.precedence,
    }
