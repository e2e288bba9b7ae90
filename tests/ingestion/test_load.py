"""`load_paths` over real files and a real database."""

import os
import shutil
from pathlib import Path

import openpyxl
import pytest

from auth.principal import Principal
from domain.db import Database
from domain.documents import get_chunks, list_documents
from ingestion import pipeline, reader
from ingestion.chunking import ChunkSizes
from ingestion.parsers.parsed import Limits
from ingestion.pipeline import remove_samples
from tests.domain.records import ACME, GLOBEX
from tests.ingestion.files import joined, pdf, picture, pictures
from tests.reading import files_for_one_run, load_files
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
    with database.open_read_session() as session:
        return [document.source for document in list_documents(session, ACME)]


def test_a_folder_is_loaded_with_titles_headings_and_sources_without_server_paths(
    database: Database, handbook: Path
) -> None:
    summary = load_files(database, ACME, [handbook])
    assert (summary.added, summary.failed) == (2, [])
    with database.open_read_session() as session:
        library, leave = list_documents(session, ACME)
        assert [(d.source, d.title) for d in (library, leave)] == [
            ("handbook/library.txt", "Library"),
            ("handbook/staff/leave.md", "Leave"),
        ]
        headings = [(chunk.heading, chunk.text) for chunk in get_chunks(session, ACME, leave.document_id)]
        assert headings == [("Leave", "Everyone has 12 days of leave.\n\nSick leave\n\nCall us.")]
        assert list_documents(session, GLOBEX) == []


def test_a_second_load_changes_nothing_and_a_changed_file_is_replaced(database: Database, handbook: Path) -> None:
    load_files(database, ACME, [handbook])
    again = load_files(database, ACME, [handbook])
    assert (again.added, again.changed, again.unchanged, again.chunks) == (0, 0, 2, 0)
    (handbook / "library.txt").write_text("The library opens at nine.\n")
    third = load_files(database, ACME, [handbook])
    assert (third.added, third.changed, third.unchanged, third.chunks) == (0, 1, 1, 1)


def test_only_prune_forgets_documents_whose_file_is_gone(database: Database, handbook: Path) -> None:
    for ctx in (ACME, GLOBEX):
        load_files(database, ctx, [handbook])
    (handbook / "library.txt").unlink()
    assert load_files(database, ACME, [handbook]).removed == 0
    assert load_files(database, ACME, [handbook], prune=True).removed == 1
    assert sources(database) == ["handbook/staff/leave.md"]
    with database.open_read_session() as session:
        assert len(list_documents(session, GLOBEX)) == 2


def test_a_missing_or_empty_folder_is_an_error_and_never_a_mass_delete(
    database: Database, handbook: Path, tmp_path: Path
) -> None:
    load_files(database, ACME, [handbook])
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".hidden.md").write_text("# Hidden\n\ntext\n")
    for path in (tmp_path / "empty", tmp_path / "nowhere", tmp_path / "nowhere.md"):
        with pytest.raises(BadInput, match=path.name):
            load_files(database, ACME, [handbook, path], prune=True)
    assert len(sources(database)) == 2


def test_nothing_is_pruned_while_a_folder_cannot_be_looked_into(database: Database, handbook: Path) -> None:
    load_files(database, ACME, [handbook])
    (handbook / "library.txt").unlink()
    # A path longer than the system takes: unlike a missing permission, it stops root too.
    above = os.open(handbook, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("deep" * 60, dir_fd=above)
        below = os.open("deep" * 60, os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = below
    os.close(above)
    summary = load_files(database, ACME, [handbook], prune=True)
    shutil.rmtree(handbook / ("deep" * 60))
    assert (summary.removed, [reason for _, reason in summary.failed]) == (
        0,
        ["The folder cannot be read: File name too long."],
    )
    name = summary.failed[0][0]
    assert summary.not_pruned == (
        f"Nothing was pruned: {name} cannot be read, and it is not known which of its files are gone. "
        "Make it readable, or name other folders, and load again."
    )
    assert len(sources(database)) == 2
    assert load_files(database, ACME, [handbook], prune=True).removed == 1


def test_prune_leaves_what_lies_outside_the_given_folders(database: Database, handbook: Path, tmp_path: Path) -> None:
    other = tmp_path / "handbook-2"
    other.mkdir()
    for name in ("a.md", "b.md"):
        (other / name).write_text("text")
    load_files(database, ACME, [handbook, other])
    (other / "a.md").unlink()
    (handbook / "library.txt").unlink()
    assert load_files(database, ACME, [handbook], prune=True).removed == 1
    assert sources(database) == ["handbook-2/a.md", "handbook-2/b.md", "handbook/staff/leave.md"]


def test_a_broken_document_is_reported_by_name_and_the_others_go_in(database: Database, handbook: Path) -> None:
    (handbook / "broken.pdf").write_bytes(b"<html>not a PDF</html>")
    (handbook / "empty.docx").write_bytes(b"")
    (handbook / "notes.xyz").write_text("of a kind that is not read")
    os.mkfifo(handbook / "pipe.txt")
    summary = load_files(database, ACME, [handbook])
    unknown, pipe = "Files of this kind (.xyz) are not read.", "It is not a regular file."
    assert summary.added == 2
    assert summary.skipped == [("handbook/notes.xyz", unknown), ("handbook/pipe.txt", pipe)]
    reasons = dict(summary.failed)
    assert set(reasons) == {"handbook/broken.pdf", "handbook/empty.docx"}
    assert "not a PDF" in reasons["handbook/broken.pdf"]
    with database.open_read_session() as session:
        failed = {d.source: d.error for d in list_documents(session, ACME) if d.state == "failed"}
    assert failed == reasons


def test_a_document_that_breaks_keeps_what_it_said_until_it_is_whole_again(database: Database, handbook: Path) -> None:
    load_files(database, ACME, [handbook])
    before = (handbook / "library.txt").read_bytes()

    def library() -> tuple[str, str | None, int]:
        with database.open_read_session() as session:
            document = list_documents(session, ACME)[0]
            return document.state, document.error, len(get_chunks(session, ACME, document.document_id))

    (handbook / "library.txt").write_bytes(b"")
    assert load_files(database, ACME, [handbook]).failed == [("handbook/library.txt", "It is empty.")]
    assert library() == ("pending", "It is empty.", 1)
    (handbook / "library.txt").write_bytes(before)
    assert load_files(database, ACME, [handbook]).unchanged == 2
    assert library() == ("pending", None, 1)


def test_a_document_that_was_broken_is_added_once_it_is_whole(database: Database, handbook: Path) -> None:
    (handbook / "library.txt").write_bytes(b"")
    load_files(database, ACME, [handbook])
    (handbook / "library.txt").write_text("Open.")
    summary = load_files(database, ACME, [handbook])
    assert (summary.added, summary.unchanged, summary.failed) == (1, 1, [])


def test_a_file_over_the_limit_is_refused_before_it_is_read(database: Database, tmp_path: Path) -> None:
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(60_000_000_000)  # a hole: it takes no room on the disk
    (name, reason), *_ = load_files(database, ACME, [tmp_path / "huge.txt"]).failed
    assert name == "huge.txt"
    assert "MAX_FILE_SIZE" in reason


def test_links_are_followed_once_and_hidden_files_are_not_read(database: Database, handbook: Path) -> None:
    (handbook / "staff" / "up").symlink_to(handbook)
    (handbook / ".git").mkdir()
    (handbook / ".git" / "notes.md").write_text("hidden")
    (handbook / ".draft.md").write_text("hidden")
    (handbook / "rules.md").symlink_to(handbook / ".draft.md")
    (handbook / "dangling.md").symlink_to(handbook / "nowhere.md")
    summary = load_files(database, ACME, [handbook])
    assert [name for name, _ in summary.failed] == ["handbook/dangling.md"]
    loaded = [source for source in sources(database) if source != "handbook/dangling.md"]
    assert loaded == ["handbook/library.txt", "handbook/rules.md", "handbook/staff/leave.md"]
    hidden = "It is hidden: its name begins with a dot."
    assert summary.skipped == [
        ("handbook/.draft.md", hidden),
        ("handbook/.git", hidden),
        ("handbook/staff/up", "It links to a folder that is read already."),
    ]


def test_links_out_of_the_folder_are_named_and_not_followed(database: Database, handbook: Path, tmp_path: Path) -> None:
    (outside := tmp_path / "outside").mkdir()
    (outside / "secret.md").write_text("The code of the safe is 4711.\n")
    (handbook / "environ.txt").symlink_to("/proc/self/environ")
    (handbook / "safe.md").symlink_to(Path("..", "outside", "secret.md"))
    (handbook / "outside").symlink_to(outside)
    (handbook / "staff" / "root").symlink_to("/")
    (handbook / "one").symlink_to(handbook / "two")
    (handbook / "two").symlink_to(handbook / "one")
    (handbook / "vacation.md").symlink_to(handbook / "staff" / "leave.md")
    os.mkfifo(handbook / "pipe.txt")
    summary = load_files(database, ACME, [handbook])
    out = "It is a link out of the folder."
    skipped = dict(summary.skipped)
    for loop in ("one", "two"):
        assert skipped.pop(f"handbook/{loop}").startswith("Its name has no file extension")
    assert skipped == {
        "handbook/environ.txt": out,
        "handbook/safe.md": out,
        "handbook/outside": out,
        "handbook/staff/root": out,
        "handbook/pipe.txt": "It is not a regular file.",
    }
    assert (summary.failed, summary.added) == ([], 3)
    assert load_files(database, GLOBEX, [handbook, outside]).added == 6  # a folder that is given too


def test_prune_forgets_what_links_out_of_the_folder_had_brought(
    database: Database, handbook: Path, tmp_path: Path
) -> None:
    (outside := tmp_path / "outside").mkdir()
    (outside / "secret.md").write_text("The code of the safe is 4711.\n")
    (handbook / "safe.md").symlink_to(outside / "secret.md")
    for ctx in (ACME, GLOBEX):
        load_files(database, ctx, [handbook, outside])
    assert load_files(database, ACME, [handbook], prune=True).removed == 1
    assert sources(database) == ["handbook/library.txt", "handbook/staff/leave.md", "outside/secret.md"]
    with database.open_read_session() as session:
        assert len(list_documents(session, GLOBEX)) == 4


def test_neither_the_data_folder_nor_the_systems_files_are_read(
    database: Database, handbook: Path, tmp_path: Path
) -> None:
    (data := handbook / "data").mkdir()
    (data / "link.txt").write_text("secret")
    summary = load_files(database, ACME, [handbook], data_dir=data)
    assert summary.skipped == [("handbook/data", f"What is in {data} is never read.")]
    assert summary.added == 2
    for path in (data, data / "link.txt", Path("/proc/self/environ"), Path("/sys")):
        with pytest.raises(BadInput, match=rf"{path} is not loaded\. What is in .* is never read\."):
            load_files(database, ACME, [handbook, path], data_dir=data)


def test_a_folder_without_documents_is_refused_by_the_names_of_what_is_in_it(
    database: Database, tmp_path: Path
) -> None:
    (folder := tmp_path / "films").mkdir()
    for number in range(7):
        (folder / f"{number}.mp4").write_bytes(b"x")
    (folder / "README").write_bytes(b"x")
    with pytest.raises(BadInput, match=r"no document.* Skipped: films/0\.mp4, .*4\.mp4 …$"):
        load_files(database, ACME, [folder])
    (folder / "a.md").write_text("text")
    no_ending = "Its name has no file extension, such as .pdf."
    assert load_files(database, ACME, [folder]).skipped[-1] == ("films/README", no_ending)


def test_a_file_whose_name_is_no_unicode_is_reported_and_the_others_go_in(database: Database, handbook: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(handbook) + b"/\xff.md")).write_text("text")
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    summary = load_files(database, ACME, [handbook], prune=True)
    assert (summary.added, [reason for _, reason in summary.failed]) == (2, ["Its path is not UTF-8: rename it."])
    (handbook / "library.txt").unlink()
    again = load_files(database, ACME, [handbook], prune=True)
    assert (again.removed, again.not_pruned) == (1, None)


def test_the_same_file_named_in_two_ways_is_one_document(
    database: Database, handbook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(handbook)
    assert load_files(database, ACME, [Path(), Path("staff"), Path("staff/../library.txt")]).added == 2
    assert load_files(database, ACME, [handbook]).unchanged == 2


def test_titles_made_of_names_have_no_characters_that_a_terminal_obeys(database: Database, tmp_path: Path) -> None:
    name = "\x1b]0;owned\x07fdp\u202efees\u061c\U000e0041.txt"
    try:
        (tmp_path / name).write_text("A room costs 300 euros.")
    except OSError:
        pytest.skip("this file system does not take such names")
    (tmp_path / "page.html").write_text("<head><title>Rent\u202e\u061c\x9b2J</title></head><p>300 euros.</p>")
    load_files(database, ACME, [tmp_path])
    with database.open_read_session() as session:
        assert {document.title for document in list_documents(session, ACME)} == {"]0;ownedfdpfees", "Rent2J"}
        assert list_documents(session, GLOBEX) == []


def test_a_sheet_that_is_read_in_part_is_told_with_what_is_left_out(database: Database, tmp_path: Path) -> None:
    workbook = openpyxl.Workbook()
    workbook.active.append(["Books", "fifteen"])
    workbook.active.cell(1, 1_001, "far right")
    workbook.save(tmp_path / "a.xlsx")
    told = "Columns of the sheet Sheet beyond the 1,000th are not read: put them into another sheet."
    for ctx in (ACME, GLOBEX):
        for _ in range(2):  # also of a file that is unchanged
            assert load_files(database, ctx, [tmp_path / "a.xlsx"]).unread == [("a.xlsx", told)]


def test_samples_that_moved_are_the_same_documents_and_can_be_removed_together(
    database: Database, handbook: Path, tmp_path: Path
) -> None:
    for ctx in (ACME, GLOBEX):
        assert load_files(database, ctx, [handbook], samples_root=handbook).added == 2
    moved = handbook.rename(tmp_path / "elsewhere")
    own = tmp_path / "own.md"
    own.write_text("our own")
    assert load_files(database, ACME, [moved, own], samples_root=moved).unchanged == 2
    (moved / "library.txt").unlink()
    assert load_files(database, ACME, [moved], samples_root=moved, prune=True).removed == 1
    assert remove_samples(database, ACME, files_for_one_run(database)) == 1
    assert sources(database) == ["own.md"]
    with database.open_read_session() as session:
        assert len(list_documents(session, GLOBEX)) == 2


def test_documents_are_read_again_when_parsers_give_something_else(
    database: Database, handbook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_files(database, ACME, [handbook])
    for module in (pipeline, reader):
        monkeypatch.setattr(module, "PARSER_VERSION", "another")
    again = load_files(database, ACME, [handbook])
    assert (again.changed, again.unchanged) == (2, 0)


def test_documents_are_not_read_again_when_chunks_are_to_be_of_another_size(database: Database, handbook: Path) -> None:
    load_files(database, ACME, [handbook])
    again = load_files(database, ACME, [handbook], sizes=ChunkSizes(target=100))
    assert (again.changed, again.unchanged) == (0, 2)


def test_progress_is_told_before_each_file(database: Database, handbook: Path) -> None:
    told: list[tuple[int, int, str]] = []
    load_files(database, ACME, [handbook], progress=lambda *step: told.append(step))
    assert told == [(0, 2, "handbook/library.txt"), (1, 2, "handbook/staff/leave.md")]


@pytest.mark.parametrize("migrated_uri", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Perpustakaan buka pukul delapan pagi pada hari kerja.", "id"),
        ("La biblioteca abre a las ocho de la mañana.", "es"),
        ("The library opens at eight in the morning.", "en"),
        ("Die Bibliothek öffnet um acht Uhr morgens.", "de"),
        ("A1", "en"),
    ],
)
def test_the_language_of_a_document_is_told(database: Database, tmp_path: Path, text: str, language: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    load_files(database, ACME, [tmp_path / "a.txt"])
    with database.open_read_session() as session:
        (document,) = list_documents(session, ACME)
        assert document.language == get_chunks(session, ACME, document.document_id)[0].language == language


def test_a_long_passage_in_another_language_has_its_own(database: Database, tmp_path: Path) -> None:
    english = "The library opens at eight in the morning and closes at four in the afternoon. " * 20
    spanish = "La biblioteca abre a las ocho de la mañana y cierra a las cuatro de la tarde. " * 6
    (tmp_path / "a.md").write_text(f"# Hours\n\n{english}\n\n# Horario\n\n{spanish}\n")
    load_files(database, ACME, [tmp_path / "a.md"])
    with database.open_read_session() as session:
        (document,) = list_documents(session, ACME)
        languages = {(c.heading, c.language) for c in get_chunks(session, ACME, document.document_id)}
    assert (document.language, languages) == ("en", {("Hours", "en"), ("Horario", "es")})


def test_a_path_too_long_for_an_index_is_reported_and_the_others_go_in(database: Database, handbook: Path) -> None:
    above = os.open(handbook, os.O_RDONLY)
    for _ in range(10):
        os.mkdir("x" * 240, dir_fd=above)
        below = os.open("x" * 240, os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = below
    os.close(os.open("far.md", os.O_WRONLY | os.O_CREAT, dir_fd=above))
    os.close(above)
    for ctx in (ACME, GLOBEX):
        summary = load_files(database, ctx, [handbook])
        assert (summary.added, [reason for _, reason in summary.failed]) == (
            2,
            ["Its path is longer than 2,000 bytes: move it."],
        )
    shutil.rmtree(handbook / ("x" * 240))


def pages_of(database: Database, ctx: Principal) -> list[tuple[int | None, str]]:
    with database.open_read_session() as session:
        (document,) = list_documents(session, ctx)
        return [(chunk.page, chunk.text) for chunk in get_chunks(session, ctx, document.document_id)]


def test_scanned_pages_follow_once_all_text_is_in(database: Database, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(joined(pdf(["Typed."]), pictures(["Scanned"], kind="PDF")))
    (tmp_path / "b.txt").write_text("Open at eight.")
    steps = list[tuple[int, int, str]]()

    def note(done: int, total: int, name: str) -> None:
        steps.append((done, total, name))
        if done == 2:  # b.txt is in
            with database.open_read_session() as session:
                assert [len(get_chunks(session, ACME, d.document_id)) for d in list_documents(session, ACME)] == [1, 1]

    summary = load_files(database, ACME, [tmp_path / "a.pdf", tmp_path / "b.txt"], progress=note)
    assert [(done, total) for done, total, _ in steps] == [(0, 2), (1, 2), (2, 3), (2, 3)]
    assert (summary.added, summary.changed, summary.chunks, summary.unread) == (2, 0, 3, [])
    assert load_files(database, ACME, [tmp_path / "a.pdf"]).unchanged == 1
    load_files(database, GLOBEX, [tmp_path / "a.pdf"], limits=Limits(recognises=False))
    assert pages_of(database, GLOBEX) == [(1, "Typed.")]


def test_pages_that_stay_unread_are_told_and_read_once_there_is_a_recognition(
    database: Database, tmp_path: Path
) -> None:
    scan = tmp_path / "a.pdf"
    scan.write_bytes(joined(pdf(["Typed."]), pictures(["Scanned"], ["Too"], kind="PDF")))
    for _ in range(2):
        ((name, reason),) = load_files(database, ACME, [scan], limits=Limits(recognises=False)).unread
        assert (name, reason.startswith("Pages 2–3 not read. They are pictures")) == ("a.pdf", True)
    later = load_files(database, ACME, [scan])
    assert (later.unchanged, later.unread) == (1, [])
    assert pages_of(database, ACME) == [(1, "Typed."), (2, "Scanned"), (3, "Too")]


def test_a_scan_without_a_recognition_fails_with_the_reason(database: Database, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture("Scanned"))
    ((_, reason),) = load_files(database, ACME, [tmp_path / "a.png"], limits=Limits(recognises=False)).failed
    assert "it is a scan" in reason
    assert "OCR_ENABLED" in reason
