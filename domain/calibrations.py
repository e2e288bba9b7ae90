"""What was estimated of a tenant's documents for an index and its model: by one process, for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.job_leases import read_moment
from domain.models import CalibrationRow
from domain.scoping import scoped_update, select_everywhere

_OVERLAP = timedelta(minutes=1)  # a transaction may be committed so long after one that began later
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MeasuredBy:
    """The index, by its number, and the embedding model of its vectors."""

    index_number: int
    model: str


def list_made_since(session: Session, by: MeasuredBy, since: datetime | None) -> list[CalibrationRow]:
    """The estimates of all tenants that were made after *since*, or in the minute before it; all of them for None."""
    oldest = since - _OVERLAP if since else _NEVER
    result = select_everywhere(CalibrationRow).where(_was_measured(by), CalibrationRow.estimated_at > oldest)
    return list(session.scalars(result))


def claim(session: Session, ctx: Principal, by: MeasuredBy, *, after: datetime | None, hold_s: float) -> bool:
    """Whether the caller is to estimate, and nobody else for *hold_s* seconds; not if one is later than *after*."""
    at = read_moment(session)
    until = at + timedelta(seconds=hold_s)
    is_free = func.coalesce(CalibrationRow.lease_until, _NEVER) < at
    is_due = func.coalesce(CalibrationRow.estimated_at, _NEVER) <= (after or _NEVER)
    taking = scoped_update(ctx, CalibrationRow).where(_was_measured(by), is_free, is_due).values(lease_until=until)
    # One statement: of two processes the second finds the row as the first left it.
    return bool(session.execute(taking).rowcount) or _add(session, ctx, by, until)  # type: ignore[attr-defined] # an UPDATE gives a CursorResult


def keep(
    session: Session, ctx: Principal, by: MeasuredBy, *, calibration: Mapping[str, Any] | None, passages: int
) -> datetime:
    """Let this be the tenant's; the moment it is of. Nothing is kept for an index that is gone."""
    at = read_moment(session)
    values = {"calibration": calibration, "passages": passages, "estimated_at": at, "lease_until": None}
    session.execute(scoped_update(ctx, CalibrationRow).where(_was_measured(by)).values(values))
    return at


def _add(session: Session, ctx: Principal, by: MeasuredBy, until: datetime) -> bool:
    row = CalibrationRow(tenant_id=ctx.tenant_id, index_number=by.index_number, model=by.model, lease_until=until)
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:  # it is another process's, or the index is gone
        return False
    return True


def _was_measured(by: MeasuredBy) -> ColumnElement[bool]:
    return and_(CalibrationRow.index_number == by.index_number, CalibrationRow.model == by.model)
