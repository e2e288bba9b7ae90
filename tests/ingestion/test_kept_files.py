"""`load_paths` with a store of files: what was loaded can be opened, what was forgotten is gone."""

from hashlib import sha256
from pathlib import Path

import pytest

from auth.principal import Principal
from domain.db import Database
from domain.document_files import DocumentFiles, find_version
from domain.documents import get_chunks, list_documents
from domain.models import DocumentVersion
from ingestion.pipeline import remove_samples
from providers.files.folder import FolderFileStore
from tests.domain.records import ACME, GLOBEX
from tests.reading import load_files

LEAVE = "# Leave\n\nEveryone has 12 days.\n\n## Sick leave\n\n| day | pay |\n|---|---|\n| 1 | 100 % |\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "handbook"
    made.mkdir()
    (made / "leave.md").write_text(LEAVE)
    return made


@pytest.fixture
def document_files(database: Database, tmp_path: Path) -> DocumentFiles:
    return DocumentFiles(database, FolderFileStore(tmp_path / "files"), versions_kept=1)


def versions(database: Database, ctx: Principal) -> list[DocumentVersion]:
    with database.open_read_session() as session:
        known = [document.document_id for document in list_documents(session, ctx)]
        return [found for one in known if (found := find_version(session, ctx, one))]


def kept(tmp_path: Path, ctx: Principal) -> set[str]:
    return set(FolderFileStore(tmp_path / "files").list_hashes(ctx))


def test_a_document_is_kept_as_it_came_and_its_chunks_stand_where_they_say(
    database: Database, folder: Path, document_files: DocumentFiles
) -> None:
    load_files(database, ACME, [folder], document_files=document_files)
    [version] = versions(database, ACME)
    assert (version.file_name, version.title, version.media_type) == ("leave.md", "Leave", "text/markdown")
    with document_files.open_original(ACME, version) as file:
        assert file.read() == LEAVE.encode()
    extracted = document_files.read_extracted(ACME, version)
    with database.open_read_session() as session:
        chunks = get_chunks(session, ACME, version.document_id)
    assert [extracted.text[chunk.start : chunk.end] for chunk in chunks] == [chunk.text for chunk in chunks] != []
    assert [(part.level, extracted.text[part.start : part.body].strip()) for part in extracted.parts] == [
        (1, "Leave"),
        (2, "Sick leave"),
    ]
    assert versions(database, GLOBEX) == []


def test_an_older_version_stays_open_until_there_are_too_many(
    database: Database, folder: Path, document_files: DocumentFiles, tmp_path: Path
) -> None:
    texts = [b"First.", b"Second.", b"Third."]
    for text in texts:
        (folder / "leave.md").write_bytes(text)
        for ctx in (ACME, GLOBEX):
            load_files(database, ctx, [folder], document_files=document_files)
    first, second, third = (sha256(text).hexdigest() for text in texts)
    for ctx in (ACME, GLOBEX):
        assert {second, third} < kept(tmp_path, ctx)
        assert first not in kept(tmp_path, ctx)


def test_a_document_that_is_forgotten_leaves_no_file(
    database: Database, folder: Path, document_files: DocumentFiles, tmp_path: Path
) -> None:
    for ctx in (ACME, GLOBEX):
        load_files(database, ctx, [folder], document_files=document_files, samples_root=folder)
    theirs = kept(tmp_path, GLOBEX)
    (folder / "leave.md").rename(tmp_path / "leave.md")
    (folder / "other.md").write_text("Other.")
    load_files(database, ACME, [folder], document_files=document_files, samples_root=folder, prune=True)
    assert kept(tmp_path, ACME) & theirs == set()
    assert len(kept(tmp_path, ACME)) == 2
    remove_samples(database, ACME, document_files)
    assert kept(tmp_path, ACME) == set()
    assert kept(tmp_path, GLOBEX) == theirs
