"""`flask state` where conversations are encrypted: brought under a key, to another one, and back."""

import json
import select
import socket
import socketserver
import threading
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.cli.stored import (
    NEW,
    OLD,
    ROTATING,
    SAID,
    THREADS,
    TTL_S,
    client,
    command,
    converse,
    go_on,
    redis_server,
)
from tests.servers.redis import RedisCluster, RedisServer

pytestmark = pytest.mark.long

__all__ = ["client", "redis_server"]

WORDS = [SAID.encode(), b"HumanMessage", b"channel_versions"]


def stored(client: redis.Redis, thread_id: str) -> bytes:
    """All bytes of a conversation's hash."""
    fields: Any = client.hgetall(f"state:{{checkpoint:{thread_id}}}")
    return b"".join(part for pair in fields.items() for part in pair)


def visible(client: redis.Redis, thread_id: str) -> list[bytes]:
    return [word for word in WORDS if word in stored(client, thread_id)]


def age(client: redis.Redis, seconds: int = 60) -> None:
    """Leave everything that is stored that long to live."""
    for key in client.scan_iter():
        client.expire(key, seconds)


def test_encrypting_leaves_nothing_readable_and_conversations_go_on(
    tmp_path: Path, client: redis.Redis, redis_server: RedisServer
) -> None:
    converse(redis_server.url, *THREADS)
    assert all(visible(client, thread_id) for thread_id in THREADS)
    summaries = [json.loads(client.get(f"checkpoint:{thread_id}") or b"") for thread_id in THREADS]
    age(client)
    run = command(tmp_path, redis_server.url, keys=NEW)
    result = run("encrypt", "--all")
    assert result.exit_code == 0, result.output
    assert result.stdout == "2 conversations encrypted under 'new'; 0 were already.\n"
    assert [visible(client, thread_id) for thread_id in THREADS] == [[], []]
    assert all(50 < client.ttl(key) <= 60 for key in client.scan_iter())
    again = [json.loads(client.get(f"checkpoint:{thread_id}") or b"") for thread_id in THREADS]
    assert [one | {"bytes": 0} for one in again] == [one | {"bytes": 0} for one in summaries]
    assert run("encrypt", "--all").stdout == "0 conversations encrypted under 'new'; 2 were already.\n"
    for thread_id in THREADS:
        told = go_on(redis_server.url, thread_id, keys=NEW)
        said = [text for n in range(2) for text in (f"{SAID} {n} of {thread_id}", f"re {SAID}")]
        assert told == [*said, "It is so."]
        assert visible(client, thread_id) == []
        assert client.ttl(f"checkpoint:{thread_id}") > TTL_S - 60


def test_after_a_rotation_the_older_key_can_go(tmp_path: Path, client: redis.Redis, redis_server: RedisServer) -> None:
    converse(redis_server.url, *THREADS, keys=OLD)
    converse(redis_server.url, "y", keys=NEW)
    rotating = command(tmp_path, redis_server.url, keys=ROTATING)
    before = {thread_id: rotating("export", thread_id).stdout for thread_id in THREADS}
    result = rotating("encrypt", "--all")
    assert "2 conversations encrypted under 'new'; 1 were already." in result.stdout
    assert "Nothing needs 'old' any more" in result.stdout
    run = command(tmp_path, redis_server.url, keys=NEW)
    for thread_id in THREADS:
        exported = json.loads(run("export", thread_id).stdout)
        assert exported["checkpoints"] == json.loads(before[thread_id])["checkpoints"]
        assert go_on(redis_server.url, thread_id, keys=NEW)[-1] == "It is so."
    assert b"\x03old" not in b"".join(stored(client, thread_id) for thread_id in (*THREADS, "y"))


def test_encrypted_conversations_are_shown_like_others(
    tmp_path: Path, client: redis.Redis, redis_server: RedisServer
) -> None:
    plain, run = (command(tmp_path, redis_server.url, keys=keys) for keys in ("", NEW))
    converse(redis_server.url, *THREADS)
    expected = {}
    for one in json.loads(plain("list", "--json").stdout):
        thread_id = one["thread_id"]
        expected[thread_id] = json.loads(plain("show", thread_id, "--json", "--messages").stdout)
    values = json.loads(plain("size", "acme.x", "--json").stdout)
    assert run("encrypt", *THREADS).exit_code == 0
    assert {one["thread_id"] for one in json.loads(run("list", "--json").stdout)} == set(THREADS)
    for thread_id in THREADS:
        shown = json.loads(run("show", thread_id, "--json", "--messages").stdout)
        for name in ("heads", "newest", "channels", "pending_writes", "messages"):
            assert shown[name] == expected[thread_id][name]
        assert SAID not in run("show", thread_id).stdout
    size = json.loads(run("size", "acme.x", "--json").stdout)
    assert (size["values_bytes"], size["counts"], size["unreadable"]) == (values["values_bytes"], values["counts"], 0)
    assert size["stored_bytes"] > values["stored_bytes"]
    assert "1 checkpoint removed" in run("prune", "acme.x", "--keep", shown_checkpoints(run, "acme.x") - 1).stdout
    assert "1 conversation deleted." in run("delete", "acme.x", "--yes").stdout
    assert run("show", "x").exit_code == 0


def shown_checkpoints(run: Any, thread_id: str) -> int:
    counted: int = json.loads(run("show", thread_id, "--json").stdout)["checkpoints"]
    return counted


def test_decrypting_makes_them_readable_without_keys(
    tmp_path: Path, client: redis.Redis, redis_server: RedisServer
) -> None:
    converse(redis_server.url, "x", keys=OLD)
    converse(redis_server.url, "acme.x", keys=NEW)
    age(client)
    run = command(tmp_path, redis_server.url, keys=ROTATING)
    result = run("encrypt", "--all", "--decrypt")
    assert "2 conversations decrypted; 0 were already." in result.stdout
    assert "Nothing needs 'new', 'old' any more: remove STATE_ENCRYPTION_KEYS." in result.stdout
    assert max(client.ttl(key) for key in client.scan_iter()) <= 60
    assert all(go_on(redis_server.url, thread_id)[-1] == "It is so." for thread_id in THREADS)
    assert "0 conversations decrypted; 2 were already." in run("encrypt", "--all", "--decrypt").stdout


@pytest.mark.parametrize(
    ("which", "encrypted"),
    [
        (["x"], {"x"}),
        (["acme.x", "acme.x"], {"acme.x"}),
        (["x", "y", "--tenant", "acme"], {"acme.x", "acme.y"}),
        (["--all", "--tenant", "acme"], {"acme.x", "acme.y"}),
        (["--all", "--tenant", "default"], {"x", "y"}),
        (["--all", "--match", "*y"], {"y", "acme.y"}),
    ],
)
def test_only_what_is_named_is_encrypted(
    tmp_path: Path, client: redis.Redis, redis_server: RedisServer, which: list[str], encrypted: set[str]
) -> None:
    threads = {"x", "y", "acme.x", "acme.y"}
    converse(redis_server.url, *threads, turns=1)
    result = command(tmp_path, redis_server.url, keys=ROTATING)("encrypt", *which)
    assert f"{len(encrypted)} conversations encrypted under 'new'; 0 were already." in result.stdout
    assert "Nothing needs" not in result.stdout
    assert {thread_id for thread_id in threads if not visible(client, thread_id)} == encrypted


def test_a_conversation_without_its_readable_key_is_encrypted_too(
    tmp_path: Path, client: redis.Redis, redis_server: RedisServer
) -> None:
    converse(redis_server.url, *THREADS, turns=1)
    client.delete("checkpoint:acme.x")
    assert "2 conversations" in command(tmp_path, redis_server.url, keys=NEW)("encrypt", "--all").stdout
    assert [visible(client, thread_id) for thread_id in THREADS] == [[], []]
    assert client.exists("checkpoint:acme.x") == 1


def test_one_that_cannot_be_read_is_named_and_the_others_are_done(
    tmp_path: Path, client: redis.Redis, redis_server: RedisServer
) -> None:
    converse(redis_server.url, *THREADS, turns=1)
    converse(redis_server.url, "lost", "acme.lost", turns=1, keys=OLD)
    client.set("state:{checkpoint:text}", "a string")
    before = stored(client, "lost")
    result = command(tmp_path, redis_server.url, keys=NEW)("encrypt", "--all")
    assert result.exit_code == 1
    assert "2 conversations encrypted under 'new'" in result.stdout
    assert "): it is encrypted under the key 'old', which is not configured." in result.stderr
    assert "2 cannot be read (" in result.stderr
    assert "acme.lost" in result.stderr
    assert "1 cannot be read (text): WRONGTYPE" in result.stderr
    assert "behind the others in STATE_ENCRYPTION_KEYS" in result.stderr
    assert stored(client, "lost") == before
    for key in (OLD, NEW):
        assert key.partition(":")[2] not in result.output


def test_what_is_not_encrypted_is_shown_as_that_once_there_are_keys(
    tmp_path: Path, client: redis.Redis, redis_server: RedisServer
) -> None:
    converse(redis_server.url, *THREADS, turns=1)
    run = command(tmp_path, redis_server.url, keys=NEW)
    shown = run("show", "acme.x", "--messages")
    assert shown.exit_code == 0
    assert "(it is not encrypted, although there are keys)" in shown.stdout
    assert SAID not in shown.stdout
    assert SAID not in run("export", "x").stdout


def test_encrypting_needs_a_key_and_to_be_told_what(
    tmp_path: Path, client: redis.Redis, redis_server: RedisServer
) -> None:
    converse(redis_server.url, *THREADS, turns=1)
    refused = command(tmp_path, redis_server.url)("encrypt", "--all")
    assert (refused.exit_code, "set STATE_ENCRYPTION_KEYS=name:key" in refused.output) == (1, True)
    run = command(tmp_path, redis_server.url, keys=NEW)
    assert (run("encrypt").exit_code, run("encrypt", "x", "--all").exit_code) == (2, 2)
    unknown = run("encrypt", "x", "nobody")
    assert (unknown.exit_code, "'nobody'" in unknown.output) == (1, True)
    assert all(visible(client, thread_id) for thread_id in THREADS)


class _Interrupting(socketserver.BaseRequestHandler):
    """Passes everything on, but has another client write to a conversation before each script about it."""

    server: "_Proxy"

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.redis_server.port)) as behind:
            while True:
                readable, _, _ = select.select([self.request, behind], [], [])
                if not (chunk := readable[0].recv(1 << 20)):
                    return
                if readable[0] is self.request and b"EVALSHA" in chunk and self.server.key in chunk:
                    self.server.redis_server.client.hincrby(self.server.key, "@noise", 1)
                (behind if readable[0] is self.request else self.request).sendall(chunk)


class _Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, redis_server: RedisServer, thread_id: str) -> None:
        super().__init__(("127.0.0.1", 0), _Interrupting)
        self.redis_server, self.key = redis_server, f"state:{{checkpoint:{thread_id}}}".encode()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return self.redis_server.url.replace(str(self.redis_server.port), str(self.server_address[1]))

    def __exit__(self, *failure: Any) -> None:
        self.shutdown()
        super().__exit__(*failure)


def test_one_that_is_written_to_all_the_time_is_left_for_later(
    tmp_path: Path, client: redis.Redis, redis_server: RedisServer
) -> None:
    converse(redis_server.url, *THREADS)
    with _Proxy(redis_server, "acme.x") as proxy:
        result = command(tmp_path, proxy.url, keys=NEW)("encrypt", "--all")
    assert result.exit_code == 1
    assert "1 conversations encrypted under 'new'" in result.stdout
    assert "1 left, written to all the time (acme.x): repeat the command." in result.stderr
    assert visible(client, "acme.x")
    later = command(tmp_path, redis_server.url, keys=NEW)("encrypt", "--all")
    assert "1 conversations encrypted under 'new'; 1 were already." in later.stdout


def test_conversations_of_a_cluster_are_encrypted(tmp_path: Path, redis_cluster: RedisCluster) -> None:
    threads = [f"{tenant}{n}" for tenant in ("", "acme.") for n in range(4)]
    converse(redis_cluster.url, *threads, turns=1)
    run = command(tmp_path, redis_cluster.url, keys=NEW)
    assert "8 conversations encrypted" in run("encrypt", *threads).stdout
    assert all(go_on(redis_cluster.url, thread_id, turns=1, keys=NEW) for thread_id in threads)
    assert run("delete", "--yes", *threads).exit_code == 0
