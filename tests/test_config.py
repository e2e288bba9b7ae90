"""Settings: names, aliases, defaults, and errors that name the variable."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bootstrap.settings_text import make_texts
from config import Settings, SettingsError, list_variables, load_settings

ROOT = Path(__file__).resolve().parent.parent
GUIDE = [
    "API_KEY",
    "OPENAI_API_KEY",
    "OPENROUTER_API_KEY",
    "QDRANT_URL",
    "QDRANT_API_KEY",
    "QDRANT_COLLECTION_NAME",
    "REDIS_HOST",
    "REDIS_PORT",
    "CONVERSATION_TTL",
    "RATE_LIMIT_PER_HOUR",
    "CORS_ORIGINS",
    "FLASK_ENV",
    "FLASK_DEBUG",
    "HOST",
    "PORT",
    "TOGETHER_API_KEY",
    "PINECONE_API_KEY",
    "PINECONE_INDEX_NAME",
    "PROSA_STT_API_KEY",
    "PROSA_STT_URL",
    "PROSA_TTS_API_KEY",
    "PROSA_TTS_URL",
    "EMOTION_ANALYSIS_URL",
    "REDIS_DB",
    "REDIS_PASSWORD",
    "LANGCHAIN_TRACING_V2",
    "LANGCHAIN_API_KEY",
    "LANGCHAIN_PROJECT",
    "RATE_LIMIT_ENABLED",
    "MAX_CONTENT_LENGTH",
    "CACHE_ENABLED",
    "CACHE_TTL",
    "STT_TIMEOUT",
    "TTS_TIMEOUT",
    "EMOTION_TIMEOUT",
    "LLM_TIMEOUT",
    "EMBEDDING_PROVIDER",
    "EMBEDDING_MODEL",
]
MAINTENANCE_GUIDE = {
    "OPENAI_API_KEY", "OPENAI_MODEL_CHAT", "OPENAI_MODEL_STRUCT", "MAX_SQL_RETRIES", "HEAD_ROWS", "API_HOST",
    "API_PORT", "SSL_CERT_PATH", "SSL_KEY_PATH", "WORKERS", "DB_POOL_SIZE", "LOG_LEVEL", "STRUCTURED_LOGGING",
    "CHAT_DOCS_DIR",
    "PROMETHEUS_ENABLED", "METRICS_PORT", "CACHE_SIZE", "CACHE_TTL", "DATABASE_POOL_SIZE", "OPENAI_MAX_CONCURRENT",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)  # where there is no .env


def test_every_variable_of_the_guide_is_known_by_its_name() -> None:
    assert set(GUIDE) <= {name.upper() for name in Settings.model_fields}
    assert set(list_variables()) >= MAINTENANCE_GUIDE
    settings = load_settings(_env_file=None, openai_api_key=SecretStr("key"))
    assert (settings.chat_endpoint.model if settings.chat_endpoint else "", settings.max_sql_retries) == (
        "gpt-4o-mini",
        3,
    )


@pytest.mark.parametrize("path", make_texts(), ids=lambda path: path.name)
def test_what_is_made_from_the_settings_is_in_step(path: Path) -> None:
    assert path.read_text() == make_texts()[path], "run `make generated`"


def test_no_setting_is_missing_in_the_tables() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    listed = set(re.findall(r"^\| `(\w+)` ", page, re.MULTILINE))
    assert {name.upper() for name in Settings.model_fields} | {"API_URL"} == listed


def test_the_tables_say_how_the_chat_page_finds_the_api() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    [row] = [line for line in page.partition("## Chat page")[2].splitlines() if line.startswith("| `API_URL` ")]
    assert "`http://127.0.0.1:8000`" in row


@pytest.mark.parametrize(
    ("alias", "value", "field", "expected"),
    [
        ("API_HOST", "0.0.0.0", "host", "0.0.0.0"),  # noqa: S104 - compared, not bound
        ("API_PORT", "9000", "port", 9000),
        ("OPENAI_MODEL_CHAT", "m", "llm_model", "m"),
        ("SQLALCHEMY_DATABASE_URI", "sqlite:///x", "database_address", "sqlite:///x"),
        ("CORS_ORIGINS", "https://a, https://b", "cors_origins", ["https://a", "https://b"]),
        ("REDIS_HOST", "box", "redis_address", "redis://box:6379/0"),
        ("REDIS_URL", "rediss://box/1", "redis_address", "rediss://box/1"),
        ("REDIS_URL", "redis+cluster://a:1,b:2", "redis_address", "redis+cluster://a:1,b:2"),
        ("WEB_CONCURRENCY", "3", "workers", 3),
        ("WORKERS", "3", "workers", 3),
        ("FORWARDED_ALLOW_IPS", "10.0.0.0/8, ::1", "forwarded_allow_ips", ["10.0.0.0/8", "::1"]),
        ("LANGSMITH_TRACING", "true", "langchain_tracing_v2", True),
        ("INSTITUTION", "UTLS", "page_title", "UTLS"),
        ("CHAT_TITLE", "Ask us", "page_title", "Ask us"),
        ("CONVERSATION_TTL", "", "conversation_ttl", 86400),
    ],
)
def test_a_variable_sets_what_it_says(
    monkeypatch: pytest.MonkeyPatch, alias: str, value: str, field: str, expected: Any
) -> None:
    monkeypatch.setenv(alias, value)
    assert getattr(load_settings(), field) == expected


def test_a_tilde_is_the_home_folder_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("DATA_DIR", "~/kept")
    settings = load_settings()
    assert str(settings.data_dir) == "/somewhere/kept"
    assert settings.database_address == "sqlite:////somewhere/kept/pustaka.db"


def test_a_redis_address_that_cannot_be_read_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:hush/hush@127.0.0.1:6379/0")
    with pytest.raises(SettingsError, match=r"^REDIS_URL: .*percent-encode") as refusal:
        load_settings()
    assert "hush" not in str(refusal.value)


def test_a_redis_password_may_hold_any_character(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_HOST", "box")
    monkeypatch.setenv("REDIS_PASSWORD", "a@b/c:d")
    assert load_settings().redis_address == "redis://:a%40b%2Fc%3Ad@box:6379/0"
    monkeypatch.setenv("REDIS_USERNAME", "chat:1")
    monkeypatch.setenv("REDIS_TLS", "true")
    assert load_settings().redis_address == "rediss://chat%3A1:a%40b%2Fc%3Ad@box:6379/0"


def test_keys_of_conversations_that_are_written_wrongly_are_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = "hush" * 10 + "hus"  # 43 characters of base64 are 32 bytes
    monkeypatch.setenv("STATE_ENCRYPTION_KEYS", f"2026:{key},old:hush-hush")
    with pytest.raises(SettingsError, match=r"^STATE_ENCRYPTION_KEYS: number 2 is not 32 bytes.*openssl") as refusal:
        load_settings()
    assert "hush" not in str(refusal.value)
    monkeypatch.setenv("STATE_ENCRYPTION_KEYS", f"2026:{key}")
    keys = load_settings().state_encryption_keys
    assert keys is not None
    assert keys.get_secret_value() == f"2026:{key}"
    assert "hush" not in f"{load_settings()!r} {load_settings()}"
    monkeypatch.setenv("STATE_ENCRYPTION_KEYS", "")
    assert load_settings().state_encryption_keys is None


WRONG = [
    ("PORT", "many"), ("PORT", "70000"), ("CONVERSATION_TTL", "0"), ("RATE_LIMIT_PER_HOUR", "-1"),
    ("RATE_LIMIT_ENABLED", "perhaps"), ("LOG_LEVEL", "LOUD"), ("LLM_BASE_URL", "ftp://x"), ("REDIS_PORT", "x"),
    ("QDRANT_COLLECTION_NAME", "a/b"), ("EMBEDDING_PROVIDER", "magic"), ("LLM_TEMPERATURE", "9"), ("WORKERS", "0"),
    ("FORWARDED_ALLOW_IPS", "proxy"), ("FORWARDED_ALLOW_IPS", "10.1.2.3/8"), ("QDRANT_URL", "http://h:abc"),
    ("CORS_ORIGINS", "foo"), ("CORS_ORIGINS", "https://a.org,example.org"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=rf"^{name}: .*{re.escape(value)}"):
        load_settings()


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "many")
    monkeypatch.setenv("API_HOST", "ok")
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    assert {line.split(":")[0] for line in str(refusal.value).splitlines()} == {"PORT", "LOG_LEVEL"}
    assert "PORT: Has to be a whole number (it is 'many')." in str(refusal.value)
    assert "LOG_LEVEL: Has to be 'DEBUG', 'INFO', 'WARNING' or 'ERROR' (it is 'LOUD')." in str(refusal.value)


def test_all_contradictions_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDDING_PROVIDER", "openai")
    monkeypatch.setenv("RERANK_BASE_URL", "http://r")
    for kind in ("STT", "TTS"):
        monkeypatch.setenv(f"PROSA_{kind}_API_KEY", "hush")
        monkeypatch.setenv(f"{kind}_BASE_URL", "http://s")
    monkeypatch.setenv("VOICE_EMOTION", "on")
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    assert str(refusal.value).splitlines() == [
        "EMBEDDING_PROVIDER=openai needs OPENAI_API_KEY, OPENAI_BASE_URL or EMBEDDING_BASE_URL",
        "RERANK_BASE_URL needs RERANK_MODEL",
        "PROSA_STT_API_KEY and STT_BASE_URL are both set: unset the one that is not to transcribe",
        "PROSA_TTS_API_KEY and TTS_BASE_URL are both set: unset the one that is not to speak",
        "VOICE_EMOTION=on needs EMOTION_ANALYSIS_URL",
    ]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8765", "[::1]:8765"])
def test_speech_goes_unencrypted_to_one_s_own_machine_alone(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("PROSA_STT_URL", f"ws://{host}/stt")
    assert load_settings().prosa_stt_url == f"ws://{host}/stt"
    for other in ("prosa", "10.0.0.1", "localhost.example.com", "s-api.prosa.ai", "127.0.0.1.nip.io", ""):
        monkeypatch.setenv("PROSA_TTS_URL", f"ws://{other}/tts")
        with pytest.raises(SettingsError, match=r"^PROSA_TTS_URL: must begin with wss://"):
            load_settings()


def test_misspelt_variables_are_named_wherever_they_stand(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("QDRANT_APIKEY=hush\nMAILER=x\n")
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:hush@host/db")
    for other in ("STREAMLIT_SERVER_PORT", "REDIS_SERVICE_PORT", "HOSTNAME", "PORTAGE", "API_URL"):
        monkeypatch.setenv(other, "1")
    load_settings()
    assert caplog.messages == [
        "QDRANT_APIKEY in .env is not known to the service. Is QDRANT_API_KEY meant?",
        "DATABASE_URL in the environment is not known to the service. Is DATABASE_URI meant?",
    ]


def test_a_file_of_settings_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"INSTITUTION=\xff\xfe")
    with pytest.raises(SettingsError, match=r"^\.env cannot be read .*\. Make it a text file in UTF-8"):
        load_settings()


@pytest.mark.parametrize("is_named", [True, False], ids=["named", "of the folder"])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
        (os.mkfifo, "is not a regular file"),
        (Path.mkdir, "is not a regular file"),
        (lambda path: path.write_bytes(b"PORT=80\0" + b"00"), "holds a NUL character"),
        (lambda path: path.write_bytes(b"CHAT_TITLE=" + b"x" * 3_000_000), "is larger than 1 MB"),
    ],
    ids=["device", "pipe", "folder", "NUL", "large"],
)
def test_what_is_no_file_of_settings_is_refused_in_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make: Any, said: str, is_named: bool
) -> None:
    make(tmp_path / ".env")
    if is_named:
        monkeypatch.setenv("PUSTAKA_ENV_FILE", str(tmp_path / ".env"))
    with pytest.raises(SettingsError, match=said) as refusal:
        load_settings()
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize("name", ["PORT", "LOG_LEVEL", "CORS_ORIGINS", "TRUSTED_HOSTS", "LLM_BASE_URL"])
def test_a_long_wrong_value_is_shown_shortened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    (tmp_path / ".env").write_text(f"{name}={'!' * 900_000}\n")
    with pytest.raises(SettingsError, match=rf"^{name}: ") as refusal:
        load_settings()
    assert len(str(refusal.value)) < 1_000


def test_secrets_are_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "OPENAI_API_KEY", "LLM_API_KEY", "REDIS_PASSWORD"):
        monkeypatch.setenv(name, "hush-hush-hush-hush")
    monkeypatch.setenv("DATABASE_URI", "postgresql://user:hush-hush-hush-hush@host/db")
    assert "hush-hush-hush-hush" not in f"{load_settings()!r} {load_settings()}"
    monkeypatch.setenv("REDIS_URL", "http://:hush-hush-hush-hush@host")
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    assert "hush-hush-hush-hush" not in str(refusal.value)


@pytest.mark.parametrize("key", ["%", "fifteen-letters", "ä" * 15])
def test_an_api_key_that_is_too_short_refuses_the_start_and_says_how_to_make_a_good_one(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("API_KEY", key)
    with pytest.raises(
        SettingsError, match=r"^API_KEY: must have 16 characters or more.*secrets\.token_urlsafe"
    ) as told:
        load_settings()
    assert key not in str(told.value)
    monkeypatch.setenv("API_KEY", "sixteen-letters!")
    assert load_settings().api_key is not None


def test_the_key_of_the_chat_page_must_not_be_the_one_that_may_do_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "one-key-for-everything")
    monkeypatch.setenv("CHAT_PAGE_KEY", "one-key-for-everything")
    with pytest.raises(SettingsError, match="CHAT_PAGE_KEY must not be API_KEY") as told:
        load_settings()
    assert "one-key" not in str(told.value)


@pytest.mark.parametrize(
    ("variables", "chat", "embedding"),
    [
        ({}, None, None),
        ({"LLM_BASE_URL": "http://a/v1"}, ("http://a/v1", "gpt-4o-mini"), None),
        ({"OPENROUTER_API_KEY": "k"}, ("https://openrouter.ai/api/v1", "openai/gpt-4o-mini"), None),
        ({"OPENAI_API_KEY": "k"}, ("https://api.openai.com/v1", "gpt-4o-mini"), "https://api.openai.com/v1"),
        ({"OPENAI_BASE_URL": "http://a/v1/"}, ("http://a/v1", "gpt-4o-mini"), "http://a/v1"),
        ({"OPENAI_API_KEY": "k", "EMBEDDING_PROVIDER": "embedded"}, ("https://api.openai.com/v1", "gpt-4o-mini"), None),
        (
            {"OPENAI_API_KEY": "k", "OPENROUTER_API_KEY": "r", "LLM_MODEL": "m"},
            ("https://openrouter.ai/api/v1", "m"),
            "https://api.openai.com/v1",
        ),
        ({"EMBEDDING_BASE_URL": "http://e/v1"}, None, "http://e/v1"),
    ],
)
def test_a_side_that_is_not_configured_stays_embedded(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    chat: tuple[str, str] | None,
    embedding: str | None,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.chat_endpoint and (settings.chat_endpoint.base_url, settings.chat_endpoint.model)) == chat
    assert (settings.embedding_endpoint and settings.embedding_endpoint.base_url) == embedding


def test_openrouter_is_opened_with_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "for-openai")
    monkeypatch.setenv("OPENROUTER_API_KEY", "for-openrouter")
    endpoint = load_settings().chat_endpoint
    assert endpoint is not None
    assert endpoint.api_key.get_secret_value() == "for-openrouter"


def test_a_key_is_not_sent_to_an_endpoint_it_was_not_given_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "for-openai")
    monkeypatch.setenv("LLM_BASE_URL", "http://elsewhere/v1")
    monkeypatch.setenv("EMBEDDING_BASE_URL", "http://elsewhere/v1")
    settings = load_settings()
    for endpoint in (settings.chat_endpoint, settings.embedding_endpoint):
        assert endpoint is not None
        assert endpoint.api_key.get_secret_value() != "for-openai"


def test_passages_cannot_be_meant_to_exceed_their_limit() -> None:
    with pytest.raises(SettingsError, match="CHUNK_MAX_TOKENS must be at least CHUNK_TOKENS, which is 300"):
        load_settings(_env_file=None, chunk_tokens=300, chunk_max_tokens=200)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_root_does_not_read_the_settings_of_somebody_else_but_where_it_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text("INSTITUTION=Elsewhere\n")
    assert load_settings().institution == "Elsewhere"
    os.chown(file, 65534, 65534)
    with pytest.raises(SettingsError, match=rf"{file} belongs to another user.* PUSTAKA_ENV_FILE={file}"):
        load_settings()
    monkeypatch.setenv("PUSTAKA_ENV_FILE", str(file))
    assert load_settings().institution == "Elsewhere"
