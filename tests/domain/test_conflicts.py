"""Conflicts in SQL: noted once, dismissed for as long as both documents say so, gone with either; a tenant's own."""

from datetime import timedelta

import pytest

from auth.principal import Principal
from domain.conflicts import (
    FoundConflict,
    Side,
    end_expired,
    list_conflicts,
    list_documents_to_compare,
    list_tenants_to_compare,
    record_comparison,
    set_dismissed,
)
from domain.db import Database
from domain.documents import change_description, lock_document, remove_documents, replace_document
from domain.models import Conflict, Document, now
from domain.paging import Part
from domain.scoping import update_everywhere
from tests.domain.records import ACME, GLOBEX, content
from utils.errors import Conflict as ConflictError
from utils.errors import NotFound
from utils.validity import today

ALL = Part(100)
OLD, NEW = "The fee is 150.", "The fee is 180."


def ready(database: Database, ctx: Principal, origin: str, text: str) -> Document:
    """A document that says *text*, in the index with its vectors."""
    with database.open_write_session() as session:
        document = replace_document(session, ctx, origin, content(text, source=origin))
        session.flush()
        session.execute(
            update_everywhere(Document).where(Document.document_id == document.document_id).values(state="ready")
        )
        session.refresh(document)
    return document


def side(document: Document, sentence: str) -> Side:
    return Side(document.document_id, document.version, document.title, sentence)


def note(database: Database, ctx: Principal, document: Document, *found: FoundConflict) -> None:
    with database.open_write_session() as session:
        record_comparison(session, ctx, document, found)


def statuses(database: Database, ctx: Principal) -> list[str]:
    with database.open_read_session() as session:
        return [row.status for row in list_conflicts(session, ctx, ALL).rows]


def to_compare(database: Database, ctx: Principal) -> list[str]:
    with database.open_read_session() as session:
        return [each.origin for each in list_documents_to_compare(session, ctx, 10)]


@pytest.fixture
def pair(database: Database) -> tuple[Document, Document, FoundConflict]:
    """Two documents of Acme that differ, both compared; Globex has the same two, which nobody has compared."""
    old, new = (ready(database, ACME, *each) for each in (("old", OLD), ("new", NEW)))
    for each in (("old", OLD), ("new", NEW)):
        ready(database, GLOBEX, *each)
    found = FoundConflict(side(old, OLD), side(new, NEW), "number")
    assert to_compare(database, ACME) == ["old", "new"]
    note(database, ACME, old, found)
    note(database, ACME, new, FoundConflict(found.other, found.one, "number"))
    return old, new, found


def test_a_conflict_is_noted_once_whichever_document_is_compared(
    database: Database, pair: tuple[Document, Document, FoundConflict]
) -> None:
    assert statuses(database, ACME) == ["open"]
    assert statuses(database, GLOBEX) == []
    assert to_compare(database, ACME) == []
    assert to_compare(database, GLOBEX) == ["old", "new"]
    with database.open_read_session() as session:
        assert [ctx.tenant_id for ctx in list_tenants_to_compare(session)] == ["globex"]
        [row] = list_conflicts(session, ACME, ALL, status="open").rows
        assert {row.one_sentence, row.other_sentence} == {OLD, NEW}
        assert list_conflicts(session, ACME, ALL, status="gone").total == 0


def test_a_dismissed_one_stays_so_while_both_documents_say_it(
    database: Database, pair: tuple[Document, Document, FoundConflict]
) -> None:
    _, new, found = pair
    with database.open_write_session() as session:
        with pytest.raises(NotFound):
            set_dismissed(session, GLOBEX, found.conflict_id, dismissed=True)
        set_dismissed(session, ACME, found.conflict_id, dismissed=True)
    again = ready(database, ACME, "old", OLD)  # a new version, which says the same
    assert statuses(database, ACME) == ["gone"]
    assert to_compare(database, ACME) == ["old"]
    with database.open_write_session() as session, pytest.raises(ConflictError):
        set_dismissed(session, ACME, found.conflict_id, dismissed=False)
    note(database, ACME, again, FoundConflict(side(again, OLD), found.other, "number"))
    assert statuses(database, ACME) == ["dismissed"]
    with database.open_write_session() as session:
        set_dismissed(session, ACME, found.conflict_id, dismissed=False)
    assert statuses(database, ACME) == ["open"]
    assert new.document_id in {found.one.document_id, found.other.document_id}


def test_it_is_gone_when_a_document_goes_changes_or_ceases_to_hold(
    database: Database, pair: tuple[Document, Document, FoundConflict]
) -> None:
    old, new, found = pair
    note(database, ACME, old)  # not found any more
    assert statuses(database, ACME) == ["gone"]
    note(database, ACME, old, found)
    with database.open_write_session() as session:
        end_expired(session)
    assert statuses(database, ACME) == ["open"]
    ended = (today() - timedelta(days=1)).isoformat()
    with database.open_write_session() as session:
        row = lock_document(session, ACME, old.document_id)
        change_description(session, row, tags=[], labels={"valid_until": ended})
        end_expired(session)
    assert statuses(database, ACME) == ["gone"]
    with database.open_write_session() as session:
        session.execute(
            update_everywhere(Document).where(Document.document_id == old.document_id).values(state="ready")
        )
    assert to_compare(database, ACME) == ["old"]
    note(database, ACME, old, found)
    assert statuses(database, ACME) == ["open"]
    with database.open_write_session() as session:
        remove_documents(session, GLOBEX, [new.document_id])
    assert statuses(database, ACME) == ["open"]
    with database.open_write_session() as session:
        remove_documents(session, ACME, [new.document_id])
    assert statuses(database, ACME) == ["gone"]


def test_a_conflict_that_one_side_alone_sees_stays_when_the_other_one_is_compared(database: Database) -> None:
    old, new = (ready(database, ACME, *each) for each in (("old", OLD), ("new", NEW)))
    note(database, ACME, old, FoundConflict(side(old, OLD), side(new, NEW), "number"))
    note(database, ACME, new)  # it has nearer neighbours than the old one
    assert statuses(database, ACME) == ["open"]
    assert statuses(database, GLOBEX) == []
    ended = (today() - timedelta(days=1)).isoformat()
    with database.open_write_session() as session:
        change_description(
            session, lock_document(session, ACME, new.document_id), tags=[], labels={"valid_until": ended}
        )
        session.execute(
            update_everywhere(Document).where(Document.document_id == new.document_id).values(state="ready")
        )
    assert to_compare(database, ACME) == ["new"]
    note(database, ACME, new)  # as what has ceased to hold is told
    assert statuses(database, ACME) == ["gone"]


@pytest.mark.parametrize("which", [0, 1])
def test_what_was_noted_as_the_document_was_replaced_is_gone_once_it_is_compared(
    database: Database, pair: tuple[Document, Document, FoundConflict], which: int
) -> None:
    newer = ready(database, ACME, pair[which].origin, "The fee is waived.")
    with database.open_write_session() as session:
        session.execute(update_everywhere(Conflict).values(status="open", gone_at=None))
    note(database, ACME, newer)
    assert statuses(database, ACME) == ["gone"]


def test_what_was_noted_as_a_document_was_removed_is_gone_soon(
    database: Database, pair: tuple[Document, Document, FoundConflict]
) -> None:
    with database.open_write_session() as session:
        remove_documents(session, ACME, [pair[0].document_id])
        session.execute(update_everywhere(Conflict).values(status="open", gone_at=None))
        end_expired(session)
    assert statuses(database, ACME) == ["gone"]


def test_what_has_changed_while_it_was_compared_is_not_noted(
    database: Database, pair: tuple[Document, Document, FoundConflict]
) -> None:
    old, new, found = pair
    newer = ready(database, ACME, "new", "The fee is waived.")
    note(database, ACME, new, found)  # of the version before
    assert to_compare(database, ACME) == ["new"]
    note(database, ACME, old, found)
    note(database, ACME, newer)
    assert statuses(database, ACME) == ["gone"]


def test_what_is_long_gone_is_forgotten(database: Database, pair: tuple[Document, Document, FoundConflict]) -> None:
    old, _, _ = pair
    note(database, ACME, old)
    with database.open_write_session() as session:
        session.execute(update_everywhere(Conflict).values(gone_at=now() - timedelta(days=100)))
        end_expired(session)
    assert statuses(database, ACME) == []
