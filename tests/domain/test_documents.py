"""Documents belong to one tenant, are replaced whole, and leave in two steps."""

import pytest

from domain.db import Database
from domain.documents import (
    get_chunks,
    get_document,
    list_documents,
    record_failure,
    remove_documents,
    replace_document,
)
from domain.models import DocumentState
from tests.domain.records import ACME, GLOBEX, content
from utils.errors import NotFound

ORIGIN = "/srv/handbook/leave.md"


def test_two_tenants_may_hold_the_same_file_and_see_only_their_own(database: Database) -> None:
    with database.open_write_session() as session:
        ours = replace_document(session, ACME, ORIGIN, content("ours")).document_id
        theirs = replace_document(session, GLOBEX, ORIGIN, content("theirs", "more")).document_id
    with database.open_read_session() as session:
        assert [document.document_id for document in list_documents(session, ACME)] == [ours]
        assert [chunk.text for chunk in get_chunks(session, GLOBEX, theirs)] == ["theirs", "more"]
        assert get_chunks(session, ACME, theirs) == []
        with pytest.raises(NotFound):
            get_document(session, ACME, theirs)


def test_a_tenant_cannot_remove_another_tenants_document(database: Database) -> None:
    with database.open_write_session() as session:
        theirs = replace_document(session, GLOBEX, ORIGIN, content("theirs")).document_id
    with database.open_write_session() as session:
        assert remove_documents(session, ACME, [theirs]) == 0
    with database.open_read_session() as session:
        assert len(get_chunks(session, GLOBEX, theirs)) == 1
        assert get_document(session, GLOBEX, theirs).state == DocumentState.PENDING


def test_a_changed_document_keeps_its_id_and_gets_new_chunks(database: Database) -> None:
    with database.open_write_session() as session:
        first = replace_document(session, ACME, ORIGIN, content("one", "two"))
        before = {chunk.chunk_id for chunk in get_chunks(session, ACME, first.document_id)}
    with database.open_write_session() as session:
        second = replace_document(session, ACME, ORIGIN, content("one, changed"))
        after = get_chunks(session, ACME, second.document_id)
        assert (second.document_id, second.version, second.chunk_count) == (first.document_id, 2, 1)
    assert [chunk.text for chunk in after] == ["one, changed"]
    assert before.isdisjoint(chunk.chunk_id for chunk in after)


def test_the_same_text_at_the_same_place_has_the_same_id_again(database: Database) -> None:
    ids = []
    for _ in range(2):
        with database.open_write_session() as session:
            document = replace_document(session, ACME, ORIGIN, content("one", "two"))
            ids.append([chunk.chunk_id for chunk in get_chunks(session, ACME, document.document_id)])
    assert ids[0] == ids[1]


def test_a_document_that_becomes_unreadable_keeps_what_it_said(database: Database) -> None:
    with database.open_write_session() as session:
        replace_document(session, ACME, ORIGIN, content("still true"))
        document = record_failure(session, ACME, ORIGIN, "handbook/leave.md", "It is damaged.")
        assert (document.state, document.error) == (DocumentState.PENDING, "It is damaged.")
        assert len(get_chunks(session, ACME, document.document_id)) == 1


def test_a_document_that_never_was_readable_is_listed_with_the_reason(database: Database) -> None:
    with database.open_write_session() as session:
        record_failure(session, ACME, ORIGIN, "handbook/leave.md", "It is damaged.")
    with database.open_read_session() as session:
        assert [(d.state, d.error) for d in list_documents(session, ACME)] == [("failed", "It is damaged.")]
        assert list_documents(session, GLOBEX) == []


def test_a_removed_document_is_gone_for_readers_at_once(database: Database) -> None:
    with database.open_write_session() as session:
        document_id = replace_document(session, ACME, ORIGIN, content("one")).document_id
    with database.open_write_session() as session:
        assert remove_documents(session, ACME, [document_id]) == 1
        assert remove_documents(session, ACME, [document_id]) == 0
    with database.open_read_session() as session:
        assert list_documents(session, ACME) == []
        with pytest.raises(NotFound):
            get_document(session, ACME, document_id)


def test_texts_are_kept_but_for_what_no_database_takes(database: Database) -> None:
    odd = "tab\t, \x01, \U0001f600, \x85, nul \x00 and half a pair \ud83d."
    kept = "tab\t, \x01, \U0001f600, \x85, nul \ufffd and half a pair \ufffd."
    for ctx in (ACME, GLOBEX):
        with database.open_write_session() as session:
            document_id = replace_document(session, ctx, ORIGIN, content(odd, source="a\0.md")).document_id
            record_failure(session, ctx, ORIGIN, "a\0.md", odd)
        with database.open_read_session() as session:
            document = get_document(session, ctx, document_id)
            assert [chunk.text for chunk in get_chunks(session, ctx, document_id)] == [kept]
            assert (document.source, document.error) == ("a\ufffd.md", kept)


def test_an_id_that_no_database_takes_is_that_of_no_document(database: Database) -> None:
    for odd in ("\0", "\ud800", "x" * 10_000):
        with database.open_read_session() as session, pytest.raises(NotFound):
            get_document(session, ACME, odd)
