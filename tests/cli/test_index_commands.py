"""`flask index`, beside a running service that has its engine to itself, and without it."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from app import create_app
from config import Settings, load_settings
from domain.keys import ensure_tenant
from tests.domain.records import two_tenants
from tests.fakes.model_server import FakeModelServer
from tests.indexing.index_site import add_rules, fill, settings_for
from tests.service import Service, ask

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def model() -> Iterator[FakeModelServer]:
    with FakeModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, model: FakeModelServer) -> Iterator[Service]:
    """A service with three documents, its vectors computed; two tenants have keys."""
    folder = tmp_path_factory.mktemp("indexes")
    documents = folder / "documents"
    documents.mkdir()
    for number in range(3):
        (documents / f"{number}.md").write_text(f"# Hall {number}\n\nA room in hall {number} costs {number}50 euros.\n")
    made = Service(
        folder / "data",
        KNOWLEDGE_DIR=str(documents),
        RATE_LIMIT_ENABLED="false",
        EMBEDDING_BASE_URL=model.base_url,
        EMBEDDING_MODEL="one",
    )
    with made as running:
        running.wait_for(lambda: status(running)[0]["vectors"] == 3)
        yield running


def status(of: Service | Settings) -> list[dict[str, Any]]:
    """What `flask index status --json` tells."""
    found: list[dict[str, Any]] = told(of, "status")
    return found


def run(of: Service | Settings, *arguments: str) -> Result:
    """`flask index` with the settings of a service; in this process, since each start takes seconds."""
    if isinstance(of, Service):
        of = load_settings(_env_file=None, **{name.lower(): value for name, value in of.variables.items()})
    return create_app(of).test_cli_runner().invoke(args=["index", *arguments])


def told(of: Service | Settings, *arguments: str, code: int = 0) -> Any:
    """What a command tells to programs."""
    done = run(of, *arguments, "--json")
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def refusal(service: Service, *arguments: str) -> str:
    """The one line of a command that is refused."""
    done = run(service, *arguments)
    assert (done.exit_code, done.stdout) == (1, ""), done.output
    [line] = done.stderr.splitlines()
    return line


def test_status_tells_model_share_and_size(service: Service) -> None:
    [index] = status(service)
    assert (index["number"], index["state"], index["model"], index["dimension"]) == (1, "serving", "one", 384)
    assert (index["passages"], index["words"], index["vectors"], index["share"]) == (3, 3, 3, 1)
    assert index["size_bytes"] > 0
    assert "1  serving   one (384 numbers)" in run(service, "status").stdout
    assert "passages of 220 tokens, 400 at most" in run(service, "status").stdout


def test_what_cannot_be_done_is_one_line_and_exit_code_1(service: Service, tmp_path: Path) -> None:
    assert "There is no index 7" in refusal(service, "switch", "7")
    assert "serves already" in refusal(service, "switch", "1", "--force")
    assert "answers the questions" in refusal(service, "drop", "1")
    assert "no former index to go back to" in refusal(service, "rollback")
    assert "There is no tenant 'nobody'" in refusal(service, "export", str(tmp_path / "f.zip"), "--tenant", "nobody")
    assert "cannot be read" in refusal(service, "import", str(tmp_path / "f.zip"))


def test_documents_go_to_another_tenant_by_the_service_that_has_the_engine(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "documents.zip"
    assert "There is no tenant 'globex'" in refusal(service, "import", str(path), "--tenant", "globex")
    key = service.new_key("globex")
    assert told(service, "export", str(path))["vectors"] == 3
    assert told(service, "import", str(path), "--tenant", "globex") == {
        **{"added": 3, "changed": 0, "unchanged": 0, "reused": 3, "to_embed": 0}
    }
    with service.client(key) as client:
        answer = ask(client, "How much does a room in hall 2 cost?").json()
    assert "250 euros" in answer["answer"]
    with service.client() as client:
        assert "250 euros" in ask(client, "How much does a room in hall 2 cost?").json()["answer"]


def test_a_scan_finds_what_sql_forgot_and_repairs_it(service: Service) -> None:
    with sqlite3.connect(service.data_dir / "pustaka.db") as records:  # as if a backup from before it were put back
        [lost] = records.execute(
            "SELECT document_id FROM documents WHERE source LIKE '%1.md' AND tenant_id = 'default'"
        )
        records.execute("DELETE FROM chunks WHERE document_id = ?", lost)
        records.execute("DELETE FROM documents WHERE document_id = ?", lost)
        records.execute("DELETE FROM document_versions WHERE document_id = ?", lost)
    found = told(service, "scan", code=1)
    assert found["indexes"]["1"] == {"unknown": 1, "stale": 0, "missing": 0, "vectors": 0}
    assert found["files"]["unknown"] == 2
    assert told(service, "scan", "--repair") == found
    done = run(service, "scan")
    assert (done.exit_code, done.stdout) == (0, "index 1: complete, nothing left over\n")


@pytest.fixture
def at_rest(model: FakeModelServer, tmp_path: Path) -> Settings:
    """An installation of two tenants with six passages each that is not running."""
    settings = settings_for(tmp_path, model, "one")
    database = two_tenants(f"sqlite:///{tmp_path / 'pustaka.db'}")
    with database.open_write_session() as session:
        ensure_tenant(session, "third")
    add_rules(database)
    asyncio.run(fill(settings, database))
    database.close()
    return settings


def test_the_share_of_vectors_is_that_of_the_vectors_alone(at_rest: Settings, tmp_path: Path) -> None:
    assert "12 of 12 passages, 12 vectors (100%)" in run(at_rest, "status").stdout
    with sqlite3.connect(tmp_path / "pustaka.db") as records:
        records.execute("UPDATE chunks SET vectors_in = 0 WHERE tenant_id = 'acme'")
    assert "12 of 12 passages, 6 vectors (50%)" in run(at_rest, "status").stdout
    assert status(at_rest)[0]["share"] == 0.75


def test_without_the_service_the_commands_open_the_engine_themselves(at_rest: Settings, tmp_path: Path) -> None:
    found = told(at_rest, "scan", code=1)
    assert found["indexes"] == {"1": {"unknown": 0, "stale": 0, "missing": 0, "vectors": 0}}
    assert found["files"] == {"unknown": 0, "missing": 12}  # these documents never had any
    path = tmp_path / "documents.zip"
    assert told(at_rest, "export", str(path), "--tenant", "globex")["vectors"] == 6
    assert told(at_rest, "import", str(path), "--tenant", "third")["reused"] == 6
    assert [each["vectors"] for each in status(at_rest)] == [18]
