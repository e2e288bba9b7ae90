"""Sentences of two documents of a tenant that say different things of the same: noted, listed, dismissed, gone."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from sqlalchemy import ColumnElement, and_, literal_column, or_
from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.document_dates import find_period
from domain.models import Conflict, ConflictStatus, Document, DocumentState, now
from domain.paging import Part, Rows, read_part
from domain.scoping import delete_everywhere, list_tenants_with, scoped, scoped_count, scoped_update
from utils.errors import Conflict as ConflictError
from utils.errors import NotFound
from utils.slices import cut_into_slices
from utils.validity import today

MAX_OPEN = 2_000  # of a tenant: nobody reads more
KEPT_DAYS = 90  # after it was gone
COMPARE_AGAIN = -1  # in place of the version of a document that was compared
_AT_ONCE = 500
Status = Literal["open", "dismissed", "gone"]


@dataclass(frozen=True, slots=True)
class Side:
    """A sentence of a version of a document."""

    document_id: str
    version: int
    title: str
    sentence: str


@dataclass(frozen=True, slots=True)
class FoundConflict:
    """Two sentences, and the kind of value that they differ in."""

    one: Side
    other: Side
    kind: str

    @property
    def conflict_id(self) -> str:
        """An id that does not depend on which of the two documents was compared with the other."""
        sides = sorted((side.document_id, side.sentence) for side in (self.one, self.other))
        return str(uuid.uuid5(uuid.UUID(sides[0][0]), repr(sides)))


def list_tenants_to_compare(session: Session) -> list[Principal]:
    """The tenants with documents that were not compared with the others since they changed."""
    return list_tenants_with(session, Document, _is_uncompared())


def list_documents_to_compare(session: Session, ctx: Principal, limit: int) -> list[Document]:
    """At most *limit* of them, oldest first."""
    return list(
        session.scalars(scoped(ctx, Document).where(_is_uncompared()).order_by(Document.created_at).limit(limit))
    )


def record_comparison(session: Session, ctx: Principal, document: Document, conflicts: Sequence[FoundConflict]) -> None:
    """Note what was found of this version of *document*, unless it has changed meanwhile; flushed.

    What was dismissed before stays so, and what is not found any more is gone. What is there at the first comparison
    of a version was found from the other document's side: that may see what this one does not, and it stays, unless it
    was found in the version before and noted as that one was replaced.
    """
    current = scoped(ctx, Document).where(Document.document_id == document.document_id).with_for_update()
    row = session.scalar(current.execution_options(populate_existing=True))
    if row is None or row.version != document.version or row.state != DocumentState.READY:
        return
    versions = {row.document_id: row.version} | _find_current_versions(session, ctx, conflicts)
    by_id = {
        each.conflict_id: each
        for each in conflicts
        if all(versions.get(side.document_id) == side.version for side in (each.one, each.other))
    }
    present = {
        each.conflict_id: each for each in session.scalars(scoped(ctx, Conflict).where(_is_of([row.document_id])))
    }
    is_first = 0 <= row.compared_version < row.version
    for conflict_id in present.keys() - by_id.keys():
        if not is_first or _get_version(present[conflict_id], row.document_id) != row.version:
            _mark_gone(present[conflict_id])
    room = MAX_OPEN - count_conflicts(session, ctx, ConflictStatus.OPEN)
    for conflict_id, each in by_id.items():
        if conflict_id in present:
            _reopen(present[conflict_id], each)
        elif room > 0:
            session.add(_make_row(ctx, conflict_id, each))
            room -= 1
    # Not changed for readers.
    done = scoped_update(ctx, Document).where(Document.document_id == row.document_id)
    session.execute(done.values(compared_version=row.version, updated_at=Document.updated_at))


def end_conflicts(session: Session, ctx: Principal, document_ids: Sequence[str]) -> None:
    """These documents say something else now, or nothing any more: what they said differently is gone."""
    for ids in cut_into_slices(document_ids, _AT_ONCE):
        present = scoped_update(ctx, Conflict).where(_is_of(ids), Conflict.status != ConflictStatus.GONE)
        session.execute(present.values(status=ConflictStatus.GONE, gone_at=now()))


def end_expired(session: Session) -> None:
    """End the conflicts of all tenants whose documents are not valid any more, and forget those that ended long ago.

    So is what was noted while its document was removed.
    """
    present = Conflict.status != ConflictStatus.GONE
    for ctx in list_tenants_with(session, Conflict, present):
        rows = session.scalars(scoped(ctx, Conflict).where(present)).all()
        documents = load_documents(session, ctx, rows)
        ids = sorted({each for row in rows for each in (row.one_id, row.other_id)})
        end_conflicts(session, ctx, [each for each in ids if not _may_hold(documents.get(each))])
    old = Conflict.gone_at < now() - timedelta(days=KEPT_DAYS)
    session.execute(delete_everywhere(Conflict).where(old))


def list_conflicts(session: Session, ctx: Principal, part: Part, *, status: Status | None = None) -> Rows[Conflict]:
    """A part of them, those found last first."""
    conditions = [] if status is None else [Conflict.status == status]
    total = session.scalar(scoped_count(ctx, Conflict).where(*conditions)) or 0
    conflicts, keys = scoped(ctx, Conflict).where(*conditions), (Conflict.found_at, Conflict.conflict_id)
    return read_part(session, conflicts, keys, part, total=total, descending=True)


def count_conflicts(session: Session, ctx: Principal, status: str) -> int:
    """How many there are."""
    return session.scalar(scoped_count(ctx, Conflict).where(Conflict.status == status)) or 0


def load_documents(session: Session, ctx: Principal, rows: Sequence[Conflict]) -> dict[str, Document]:
    """The documents that conflicts are about, by id, without those that are removed."""
    ids = sorted({each for row in rows for each in (row.one_id, row.other_id)})
    documents = (
        each
        for some in cut_into_slices(ids, _AT_ONCE)
        for each in session.scalars(scoped(ctx, Document).where(Document.document_id.in_(some)))
    )
    return {each.document_id: each for each in documents if each.state != DocumentState.REMOVED}


def get_conflict(session: Session, ctx: Principal, conflict_id: str, *, for_update: bool = False) -> Conflict:
    """One of them, with *for_update* locked until the commit.

    Raises:
        NotFound: the tenant has none of this id.
    """
    statement = scoped(ctx, Conflict).where(Conflict.conflict_id == conflict_id)
    row = session.scalar(statement.with_for_update() if for_update else statement)
    if row is None:
        raise NotFound(f"Conflict {conflict_id!r} not found.")
    return row


def set_dismissed(session: Session, ctx: Principal, conflict_id: str, *, dismissed: bool) -> Conflict:
    """Dismiss a conflict, or take that back; flushed.

    Raises:
        NotFound: the tenant has none of this id.
        Conflict: it is gone.
    """
    row = get_conflict(session, ctx, conflict_id, for_update=True)
    if row.status == ConflictStatus.GONE:
        raise ConflictError("It is gone: a document has changed, was removed, or does not hold any more.")
    row.dismissed_at = (row.dismissed_at or now()) if dismissed else None
    row.status = ConflictStatus.DISMISSED if dismissed else ConflictStatus.OPEN
    session.flush()
    return row


def _may_hold(document: Document | None) -> bool:
    return document is not None and find_period(document).validity(today()) != "expired"


def _find_current_versions(session: Session, ctx: Principal, conflicts: Sequence[FoundConflict]) -> dict[str, int]:
    """The current versions of the documents of *conflicts*, which may have changed or gone meanwhile."""
    ids = sorted({side.document_id for each in conflicts for side in (each.one, each.other)})
    present = scoped(ctx, Document).where(Document.document_id.in_(ids), Document.state != DocumentState.REMOVED)
    columns = present.with_only_columns(Document.document_id, Document.version)
    return {document_id: version for document_id, version in session.execute(columns)}


def _is_uncompared() -> ColumnElement[bool]:
    """Literal, as the partial index of the table is."""
    return and_(
        Document.state == literal_column(f"'{DocumentState.READY}'"), Document.compared_version != Document.version
    )


def _is_of(document_ids: Sequence[str]) -> ColumnElement[bool]:
    return or_(Conflict.one_id.in_(document_ids), Conflict.other_id.in_(document_ids))


def _get_version(row: Conflict, document_id: str) -> int:
    """Which version of the document it was found in."""
    return row.one_version if row.one_id == document_id else row.other_version


def _mark_gone(row: Conflict) -> None:
    if row.status != ConflictStatus.GONE:
        row.status, row.gone_at = ConflictStatus.GONE, now()


def _reopen(row: Conflict, conflict: FoundConflict) -> None:
    row.status = ConflictStatus.DISMISSED if row.dismissed_at else ConflictStatus.OPEN
    row.gone_at = None
    sides = {side.document_id: side for side in (conflict.one, conflict.other)}
    row.one_version, row.one_title = sides[row.one_id].version, sides[row.one_id].title
    row.other_version, row.other_title = sides[row.other_id].version, sides[row.other_id].title


def _make_row(ctx: Principal, conflict_id: str, conflict: FoundConflict) -> Conflict:
    one, other = sorted((conflict.one, conflict.other), key=lambda side: side.document_id)
    return Conflict(
        conflict_id=conflict_id,
        tenant_id=ctx.tenant_id,
        one_id=one.document_id,
        one_version=one.version,
        one_title=one.title,
        one_sentence=one.sentence,
        other_id=other.document_id,
        other_version=other.version,
        other_title=other.title,
        other_sentence=other.sentence,
        kind=conflict.kind,
        status=ConflictStatus.OPEN,
    )
