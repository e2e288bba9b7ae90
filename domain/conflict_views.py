"""Conflicts as they are listed, with what is known of their documents now."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.conflicts import load_documents
from domain.document_dates import find_date, find_period
from domain.models import Conflict, Document
from utils.validity import Standing, choose


def describe_conflicts(session: Session, ctx: Principal, rows: Sequence[Conflict]) -> list[dict[str, Any]]:
    """Plain values, days and moments among them, in the order of *rows*."""
    documents = load_documents(session, ctx, rows)
    return [_describe(row, documents) for row in rows]


def _describe(row: Conflict, documents: dict[str, Document]) -> dict[str, Any]:
    sides = [
        _describe_side(
            documents.get(row.one_id),
            document_id=row.one_id,
            version=row.one_version,
            title=row.one_title,
            sentence=row.one_sentence,
        ),
        _describe_side(
            documents.get(row.other_id),
            document_id=row.other_id,
            version=row.other_version,
            title=row.other_title,
            sentence=row.other_sentence,
        ),
    ]
    one, other = (
        Standing(side["precedence"] or 0, side["date"] and side["date"].isoformat(), side["title"]) for side in sides
    )
    choice = choose(one, other)
    return {
        "id": row.conflict_id,
        "status": row.status,
        "kind": row.kind,
        "statements": sides,
        "preferred_document_id": None if choice.preferred is None else sides[choice.preferred]["document_id"],
        "decided_by": choice.decided_by,
        "found_at": row.found_at,
        "dismissed_at": row.dismissed_at,
        "gone_at": row.gone_at,
    }


def _describe_side(document: Document | None, **fields: Any) -> dict[str, Any]:
    if document is None:
        return {**fields, "source": None, "date": None, "valid_until": None, "precedence": None}
    period, (day, _) = find_period(document), find_date(document)
    origin = {"source": document.source, "date": day}
    return {**fields, **origin, "valid_until": period.valid_until, "precedence": period.precedence}
