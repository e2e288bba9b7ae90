"""The checks on broken set-ups: each is named by its row, with what to do, and nothing secret is told."""

import asyncio
import http.server
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from domain.db_opening import open_database
from domain.keys import create_key, ensure_tenant
from retrieval.server import ServerIndex
from tests.entailment_model import write_model
from tests.fakes.model_server import FakeModelServer
from tests.fakes.prosa_server import FakeProsaServer
from tests.fakes.qdrant_server import FakeQdrantServer
from tests.fakes.speech_server import FakeSpeechServer
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.service import free_port
from tests.validation import Report, check

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


def assert_failing(report: Report, name: str, *words: str) -> None:
    """One failure alone, of the check *name*, with *words* in what it says, something to do, and no secret."""
    assert report.failing == [name], report.text
    [row] = [row for row in report.of(name) if row["level"] == "FAILURE"]
    for word in words:
        assert word in f"{row['found']} {row['remedy']}"
    assert row["remedy"]
    assert SECRET not in report.text


# What is wrong: the group, the variables, the check that fails, and words of what it says.
BROKEN: dict[str, tuple[str, dict[str, str], str, tuple[str, ...]]] = {
    "a wrong Redis password": ("Stores", {"REDIS_URL": "{redis_wrong}"}, "Redis", ("password",)),
    "a Redis that is an HTTP server": ("Stores", {"REDIS_URL": "redis://:{key}@{http}/0"}, "Redis", ("REDIS_URL",)),
    "a Redis that never answers": ("Stores", {"REDIS_URL": "redis://:{key}@{silent}/0"}, "Redis", ("does not answer",)),
    "nothing at REDIS_URL": ("Stores", {"REDIS_URL": "redis://:{key}@{nobody}/0"}, "Redis", ()),
    "a wrong Qdrant key": (
        "Search",
        {"QDRANT_URL": "{qdrant}", "QDRANT_API_KEY": "{key}-but-wrong", "EMBEDDING_BASE_URL": "{model}"},
        "Qdrant",
        ("QDRANT_API_KEY",),
    ),
    "an embedding endpoint of another dimension": (
        "Search",
        {"EMBEDDING_BASE_URL": "{model}", "EMBEDDING_API_KEY": "{key}", "EMBEDDING_DIMENSION": "7"},
        "Embedding model",
        ("384", "EMBEDDING_DIMENSION"),
    ),
    "a file that is no database": ("Stores", {"DATA_DIR": "{no_database}"}, "Database", ("SQLite",)),
    "a data folder that is a file": ("Folders", {"DATA_DIR": "{file}"}, "DATA_DIR", ("file",)),
    "a data folder in a file": ("Folders", {"DATA_DIR": "{file}/data"}, "DATA_DIR", ("file",)),
    "a logo that is not there": ("Folders", {"CHAT_LOGO": "logo.svg"}, "CHAT_LOGO", ("logo.svg",)),
    "a certificate that is not there": (
        "Folders",
        {"SSL_CERT_PATH": "no.crt", "SSL_KEY_PATH": "no.key"},
        "SSL_CERT_PATH",
        ("no.crt", "PEM"),
    ),
    "a module of tools that is not there": (
        "Configuration",
        {"TOOL_MODULES": "nosuchtools"},
        "TOOL_MODULES",
        ("nosuchtools", "PYTHONPATH"),
    ),
    "settings that contradict each other": (
        "Configuration",
        {"EMBEDDING_PROVIDER": "openai"},
        "EMBEDDING_PROVIDER",
        ("EMBEDDING_BASE_URL",),
    ),
    "workers on embedded stores": (
        "Configuration",
        {"WORKERS": "4"},
        "WORKERS",
        ("4 processes", "REDIS_URL and QDRANT_URL"),
    ),
    "an API key that is too short": (
        "Configuration",
        {"API_KEY": "fifteen-letters"},
        "API_KEY",
        ("16 characters", "secrets.token_urlsafe"),
    ),
    "a chat model that refuses the key": (
        "Answers",
        {"LLM_BASE_URL": "http://{http}/v1", "LLM_API_KEY": "{key}"},
        "Chat model",
        ("401", "LLM_API_KEY"),
    ),
    "a chat model that refuses the key and shows its models": (
        "Answers",
        {"LLM_BASE_URL": "http://{http}/open/v1", "LLM_API_KEY": "{key}"},
        "Chat model",
        ("401", "LLM_API_KEY"),
    ),
    "a port that another program holds": (
        "Servers",
        {"PORT": "{http_port}", "STREAMLIT_ENABLED": "false"},
        "PORT",
        ("in use",),
    ),
    "a metrics port that another program holds": (
        "Servers",
        {
            **{"PORT": "{free_port}", "STREAMLIT_ENABLED": "false"},
            **{"PROMETHEUS_ENABLED": "true", "METRICS_PORT": "{http_port}"},
        },
        "METRICS_PORT",
        ("in use",),
    ),
    "a wrong Sentry address": (
        "Reporting",
        {"SENTRY_DSN": "https://{key}.example.org"},
        "Sentry",
        ("SENTRY_DSN",),
    ),
    "tracing without a key": ("Reporting", {"LANGCHAIN_TRACING_V2": "true"}, "LangSmith", ("LANGCHAIN_API_KEY",)),
}


@pytest.fixture(scope="module")
def places(
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: RedisServer,
    qdrant: FakeQdrantServer,
    refusing: str,
    model_server: FakeModelServer,
) -> Iterator[dict[str, str]]:
    """What stands in braces in `BROKEN`."""
    folder = tmp_path_factory.mktemp("places")
    (folder / "file").write_text("")
    (folder / "pustaka.db").write_text("not a database, but quite long enough to be taken for one" * 50)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield {
            "key": SECRET,
            "redis_wrong": redis_server.url_of(password=f"{SECRET}-but-wrong"),
            "qdrant": qdrant.url,
            "http": refusing,
            "http_port": refusing.partition(":")[2],
            "silent": f"127.0.0.1:{silent.getsockname()[1]}",
            "nobody": f"127.0.0.1:{free_port()}",
            "free_port": str(free_port()),
            "model": model_server.base_url,
            "no_database": str(folder),
            "file": str(folder / "file"),
        }


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_wrong_is_named(tmp_path: Path, places: dict[str, str], what: str) -> None:
    group, variables, name, words = BROKEN[what]
    given = {variable: value.format(**places) for variable, value in variables.items()}
    assert_failing(check(tmp_path, group, **given), name, *words)


def test_a_redis_that_forgets_is_warned_of(tmp_path: Path) -> None:
    options = {"maxmemory": "50mb", "maxmemory-policy": "allkeys-lru"}
    with RedisServer(tmp_path / "redis", options=options) as server:
        report = check(tmp_path, "Stores", REDIS_URL=server.url)
    assert (report.failing, report.warned_of) == ([], ["Redis"]), report.text


async def test_a_collection_of_another_model_is_said_to_get_one_beside_it(
    tmp_path: Path, qdrant: FakeQdrantServer, model_server: FakeModelServer
) -> None:
    index = ServerIndex(qdrant.url, api_key=SECRET, collection="other", dimension=8, model="another")
    await index.prepare()
    await index.close()
    variables = {"QDRANT_URL": qdrant.url, "QDRANT_API_KEY": SECRET, "QDRANT_COLLECTION_NAME": "other"}
    report = await asyncio.to_thread(check, tmp_path, "Search", **variables, **fake_embedding(model_server))
    assert report.failing == [], report.text
    assert "other was made with another, which goes on answering" in report.of("Qdrant")[0]["found"]


def test_a_wrong_postgres_password_is_named(tmp_path: Path, postgres: PostgresServer) -> None:
    uri = postgres.url_of("postgres", password=f"{SECRET}/@")
    report = check(tmp_path, "Stores", DATABASE_URI=uri)
    assert_failing(report, "Database", "password")
    assert quote(SECRET, safe="") not in report.text


def test_a_postgres_database_of_a_newer_version_is_named(tmp_path: Path, postgres: PostgresServer) -> None:
    uri = postgres.new_database()
    _mark_as_newer(psycopg.connect(uri, autocommit=True))
    assert_failing(check(tmp_path, "Stores", DATABASE_URI=uri), "Database", "9999", "newer version")


def test_a_sqlite_database_of_a_newer_version_is_named(tmp_path: Path) -> None:
    file = tmp_path / "data" / "pustaka.db"
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")  # as the service does: then even a reader would leave files
    _mark_as_newer(connection)
    before = file.read_bytes()
    assert_failing(check(tmp_path, "Stores"), "Database", "9999", "newer version")
    assert file.read_bytes() == before
    assert sorted(path.name for path in file.parent.iterdir()) == ["pustaka.db"]


def test_a_damaged_sqlite_database_is_named_wherever_the_damage_is(tmp_path: Path) -> None:
    file = tmp_path / "data" / "pustaka.db"
    database = open_database(f"sqlite:///{file}")
    database.migrate()
    with database.open_write_session() as session:
        ensure_tenant(session, "x" * 60)
        for number in range(2000):
            create_key(session, "x" * 60, f"key {number}")
    database.close()
    assert check(tmp_path, "Stores").failing == []
    with file.open("r+b") as opened:  # pages that nobody reads at a start
        opened.seek(file.stat().st_size // 2)
        opened.write(b"\xff" * 16384)
    told = f"{file} is no SQLite database, or is damaged"
    assert_failing(check(tmp_path, "Stores"), "Database", told, "restore a backup")


def _mark_as_newer(connection: "sqlite3.Connection | psycopg.Connection[tuple[object, ...]]") -> None:
    connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    connection.close()


def test_a_wrong_value_is_named_and_the_rest_is_looked_at(tmp_path: Path, refusing: str) -> None:
    variables = {"REDIS_PORT": "many", "LLM_BASE_URL": f"http://{refusing}/v1", "LLM_API_KEY": SECRET}
    report = check(tmp_path, "Stores", "Answers", **variables)
    assert set(report.failing) == {"REDIS_PORT", "Chat model"}, report.text
    assert "'many'" in report.of("REDIS_PORT")[0]["found"]
    assert report.of("Redis")[0]["level"] == "skipped"
    assert report.of("Database")[0]["level"] == "ok"


def test_settings_of_which_one_is_wrong_are_not_called_well_together(tmp_path: Path) -> None:
    report = check(tmp_path, "Configuration", CHUNK_TOKENS="900")
    [together] = report.of("Settings together")
    assert (report.failing, together["level"]) == (["CHUNK_MAX_TOKENS"], "skipped"), report.text
    assert together["found"] == "not judged as a whole, because CHUNK_MAX_TOKENS and CHUNK_TOKENS cannot be used"


def test_contradictions_are_all_named_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700, exist_ok=True)
    variables = {
        **{"EMBEDDING_PROVIDER": "openai", "RERANK_BASE_URL": "http://r"},
        **{"CHUNK_TOKENS": "900", "REDIS_PORT": "many"},
    }
    report = check(tmp_path, "Stores", **variables)
    wrong = {"REDIS_PORT", "EMBEDDING_PROVIDER", "RERANK_BASE_URL", "CHUNK_MAX_TOKENS"}
    assert set(report.failing) == wrong, report.text
    assert len(report.failing) == len(wrong)
    assert report.of("Database")[0]["level"] == "ok"


def test_a_misspelt_variable_of_the_environment_is_warned_of(tmp_path: Path) -> None:
    report = check(tmp_path, "Configuration", LLM_MODLE="m", QDRANT_APIKEY=SECRET)
    assert sorted(report.warned_of) == ["LLM_MODLE", "QDRANT_APIKEY"], report.text
    assert report.of("LLM_MODLE")[0] | {"group": ""} == {
        "group": "",
        "check": "LLM_MODLE",
        "level": "warning",
        "found": "This variable in the environment is not known to the service.",
        "remedy": "Is LLM_MODEL meant?",
    }
    assert SECRET not in report.text


def test_a_chat_model_that_its_endpoint_does_not_have_is_warned_of(
    tmp_path: Path, model_server: FakeModelServer
) -> None:
    model_server.reset()
    report = check(tmp_path, "Answers", LLM_BASE_URL=model_server.base_url, LLM_MODEL="gpt-17")
    assert (report.failing, report.warned_of) == ([], ["Chat model"]), report.text
    assert "gpt-17 is not among its 2 models" in report.of("Chat model")[0]["found"]


def test_prosa_is_asked_for_a_session_and_a_refused_key_and_a_redirect_are_named(tmp_path: Path) -> None:
    with FakeProsaServer(SECRET) as prosa:
        keys = {"PROSA_STT_API_KEY": SECRET, "PROSA_TTS_API_KEY": SECRET, "PROSA_TTS_URL": f"{prosa.url}/tts"}
        report = check(tmp_path, "Voice", PROSA_STT_URL=f"{prosa.url}/stt", **keys)
        assert {one["path"]: one.get("sound") for one in prosa.sessions} == {"stt": b"", "tts": None}
        prosa.reset()
        prosa.key = "another"
        refused = check(tmp_path, "Voice", PROSA_STT_URL=f"{prosa.url}/moved", **keys)
        assert prosa.sessions == []
    assert report.failing == [], report.text
    assert "opens a session" in report.of("Speech to text")[0]["found"]
    assert "redirects" in refused.of("Speech to text")[0]["found"]
    assert "PROSA_TTS_API_KEY" in refused.of("Text to speech")[0]["remedy"]
    assert SECRET not in report.text + refused.text


def test_endpoints_of_speech_are_asked_and_one_that_refuses_the_key_is_named(tmp_path: Path, refusing: str) -> None:
    with FakeSpeechServer() as speech:
        speech.statuses = [422, 422]  # to a text without words, and no recording
        urls = dict.fromkeys(("STT_BASE_URL", "TTS_BASE_URL", "EMOTION_ANALYSIS_URL"), speech.base_url)
        report = check(tmp_path, "Voice", **urls, TTS_API_KEY=SECRET, VOICE_EMOTION="on")
        asked = [one["path"] for one in speech.requests]
        assert (speech.look_count, asked) == (1, ["/v1/audio/speech", "/v1/predict?text="])
    assert report.failing == report.warned_of == [], report.text
    assert "whisper-1 at" in report.of("Speech to text")[0]["found"]
    assert "tts-1 at" in report.of("Text to speech")[0]["found"]
    assert "no recording was sent" in report.of("Emotions")[0]["found"]
    elsewhere = check(tmp_path, "Voice", VOICE_EMOTION="on", EMOTION_ANALYSIS_URL=f"http://{refusing}/nothing")
    assert elsewhere.failing == ["Emotions"], elsewhere.text
    assert "EMOTION_ANALYSIS_URL" in elsewhere.of("Emotions")[0]["remedy"]
    key = {"STT_BASE_URL": f"http://{refusing}/open/v1", "STT_API_KEY": SECRET}
    refused = check(tmp_path, "Voice", **key)
    assert refused.failing == ["Speech to text"], refused.text
    assert "STT_API_KEY" in refused.of("Speech to text")[0]["remedy"]
    assert SECRET not in report.text + refused.text
    assert check(tmp_path, "Voice").of("Speech to text") == []


def test_a_reranker_that_answers_is_found_and_one_that_refuses_the_key_is_warned_of(
    tmp_path: Path, model_server: FakeModelServer, refusing: str
) -> None:
    model_server.reset()
    variables = {"RERANK_API_KEY": SECRET, "RERANK_MODEL": "orders", **fake_embedding(model_server)}
    found = check(tmp_path, "Search", RERANK_BASE_URL=model_server.base_url, **variables)
    assert "orders at" in found.of("Reranker")[0]["found"]
    refused = check(tmp_path, "Search", RERANK_BASE_URL=f"http://{refusing}/v1", **variables)
    assert (refused.failing, refused.warned_of) == ([], ["Reranker"]), refused.text
    assert "RERANK_API_KEY" in refused.of("Reranker")[0]["remedy"]


def test_a_model_for_entailment_is_put_to_a_use_and_a_folder_without_one_named(tmp_path: Path) -> None:
    passage = "The library opens at eight."
    folder = write_model(tmp_path / "model", [passage], "pairs")
    found = check(tmp_path, "Verification", VERIFY_MODEL_PATH=str(folder))
    assert (found.failing, found.warned_of) == ([], []), found.text
    blind = write_model(tmp_path / "blind", [passage], "pairs", {0: "entailment", 1: "other"})
    assert check(tmp_path, "Verification", VERIFY_MODEL_PATH=str(blind)).warned_of == ["Entailment model"]
    (folder / "model.onnx").unlink()
    missing = check(tmp_path, "Verification", VERIFY_MODEL_PATH=str(folder)).of("Entailment model")[0]
    assert (missing["level"], "model.onnx" in missing["found"]) == ("FAILURE", True)
    assert "VERIFY_MODEL_PATH" in missing["remedy"]
    assert not check(tmp_path, "Verification").of("Entailment model")


def fake_embedding(model_server: FakeModelServer) -> dict[str, str]:
    """Quicker to look at than the model that comes with the service."""
    return {
        "EMBEDDING_BASE_URL": model_server.base_url,
        "EMBEDDING_API_KEY": SECRET,
        "EMBEDDING_MODEL": "fake-embedding",
    }


def test_an_api_key_out_of_an_example_is_named(tmp_path: Path) -> None:
    report = check(tmp_path, "Configuration", API_KEY="your-secret-api-key", HOST="0.0.0.0", FLASK_DEBUG="1")  # noqa: S104 - nothing listens
    assert report.failing == ["FLASK_DEBUG", "API_KEY"]
    assert report.warned_of == ["CORS_ORIGINS", "TRUSTED_HOSTS"]


def test_a_sentry_server_that_is_away_is_warned_of(tmp_path: Path, refusing: str) -> None:
    away = check(tmp_path, "Reporting", SENTRY_DSN=f"http://{SECRET}@127.0.0.1:{free_port()}/1")
    assert (away.failing, away.warned_of) == ([], ["Sentry"]), away.text
    there = check(tmp_path, "Reporting", SENTRY_DSN=f"http://{SECRET}@{refusing}/1")
    assert (there.failing, there.warned_of) == ([], []), there.text
    assert SECRET not in away.text + there.text
