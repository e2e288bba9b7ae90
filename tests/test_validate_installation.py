"""`validate.py` on installations: healthy ones pass and stay as they are; incomplete ones are named.

Whole runs are processes, as is whatever is about the command or the interpreter; the others are checks in this one.
"""

import ast
import asyncio
import re
import shutil
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bootstrap.checks.settings import Installation
from bootstrap.checks.sources import check_old_formats, check_recognition
from config import Settings
from domain.db_opening import open_database
from providers.ocr.chosen import find_available
from retrieval.server import ServerIndex
from tests.fakes.model_server import FakeModelServer
from tests.fakes.qdrant_server import FakeQdrantServer
from tests.ocr import tesseract_installed
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.service import ROOT, Service, free_port
from tests.validation import check, run, validate

pytestmark = pytest.mark.long

SECRET = "s3cret-of-this-set-up"
_MODEL = "multilingual-e5-small-q4"
_TABLES = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"


def _free_ports() -> dict[str, str]:
    return {"PORT": str(free_port()), "STREAMLIT_PORT": str(free_port())}


def test_nothing_configured_passes_and_nothing_is_made(tmp_path: Path) -> None:
    report = validate(tmp_path, **_free_ports())
    assert report.code == 0, report.text
    assert report.failing == report.warned_of == []
    assert list(tmp_path.iterdir()) == []
    assert {"Application", "Agent graph", "Document parsers", "Embedding model", "Dockerfile"} <= report.checked
    assert [(row["group"], row["found"]) for row in report.of("Malware scanner")] == [
        ("Malware", "off, since CLAMD_ADDRESS is not set: files are not scanned")
    ]
    assert {".docx", ".pptx", ".xlsx", ".eml"} <= set(report.of("Document parsers")[0]["found"].split())


def test_old_formats_that_are_not_read_are_named_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    [finding] = check_old_formats(Installation(ROOT, Settings(_env_file=None)))
    assert finding.level == "skipped"
    assert "apt-get install --no-install-recommends libreoffice-writer libreoffice-impress" in finding.found


def test_the_text_recognition_is_named_and_one_that_is_missing_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tesseract_installed()

    def check_again(**variables: Any) -> tuple[str, str]:
        find_available.cache_clear()
        [finding] = check_recognition(Installation(ROOT, Settings(_env_file=None, **variables)))
        return finding.level, finding.found + finding.remedy

    try:
        assert check_again() == ("ok", "scanned pages are read by rapidocr")
        monkeypatch.setitem(sys.modules, "rapidocr", None)  # as if not installed
        assert check_again() == ("ok", "scanned pages are read by tesseract")
        monkeypatch.setenv("PATH", str(tmp_path))
        level, missing = check_again()
        assert (level, "Tesseract with its data for eng, ind, spa" in missing) == ("warning", True)
        assert check_again(ocr_enabled=False)[0] == "skipped"
    finally:
        find_available.cache_clear()


def test_production_stores_pass_and_nothing_is_made_in_them(
    tmp_path: Path, postgres: PostgresServer, model_server: FakeModelServer
) -> None:
    model_server.reset()
    uri = postgres.new_database()
    with RedisServer(tmp_path / "redis", password=SECRET) as redis, FakeQdrantServer(api_key=SECRET) as qdrant:
        endpoints = {"LLM_BASE_URL": model_server.base_url, "LLM_MODEL": "fake", "LLM_API_KEY": SECRET}
        embeddings = {"EMBEDDING_BASE_URL": model_server.base_url, "EMBEDDING_API_KEY": SECRET}
        stores = {"REDIS_URL": redis.url, "QDRANT_URL": qdrant.url, "QDRANT_API_KEY": SECRET, "DATABASE_URI": uri}
        report = validate(tmp_path, WORKERS="4", API_KEY=SECRET, **endpoints, **embeddings, **stores, **_free_ports())
        keys = redis.run("DBSIZE")
        asked = {request.split()[0] for request in qdrant.requests}
    assert report.code == 0, report.text
    assert report.failing == []
    assert SECRET not in report.text
    assert keys == 0
    assert asked == {"GET"}
    with psycopg.connect(uri) as connection:
        assert connection.execute(_TABLES).fetchone() == (0,)
    # Refused by any endpoint, and so never paid for.
    assert [request["body"]["messages"] for request in model_server.requests() if request["kind"] == "chat"] == [[]]
    assert not (tmp_path / "data").exists()


async def test_what_is_in_the_stores_is_told(tmp_path: Path, postgres: PostgresServer) -> None:
    uri = postgres.new_database()
    database = open_database(uri)
    database.migrate()
    database.close()
    with FakeQdrantServer() as qdrant:
        index = ServerIndex(
            qdrant.url, api_key=None, collection="ours", dimension=384, model="multilingual-e5-small-q4"
        )
        await index.prepare()
        await index.close()
        stores = {"DATABASE_URI": uri, "QDRANT_URL": qdrant.url, "QDRANT_COLLECTION_NAME": "ours"}
        report = await asyncio.to_thread(check, tmp_path, "Stores", "Search", **stores)
    assert report.failing == [], report.text
    assert re.search(r"\d{4}, the newest", report.of("Database")[0]["found"])
    assert "collection ours of 384 numbers, 0 points" in report.of("Qdrant")[0]["found"]


def test_a_running_service_is_recognised_and_asked(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    with Service(tmp_path / "data", KNOWLEDGE_DIR=str(tmp_path / "documents")) as service:
        report = check(tmp_path, "Servers", "Folders", "Stores", **service.variables)
        assert report.failing == [], report.text
        assert f"process {service.process.pid}" in report.of("Lock")[0]["found"]
        assert "the service runs" in report.of("PORT")[0]["found"]
        assert [row["level"] for check in ("/health", "/ready", "Database") for row in report.of(check)] == ["ok"] * 3
        with service.client() as client:
            assert client.get("/ready").status_code == 200


def test_an_env_file_is_looked_at_without_telling_what_is_in_it(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text(f"API_KEY={SECRET}\nREDIS_URLL=redis://:{SECRET}@localhost/0\n{SECRET}\nOTHER_PROGRAM=1\n")
    env.chmod(0o644)
    report = validate(tmp_path, "--only=configuration")
    assert (report.code, report.warned_of) == (0, [".env", "REDIS_URLL"])
    assert "REDIS_URL" in report.of("REDIS_URLL")[0]["remedy"]
    assert "chmod 600" in report.of(".env")[0]["remedy"]
    assert SECRET not in report.text
    assert validate(tmp_path, "--strict", "--only=configuration").code == 1
    env.chmod(0o600)
    assert check(tmp_path, "Configuration").warned_of == ["REDIS_URLL"]


def test_offline_nothing_configured_is_asked(tmp_path: Path) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    stores = {"REDIS_URL": f"redis://{nobody}", "DATABASE_URI": f"postgresql://u:{SECRET}@{nobody}/d"}
    report = check(tmp_path, "Stores", offline=True, **stores)
    assert report.failing == [], report.text
    assert [row["level"] for check in ("Redis", "Database") for row in report.of(check)] == ["skipped", "skipped"]


def test_the_table_fits_its_width_and_is_plain_in_a_pipe(tmp_path: Path) -> None:
    report = run(tmp_path, "--only=configuration", WORKERS="4", TOGETHER_API_KEY=SECRET)
    assert report.code == 1
    assert max(map(len, report.text.splitlines())) <= 100
    assert "\x1b" not in report.text
    assert "WORKERS " in report.text
    assert "→ Unset WORKERS" in report.text
    assert "1 FAILURE" in report.text


def test_a_group_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    report = run(tmp_path, "--only", "everything")
    assert report.code == 2
    assert "Stores" in report.text


def test_missing_docker_files_and_gunicorn_settings_are_named(tmp_path: Path) -> None:
    (tmp_path / "Makefile").touch()
    (tmp_path / "docker-compose.yml").write_text("services: {app: {}}")
    report = check(tmp_path, "Deployment", root=tmp_path)
    missing = ["Dockerfile", "docker-compose.yml", ".dockerignore", "gunicorn.conf.py"]
    assert [name for name in report.failing if name != "Packages"] == missing


def test_an_image_is_not_blamed_for_files_it_does_not_hold(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("workers = 2")
    report = check(tmp_path, "Deployment", root=tmp_path)
    assert report.failing == ["Packages"], report.text
    assert report.of(".dockerignore")[0]["level"] == "skipped"
    assert "2 ×" in report.of("gunicorn.conf.py")[0]["found"]


def test_gunicorn_settings_that_cannot_be_loaded_are_named(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("raise SystemExit(1)")
    assert check(tmp_path, "Deployment", root=tmp_path).failing == ["Packages", "gunicorn.conf.py"]


def test_a_package_of_another_version_is_named(tmp_path: Path) -> None:
    pins = (ROOT / "requirements.txt").read_text().replace("\nredis==", "\nredis==1.")
    (tmp_path / "requirements.txt").write_text(pins + "no-such-package==1.0 ; python_version > '3'\n")
    report = check(tmp_path, "Folders", root=tmp_path)
    assert report.failing == ["Packages"], report.text
    found = report.of("Packages")[0]["found"]
    assert "redis is " in found
    assert "no-such-package is missing" in found
    assert found.count(";") == 1, "what other systems need is not missed"


def test_a_missing_package_is_named_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    python = _environment(tmp_path / "venv", without="redis")
    report = validate(tmp_path, "--only=stores", "--only=folders", python=python)
    assert report.failing == ["Packages", "Redis", "Database"], report.text
    assert "redis is missing" in report.of("Packages")[0]["found"]
    assert "redis cannot be imported" in report.of("Redis")[0]["found"]
    assert report.of("DATA_DIR")[0]["level"] == "ok"
    assert report.code == 1


def test_what_only_some_installations_need_is_not_missed(tmp_path: Path) -> None:
    python = _environment(tmp_path / "venv", without="opentelemetry")
    report = validate(tmp_path, "--only=modules", python=python)
    assert report.of("Utility modules")[0]["level"] == "ok", report.text


def test_without_any_package_it_says_what_to_install(tmp_path: Path) -> None:
    report = run(tmp_path, python=_environment(tmp_path / "venv", without=""))
    assert report.code == 1
    assert "dotenv cannot be imported" in " ".join(report.text.split())
    assert "make install" in report.text


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="the tests do not run in a virtual environment")
def test_the_systems_python_hands_over_to_the_services_own(copied: Path, tmp_path: Path) -> None:
    (copied / ".venv").symlink_to(sys.prefix)
    report = validate(tmp_path, "--only=folders", root=copied, python=Path(sys.base_prefix) / "bin" / "python3")
    assert report.code == 0, report.text
    assert str(copied / ".venv") in report.of("Python")[0]["found"]


def test_an_old_python_gets_as_far_as_being_told_so() -> None:
    ast.parse((ROOT / "validate.py").read_text(), feature_version=(3, 8))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The service's sources, to break."""
    ignored = shutil.ignore_patterns(".*cache*", "__pycache__", ".git", ".venv", ".hypothesis", "tests", "data")
    return Path(shutil.copytree(ROOT, tmp_path / "sources", ignore=ignored))


def _environment(folder: Path, *, without: str) -> Path:
    """The Python of a new environment with the packages of ours but those that begin with *without*."""
    venv.create(folder, symlinks=True)
    [target] = folder.glob("lib/python*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir() if without else ():
        if not entry.name.startswith(without):
            (target / entry.name).symlink_to(entry)
    return folder / "bin" / "python"
