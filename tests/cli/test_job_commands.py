"""`flask datasets` and `flask jobs`: an operator looks, tries again, cancels and deletes, for one tenant at a time."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from app import create_app
from config import load_settings
from tests.domain.records import ACME, GLOBEX, two_tenants
from tests.domain.uploaded import new_dataset
from tests.reading import job_worker
from tests.upload_store import UploadStore, open_upload_store

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The command line of an installation in *tmp_path*."""
    two_tenants(f"sqlite:///{tmp_path / 'pustaka.db'}").close()
    app = create_app(load_settings(_env_file=None, data_dir=tmp_path))
    return lambda *words: app.test_cli_runner().invoke(args=list(words))


@pytest.fixture
def uploads(tmp_path: Path) -> Iterator[UploadStore]:
    with open_upload_store(tmp_path) as opened:
        yield opened


@pytest.fixture
def broken(uploads: UploadStore) -> str:
    """A document of acme that could not be read, beside one of globex that waits."""
    database, library = uploads.database, uploads.library
    taken = library.take(ACME, new_dataset(database, ACME), "broken.pdf", b"%PDF-1.7 and nothing more")
    with job_worker(database, uploads.document_files) as worker:
        worker.run_next()
    library.take(GLOBEX, new_dataset(database, GLOBEX), "b.txt", b"text")
    return taken.document.document_id


def listed(run: Run, tenant: str, *words: str) -> list[tuple[str, str]]:
    done = run("jobs", "list", "--tenant", tenant, "--json", *words)
    assert done.exit_code == 0, done.output
    return [(row["document_id"], row["status"]) for row in json.loads(done.output)]


def test_jobs_are_listed_with_what_went_wrong_and_what_to_do(run: Run, broken: str) -> None:
    told = run("jobs", "list", "--tenant", "acme").output
    assert broken in told
    assert "failed" in told
    assert "upload it again" in told
    assert listed(run, "acme", "--status", "pending") == []
    assert [status for _, status in listed(run, "globex")] == ["pending"]


def test_what_a_terminal_would_obey_in_names_is_not_printed(run: Run, uploads: UploadStore) -> None:
    run("datasets", "create", "\x1b]0;owned\x07Rules\u202e", "--tenant", "acme")
    assert "?]0;owned?Rules?" in run("datasets", "list", "--tenant", "acme").output
    dataset_id = new_dataset(uploads.database, ACME)
    uploads.library.take(ACME, dataset_id, "a\x1b[2J\u061c.txt", b"text")
    assert "a?[2J?.txt" in run("jobs", "list", "--tenant", "acme").output
    assert run("jobs", "list", "--tenant", "globex").output == "No jobs.\n"


def test_what_failed_is_tried_again_for_its_tenant_alone(run: Run, broken: str) -> None:
    assert run("jobs", "retry", "--tenant", "globex", broken).exit_code == 1
    assert run("jobs", "retry", "--tenant", "globex", "--failed").output == "0 begin again.\n"
    assert listed(run, "acme") == [(broken, "failed")]
    assert run("jobs", "retry", "--tenant", "acme", "--failed").output == "1 begin again.\n"
    assert listed(run, "acme") == [(broken, "pending")]
    assert run("jobs", "retry", "--tenant", "acme").exit_code == 2


def test_a_waiting_document_is_cancelled_by_its_tenant_alone(run: Run, broken: str) -> None:
    [(waiting, _)] = listed(run, "globex")
    assert run("jobs", "cancel", "--tenant", "acme", waiting).exit_code == 1
    assert run("jobs", "cancel", "--tenant", "globex", waiting).exit_code == 0
    assert listed(run, "globex") == [(waiting, "cancelled")]
    again = run("jobs", "cancel", "--tenant", "globex", waiting)
    assert again.exit_code == 1
    assert "cancelled" in again.output


def test_datasets_are_made_listed_and_deleted_with_their_documents(run: Run, broken: str, uploads: UploadStore) -> None:
    made = run("datasets", "create", "Rules", "--tenant", "acme").output.strip()
    rows = json.loads(run("datasets", "list", "--tenant", "acme", "--json").output)
    assert [(row["name"], row["documents"]) for row in rows] == [("Handbook", 1), ("Rules", 0)]
    assert run("datasets", "delete", made, "--yes", "--tenant", "globex").exit_code == 1
    run("bot", "create", "helper", "--tenant", "acme", "--name", "Helper", "--dataset", made)
    refused = run("datasets", "delete", made, "--yes", "--tenant", "acme")
    assert (refused.exit_code, "Bots answer from this dataset (helper)" in refused.stderr) == (1, True)
    run("bot", "remove", "helper", "--tenant", "acme")
    for row in rows:
        assert run("datasets", "delete", row["id"], "--yes", "--tenant", "acme").exit_code == 0
    assert json.loads(run("datasets", "list", "--tenant", "acme", "--json").output) == []
    assert listed(run, "acme") == []
    assert set(uploads.files.list_hashes(ACME)) == set()
    assert len(set(uploads.files.list_hashes(GLOBEX))) == 1
