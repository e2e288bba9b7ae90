"""`validate.py` on broken set-ups: each is named by its row, with what to do, and nothing secret is told."""

import http.server
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from retrieval.server import ServerIndex
from tests.fakes.model_server import FakeModelServer
from tests.fakes.qdrant_server import FakeQdrantServer
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.service import free_port
from tests.validation import Report, validate

SECRET = "s3cret-of-this-set-up"


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), password=SECRET) as server:
        yield server


@pytest.fixture(scope="module")
def qdrant() -> Iterator[FakeQdrantServer]:
    with FakeQdrantServer(api_key=SECRET) as server:
        yield server


class _Refusing(http.server.BaseHTTPRequestHandler):
    """Shows its models to everybody where the path begins with /open; whatever else is asked, the key is wrong."""

    def do_GET(self) -> None:
        if self.path == "/open/v1/models":
            self._answer(200, b'{"object": "list", "data": [{"id": "gpt-4o-mini", "object": "model"}]}')
        else:
            self._answer(401, b'{"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}')

    do_POST = do_GET

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def refusing() -> Iterator[str]:
    """Host and port of an HTTP server that answers 401 to nearly everything."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _with_a_data_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()


def assert_failing(report: Report, check: str, *words: str) -> None:
    """One failure alone, of *check*, with *words* in what it says, something to do, and no secret."""
    assert report.failing == [check], report.text
    assert report.code == 1
    [row] = [row for row in report.of(check) if row["level"] == "FAILURE"]
    for word in words:
        assert word in f"{row['found']} {row['remedy']}"
    assert row["remedy"]
    assert SECRET not in report.text


def test_a_wrong_redis_password_is_named(tmp_path: Path, redis_server: RedisServer) -> None:
    wrong = redis_server.url_of(password=f"{SECRET}-but-wrong")
    assert_failing(validate(tmp_path, only="stores", REDIS_URL=wrong), "Redis", "password")


def test_a_redis_that_is_an_http_server_is_named(tmp_path: Path, refusing: str) -> None:
    report = validate(tmp_path, only="stores", REDIS_URL=f"redis://:{SECRET}@{refusing}/0")
    assert_failing(report, "Redis", "REDIS_URL")


def test_a_redis_that_never_answers_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://:{SECRET}@127.0.0.1:{silent.getsockname()[1]}/0"
        assert_failing(validate(tmp_path, only="stores", REDIS_URL=url), "Redis", "does not answer")


def test_a_redis_that_forgets_is_warned_of(tmp_path: Path) -> None:
    options = {"maxmemory": "50mb", "maxmemory-policy": "allkeys-lru"}
    with RedisServer(tmp_path / "redis", options=options) as server:
        report = validate(tmp_path, only="stores", REDIS_URL=server.url)
    assert (report.code, report.warned_of) == (0, ["Redis"]), report.text


def test_nothing_at_redis_url_is_named(tmp_path: Path) -> None:
    report = validate(tmp_path, only="stores", REDIS_URL=f"redis://:{SECRET}@127.0.0.1:{free_port()}/0")
    assert_failing(report, "Redis")


async def test_a_collection_of_another_model_is_said_to_get_one_beside_it(
    tmp_path: Path, qdrant: FakeQdrantServer
) -> None:
    index = ServerIndex(qdrant.url, api_key=SECRET, collection="other", dimension=8, model="another")
    await index.prepare()
    await index.close()
    report = validate(
        tmp_path, only="search", QDRANT_URL=qdrant.url, QDRANT_API_KEY=SECRET, QDRANT_COLLECTION_NAME="other"
    )
    assert report.code == 0, report.text
    assert "other was made with another, which goes on answering" in " ".join(report.text.split())


def test_a_wrong_qdrant_key_is_named(tmp_path: Path, qdrant: FakeQdrantServer) -> None:
    report = validate(tmp_path, only="search", QDRANT_URL=qdrant.url, QDRANT_API_KEY=f"{SECRET}-but-wrong")
    assert_failing(report, "Qdrant", "QDRANT_API_KEY")


def test_a_wrong_postgres_password_is_named(tmp_path: Path, postgres: PostgresServer) -> None:
    uri = postgres.url_of("postgres", password=f"{SECRET}/@")
    report = validate(tmp_path, only="stores", DATABASE_URI=uri)
    assert_failing(report, "Database", "password")
    assert quote(SECRET, safe="") not in report.text


def test_a_postgres_database_of_a_newer_version_is_named(tmp_path: Path, postgres: PostgresServer) -> None:
    uri = postgres.new_database()
    _mark_as_newer(psycopg.connect(uri, autocommit=True))
    assert_failing(validate(tmp_path, only="stores", DATABASE_URI=uri), "Database", "9999", "newer version")


def test_a_sqlite_database_of_a_newer_version_is_named(tmp_path: Path) -> None:
    file = tmp_path / "data" / "pustaka.db"
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")  # as the service does: then even a reader would leave files
    _mark_as_newer(connection)
    before = file.read_bytes()
    assert_failing(validate(tmp_path, only="stores"), "Database", "9999", "newer version")
    assert file.read_bytes() == before
    assert sorted(path.name for path in file.parent.iterdir()) == ["pustaka.db"]


def _mark_as_newer(connection: "sqlite3.Connection | psycopg.Connection[tuple[object, ...]]") -> None:
    connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    connection.close()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "data" / "pustaka.db").write_text("not a database, but quite long enough to be taken for one" * 50)
    assert_failing(validate(tmp_path, only="stores"), "Database", "SQLite")


def test_a_data_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_failing(validate(tmp_path, only="folders", DATA_DIR=str(tmp_path / "file")), "DATA_DIR", "file")
    assert_failing(validate(tmp_path, only="folders", DATA_DIR=str(tmp_path / "file" / "data")), "DATA_DIR", "file")


def test_a_wrong_value_is_named_and_the_rest_is_looked_at(tmp_path: Path, refusing: str) -> None:
    report = validate(
        tmp_path,
        "--only=stores",
        "--only=answers",
        REDIS_PORT="many",
        LLM_BASE_URL=f"http://{refusing}/v1",
        LLM_API_KEY=SECRET,
    )
    assert set(report.failing) == {"REDIS_PORT", "Chat model"}, report.text
    assert "'many'" in report.of("REDIS_PORT")[0]["found"]
    assert report.of("Redis")[0]["level"] == "skipped"
    assert report.of("Database")[0]["level"] == "ok"
    assert report.code == 1


def test_two_settings_that_contradict_each_other_are_named(tmp_path: Path) -> None:
    report = validate(tmp_path, only="configuration", EMBEDDING_PROVIDER="openai")
    assert_failing(report, "EMBEDDING_PROVIDER", "EMBEDDING_BASE_URL")


@pytest.mark.parametrize("path", ["v1", "open/v1"], ids=["all", "models-for-everybody"])
def test_a_chat_model_endpoint_that_refuses_the_key_is_named(tmp_path: Path, refusing: str, path: str) -> None:
    report = validate(tmp_path, only="answers", LLM_BASE_URL=f"http://{refusing}/{path}", LLM_API_KEY=SECRET)
    assert_failing(report, "Chat model", "401", "LLM_API_KEY")


def test_a_chat_model_that_its_endpoint_does_not_have_is_warned_of(
    tmp_path: Path, model_server: FakeModelServer
) -> None:
    model_server.reset()
    report = validate(tmp_path, only="answers", LLM_BASE_URL=model_server.base_url, LLM_MODEL="gpt-17")
    assert (report.code, report.warned_of) == (0, ["Chat model"]), report.text
    assert "gpt-17 is not among its 2 models" in report.of("Chat model")[0]["found"]


def test_an_embedding_endpoint_of_another_dimension_is_named(tmp_path: Path, model_server: FakeModelServer) -> None:
    model_server.reset()
    variables = {"EMBEDDING_BASE_URL": model_server.base_url, "EMBEDDING_API_KEY": SECRET, "EMBEDDING_DIMENSION": "7"}
    assert_failing(validate(tmp_path, only="search", **variables), "Embedding model", "384", "EMBEDDING_DIMENSION")


def test_a_reranker_that_answers_is_found_and_one_that_refuses_the_key_is_warned_of(
    tmp_path: Path, model_server: FakeModelServer, refusing: str
) -> None:
    model_server.reset()
    variables = {"RERANK_API_KEY": SECRET, "RERANK_MODEL": "orders", **fake_embedding(model_server)}
    found = validate(tmp_path, only="search", RERANK_BASE_URL=model_server.base_url, **variables)
    assert "orders at" in found.of("Reranker")[0]["found"]
    refused = validate(tmp_path, only="search", RERANK_BASE_URL=f"http://{refusing}/v1", **variables)
    assert (refused.failing, refused.warned_of) == ([], ["Reranker"]), refused.text
    assert "RERANK_API_KEY" in refused.of("Reranker")[0]["remedy"]


def fake_embedding(model_server: FakeModelServer) -> dict[str, str]:
    """Quicker to look at than the model that comes with the service."""
    return {
        "EMBEDDING_BASE_URL": model_server.base_url,
        "EMBEDDING_API_KEY": SECRET,
        "EMBEDDING_MODEL": "fake-embedding",
    }


def test_several_workers_on_embedded_stores_are_named(tmp_path: Path) -> None:
    report = validate(tmp_path, only="configuration", WORKERS="4")
    assert_failing(report, "WORKERS", "4 processes", "REDIS_URL and QDRANT_URL")


def test_a_port_that_another_program_holds_is_named(tmp_path: Path, refusing: str) -> None:
    report = validate(tmp_path, only="servers", PORT=refusing.partition(":")[2], STREAMLIT_ENABLED="false")
    assert_failing(report, "PORT", "in use")


def test_a_metrics_port_that_another_program_holds_is_named(tmp_path: Path, refusing: str) -> None:
    metrics = {"PROMETHEUS_ENABLED": "true", "METRICS_PORT": refusing.partition(":")[2]}
    report = validate(tmp_path, only="servers", PORT=str(free_port()), STREAMLIT_ENABLED="false", **metrics)
    assert_failing(report, "METRICS_PORT", "in use")


def test_an_api_key_out_of_an_example_is_named(tmp_path: Path) -> None:
    report = validate(tmp_path, only="configuration", API_KEY="your-secret-api-key", HOST="0.0.0.0", FLASK_DEBUG="1")  # noqa: S104 - nothing listens
    assert report.failing == ["FLASK_DEBUG", "API_KEY"]
    assert report.warned_of == ["CORS_ORIGINS", "TRUSTED_HOSTS"]


def test_an_api_key_that_is_too_short_is_named_with_the_way_to_a_good_one(tmp_path: Path) -> None:
    report = validate(tmp_path, only="configuration", API_KEY="fifteen-letters")
    assert_failing(report, "API_KEY", "16 characters", "secrets.token_urlsafe")


def test_a_logo_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert_failing(validate(tmp_path, only="folders", CHAT_LOGO="logo.svg"), "CHAT_LOGO", "logo.svg")


def test_a_wrong_sentry_address_is_named_and_one_that_is_away_warned_of(tmp_path: Path, refusing: str) -> None:
    wrong = validate(tmp_path, only="reporting", SENTRY_DSN=f"https://{SECRET}.example.org")
    assert_failing(wrong, "Sentry", "SENTRY_DSN")
    away = validate(tmp_path, only="reporting", SENTRY_DSN=f"http://{SECRET}@127.0.0.1:{free_port()}/1")
    assert (away.code, away.warned_of) == (0, ["Sentry"]), away.text
    there = validate(tmp_path, only="reporting", SENTRY_DSN=f"http://{SECRET}@{refusing}/1")
    assert (there.code, there.warned_of) == (0, []), there.text
    assert SECRET not in away.text + there.text


def test_tracing_without_a_key_is_named(tmp_path: Path) -> None:
    report = validate(tmp_path, only="reporting", LANGCHAIN_TRACING_V2="true")
    assert_failing(report, "LangSmith", "LANGCHAIN_API_KEY")
