"""`load_paths` over real files and a real database."""

from pathlib import Path

import pytest

from domain.db import Database
from domain.documents import get_chunks, list_documents
from ingestion.pipeline import load_paths
from tests.domain.records import ACME, GLOBEX
from utils.errors import BadInput


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    folder = tmp_path / "handbook"
    (folder / "staff").mkdir(parents=True)
    (folder / "staff" / "leave.md").write_text(
        "# Leave\n\nEveryone has 12 days of leave.\n\n## Sick leave\n\nCall us.\n"
    )
    (folder / "library.txt").write_text("The library opens at eight.\n")
    return folder


def sources(database: Database) -> list[str]:
    with database.reading() as session:
        return [document.source for document in list_documents(session, ACME)]


def test_a_folder_is_loaded_with_titles_headings_and_sources_without_server_paths(
    database: Database, handbook: Path
) -> None:
    summary = load_paths(database, ACME, [handbook])
    assert (summary.added, summary.failed) == (2, [])
    with database.reading() as session:
        library, leave = list_documents(session, ACME)
        assert [(d.source, d.title) for d in (library, leave)] == [
            ("handbook/library.txt", "Library"),
            ("handbook/staff/leave.md", "Leave"),
        ]
        headings = [(chunk.heading, chunk.text) for chunk in get_chunks(session, ACME, leave.document_id)]
        assert headings == [("Leave", "Everyone has 12 days of leave.\n\nSick leave\n\nCall us.")]
        assert list_documents(session, GLOBEX) == []


def test_a_second_load_changes_nothing_and_a_changed_file_is_replaced(database: Database, handbook: Path) -> None:
    load_paths(database, ACME, [handbook])
    again = load_paths(database, ACME, [handbook])
    assert (again.added, again.changed, again.unchanged, again.chunks) == (0, 0, 2, 0)
    (handbook / "library.txt").write_text("The library opens at nine.\n")
    third = load_paths(database, ACME, [handbook])
    assert (third.added, third.changed, third.unchanged, third.chunks) == (0, 1, 1, 1)


def test_only_prune_forgets_documents_whose_file_is_gone(database: Database, handbook: Path) -> None:
    for ctx in (ACME, GLOBEX):
        load_paths(database, ctx, [handbook])
    (handbook / "library.txt").unlink()
    assert load_paths(database, ACME, [handbook]).removed == 0
    assert load_paths(database, ACME, [handbook], prune=True).removed == 1
    assert sources(database) == ["handbook/staff/leave.md"]
    with database.reading() as session:
        assert len(list_documents(session, GLOBEX)) == 2


def test_a_missing_or_empty_folder_is_an_error_and_never_a_mass_delete(
    database: Database, handbook: Path, tmp_path: Path
) -> None:
    load_paths(database, ACME, [handbook])
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(BadInput, match=path.name):
            load_paths(database, ACME, [path], prune=True)
    assert len(sources(database)) == 2
