"""`flask migrate-data`: there and back, broken off and continued, and everything it refuses."""

import json
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest
import redis
from click.testing import Result
from psycopg import sql

from bootstrap.data_folder import open_data_folder
from domain.db_opening import open_database
from tests.bootstrap.installation import (
    DIMENSION,
    LIVES_S,
    assert_same,
    assert_same_conversations,
    converse,
    documents_of,
    embedded_redis,
    fill_embedded,
    forget_document,
    read_embedded,
    read_production,
)
from tests.cli.migrating import HoldingQdrant, Migrating, migrate
from tests.domain.records import ACME, GLOBEX
from tests.servers.postgres import PASSWORD as POSTGRES_PASSWORD
from tests.servers.postgres import USER, PostgresServer
from tests.servers.redis import PASSWORD, RedisCluster, RedisServer
from tests.service import Service
from utils.checkpointer.keys import make_state_key, make_summary_key

pytestmark = [pytest.mark.long, pytest.mark.soak]

QDRANT_KEY = "qdrant's own key"
COLLECTION = "informasi-umum-itb"
LOGIN = f"{USER}:{quote(POSTGRES_PASSWORD, safe='')}@"
TALK = "acme/talk }0% é"  # the first that `fill_embedded` makes


@dataclass(frozen=True)
class Stores:
    """Production stores, empty at first, and the variables that name them."""

    database_uri: str
    redis: RedisServer
    qdrant: HoldingQdrant

    @property
    def variables(self) -> dict[str, str]:
        return {
            "DATABASE_URI": self.database_uri,
            "REDIS_URL": self.redis.url,
            "QDRANT_URL": self.qdrant.url,
            "QDRANT_API_KEY": QDRANT_KEY,
        }

    def contents(self) -> Any:
        return read_production(self.database_uri, self.redis.url, self.qdrant.url, QDRANT_KEY)

    def is_untouched(self) -> bool:
        tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        return self.sql(tables) == 0 and not self.redis.client.dbsize() and not self.collections()

    def sql(self, statement: str) -> Any:
        """The first value it gives, None if it gives none."""
        with psycopg.connect(self.database_uri, autocommit=True) as connection:
            cursor = connection.execute(sql.SQL(statement))
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    @contextmanager
    def records_held_up(self) -> Iterator[None]:
        """Let nobody add chunks until the block is left."""
        database = open_database(self.database_uri)
        database.migrate()
        database.close()
        with psycopg.connect(self.database_uri) as connection:
            connection.execute("LOCK TABLE chunks IN SHARE MODE")
            yield

    def waits_for_records(self) -> bool:
        """Whether somebody would like to add chunks."""
        return bool(self.sql("SELECT count(*) FROM pg_locks WHERE NOT granted"))

    def collections(self) -> list[str]:
        found = self.ask("GET", "/collections")["result"]["collections"]
        return [collection["name"] for collection in found]

    def points(self) -> int:
        """Passages on the Qdrant server."""
        found = self.ask("POST", f"/collections/{COLLECTION}/points/count", json={})
        return int(found["result"]["count"]) if "result" in found else 0

    def ask(self, method: str, path: str, **options: Any) -> Any:
        answer = httpx.request(method, self.qdrant.url + path, headers={"api-key": QDRANT_KEY}, **options)
        assert answer.status_code in (200, 404), answer.text
        return answer.json()


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), password=PASSWORD) as server:
        yield server


@pytest.fixture
def stores(postgres: PostgresServer, redis_server: RedisServer) -> Iterator[Stores]:
    redis_server.client.flushall()
    database_uri = postgres.new_database()
    with HoldingQdrant(api_key=QDRANT_KEY) as qdrant:
        yield Stores(database_uri, redis_server, qdrant)
    postgres.drop_database(database_uri)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedded installation of two tenants; a move leaves it as it is."""
    folder = tmp_path_factory.mktemp("installation") / "data"
    fill_embedded(folder, documents=20, conversations=40)
    return folder


def refused(result: Result) -> str:
    """The one line of a refusal, which names no password."""
    assert result.exit_code == 1, result.output
    assert result.output.startswith("Error: "), result.output
    secrets = (PASSWORD, POSTGRES_PASSWORD, LOGIN, quote(PASSWORD, safe=""), QDRANT_KEY)
    assert not [secret for secret in secrets if secret in result.output]
    assert result.stdout == ""
    return result.output.removeprefix("Error: ").strip()


def test_an_installation_moves_to_the_production_stores_and_back(
    installation: Path, stores: Stores, tmp_path: Path
) -> None:
    before = read_embedded(installation)
    there = migrate(installation, stores.variables, "--to", "production")
    assert there.exit_code == 0, there.output
    assert "Everything is there." in there.output
    assert "Leases and rate limits are not moved" in there.output
    assert_same(before, stores.contents())
    back = migrate(tmp_path / "other", stores.variables, "--to", "embedded", "--json")
    assert back.exit_code == 0, back.output
    assert_same(before, read_embedded(tmp_path / "other"))
    assert_same(before, stores.contents())
    assert_same(before, read_embedded(installation))


def test_what_was_moved_and_compared_is_told_to_programs(installation: Path, stores: Stores) -> None:
    told = json.loads(migrate(installation, stores.variables, "--to", "production", "--json").stdout)
    assert (told["to"], told["ok"], told["dry_run"], told["continued"]) == ("production", True, False, False)
    found = {check["what"]: (check["source"], check["target"], check["compared"]) for check in told["checks"]}
    assert found.pop("vectors")[:2] == (144, 144)
    assert found == {
        **{"passages": (152, 152, 40), "conversations": (40, 40, 20)},
        **{"tenants": (2, 2, 2), "api_keys": (2, 2, 2), "documents": (42, 42, 20), "chunks": (160, 160, 20)},
        **{"document_versions": (40, 40, 20), "datasets": (2, 2, 2), "jobs": (0, 0, 0)},
        **{"web_sources": (0, 0, 0), "web_pages": (0, 0, 0), "pages_read": (0, 0, 0)},
        **{"answer_ratings": (0, 0, 0), "indexes": (0, 0, 0), "index_orders": (0, 0, 0)},
        **{"calibrations": (0, 0, 0), "conflicts": (0, 0, 0), "bots": (0, 0, 0), "bot_versions": (0, 0, 0)},
        **{"chat_models": (0, 0, 0), "chat_model_versions": (0, 0, 0)},
        **{"transcripts": (0, 0, 0), "messages": (0, 0, 0), "data_sources": (0, 0, 0)},
        **{"webhooks": (0, 0, 0), "webhook_deliveries": (0, 0, 0)},
        "conversation_shares": (0, 0, 0),
    }
    assert [store["role"] for store in told["stores"]] == ["passages", "conversations", "records"]


def test_a_dry_run_counts_and_changes_nothing(installation: Path, stores: Stores, tmp_path: Path) -> None:
    result = migrate(installation, stores.variables, "--to", "production", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "passages: 152 passages, 144 vectors" in result.output
    assert "conversations: 40 conversations" in result.output
    assert "records: 2 tenants, 2 api_keys, 2 datasets, 40 document_versions, 42 documents, 160 chunks" in result.output
    assert "Nothing was changed" in result.output
    assert f"to   {stores.database_uri.replace(LOGIN, '')}\n" in result.output
    assert f"to   redis://{stores.redis.address}/0\n" in result.output
    assert stores.is_untouched()
    migrate(installation, stores.variables, "--to", "production")
    migrate(tmp_path / "empty", stores.variables, "--to", "embedded", "--dry-run")
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["pustaka.lock"]


def test_only_what_is_configured_is_moved(installation: Path, stores: Stores) -> None:
    result = migrate(installation, {"REDIS_URL": stores.redis.url}, "--to", "production", "--json")
    assert [store["role"] for store in json.loads(result.stdout)["stores"]] == ["conversations"]
    assert stores.redis.client.dbsize() == 80
    variables = {name: stores.variables[name] for name in ("QDRANT_URL", "QDRANT_API_KEY")}
    assert migrate(installation, variables, "--to", "production").exit_code == 0
    assert stores.points() == 152


def test_roles_can_be_moved_one_by_one(installation: Path, stores: Stores) -> None:
    for role in ("records", "conversations", "passages"):
        result = migrate(installation, stores.variables, "--to", "production", "--only", role)
        assert result.exit_code == 0, result.output
    assert_same(read_embedded(installation), stores.contents())


def test_with_nothing_configured_it_says_what_to_set(installation: Path) -> None:
    told = refused(migrate(installation, {}, "--to", "production"))
    assert "DATABASE_URI" in told
    assert "REDIS_URL" in told
    assert "QDRANT_URL" in told
    assert "Set QDRANT_URL" in refused(
        migrate(installation, {"REDIS_HOST": "localhost"}, "--to", "production", "--only", "passages")
    )


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "by several workers"])
def test_it_refuses_while_the_service_runs(installation: Path, stores: Stores, shared: bool) -> None:
    with open_data_folder(installation, shared=shared):
        told = refused(migrate(installation, stores.variables, "--to", "production"))
    assert told.startswith("Stop the service first: ")
    assert stores.is_untouched()


def test_a_data_folder_that_is_not_there_is_a_mistake(tmp_path: Path, stores: Stores) -> None:
    assert "there is no folder" in refused(migrate(tmp_path / "typo", stores.variables, "--to", "production"))
    assert not (tmp_path / "typo").exists()
    (tmp_path / "new").mkdir()
    assert "There is nothing to move" in refused(migrate(tmp_path / "new", stores.variables, "--to", "production"))
    assert "There is nothing to move" in refused(migrate(tmp_path / "new", stores.variables, "--to", "embedded"))


@pytest.mark.parametrize("role", ["records", "passages", "conversations"])
def test_a_target_that_holds_something_is_refused_by_name(installation: Path, stores: Stores, role: str) -> None:
    assert migrate(installation, stores.variables, "--to", "production", "--only", role).exit_code == 0
    held = {
        "records": (f"127.0.0.1:{httpx.URL(stores.database_uri).port}", "2 tenants", "DATABASE_URI"),
        "passages": (f"collection {COLLECTION}", "152 passages", "QDRANT_COLLECTION_NAME"),
        "conversations": (stores.redis.address, "40 conversations", "REDIS_URL"),
    }
    told = refused(migrate(installation, stores.variables, "--to", "production"))
    assert all(part in told for part in held.pop(role))
    assert not any(place in told for place, _, _ in held.values())
    assert {"records": "documents" in told, "passages": stores.points() == 152, "conversations": True}[role]


def test_embedded_stores_that_hold_something_are_refused_by_name(
    installation: Path, stores: Stores, tmp_path: Path
) -> None:
    migrate(installation, stores.variables, "--to", "production")
    told = refused(migrate(installation, stores.variables, "--to", "embedded"))
    for name in ("pustaka.db", "appendonlydir", "index"):
        assert f"{installation / name}" in told


def test_a_database_that_is_the_embedded_one_itself_is_refused(installation: Path) -> None:
    variables = {"DATABASE_URI": f"sqlite:///{installation / 'pustaka.db'}"}
    assert "the embedded database itself" in refused(migrate(installation, variables, "--to", "production"))


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("DATABASE_URI", "postgresql://u:p@127.0.0.1:1/none", "DATABASE_URI: "),
        ("DATABASE_URI", "not an address", "DATABASE_URI: "),
        ("REDIS_URL", "redis://127.0.0.1:1/0", "REDIS_URL"),
        ("QDRANT_URL", "http://127.0.0.1:1", "QDRANT_URL"),
        ("QDRANT_API_KEY", "another", "QDRANT_API_KEY"),
    ],
)
def test_a_target_that_cannot_be_reached_is_one_line(
    installation: Path, stores: Stores, variable: str, value: str, told: str
) -> None:
    line = refused(migrate(installation, {**stores.variables, variable: value}, "--to", "production"))
    assert told in line
    assert "\n" not in line
    assert stores.is_untouched()


def test_wrong_passwords_are_one_line(installation: Path, stores: Stores, postgres: PostgresServer) -> None:
    for wrong in (
        {"DATABASE_URI": postgres.url_of(stores.database_uri.rpartition("/")[2], password="wrong")},
        {"REDIS_URL": stores.redis.url_of(password="wrong")},
    ):
        line = refused(migrate(installation, {**stores.variables, **wrong}, "--to", "production"))
        assert next(iter(wrong)) in line
        assert "\n" not in line
        assert stores.is_untouched()


def test_a_collection_of_another_dimension_is_refused(installation: Path, stores: Stores) -> None:
    body = {
        "vectors": {"meaning": {"size": DIMENSION * 2, "distance": "Cosine"}},
        "sparse_vectors": {"words": {"modifier": "idf"}},
    }
    stores.ask("PUT", f"/collections/{COLLECTION}", json=body)
    line = refused(migrate(installation, stores.variables, "--to", "production"))
    assert f"vectors of {DIMENSION * 2} numbers" in line
    assert not stores.redis.client.dbsize()
    assert not (installation / "migration.json").exists()


def test_a_database_of_a_newer_version_is_refused(installation: Path, stores: Stores) -> None:
    stores.sql("CREATE TABLE alembic_version (version_num varchar(32))")
    stores.sql("INSERT INTO alembic_version VALUES ('9999')")
    line = refused(migrate(installation, stores.variables, "--to", "production"))
    assert "migration 9999" in line
    assert not stores.collections()


def test_passages_without_an_index_to_move_are_left_to_the_service(
    installation: Path, stores: Stores, tmp_path: Path
) -> None:
    shutil.copytree(installation, tmp_path / "data", ignore=shutil.ignore_patterns("index"))
    result = migrate(tmp_path / "data", stores.variables, "--to", "production")
    assert result.exit_code == 0, result.output
    assert "the service computes the vectors" in result.output
    database = open_database(stores.database_uri)
    for ctx in (ACME, GLOBEX):
        assert {state for _, state in documents_of(database, ctx)} == {"pending", "failed"}
    database.close()
    assert stores.sql("SELECT count(*) FROM chunks WHERE words_in <> 0 OR vectors_in <> 0") == 0


def test_conversations_move_to_a_cluster_and_back(installation: Path, tmp_path: Path) -> None:
    with RedisCluster(tmp_path / "cluster", password=PASSWORD) as cluster:
        there = migrate(installation, {"REDIS_URL": cluster.url}, "--to", "production")
        assert there.exit_code == 0, there.output
        back = migrate(tmp_path / "other", {"REDIS_URL": cluster.url}, "--to", "embedded")
        assert back.exit_code == 0, back.output
    assert_same_conversations(installation, tmp_path / "other")


def test_the_command_is_one_of_the_service_s_own(installation: Path, stores: Stores) -> None:
    done = Service(installation, **stores.variables).flask("migrate-data", "--to", "production", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "records: 2 tenants" in done.stdout


def test_a_conversation_without_an_end_gets_one(stores: Stores, tmp_path: Path) -> None:
    fill_embedded(tmp_path / "data", conversations=1)
    with embedded_redis(tmp_path / "data") as url, redis.Redis.from_url(url) as client:
        for key in client.scan_iter():
            client.persist(key)
    assert migrate(tmp_path / "data", stores.variables, "--to", "production").exit_code == 0
    assert {round(stores.redis.client.ttl(key), -2) for key in stores.redis.client.scan_iter()} == {86_400}


def test_a_move_that_is_killed_again_and_again_is_completed_by_repeating_it(
    installation: Path, stores: Stores, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(installation, folder)
    journal = folder / "migration.json"
    with stores.records_held_up():  # so that it cannot finish before it is killed
        for condition in (
            journal.exists,
            lambda: stores.points() > 0,
            lambda: stores.points() > 80,
            lambda: stores.redis.client.dbsize() > 20,
            stores.waits_for_records,
        ):
            Migrating(folder, stores.variables).kill_when(condition)
            assert stores.sql("SELECT count(*) FROM tenants") == 0
    with stores.qdrant.holding(lambda: stores.sql("SELECT count(*) FROM chunks")):
        Migrating(folder, stores.variables).kill_when(stores.qdrant.is_holding.is_set)
    assert journal.exists()
    code, told = Migrating(folder, stores.variables).finish()
    assert code == 0, told
    assert "An earlier move that was broken off was continued." in told
    assert not journal.exists()
    before = read_embedded(installation)
    assert_same(before, stores.contents())
    assert_same(before, read_embedded(folder))


@pytest.fixture
def broken_off(installation: Path, stores: Stores, tmp_path: Path) -> Path:
    """The data folder of a move that was killed while it moved passages."""
    folder = tmp_path / "data"
    shutil.copytree(installation, folder)
    with stores.qdrant.holding(lambda: stores.qdrant.requests[-1].endswith("/points/vectors")):
        Migrating(folder, stores.variables).kill_when(stores.qdrant.is_holding.is_set)
    assert not stores.redis.client.dbsize()
    return folder


def test_what_changed_in_the_source_since_a_move_broke_off_is_moved_as_it_is_now(
    broken_off: Path, stores: Stores
) -> None:
    converse(stores.redis.url, TALK, life_s=LIVES_S[1], question="An earlier copy?")
    with embedded_redis(broken_off) as url:
        converse(url, TALK, life_s=LIVES_S[1])
    forget_document(broken_off, ACME, "0.md")
    result = migrate(broken_off, stores.variables, "--to", "production")
    assert result.exit_code == 0, result.output
    assert_same(read_embedded(broken_off), stores.contents())


def test_a_conversation_that_went_on_in_the_target_is_not_overwritten(broken_off: Path, stores: Stores) -> None:
    converse(stores.redis.url, TALK, life_s=LIVES_S[0])
    stores.redis.client.hset(make_state_key(TALK), "@updated", "2999-01-01T00:00:00+00:00")
    theirs = stores.redis.client.hgetall(make_state_key(TALK))
    result = migrate(broken_off, stores.variables, "--to", "production")
    assert result.exit_code == 1
    assert f"{make_summary_key(TALK)} went on in the target" in result.output
    assert stores.redis.client.hgetall(make_state_key(TALK)) == theirs


def test_a_target_that_somebody_used_meanwhile_is_not_called_moved(broken_off: Path, stores: Stores) -> None:
    stores.sql("INSERT INTO tenants (tenant_id, created_at) VALUES ('intruder', now())")
    theirs = {"id": str(uuid.uuid4()), "vector": {}, "payload": {"tenant_id": "intruder"}}
    stores.ask("PUT", f"/collections/{COLLECTION}/points", json={"points": [theirs]})
    converse(stores.redis.url, "intruder/talk", life_s=LIVES_S[0])
    result = migrate(broken_off, stores.variables, "--to", "production")
    assert result.exit_code == 1
    assert re.search(r"records: tenants +2 +1 +2 +DIFFERENT", result.output)
    assert "records: tenants acme is not in the target" in result.output
    assert re.search(r"passages of all tenants +152 +153 +0 +DIFFERENT", result.output)
    assert "conversations: checkpoint:intruder/talk is in the target alone" in result.output
    assert "empty the target stores that differ" in result.output
    assert stores.sql("SELECT tenant_id FROM tenants") == "intruder"


def test_another_move_is_not_mixed_with_one_that_was_broken_off(broken_off: Path, stores: Stores) -> None:
    elsewhere = {**stores.variables, "QDRANT_COLLECTION_NAME": "another"}
    assert "Another move was begun" in refused(migrate(broken_off, elsewhere, "--to", "production"))
    assert "Another move was begun" in refused(migrate(broken_off, stores.variables, "--to", "embedded"))
