"""The version of a tenant's knowledge: another one after every change, and nobody else's."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.db import Database
from domain.documents import get_chunks, list_documents, remove_documents, replace_document
from domain.index_marks import drop_removed, mark_searchable, mark_undone, mark_vectors, mark_words
from domain.indexes import IndexSpec, begin_index, make_first_row, switch_to
from domain.indexing import list_passages_without_vectors, make_passage
from domain.knowledge import compute_knowledge_version
from domain.models import Document
from domain.scoping import EVERYWHERE, update_everywhere
from tests.domain.records import ACME, GLOBEX, content
from utils.passages import Passage

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def version(database: Database, ctx: Principal = ACME) -> str:
    with database.open_read_session() as session:
        return compute_knowledge_version(session, ctx)


def _add(session: Session) -> None:
    replace_document(session, ACME, "/b", content("two", source="b"))


def _change(session: Session) -> None:
    replace_document(session, ACME, "/a", content("eno", source="a"))


def _remove(session: Session) -> None:
    remove_documents(session, ACME, [document.document_id for document in list_documents(session, ACME)])


def _replace_by_another(session: Session) -> None:
    _remove(session)
    drop_removed(
        session, ACME, list(session.query(Document).execution_options(**EVERYWHERE).filter(Document.state == "removed"))
    )
    replace_document(session, ACME, "/c", content("one", source="c"))


def _lose_the_index(session: Session) -> None:
    mark_undone(session, ACME)


@pytest.mark.parametrize("change", [_add, _change, _remove, _replace_by_another, _lose_the_index])
def test_every_change_makes_a_version_of_its_own_for_this_tenant_alone(
    database: Database, change: Callable[[Session], None]
) -> None:
    for ctx in (ACME, GLOBEX):
        with database.open_write_session() as session:
            replace_document(session, ctx, "/a", content("one", source="a"))
            mark_words(session, ctx, _passages(session, ctx))
            mark_searchable(session, ctx, list_documents(session, ctx))
    before, others = version(database), version(database, GLOBEX)
    assert version(database) == before
    with database.open_write_session() as session:
        change(session)
    assert version(database) != before
    assert version(database, GLOBEX) == others


def test_each_step_into_the_index_makes_a_version_of_its_own(database: Database) -> None:
    seen = [version(database)]
    with database.open_write_session() as session:
        replace_document(session, ACME, "/a", content("one", source="a"))
    seen.append(version(database))
    with database.open_write_session() as session:
        documents = list_documents(session, ACME)
        mark_words(session, ACME, _passages(session))
        mark_searchable(session, ACME, documents)
    seen.append(version(database))
    with database.open_write_session() as session:
        mark_vectors(session, ACME, list_passages_without_vectors(session, ACME, 10, 0))
    seen.append(version(database))
    assert len(set(seen)) == 4


def test_another_index_makes_another_version_once_it_serves(database: Database) -> None:
    one, two = (IndexSpec(name, 8, None, "words", "1/220/400/80/16") for name in ("one", "two"))
    with database.open_write_session() as session:
        for ctx in (ACME, GLOBEX):
            replace_document(session, ctx, "/a", content("one", source="a"))
        session.add(make_first_row(one))
    seen = [(version(database), version(database, GLOBEX))]
    for change in (lambda session: begin_index(session, two), lambda session: switch_to(session, 2)):
        with database.open_write_session() as session:
            change(session)
        seen.append((version(database), version(database, GLOBEX)))
    before, beside, switched = seen
    assert beside == before
    assert all(now != former for now, former in zip(switched, before, strict=True))


def _passages(session: Session, ctx: Principal = ACME) -> list[Passage]:
    [document] = list_documents(session, ctx)
    return [make_passage(document, chunk) for chunk in get_chunks(session, ctx, document.document_id)]


@pytest.mark.parametrize("change", [_add, _change, _remove, _replace_by_another])
def test_a_change_is_seen_although_the_clock_of_the_machine_that_made_it_is_slow(
    database: Database, change: Callable[[Session], None]
) -> None:
    with database.open_write_session() as session:
        replace_document(session, ACME, "/a", content("one", source="a"))
        session.execute(update_everywhere(Document).values(updated_at=NOON))
    before = version(database)
    with database.open_write_session() as session:
        change(session)
        session.execute(update_everywhere(Document).values(updated_at=NOON))
    assert version(database) != before
