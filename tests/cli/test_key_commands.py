"""`flask api-key`."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from auth.scopes import BOT_KEY_SCOPES, Scope
from cli.commands import register_commands
from config import Settings
from domain.db import Database
from domain.db_opening import open_database
from domain.keys import FoundKey, ensure_tenant, find_key, read_scopes

pytestmark = pytest.mark.long

Run = Callable[..., Result]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A new and empty one."""
    opened = open_database(f"sqlite:///{tmp_path / 'records.db'}")
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def run(tmp_path: Path, database: Database) -> Run:
    """Runs `flask api-key <arguments>` on the database."""
    app = Flask("pustaka")
    app.extensions |= {
        "settings": Settings(_env_file=None, data_dir=tmp_path / "data"),
        "open_database": lambda: open_database(f"sqlite:///{tmp_path / 'records.db'}"),
    }
    register_commands(app)
    return lambda *arguments: app.test_cli_runner().invoke(args=["api-key", *map(str, arguments)])


def made(result: Result) -> str:
    """The key that a command has printed."""
    assert result.exit_code == 0, result.output
    printed = re.fullmatch(r"API_KEY='(ak_live_\w+)'\n", result.stdout)
    assert printed
    return printed[1]


def found(database: Database, key: str) -> FoundKey | None:
    with database.open_read_session() as session:
        return find_key(session, key)


def test_a_key_is_made_with_scopes_a_name_and_an_end(run: Run, database: Database) -> None:
    options = ("--name", "search box", "--scope", "search", "--scope", "chat:write", "--expires-in-days", "30")
    limited = found(database, made(run("create", "acme", *options)))
    assert limited is not None
    assert (limited.key.tenant_id, limited.key.name) == ("acme", "search box")
    assert read_scopes(limited.key) == {Scope.SEARCH, Scope.CHAT_WRITE}
    assert limited.valid_until is not None
    assert (limited.valid_until - limited.key.created_at).days in (29, 30)
    usual = found(database, made(run("create")))
    assert usual is not None
    assert (usual.key.tenant_id, usual.valid_until) == ("default", None)
    assert read_scopes(usual.key) == set(Scope) - {Scope.CONVERSATIONS_ALL}
    for named, held in (([], BOT_KEY_SCOPES), (["--scope", "chat:write"], {Scope.CHAT_WRITE})):
        bound = found(database, made(run("create", "--bot", "default", *named)))
        assert bound is not None
        assert (bound.key.bot_id, read_scopes(bound.key)) == ("default", held)
    every = found(database, made(run("create", "--scope", "all")))
    assert every is not None
    assert read_scopes(every.key) == set(Scope)


@pytest.mark.parametrize("arguments", [[], ["acme"], ["acme", "--name", "web"], ["--name", "web"]])
def test_without_a_command_a_key_is_made(run: Run, database: Database, arguments: list[str]) -> None:
    key = found(database, made(run(*arguments)))
    assert key is not None
    assert key.key.tenant_id == ("acme" if "acme" in arguments else "default")


def test_a_list_shows_the_keys_of_one_tenant_and_never_a_secret(run: Run, database: Database) -> None:
    ours = [made(run("create", "acme", "--name", name)) for name in ("web", "app")]
    theirs = made(run("create", "globex"))
    assert run("revoke", ours[0][:16], "--tenant", "acme").exit_code == 0
    told = run("list", "acme").output
    rows = json.loads(run("list", "acme", "--json").output)
    assert [(row["key"], row["status"], row["name"]) for row in rows] == [
        (ours[1][:16], "active", "app"),
        (ours[0][:16], "revoked", "web"),
    ]
    assert all(row["key"] in told for row in rows)
    assert theirs[:16] not in told
    for secret in (*ours, theirs):
        assert secret[17:] not in told + json.dumps(rows)
    assert rows[0]["last_used_at"] is None
    with database.open_write_session() as session:
        ensure_tenant(session, "empty")
    assert run("list", "empty").output == "No keys.\n"


def test_a_key_is_revoked_by_its_tenant_alone(run: Run, database: Database) -> None:
    key = made(run("create", "acme"))
    refused = run("revoke", key[:16])
    assert refused.exit_code == 1
    assert "no key" in refused.output
    assert found(database, key)
    assert run("revoke", key[8:16], "--tenant", "acme").exit_code == 0
    assert found(database, key) is None


def test_a_rotated_key_keeps_its_id_and_its_former_secret_for_a_while(run: Run, database: Database) -> None:
    first = made(run("create", "acme"))
    second = made(run("rotate", first[:16], "--tenant", "acme"))
    assert second != first
    assert second[:16] == first[:16]
    assert found(database, first)
    assert found(database, second)
    third = made(run("rotate", first[:16], "--tenant", "acme", "--overlap-hours", "0"))
    assert [bool(found(database, key)) for key in (first, second, third)] == [False, False, True]
    run("revoke", first[:16], "--tenant", "acme")
    refused = run("rotate", first[:16], "--tenant", "acme")
    assert refused.exit_code == 1
    assert "Make a new one" in refused.output


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["create", "acme", "--scope", "everything"], "chat:write"),
        (["create", "acme", "--expires-in-days", "0"], "1<=x<=3650"),
        (["create", "No Such"], "A tenant's name"),
        (["create", "acme", "--name", "x" * 81], "80 characters"),
        (["create", "acme", "--bot", "default", "--scope", "search"], "Leave out other scopes, or the bot"),
        (
            ["create", "acme", "--bot", "default", "--scope", "all"],
            "A key for one bot has chat:write, conversations:read",
        ),
        (["revoke", "nonsense!"], "first 16 characters"),
        (["revoke", "ak_live_aaaaaaaa_" + "b" * 43], "first 16 characters"),
        (["rotate", "ak_live_aaaaaaaa", "--overlap-hours", "721"], "0<=x<=720"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line_and_no_key_is_repeated(run: Run, arguments: list[str], named: str) -> None:
    result = run(*arguments)
    assert result.exit_code != 0
    assert named in result.output
    assert "b" * 43 not in result.output
