"""`flask state` over real servers: what it shows of two tenants' conversations, and what it leaves as it is."""

import asyncio
import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

from agents.runs.record import RunRecord
from agents.runs.run_store import RunStore
from auth.credentials import make_key_principal
from bootstrap.data_folder import open_data_folder
from bootstrap.valkey import ValkeyChild
from tests.cli.stored import SAID, THREADS, TTL_S, Run, client, command, converse, redis_server
from tests.servers.redis import RedisCluster, RedisServer
from tests.service import ROOT, plain_environment
from utils.checkpointer import Connections

pytestmark = pytest.mark.long

__all__ = ["client", "redis_server"]


@pytest.fixture
def run(tmp_path: Path, redis_server: RedisServer, client: redis.Redis) -> Run:
    return command(tmp_path, redis_server.url)


def spoil(client: redis.Redis) -> None:
    """Keys such as other programs, and accidents, leave."""
    client.lpush("checkpoint:list", "what is this")
    client.set("checkpoint:text", "neither JSON nor ours")
    client.set("checkpoint:other\x1b[2J", json.dumps({"v": 1}))
    client.set(b"checkpoint:\xff", b"\xff")
    client.set("state:{checkpoint:text}", "a string")


def test_list_shows_the_conversations_of_both_tenants_without_their_words(
    run: Run, client: redis.Redis, redis_server: RedisServer
) -> None:
    converse(redis_server.url, "x", turns=1)
    converse(redis_server.url, "acme.x", "acme.y")
    result = run("list")
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines()[1:4]}
    assert rows.keys() == {"x", "acme.x", "acme.y"}
    assert rows["acme.x"][1:3] == ["4", str(json.loads(client.get("checkpoint:acme.x") or b"")["checkpoints"])]
    assert rows["acme.x"][-2:] == ["60", "min"] or rows["acme.x"][-2:] == ["1", "h"]
    assert "3 conversations" in result.stdout
    assert "words" not in result.output
    named = {row["thread_id"]: row for row in json.loads(run("list", "--json").stdout)}
    assert (named["acme.x"]["tenant"], named["acme.x"]["conversation_id"]) == ("acme", "x")
    assert (named["x"]["tenant"], named["x"]["counts"]["messages"], named["x"]["problem"]) == ("default", 2, None)
    assert TTL_S - 60 < named["x"]["expires_in_s"] <= TTL_S


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--tenant", "acme"], {"acme.x", "acme.yy"}),
        (["--tenant", "default"], {"x", "yy"}),
        (["--match", "*y"], {"yy", "acme.yy"}),
        (["--tenant", "acme", "--match", "y*"], {"acme.yy"}),
        (["--tenant", "a*"], set()),
        (["--limit", "1"], {"acme.yy"}),
    ],
)
def test_list_can_be_narrowed(
    run: Run, client: redis.Redis, redis_server: RedisServer, options: list[str], expected: set[str]
) -> None:
    converse(redis_server.url, "x", "yy", "acme.x", "acme.yy", turns=1)
    used = json.loads(client.get("checkpoint:acme.yy") or b"") | {"updated_at": "2999-01-01T00:00:00+00:00"}
    client.set("checkpoint:acme.yy", json.dumps(used), keepttl=True)
    assert {row["thread_id"] for row in json.loads(run("list", "--json", *options).stdout)} == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--tenant", "acme"], {"acme.x", "acme.k1.x", "acme.k2.y"}),
        (["--tenant", "default"], {"x", "default.k1.x"}),
        (["--tenant", "acme", "--match", "x"], {"acme.x", "acme.k1.x"}),
        (["--tenant", "acme", "--match", "k*"], set()),
        (["--tenant", "default", "--match", "y*"], set()),
        (["--match", "*.k1.*"], {"acme.k1.x", "default.k1.x"}),
    ],
)
def test_list_tells_whose_a_conversation_is(
    run: Run, client: redis.Redis, redis_server: RedisServer, options: list[str], expected: set[str]
) -> None:
    converse(redis_server.url, "x", "acme.x", "acme.k1.x", "acme.k2.y", "default.k1.x", turns=1)
    found = {row["thread_id"]: row for row in json.loads(run("list", "--json", *options).stdout)}
    assert found.keys() == expected
    for thread_id, row in found.items():
        subject = thread_id.split(".")[1] if thread_id.count(".") == 2 else None
        assert (row["subject"], row["conversation_id"]) == (subject, thread_id[-1])


def test_a_conversation_of_a_subject_is_named_with_it(run: Run, client: redis.Redis, redis_server: RedisServer) -> None:
    converse(redis_server.url, "x", "default.k1.x", turns=1)
    for arguments in (["default.k1.x"], ["k1.x", "--tenant", "default"], ["default.k1.x", "--tenant", "default"]):
        shown = json.loads(run("show", *arguments, "--json").stdout)
        assert (shown["tenant"], shown["subject"], shown["conversation_id"]) == ("default", "k1", "x")
    assert json.loads(run("show", "x", "--tenant", "default", "--json").stdout)["subject"] is None


def test_broken_and_foreign_keys_are_shown_as_such(run: Run, client: redis.Redis, redis_server: RedisServer) -> None:
    converse(redis_server.url, *THREADS)
    spoil(client)
    result = run("list")
    assert result.exit_code == 0
    shown = result.stdout.splitlines()
    assert {line.split()[0] for line in shown[1:3]} == set(THREADS)
    assert any(line.startswith("list ") and "(not a string)" in line and "no end" in line for line in shown)
    assert any(line.startswith("text ") and "(not a summary of ours)" in line for line in shown)
    assert "other\\x1b[2J" in result.stdout
    assert "\x1b" not in result.stdout
    assert "6 conversations" in result.stdout
    failed = run("show", "text")
    assert (failed.exit_code, failed.output[:56]) == (1, "Error: state:{checkpoint:text} cannot be read: WRONGTYPE")
    pruned = run("prune", "--all")
    assert pruned.exit_code == 1
    assert "from 5 conversations" in pruned.stdout
    assert run("delete", "text", "list", "--yes").exit_code == 0
    assert client.exists("checkpoint:text", "state:{checkpoint:text}", "checkpoint:list") == 0
    assert client.exists("checkpoint:x", "state:{checkpoint:x}") == 2


def test_show_tells_what_a_conversation_is_made_of(run: Run, redis_server: RedisServer) -> None:
    converse(redis_server.url, *THREADS)
    result = run("show", "x", "--tenant", "acme")
    assert result.exit_code == 0, result.output
    assert "list of 4 AIMessage, HumanMessage" in result.stdout
    assert "PENDING IN" in result.stdout
    assert "__interrupt__" in result.stdout
    assert "words" not in result.stdout
    told = json.loads(run("show", "acme.x", "--json", "--limit", "3").stdout)
    assert told["thread_id"] == "acme.x"
    assert [(line["step"], line["source"]) for line in told["newest"]] == [(4, "loop"), (3, "loop"), (2, "input")]
    assert told["heads"] == {"": told["newest"][0]["checkpoint_id"]}
    sizes = {piece["channel"]: piece["size_bytes"] for piece in told["channels"]}
    assert sizes["context"] > len(SAID * 40)
    said = run("show", "acme.x", "--messages").stdout
    assert f"user: {SAID} 0 of acme.x" in said
    assert f"assistant: re {SAID}" in said
    assert "of x" not in said


def test_show_says_which_checkpoint_cannot_be_read(run: Run, client: redis.Redis, redis_server: RedisServer) -> None:
    converse(redis_server.url, *THREADS)
    head = json.loads(client.get("checkpoint:acme.x") or b"")["checkpoint_id"]
    client.hset("state:{checkpoint:acme.x}", f"c\0{head}", b"\0\0\0\0\0\0\0\0\0\0broken")
    result = run("show", "acme.x")
    assert result.exit_code == 0
    assert any("unknown format b'br'" in line and head in line for line in result.stdout.splitlines())
    exported = run("export", "acme.x")
    assert exported.exit_code == 1
    assert "1 checkpoints cannot be read" in exported.stderr
    problems = [one["checkpoint_id"] for one in json.loads(exported.stdout)["checkpoints"] if "problem" in one]
    assert problems == [head]


def test_a_conversation_is_found_without_its_readable_key(
    run: Run, client: redis.Redis, redis_server: RedisServer
) -> None:
    converse(redis_server.url, *THREADS)
    client.delete("checkpoint:x")
    assert "its readable key is missing" in run("show", "x").stdout
    assert "its readable key is missing" not in run("show", "acme.x").stdout


def test_size_adds_up_to_what_is_stored(run: Run, client: redis.Redis, redis_server: RedisServer) -> None:
    converse(redis_server.url, *THREADS)
    told = json.loads(run("size", "acme.x", "--json").stdout)
    fields: Any = client.hgetall("state:{checkpoint:acme.x}")
    assert told["stored_bytes"] == sum(len(name) + len(content) for name, content in fields.items())
    assert sum(told["counts"].values()) == len(fields)
    assert told["counts"]["records"] == sum(name.startswith(b"c") for name in fields)
    assert told["values_bytes"] > told["bytes_by_kind"]["values"]
    assert told["saving"] > 2  # the context, long and repetitive, is in most checkpoints
    assert told["memory_bytes"]["state:{checkpoint:acme.x}"] > told["stored_bytes"]
    text = run("size", "acme.x").stdout
    assert ["together", str(told["stored_bytes"])] in [line.split() for line in text.splitlines()]
    assert "times as much" in text


def test_export_writes_a_conversation_as_json(run: Run, redis_server: RedisServer, tmp_path: Path) -> None:
    converse(redis_server.url, *THREADS)
    exported = json.loads(run("export", "x", "--tenant", "acme").stdout)
    assert exported["thread_id"] == "acme.x"
    ids = [one["checkpoint_id"] for one in exported["checkpoints"]]
    assert ids == sorted(ids, reverse=True)
    assert exported["checkpoints"][0]["parent_checkpoint_id"] == ids[1]
    assert exported["checkpoints"][-1]["metadata"]["step"] == -1
    newest = exported["checkpoints"][0]
    said = [(one["role"], one["type"], one["content"]) for one in newest["values"]["messages"]]
    assert said[0] == ("user", "human", f"{SAID} 0 of acme.x")
    assert said[1] == ("assistant", "ai", f"re {SAID}")
    assert newest["values"]["messages"][0]["id"] == "q0"
    assert newest["pending_writes"][0]["channel"] == "__interrupt__"
    assert newest["pending_writes"][0]["value"][0]["value"] == "Is that so?"
    assert "of x" not in json.dumps(exported)
    file = tmp_path / "x.json"
    assert run("export", "acme.x", "--latest", "--output", file).stdout == ""
    assert json.loads(file.read_text())["checkpoints"] == [newest]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_looking_does_not_prolong_a_conversation(run: Run, client: redis.Redis, redis_server: RedisServer) -> None:
    converse(redis_server.url, *THREADS)
    for key in client.scan_iter():
        client.expire(key, 60)

    def stored() -> list[Any]:
        hashes = [client.hgetall(f"state:{{checkpoint:{thread}}}") for thread in THREADS]
        return hashes + [client.get(f"checkpoint:{thread}") for thread in THREADS]

    before = stored()
    for look in (["list"], ["show", "x", "--messages"], ["size", "x"], ["export", "x"], ["export", "x", "--latest"]):
        assert run(*look).exit_code == 0
        assert [client.ttl(key) for key in client.scan_iter() if not 0 < client.ttl(key) <= 60] == [], look
    assert stored() == before


def test_prune_keeps_the_newest_checkpoint_and_the_time_left(
    run: Run, client: redis.Redis, redis_server: RedisServer
) -> None:
    converse(redis_server.url, "x", "y", "acme.x", "acme.y")
    before = json.loads(client.get("checkpoint:acme.x") or b"")
    for key in client.scan_iter():
        client.expire(key, 60)
    assert (
        f"{before['checkpoints'] - 3} checkpoints removed from 1 conversation."
        in run("prune", "acme.x", "--keep", 3).stdout
    )
    assert "2 checkpoints removed from 1 conversation." in run("prune", "acme.x").stdout
    after = json.loads(client.get("checkpoint:acme.x") or b"")
    assert (after["checkpoints"], after["checkpoint_id"]) == (1, before["checkpoint_id"])
    assert json.loads(client.get("checkpoint:x") or b"")["checkpoints"] == before["checkpoints"]
    assert "from 2 conversations" in run("prune", "--all", "--tenant", "acme").stdout
    counts = {
        thread: json.loads(client.get(f"checkpoint:{thread}") or b"")["checkpoints"] for thread in ("y", "acme.y")
    }
    assert counts == {"y": before["checkpoints"], "acme.y": 1}
    assert "from 4 conversations" in run("prune", "--all").stdout
    assert max(client.ttl(key) for key in client.scan_iter()) <= 60


def test_delete_asks_first(run: Run, client: redis.Redis, redis_server: RedisServer) -> None:
    converse(redis_server.url, *THREADS, turns=1)
    refused = run("delete", "x", input="n\n")
    assert refused.exit_code == 1
    assert client.dbsize() == 4
    assert "1 conversation deleted." in run("delete", "x", input="y\n").stdout
    assert find_conversations(client) == [b"checkpoint:acme.x", b"state:{checkpoint:acme.x}"]
    assert run("delete", "x", "--tenant", "acme", "--yes").exit_code == 0
    assert find_conversations(client) == []


def find_conversations(client: redis.Redis) -> list[bytes]:
    """The keys of conversations, without the marks that these were deleted, which runs of them look for."""
    found = sorted(client.scan_iter("*checkpoint:*"))
    marks = [key for key in found if key.startswith(b"runs:deleted:")]
    assert all(client.ttl(key) > 0 for key in marks)
    return [key for key in found if key not in marks]


def test_delete_of_one_that_is_not_there_deletes_none(run: Run, client: redis.Redis, redis_server: RedisServer) -> None:
    converse(redis_server.url, *THREADS, turns=1)
    result = run("delete", "acme.x", "acme.nobody", "--yes")
    assert (result.exit_code, "'acme.nobody'" in result.output) == (1, True)
    assert client.dbsize() == 4


@pytest.mark.parametrize("name", ["show", "size", "export", "prune", "delete"])
def test_an_unknown_id_is_one_line_and_exit_code_1(run: Run, redis_server: RedisServer, name: str) -> None:
    converse(redis_server.url, "x", turns=1)
    result = run(name, "x", "--tenant", "acme")
    assert result.exit_code == 1
    assert result.output == ("Error: There is no conversation 'acme.x'; it may have expired. See `flask state list`.\n")


def test_a_redis_that_is_away_is_one_line_without_its_password(tmp_path: Path) -> None:
    result = command(tmp_path, "redis://app:s3cret@127.0.0.1:1/0")("list")
    assert result.exit_code == 1
    assert "No Redis answers at 127.0.0.1:1" in result.output
    assert "correct REDIS_URL" in result.output
    assert "s3cret" not in result.output
    assert len(result.output.splitlines()) == 1


def test_a_cluster_is_listed_whole(tmp_path: Path, redis_cluster: RedisCluster) -> None:
    threads = [f"{tenant}{n}" for tenant in ("", "acme.") for n in range(8)]
    converse(redis_cluster.url, *threads, turns=1)
    run = command(tmp_path, redis_cluster.url)
    assert {row["thread_id"] for row in json.loads(run("list", "--json").stdout)} >= set(threads)
    assert run("size", "acme.1").exit_code == 0
    assert len(json.loads(run("export", "acme.1").stdout)["checkpoints"]) == 3
    assert "8 conversations deleted" in run("delete", "--yes", *threads[8:]).stdout
    assert json.loads(run("list", "--tenant", "acme", "--json").stdout) == []
    assert run("delete", "--yes", *threads[:8]).exit_code == 0


def test_the_embedded_store_is_found_whether_the_service_runs_or_not(tmp_path: Path) -> None:
    run = command(tmp_path, None)
    nothing = run("list")
    assert (nothing.exit_code, "Nothing is stored yet" in nothing.output) == (1, True)
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    valkey = ValkeyChild(data)
    valkey.start()
    converse(valkey.url, *THREADS, turns=1)
    assert "2 conversations" in run("list").stdout
    valkey.stop()
    assert "1 conversation deleted." in run("delete", "x", "--yes").stdout
    (data / "valkey.json").write_text(json.dumps({"socket": str(data / "valkey.sock"), "pid": 1}))
    with open_data_folder(data):
        in_use = run("list")
        assert (in_use.exit_code, len(in_use.output.splitlines())) == (1, 1)
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", f"{ROOT / 'app.py'}:create_app", "state", "list", "--json"],
        cwd=tmp_path,
        env=plain_environment({"DATA_DIR": str(data)}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert [row["thread_id"] for row in json.loads(done.stdout)] == ["acme.x"]


def test_deleting_takes_the_runs_of_the_conversation_along_and_no_others(
    run: Run, client: redis.Redis, redis_server: RedisServer
) -> None:
    converse(redis_server.url, "acme.k1.x", "acme.k2.x", turns=1)

    async def begin_runs() -> None:
        connections = Connections(redis_server.url)
        run_store = RunStore(connections.asynchronous(), worker="w", hold_s=60)
        for subject in ("k1", "k2"):
            ctx = make_key_principal("acme", subject)
            asked = f"the words of {subject}"
            await run_store.begin(RunRecord(subject, ctx, "x", asked, "r", False, "f", "2026-11-21T00:00:00Z", 60))
        await connections.aclose()

    asyncio.run(begin_runs())

    def asked() -> set[bytes]:
        return {client.hget(key, "message") for key in client.scan_iter("run:*")} - {None}

    assert asked() == {b"the words of k1", b"the words of k2"}
    assert run("delete", "k1.x", "--tenant", "acme", "--yes").exit_code == 0
    assert asked() == {b"the words of k2"}
