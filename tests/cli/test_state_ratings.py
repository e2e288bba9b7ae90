"""`flask state encrypt` brings ratings, which are in SQL, along with conversations; two tenants have one of each id."""

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import text

from auth.credentials import make_key_principal
from auth.operators import make_operator
from auth.principal import DEFAULT_TENANT, Principal
from domain.db import Database
from domain.keys import ensure_tenant
from domain.models import AnswerRating
from domain.rating_texts import RatingUnreadable, decrypt_texts
from domain.ratings import Rating, list_ratings, rate
from domain.scoping import EVERYWHERE, update_everywhere
from tests.cli.stored import NEW, OLD, ROTATING, Run, client, command, converse, redis_server
from tests.domain.records import two_tenants
from tests.servers.redis import RedisServer
from utils.checkpointer.cipher import Keyring

pytestmark = pytest.mark.long

__all__ = ["client", "redis_server"]

DEFAULT, ACME = (make_operator(tenant) for tenant in (DEFAULT_TENANT, "acme"))
OF_A_KEY = make_key_principal("acme", "k3y1d000")  # without conversations:all
TENANTS = (DEFAULT, ACME)
WORDS = {
    "question": "Does Ingeborg get her deposit back?",
    "answer": "She does, all of it [1].",
    "comment": "Half of it.",
    "expected": "225,000 rupiah",
    "sources": ["deposits.md"],
}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """The one in DATA_DIR, with the tenants `default`, `acme` and `globex`."""
    (tmp_path / "data").mkdir()
    database = two_tenants(f"sqlite:///{tmp_path / 'data' / 'pustaka.db'}")
    with database.open_write_session() as session:
        ensure_tenant(session, DEFAULT_TENANT)
    yield database
    database.close()


def noted(
    database: Database, ctx: Principal, conversation_id: str = "x", run_id: str = "r1", keys: str = "", **words: Any
) -> None:
    """A rating, encrypted where there are keys."""
    told = {**WORDS, **words}
    rating = Rating(
        run_id=run_id, conversation_id=conversation_id, rating="down", answered=True, stands_alone=True, **told
    )
    with database.open_write_session() as session:
        rate(session, ctx, rating, keys=Keyring.parse(keys) if keys else None)


def words(database: Database, ctx: Principal, keys: str = "") -> list[dict[str, Any]]:
    """What the tenant's ratings say to who has *keys*."""
    with database.open_read_session() as session:
        rows = [decrypt_texts(row, Keyring.parse(keys) if keys else None) for row in list_ratings(session, ctx).rows]
    return [{name: getattr(row, name) for name in WORDS} for row in rows]


def stored(database: Database) -> dict[tuple[str, str, str], str]:
    """All that each row holds, by tenant, conversation and run."""
    with database.open_read_session() as session:
        rows = session.execute(text("SELECT * FROM answer_ratings")).mappings().all()
    return {(row["tenant_id"], row["conversation_id"], row["run_id"]): repr(dict(row)) for row in rows}


def visible(database: Database) -> set[tuple[str, str, str]]:
    """The rows in which a word of a rating stands."""
    said = [WORDS[name] for name in ("question", "answer", "comment", "expected")] + WORDS["sources"]
    return {row for row, held in stored(database).items() if any(word in held for word in said)}


def command_on(tmp_path: Path, redis_server: RedisServer, keys: str = "") -> Run:
    return command(tmp_path, redis_server.url, keys=keys)


def test_encrypting_leaves_no_word_of_a_rating_readable(
    tmp_path: Path, client: redis.Redis, redis_server: RedisServer, database: Database
) -> None:
    converse(redis_server.url, "x", "acme.x", turns=1)
    for ctx in TENANTS:
        noted(database, ctx)
    assert len(visible(database)) == 2
    run = command_on(tmp_path, redis_server, NEW)
    result = run("encrypt", "--all")
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "2 conversations encrypted under 'new'; 0 were already.\n2 ratings encrypted under 'new'; 0 were already.\n"
    )
    assert visible(database) == set()
    assert [words(database, ctx, NEW) for ctx in TENANTS] == [[WORDS], [WORDS]]
    assert "0 ratings encrypted under 'new'; 2 were already." in run("encrypt", "--all").stdout


def test_encrypting_a_rating_does_not_make_it_younger(
    tmp_path: Path, client: redis.Redis, redis_server: RedisServer, database: Database
) -> None:
    noted(database, ACME)
    with database.open_read_session() as session:
        [before] = list_ratings(session, ACME).rows
    command_on(tmp_path, redis_server, NEW)("encrypt", "--all")
    with database.open_read_session() as session:
        [after] = list_ratings(session, ACME).rows
    assert (after.rated_at, after.rating) == (before.rated_at, before.rating)


def test_after_a_rotation_the_older_key_can_go(
    tmp_path: Path, client: redis.Redis, redis_server: RedisServer, database: Database
) -> None:
    noted(database, DEFAULT, "expired", keys=OLD)
    noted(database, ACME, "expired", keys=OLD)
    noted(database, ACME, "expired", "r2", keys=NEW)
    assert words(database, ACME, ROTATING) == [WORDS, WORDS]
    result = command_on(tmp_path, redis_server, ROTATING)("encrypt", "--all")
    assert "2 ratings encrypted under 'new'; 1 were already." in result.stdout
    assert "Nothing needs 'old' any more" in result.stdout
    assert [words(database, ctx, NEW) for ctx in TENANTS] == [[WORDS], [WORDS, WORDS]]


@pytest.mark.parametrize("options", [["--tenant", "acme"], ["--match", "*"], []])
def test_no_key_is_called_superfluous_while_a_rating_needs_one(
    tmp_path: Path, client: redis.Redis, redis_server: RedisServer, database: Database, options: list[str]
) -> None:
    lost = f"lost:{b64encode(bytes([3] * 32)).decode()}"
    noted(database, ACME, "c1", keys=lost)
    noted(database, ACME, "c1", "r2", keys=OLD)
    noted(database, DEFAULT, "c1", keys=OLD)
    before = stored(database)
    result = command_on(tmp_path, redis_server, ROTATING)("encrypt", "--all", *options)
    assert result.exit_code == 1
    assert "Nothing needs" not in result.output
    assert "1 cannot be read (rating r1 of acme.c1): it is encrypted under the key 'lost', which" in result.stderr
    assert "behind the others in STATE_ENCRYPTION_KEYS" in result.stderr
    changed = {row for row, held in stored(database).items() if held != before[row]}
    assert changed == {("acme", "c1", "r2")} | (set() if "--tenant" in options else {("default", "c1", "r1")})


def test_decrypting_makes_ratings_readable_without_keys(
    tmp_path: Path, client: redis.Redis, redis_server: RedisServer, database: Database
) -> None:
    noted(database, ACME, keys=OLD)
    noted(database, DEFAULT, keys=NEW)
    run = command_on(tmp_path, redis_server, ROTATING)
    result = run("encrypt", "--all", "--decrypt")
    assert "2 ratings decrypted; 0 were already." in result.stdout
    assert "Nothing needs 'new', 'old' any more: remove STATE_ENCRYPTION_KEYS." in result.stdout
    assert [words(database, ctx) for ctx in TENANTS] == [[WORDS], [WORDS]]
    assert "0 ratings decrypted; 2 were already." in run("encrypt", "--all", "--decrypt").stdout


def test_decrypting_without_the_key_says_which_is_missing(
    tmp_path: Path, client: redis.Redis, redis_server: RedisServer, database: Database
) -> None:
    noted(database, ACME, keys=OLD)
    result = command_on(tmp_path, redis_server)("encrypt", "--all", "--decrypt")
    assert result.exit_code == 1
    assert "1 cannot be read (rating r1 of acme.x): it is encrypted under the key 'old', which" in result.stderr


@pytest.mark.parametrize(
    ("which", "encrypted"),
    [
        (["x"], {("default", "x")}),
        (["x", "y", "--tenant", "acme"], {("acme", "x"), ("acme", "y")}),
        (["--all", "--tenant", "acme"], {("acme", "x"), ("acme", "y"), ("acme", "expired")}),
        (["--all", "--tenant", "default"], {("default", "x"), ("default", "y"), ("default", "expired")}),
        (["--all", "--match", "*y"], {("default", "y"), ("acme", "y")}),
    ],
)
def test_only_ratings_of_what_is_named_are_encrypted(
    tmp_path: Path,
    client: redis.Redis,
    redis_server: RedisServer,
    database: Database,
    which: list[str],
    encrypted: set[tuple[str, str]],
) -> None:
    converse(redis_server.url, "x", "y", "acme.x", "acme.y", turns=1)
    for ctx in TENANTS:
        for conversation_id in ("x", "y", "expired"):
            noted(database, ctx, conversation_id, f"run-{conversation_id}")
    result = command_on(tmp_path, redis_server, NEW)("encrypt", *which)
    assert f"{len(encrypted)} ratings encrypted under 'new'; 0 were already." in result.stdout
    assert {row[:2] for row in stored(database).keys() - visible(database)} == encrypted


def test_no_words_pass_for_encrypted_ones(
    tmp_path: Path, client: redis.Redis, redis_server: RedisServer, database: Database
) -> None:
    noted(database, ACME, keys=OLD)
    with database.open_write_session() as session:
        copied = str(session.query(AnswerRating).execution_options(**EVERYWHERE).one().sources)
        session.execute(text("DELETE FROM answer_ratings"))
    alike = dict.fromkeys(("question", "answer", "comment", "expected"), copied) | {"sources": [copied]}
    noted(database, ACME, **alike)
    assert words(database, ACME) == words(database, ACME, OLD) == [alike]
    assert "1 ratings encrypted" in command_on(tmp_path, redis_server, ROTATING)("encrypt", "--all").stdout
    assert words(database, ACME, NEW) == [alike]


def test_deleting_a_conversation_forgets_the_ratings_of_its_owner_alone(
    tmp_path: Path, client: redis.Redis, redis_server: RedisServer, database: Database
) -> None:
    converse(redis_server.url, "acme.x", "acme.k3y1d000.x", turns=1)
    for ctx in (ACME, OF_A_KEY):
        noted(database, ctx, run_id=f"r-{ctx.subject_id}")
    assert command_on(tmp_path, redis_server, "")("delete", "k3y1d000.x", "--tenant", "acme", "--yes").exit_code == 0
    assert [run_id for _, _, run_id in stored(database)] == ["r-operator"]


@pytest.mark.parametrize(
    ("to", "name"),
    [
        ((DEFAULT, "x", "r1"), "rating r1 of default.x"),
        ((ACME, "y", "r1"), "rating r1 of acme.y"),
        ((ACME, "x", "r2"), "rating r2 of acme.x"),
        ((OF_A_KEY, "x", "r1"), "rating r1 of acme.k3y1d000.x"),
    ],
)
def test_words_that_were_moved_to_another_rating_are_refused(
    tmp_path: Path,
    client: redis.Redis,
    redis_server: RedisServer,
    database: Database,
    to: tuple[Principal, str, str],
    name: str,
) -> None:
    noted(database, ACME, keys=OLD)
    ctx, *place = to
    names = {
        "tenant_id": ctx.tenant_id,
        "owner_id": ctx.owner_id,
        **dict(zip(("conversation_id", "run_id"), place, strict=True)),
    }
    with database.open_write_session() as session:
        session.execute(update_everywhere(AnswerRating).values(names))
    with pytest.raises(RatingUnreadable, match=rf"{name}: changed, moved"):
        words(database, ctx, OLD)
    result = command_on(tmp_path, redis_server, ROTATING)("encrypt", "--all")
    assert (result.exit_code, f"1 cannot be read ({name}): changed, moved" in result.stderr) == (1, True)


@pytest.mark.parametrize("broken", ['"no base64"', '"MwM="', '""', "null", "7", '{"of": "another"}'])
def test_what_is_neither_plain_nor_encrypted_is_named_and_the_others_are_done(
    tmp_path: Path, client: redis.Redis, redis_server: RedisServer, database: Database, broken: str
) -> None:
    noted(database, ACME, "c1")
    noted(database, ACME, "c1", "r2", keys=OLD)
    with database.open_write_session() as session:
        session.execute(text("UPDATE answer_ratings SET sources = :broken WHERE run_id = 'r1'"), {"broken": broken})
    result = command_on(tmp_path, redis_server, ROTATING)("encrypt", "--all")
    assert (result.exit_code, "1 cannot be read (rating r1 of acme.c1): " in result.stderr) == (1, True)
    assert "1 ratings encrypted under 'new'" in result.stdout


def test_no_database_is_made_to_look_for_ratings(
    tmp_path: Path, client: redis.Redis, redis_server: RedisServer
) -> None:
    assert command_on(tmp_path, redis_server, NEW)("encrypt", "--all").exit_code == 0
    assert not (tmp_path / "data" / "pustaka.db").exists()
