"""`flask model`: models of two tenants, whose keys are read from the input and shown to nobody."""

import json
import sqlite3
import sys
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from cli.commands import register_commands
from cli.operator import configure
from config import load_settings
from domain.db_opening import open_database
from tests.cli.stored import NEW, OLD, ROTATING, redis_server
from tests.domain.records import two_tenants
from tests.fakes.model_server import FakeModelServer
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.long

__all__ = ["redis_server"]

Run = Callable[..., Result]
KEY = "sk-a-key-of-a-tenant-7f3a"


def flask_on(tmp_path: Path, *, keys: str = OLD, redis_url: str | None = None) -> Run:
    """`flask …` of an installation."""
    app = Flask("pustaka")
    settings = load_settings(
        _env_file=None,
        data_dir=tmp_path / "data",
        redis_url=redis_url,
        state_encryption_keys=keys or None,
        model_networks=[str(ip_network("127.0.0.1"))],
        llm_max_retries=0,
    )
    settings.data_dir.mkdir(exist_ok=True)
    two_tenants(settings.database_address).close()
    configure(app, settings, lambda: open_database(settings.database_address))
    register_commands(app)
    return lambda *arguments, **more: app.test_cli_runner().invoke(args=[*map(str, arguments)], **more)


def list_models(run: Run, tenant: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("model", "list", "--tenant", tenant, "--json").stdout)
    return found


def test_models_of_two_tenants_are_made_changed_given_to_bots_and_removed(tmp_path: Path) -> None:
    run = flask_on(tmp_path)
    for tenant in ("acme", "globex"):
        of = ("--tenant", tenant)
        made = run("model", "create", "fast", *of, "--name", f"{tenant}-1", "--base-url", "http://127.0.0.1:9/v1/")
        assert (made.exit_code, made.stdout) == (0, "Model fast made, version 1.\n"), made.output
    assert run("model", "set", "fast", "--tenant", "acme", "--temperature", 0.5, "--max-tokens", 50).exit_code == 0
    [acme], [globex] = list_models(run, "acme"), list_models(run, "globex")
    assert acme == {
        **{"id": "fast", "version": 2, "provider": "openai", "model": "acme-1", "base_url": "http://127.0.0.1:9/v1"},
        **{"has_api_key": False, "api_key_end": None, "temperature": 0.5, "max_tokens": 50},
    }
    assert (globex["version"], globex["model"]) == (1, "globex-1")
    assert run("bot", "create", "helper", "--tenant", "acme", "--name", "Helper", "--model", "fast").exit_code == 0
    missing = run("bot", "set", "helper", "--tenant", "acme", "--model", "slow")
    assert (missing.exit_code, missing.stderr) == (1, "Error: Model 'slow' not found.\n")
    refused = run("model", "remove", "fast", "--tenant", "acme")
    assert (refused.exit_code, refused.stderr) == (
        1,
        "Error: Bots answer by this model (helper): give them another one first.\n",
    )
    assert run("bot", "set", "helper", "--tenant", "acme", "--clear", "model_id").exit_code == 0
    assert run("model", "remove", "fast", "--tenant", "acme").stdout == "Model fast is removed.\n"
    assert list_models(run, "acme") == []
    assert run("model", "list", "--tenant", "acme").stdout == "No models: bots answer by the service's own.\n"
    assert "http://127.0.0.1:9/v1" in run("model", "list", "--tenant", "globex").stdout


def test_a_key_is_read_from_the_input_and_stored_encrypted(tmp_path: Path) -> None:
    run = flask_on(tmp_path)
    made = run("model", "create", "fast", "--name", "m", "--with-key", input=f"{KEY}\n")
    listed = run("model", "list")
    assert f"…{KEY[-4:]}" in listed.stdout
    told = made.output + listed.output + run("model", "list", "--json").output
    assert KEY not in told
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]
    assert run("model", "set", "fast", "--clear", "api_key").exit_code == 0
    assert list_models(run, "default")[0]["has_api_key"] is False
    for wrong in ("", "two words", "ключ", "x" * 501):
        refused = run("model", "set", "fast", "--with-key", input=wrong)
        assert refused.exit_code == 1
        assert refused.stderr.startswith("Error: An API key has 1 to 500 visible ASCII characters.")
    assert "No such option" in run("model", "set", "fast", "--api-key", KEY).stderr


def test_without_keys_to_encrypt_with_a_key_is_refused_and_the_setting_named(tmp_path: Path) -> None:
    run = flask_on(tmp_path, keys="")
    refused = run("model", "create", "fast", "--name", "m", "--with-key", input=KEY)
    assert refused.exit_code == 1
    assert refused.stderr == (
        "Error: An API key is stored encrypted only, and there is nothing to encrypt it with: the operator sets "
        "STATE_ENCRYPTION_KEYS=name:key, the key from `openssl rand -base64 32`.\n"
    )
    assert list_models(run, "default") == []
    assert run("model", "create", "fast", "--name", "m").exit_code == 0


@pytest.mark.parametrize(
    ("provider", "package"), [("anthropic", "langchain_anthropic"), ("google", "langchain_google_genai")]
)
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: str, package: str
) -> None:
    run = flask_on(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)  # as if it was not installed
    refused = run("model", "create", "fast", "--name", "m", "--provider", provider)
    assert refused.exit_code == 1
    assert refused.stderr == (
        f"Error: Models of {provider!r} need packages that are not installed: the operator installs them with "
        "pip install -r requirements-models.txt.\n"
    )


@pytest.mark.parametrize(
    ("options", "detail"),
    [
        (
            ("--base-url", "http://10.0.0.1/v1"),
            "not on the public internet; the operator can allow it in MODEL_NETWORKS",
        ),
        (("--base-url", "ftp://x"), "Has to be an address such as https://api.example.org/v1."),
        (("--base-url", "http://u:p@127.0.0.1/"), "Has to be without a login"),
        (("--name", " "), "--name has 1 to 200 characters."),
        (("--name", "x" * 201), "--name has 1 to 200 characters."),
    ],
)
def test_what_a_model_cannot_be_is_refused(tmp_path: Path, options: tuple[str, ...], detail: str) -> None:
    refused = flask_on(tmp_path)("model", "create", "fast", "--name", "m", *options)
    assert refused.exit_code == 1
    assert detail in refused.stderr


def test_a_check_says_once_whether_the_model_answers(
    tmp_path: Path, model_server: FakeModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    model_server.reset()
    run = flask_on(tmp_path)
    run("model", "create", "fast", "--name", "m", "--base-url", model_server.base_url, "--with-key", input=KEY)
    checked = run("model", "check", "fast")
    assert (checked.exit_code, checked.stdout.startswith("Model fast, version 1, after ")) == (0, True), checked.output
    assert "It answers: " in checked.stdout
    assert model_server.requests()[-1]["headers"]["authorization"] == f"Bearer {KEY}"
    model_server.configure(faults=[{"kind": "status", "status": 401}])
    failed = run("model", "check", "fast")
    assert failed.exit_code == 1
    assert "The endpoint of the model 'fast' refused the API key (401): check api_key." in failed.stdout
    assert "refused the API key" not in caplog.text, "it is said twice"
    assert run("model", "check", "slow").stderr == "Error: Model 'slow' not found.\n"
    assert KEY not in checked.output + failed.output


def test_keys_of_models_are_rotated_with_those_of_conversations(
    tmp_path: Path, redis_server: RedisServer, model_server: FakeModelServer
) -> None:
    model_server.reset()
    redis_server.client.flushall()
    for tenant in ("acme", "globex"):
        made = ("model", "create", "fast", "--tenant", tenant, "--name", "m", "--base-url", model_server.base_url)
        flask_on(tmp_path)(*made, "--with-key", input=f"{KEY}-{tenant}")
    flask_on(tmp_path)("model", "set", "fast", "--tenant", "acme", "--temperature", 1)  # a version more
    lost = flask_on(tmp_path, keys=NEW)("model", "check", "fast", "--tenant", "acme")
    assert (lost.exit_code, "The API key of the model 'fast' cannot be read" in lost.stderr) == (1, True)
    rotate = flask_on(tmp_path, keys=ROTATING, redis_url=redis_server.url)
    done = rotate("state", "encrypt", "--all")
    assert "3 keys of models encrypted under 'new'; 0 were already." in done.stdout, done.output
    assert "0 keys of models encrypted under 'new'; 3 were already." in rotate("state", "encrypt", "--all").stdout
    for tenant in ("acme", "globex"):
        assert flask_on(tmp_path, keys=NEW)("model", "check", "fast", "--tenant", tenant).exit_code == 0
        assert model_server.requests()[-1]["headers"]["authorization"] == f"Bearer {KEY}-{tenant}"
    kept = flask_on(tmp_path, keys=NEW, redis_url=redis_server.url)("state", "encrypt", "--all", "--decrypt").stdout
    assert "3 keys of models stay encrypted, as they are stored in no other way: keep STATE_ENCRYPTION_KEYS" in kept
    assert "remove STATE_ENCRYPTION_KEYS" not in kept
    with sqlite3.connect(tmp_path / "data" / "pustaka.db") as database:
        database.execute("UPDATE chat_model_versions SET api_key = x'330364' WHERE tenant_id = 'acme'")
    broken = rotate("state", "encrypt", "--all")
    assert broken.exit_code == 1
    assert "key of the model acme/fast, version 1" in broken.stderr
    assert "0 keys of models encrypted under 'new'; 1 were already." in broken.stdout
