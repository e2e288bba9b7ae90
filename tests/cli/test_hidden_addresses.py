"""Addresses that are mistyped: what commands, checks and logs say of them holds no part of a password."""

from itertools import product
from pathlib import Path

import pytest

from cli.announcement import describe_stores
from config import Settings, SettingsError, load_settings
from domain.db_opening import open_database
from tests import preloaded
from utils.addresses import hide_login
from utils.errors import StoreRefused

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
SECRET = "s3cr", "et9"
AT = "127.0.0.1:1"
PASSWORDS = [f"{SECRET[0]}{sign}{SECRET[1]}" for sign in ("", "/", "#", "?", "@", ":", "/@", "#@", "?@", "%", "[", " ")]
ADDRESSES = [
    *(f"{{scheme}}://u:{password}@{AT}/db" for password in PASSWORDS),
    *(f"{{scheme}}://:{password}@{AT}" for password in PASSWORDS),
    *(f"{{scheme}}{wrong}u:s3cret9@{AT}/db" for wrong in (":", ":/", "//", ":///", "://{scheme}://", "")),
    "u:s3cret9@host/db",
    "{scheme}://u:s3cret9%40host/db",
    "{scheme}://host/db?password=s3cret9",
    "{scheme}://host/db?password=s3cr@et9",
    "{scheme}://host/0?db=s3cret9",
    "host=x password=s3cret9",
]
# Where there is neither @ nor =, an address of a model is shown with the port that is no number.
WITHOUT_LOGIN = [
    "{scheme}://u:s3cret9",
    "{scheme}://u:s3cret9:host/db",
    "{scheme}://host:s3cret9/db",
]
ADVICE = "(percent-encode the / : @ # and ? of its password)"
VARIABLES = {
    "DATABASE_URI": "postgresql", "REDIS_URL": "redis", "REDIS_HOST": "redis", "QDRANT_URL": "http",
    "LLM_BASE_URL": "http", "OPENAI_BASE_URL": "https", "EMBEDDING_BASE_URL": "http", "RERANK_BASE_URL": "http",
    "PUBLIC_URL": "https",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)  # where there is no .env


@pytest.mark.parametrize(
    ("variable", "address"),
    [
        *product(VARIABLES, ADDRESSES),
        *product(("DATABASE_URI", "REDIS_URL"), WITHOUT_LOGIN),
    ],
)
def test_no_part_of_a_password_is_told(
    monkeypatch: pytest.MonkeyPatch, variable: str, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(variable, address.replace("{scheme}", VARIABLES[variable]))
    told = _tell_of_settings() + caplog.text
    assert variable in told or AT in told or "host" in told
    for part in SECRET:
        assert part not in told


def _tell_of_settings() -> str:
    try:
        settings = load_settings()
        told = describe_stores(settings)
        for endpoint in (settings.chat_endpoint, settings.embedding_endpoint, settings.rerank_endpoint):
            told += hide_login(endpoint.base_url) if endpoint else ""
        told += hide_login(settings.public_url or "")
        open_database(settings.database_address).close()
    except (SettingsError, StoreRefused) as exc:
        return f"{exc} {getattr(exc, 'detail', '')} host"
    return told


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://u:s3cr/et9@127.0.0.1:1/db", f"X, which is no address {ADVICE}"),
        ("host=x password=s3cret9", "X, which is no address"),
        ("postgresql://u:s3cr%2Fet9@[::1]:5432/db", "postgresql://[::1]:5432/db"),
        ("redis+sentinel://u:s3cret9@a:1,b:2/name?db=1", "redis+sentinel://a:1,b:2/name?db=1"),
        ("unix:///run/redis.sock?db=2", "unix:///run/redis.sock?db=2"),
        ("sqlite:////srv/a@b/pustaka.db", "sqlite:////srv/a@b/pustaka.db"),
        ("postgresql:///pustaka?host=/run/postgresql", "postgresql:///pustaka"),
        ("https://example.org/v1", "https://example.org/v1"),
    ],
)  # fmt: skip
def test_an_address_is_shown_without_its_login_and_a_mistyped_one_not_at_all(address: str, shown: str) -> None:
    assert hide_login(address, "X") == shown


@pytest.mark.parametrize(
    ("command", "variable", "address"),
    [
        ("pustaka.py conflicts", "DATABASE_URI", "postgresql://u:s3cr/et9@127.0.0.1:1/db"),
        ("pustaka.py conflicts", "DATABASE_URI", "postgresql//u:s3cret9@127.0.0.1:1/db"),
        ("validate.py", "DATABASE_URI", "host=x password=s3cret9"),
        ("validate.py", "LLM_BASE_URL", "http://u:s3c/ret9@h:1"),
        ("app.py", "REDIS_URL", "redis://u:s3cr/et9@127.0.0.1:1"),
    ],
)
def test_no_command_prints_a_password(tmp_path: Path, command: str, variable: str, address: str) -> None:
    program, *arguments = command.split()
    env = {"PATH": "", "DATA_DIR": str(tmp_path / "data"), variable: address}
    done = preloaded.run([str(ROOT / program), *arguments], preloaded=True, cwd=tmp_path, env=env, timeout=120)
    told = done.stdout + done.stderr
    assert done.returncode != 0
    assert variable in told
    for part in ("s3c", "et9"):
        assert part not in told
