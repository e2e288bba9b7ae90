"""Files of documents: kept with their versions, and gone with them."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from auth.principal import Principal
from domain.db import Database
from domain.document_files import DocumentFiles, Extracted, TextPart, find_current_versions, find_version
from domain.documents import DocumentContent, remove_documents
from domain.models import Document, DocumentVersion
from domain.scoping import EVERYWHERE
from providers.files.folder import FolderFileStore
from tests.domain.records import ACME, GLOBEX, content
from tests.packages import source_files
from tests.service import ROOT
from utils.errors import NotFound, StoreUnavailable

ORIGIN = "/srv/leave.md"


@pytest.fixture
def files(tmp_path: Path) -> FolderFileStore:
    return FolderFileStore(tmp_path / "files")


@pytest.fixture
def originals(database: Database, files: FolderFileStore) -> DocumentFiles:
    return DocumentFiles(database, files, versions_kept=2)


def read(*texts: str) -> tuple[bytes, DocumentContent]:
    """A file that says *texts*, and what is read from it."""
    data, text = "".join(texts).encode(), "\n\n".join(texts)
    extracted = Extracted(text, (TextPart(0, 0, len(text), 0, None),)).to_bytes()
    return data, replace(
        content(*texts), content_hash=sha256(data).hexdigest(), extracted=extracted, file_name="leave.md"
    )


def put(originals: DocumentFiles, ctx: Principal, *texts: str, origin: str = ORIGIN) -> Document:
    return originals.replace(ctx, origin, *read(*texts))


def version(database: Database, ctx: Principal, document_id: str, number: int | None = None) -> DocumentVersion | None:
    with database.open_read_session() as session:
        return find_version(session, ctx, document_id, number)


def texts_of(database: Database, originals: DocumentFiles, ctx: Principal, document_id: str, most: int) -> list[str]:
    found = [version(database, ctx, document_id, number) for number in range(1, most + 1)]
    return [originals.read_extracted(ctx, one).text for one in found if one]


def remove(database: Database, originals: DocumentFiles, ctx: Principal, document_ids: Sequence[str]) -> None:
    with database.open_write_session() as session:
        remove_documents(session, ctx, document_ids)
    originals.delete_expired(ctx)


def read_original(originals: DocumentFiles, ctx: Principal, kept: DocumentVersion) -> bytes:
    with originals.open_original(ctx, kept) as file:
        return file.read()


def test_a_version_keeps_the_file_and_what_was_read_from_it_for_its_tenant(
    database: Database, originals: DocumentFiles
) -> None:
    document = put(originals, ACME, "Twelve days.")
    put(originals, GLOBEX, "Secret.")
    kept = version(database, ACME, document.document_id)
    assert kept is not None
    assert (kept.version, kept.file_name, kept.replaced_at) == (1, "leave.md", None)
    assert read_original(originals, ACME, kept) == b"Twelve days."
    assert originals.read_extracted(ACME, kept) == Extracted("Twelve days.", (TextPart(0, 0, 12, 0, None),))
    assert version(database, GLOBEX, document.document_id) is None
    with pytest.raises(NotFound):
        originals.open_original(GLOBEX, kept)
    with database.open_read_session() as session:
        assert find_current_versions(session, ACME, [document.document_id]) == {document.document_id: 1}
        assert find_current_versions(session, GLOBEX, [document.document_id]) == {}


def test_only_the_newest_replaced_versions_stay_open(database: Database, originals: DocumentFiles) -> None:
    theirs = put(originals, GLOBEX, "theirs")
    for number in range(1, 6):
        document = put(originals, ACME, f"version {number}")
    assert originals.delete_expired(ACME) == 2
    assert texts_of(database, originals, ACME, document.document_id, 5) == ["version 3", "version 4", "version 5"]
    newest = version(database, ACME, document.document_id)
    assert (newest and newest.version, originals.delete_expired(ACME)) == (5, 0)
    assert texts_of(database, originals, GLOBEX, theirs.document_id, 1) == ["theirs"]


def test_a_deleted_document_leaves_neither_rows_nor_files(
    database: Database, originals: DocumentFiles, files: FolderFileStore
) -> None:
    ours, theirs = put(originals, ACME, "one"), put(originals, GLOBEX, "one")
    put(originals, ACME, "two")
    remove(database, originals, ACME, [ours.document_id, theirs.document_id])
    assert version(database, ACME, ours.document_id) is None
    assert list(files.list_hashes(ACME)) == []
    assert texts_of(database, originals, GLOBEX, theirs.document_id, 1) == ["one"]
    with database.open_read_session() as session:
        assert [row.tenant_id for row in session.query(DocumentVersion).execution_options(**EVERYWHERE)] == ["globex"]


def test_a_file_of_two_documents_stays_until_both_are_gone(
    database: Database, originals: DocumentFiles, files: FolderFileStore
) -> None:
    first, second = put(originals, ACME, "same"), put(originals, ACME, "same", origin="/srv/copy.md")
    assert len(list(files.list_hashes(ACME))) == 2
    remove(database, originals, ACME, [first.document_id])
    assert texts_of(database, originals, ACME, second.document_id, 1) == ["same"]
    remove(database, originals, ACME, [second.document_id])
    assert list(files.list_hashes(ACME)) == []


def test_a_document_that_is_loaded_again_after_it_was_deleted_can_be_opened(
    database: Database, originals: DocumentFiles
) -> None:
    document_id = put(originals, ACME, "one").document_id
    with database.open_write_session() as session:
        remove_documents(session, ACME, [document_id])
    assert put(originals, ACME, "one").version == 2
    originals.delete_expired(ACME)
    assert texts_of(database, originals, ACME, document_id, 2) == ["one"]


def test_files_of_a_load_that_was_killed_are_swept_and_others_stay(
    database: Database, originals: DocumentFiles, files: FolderFileStore
) -> None:
    for ctx in (ACME, GLOBEX):
        put(originals, ctx, "kept")
        for number in range(3):
            files.put(ctx, b"orphan %d" % number)
    assert originals.sweep(ACME) == 3
    assert (len(list(files.list_hashes(ACME))), len(list(files.list_hashes(GLOBEX)))) == (2, 5)
    originals.tidy()
    assert len(list(files.list_hashes(GLOBEX))) == 2


def test_nothing_is_recorded_of_a_file_that_could_not_be_kept(database: Database, tmp_path: Path) -> None:
    (tmp_path / "full").write_text("no folder")
    broken = DocumentFiles(database, FolderFileStore(tmp_path / "full"))
    for ctx in (ACME, GLOBEX):
        with pytest.raises(StoreUnavailable):
            put(broken, ctx, "text")
    with database.open_read_session() as session:
        assert (
            session.query(Document).execution_options(**EVERYWHERE).all()
            == session.query(DocumentVersion).execution_options(**EVERYWHERE).all()
            == []
        )


def test_no_document_loses_its_file_to_one_that_is_deleted_at_the_same_moment(
    database: Database, originals: DocumentFiles
) -> None:
    def load_and_delete(number: int) -> list[bytes]:
        found = []
        for _ in range(10):
            document = put(originals, ACME, "same", origin=f"/srv/{number}.md")
            originals.sweep(ACME)
            kept = version(database, ACME, document.document_id)
            assert kept is not None
            found.append(read_original(originals, ACME, kept))
            remove(database, originals, ACME, [document.document_id])
        return found

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(load_and_delete, range(3))) == [[b"same"] * 10] * 3


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
PLACES = st.lists(st.tuples(*[st.integers(0, 40)] * 3, st.integers(0, 6), st.none() | st.lists(TEXTS).map(tuple)))


@given(TEXTS, PLACES)
def test_what_was_read_is_found_as_it_was_kept_where_its_parts_are_within_its_text(
    text: str, places: list[Any]
) -> None:
    parts = [TextPart(*sorted(place[:3]), place[3], page=None, heading=place[4]) for place in places]
    extracted = Extracted(text, tuple(parts))
    if all(part.end <= len(text) for part in parts):
        assert Extracted.from_bytes(extracted.to_bytes()) == extracted
    else:
        with pytest.raises(ValueError, match="not within its text"):
            Extracted.from_bytes(extracted.to_bytes())


def test_a_deletion_looks_at_the_versions_of_no_other_document(database: Database, originals: DocumentFiles) -> None:
    asked: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    originals.delete_expired(ACME, replaced=())
    assert not any("row_number" in statement for statement in asked)
    originals.delete_expired(ACME, replaced=["one"])
    [ranked] = [statement for statement in asked if "row_number" in statement]
    assert "document_id IN" in ranked


def test_files_are_put_by_what_discards_them_unless_they_are_recorded_and_by_nothing_else() -> None:
    puts = {
        str(path.relative_to(ROOT)) for path in source_files() if re.search(r"files\.put\(", path.read_text("utf-8"))
    }
    assert puts == {"domain/document_files.py"}
