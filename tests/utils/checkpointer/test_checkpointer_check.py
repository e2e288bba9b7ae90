"""`Connections.check`: what is said about a Redis that cannot be used, and that nothing is left in one that can."""

import asyncio
import re
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.servers.redis import PASSWORD, RedisCluster, RedisSentinel, RedisServer
from tests.service import free_port
from utils.checkpointer import Connections
from utils.checkpointer.diagnosis import FIRST_COMMANDS, HASH_COMMANDS, RIGHTS, STRING_COMMANDS
from utils.errors import StoreRefused, StoreUnavailable

pytestmark = pytest.mark.long

SECRET = "not-to-be-shown"
ABILITIES = f"on >{SECRET} ~checkpoint:* ~state:* ~lease:* ~limit:* ~run:* ~runs:* +@all"
USERS = (
    f"enough on >{SECRET} {RIGHTS}",
    f"noeval {ABILITIES} -eval",
    f"noevalsha {ABILITIES} -evalsha",
    f"nohset {ABILITIES} -hset",
    f"nozadd {ABILITIES} -zadd",
    f"noscan {ABILITIES} -scan",
    f"noload {ABILITIES} -script",
    f"noping {ABILITIES} -ping",
    f"noset {ABILITIES} -set",
    f"noend {ABILITIES} -pexpire",
    f"nodel {ABILITIES} -del",
    f"noinfo {ABILITIES} -info -config",
    f"norun on >{SECRET} ~checkpoint:* ~state:* ~lease:* ~limit:* ~runs:* +@all",
    f"nolease on >{SECRET} ~checkpoint:* ~state:* ~limit:* ~run:* ~runs:* +@all",
    f"nostate on >{SECRET} ~checkpoint:* ~lease:* ~limit:* ~run:* ~runs:* +@all",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """With a password, and users who may do more or less."""
    folder = tmp_path_factory.mktemp("password")
    with RedisServer(folder, password=PASSWORD, users=USERS) as running:
        yield running


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Without a password."""
    with RedisServer(tmp_path_factory.mktemp("open")) as running:
        yield running


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """By TLS alone."""
    with RedisServer(tmp_path_factory.mktemp("tls"), authority=trustme.CA()) as running:
        yield running


@pytest.fixture(scope="module")
def sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinel]:
    """A master that a Sentinel watches."""
    with RedisSentinel(tmp_path_factory.mktemp("sentinel"), password=PASSWORD, sentinel_password=SECRET) as running:
        yield running


async def check(url: str, timeout_s: float = 5.0) -> list[str]:
    return await Connections(url, connect_timeout_s=timeout_s, timeout_s=timeout_s).check()


async def refusal(url: str, kind: type[StoreUnavailable] = StoreRefused, timeout_s: float = 1.0) -> str:
    """What is said of *url*; nothing that is said or logged with it may hold a secret or a login."""
    with pytest.raises(StoreUnavailable) as caught:
        await check(url, 0.3 if kind is StoreUnavailable else timeout_s)
    assert type(caught.value) is kind, caught.value.detail
    told = "".join(traceback.format_exception(caught.value, chain=True)) + repr(caught.value)
    lines = [line for line in told.splitlines() if not line.startswith("    ")]  # lines of source are no values
    for secret in (SECRET, PASSWORD, "p%40ss", "app:"):
        assert secret not in "\n".join(lines)
    return caught.value.detail


async def test_nothing_lasting_is_written(server: RedisServer, open_server: RedisServer) -> None:
    open_server.client.set("acme's", "own", ex=1000)
    assert await check(server.url) == await check(open_server.url) == []
    for line in USERS:
        connections = Connections(server.url_of(user=line.split()[0], password=SECRET))
        try:
            await connections.check()
        except StoreRefused:
            continue
    assert open_server.client.keys() == [b"acme's"]
    server.wait_for(lambda: server.client.keys() == [])  # what could not be removed has an end


def test_each_command_of_our_scripts_is_tried() -> None:
    source = "".join(path.read_text() for path in (files("utils.checkpointer") / "lua").iterdir() if path.is_file())
    used = set(re.findall(r"redis\.call\('([A-Z]+)'", source))
    tried = STRING_COMMANDS + HASH_COMMANDS + FIRST_COMMANDS
    assert used <= {line.split()[0] for line in tried}


@pytest.mark.parametrize("user", ["enough", "noinfo"])
async def test_the_rights_it_names_are_enough(server: RedisServer, user: str) -> None:
    assert await check(server.url_of(user=user, password=SECRET)) == []


@pytest.mark.parametrize(
    ("user", "missing"),
    [
        *[("noeval", "EVAL"), ("noevalsha", "EVALSHA"), ("nohset", "HSET"), ("nozadd", "ZADD"), ("noscan", "SCAN")],
        *[("noload", "SCRIPT LOAD"), ("noping", "PING"), ("noset", "SET"), ("noend", "PEXPIRE"), ("nodel", "DEL")],
        *[("nolease", "keys lease:*"), ("nostate", "keys state:*"), ("norun", "keys run:*")],
    ],
)
async def test_a_missing_right_is_named_with_those_that_are_needed(
    server: RedisServer, user: str, missing: str
) -> None:
    told = await refusal(server.url_of(user=user, password=SECRET))
    assert f"may not use {missing} on" in told
    assert f"ACL SETUSER <name> {RIGHTS}" in told


async def test_wrong_credentials_name_the_variables(server: RedisServer, open_server: RedisServer) -> None:
    wrong = "refuses the user or the password in REDIS_URL (or REDIS_USERNAME and REDIS_PASSWORD)"
    assert wrong in await refusal(server.url_of(password=SECRET))
    assert wrong in await refusal(server.url_of(user="nobody", password=SECRET))
    assert "asks for a password" in await refusal(server.url_of())
    assert "has no password for this user: remove" in await refusal(open_server.url_of(password=SECRET))


async def test_a_database_that_is_not_there_is_named(server: RedisServer) -> None:
    assert "REDIS_DB" in await refusal(server.url_of(password=PASSWORD, db="99"))


async def test_tls_where_there_is_none_and_the_reverse(open_server: RedisServer, tls_server: RedisServer) -> None:
    assert await check(tls_server.url) == []
    assert "speaks TLS: write rediss://" in await refusal(f"redis://{tls_server.address}")
    assert "does not speak TLS: write redis://" in await refusal(f"rediss://{open_server.address}")
    assert "speaks TLS" in await refusal(f"redis+cluster://{tls_server.address}")
    assert "does not speak TLS" in await refusal(f"redis+cluster://{open_server.address}?ssl=true")
    assert "speaks TLS" in await refusal(f"redis+sentinel://{tls_server.address}/any")


async def test_a_certificate_of_a_private_authority_needs_its_file(tls_server: RedisServer) -> None:
    assert "?ssl_ca_certs=/path/ca.pem" in await refusal(f"rediss://{tls_server.address}")
    assert "cannot be read" in await refusal(f"{tls_server.url}.missing")


async def test_a_server_that_wants_our_certificate_says_so(tmp_path: Path) -> None:
    with RedisServer(tmp_path, authority=trustme.CA(), options={"tls-auth-clients": "yes"}) as server:
        assert await check(server.url) == []
        assert "?ssl_certfile=…&ssl_keyfile=…" in await refusal(server.url.partition("&")[0])


async def test_what_is_no_redis_is_told_apart(open_server: RedisServer) -> None:
    greetings = [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9\r\n", b"220 mail\r\n", b"$x\r\n", b"+hi\r\n"]
    for greeting in greetings:
        async with answering(greeting) as port:
            for scheme, rest in (("redis", ""), ("redis+cluster", ""), ("redis+sentinel", "/any")):
                told = await refusal(f"{scheme}://127.0.0.1:{port}{rest}", timeout_s=10)  # all of it is said at once
                assert "does not speak Redis" in told
    async with answering(b"") as port:
        assert "does not answer" in await refusal(f"redis://127.0.0.1:{port}", StoreUnavailable)


async def test_what_does_not_answer_may_yet(open_server: RedisServer, tmp_path: Path) -> None:
    port = free_port()
    assert f"127.0.0.1:{port}: the connection is refused" in await refusal(
        f"redis://127.0.0.1:{port}", StoreUnavailable
    )
    assert "the name of the host is not known" in await refusal("redis://redis.invalid", StoreUnavailable)
    assert "no such socket" in await refusal(f"unix://{tmp_path}/none", StoreUnavailable)
    assert "refused" in await refusal(f"redis+cluster://127.0.0.1:{port}", StoreUnavailable)
    assert "refused" in await refusal(f"redis+sentinel://127.0.0.1:{port}/any", StoreUnavailable)
    open_server.pause()
    try:
        for scheme, rest in (("redis", ""), ("redis+cluster", ""), ("redis+sentinel", "/any")):
            told = await refusal(f"{scheme}://{open_server.address}{rest}", StoreUnavailable)
            assert "does not answer: no reply in time" in told
    finally:
        open_server.resume()


async def test_another_shape_of_redis_is_told_with_how_to_write_it(
    open_server: RedisServer, redis_cluster: RedisCluster, sentinel: RedisSentinel
) -> None:
    assert "redis+cluster://" in await refusal(redis_cluster.nodes[0].url)
    assert "is no cluster" in await refusal(f"redis+cluster://{open_server.address}")
    assert "is a Sentinel: REDIS_URL=redis+sentinel://" in await refusal(sentinel.sentinel.url)
    assert "is no Sentinel" in await refusal(f"redis+sentinel://{open_server.address}/any")


async def test_a_sentinel_is_asked_for_the_right_master_with_its_own_password(sentinel: RedisSentinel) -> None:
    assert await check(sentinel.url) == []
    told = await refusal(sentinel.url.replace("/conversations/", "/others/"))
    assert "knows no master 'others', only: conversations" in told
    assert "sentinel_password" in await refusal(sentinel.url.partition("?")[0])
    assert "sentinel_password" in await refusal(f"{sentinel.url}x")
    told = await refusal(sentinel.url.replace("p%40ss", "p"))
    assert f"{sentinel.master.address} (the Sentinels' master 'conversations') refuses the user" in told


async def test_a_cluster_with_another_password_is_told(redis_cluster: RedisCluster) -> None:
    assert "refuses the user or the password" in await refusal(redis_cluster.url.replace("p%40ss", "p"))


async def test_a_replica_is_refused_and_a_full_server_waited_for(tmp_path: Path, open_server: RedisServer) -> None:
    with RedisServer(tmp_path) as other:
        other.client.config_set("maxmemory", "1mb")
        assert "is full: raise its maxmemory" in await refusal(other.url, StoreUnavailable)
        other.client.config_set("maxmemory", "0")
        other.client.config_set("maxclients", "1")
        assert "raise its maxclients" in await refusal(other.url, StoreUnavailable)
        other.client.config_set("maxclients", "100")
        other.client.replicaof("127.0.0.1", str(open_server.port))
        assert "is a replica" in await refusal(other.url)


async def test_what_endangers_conversations_is_a_warning(tmp_path: Path) -> None:
    options = {"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru", "appendonly": "no"}
    with RedisServer(tmp_path, options=options) as server:
        evicting, forgetting = await check(server.url)
        assert "maxmemory-policy allkeys-lru" in evicting
        assert "keeps nothing on disk" in forgetting
        server.client.config_set("save", "3600 1")
        server.client.config_set("maxmemory-policy", "noeviction")
        (losing,) = await check(server.url)
        assert "has no append-only file, so it loses what came since its last snapshot" in losing
        server.client.config_set("appendonly", "yes")
        assert await check(server.url) == []


async def test_a_redis_that_is_too_old_is_refused(open_server: RedisServer) -> None:
    version = str(open_server.client.info("server")["redis_version"])
    async with relaying(open_server.port, version, f"4{version[1:]}") as port:
        assert "at least 5 is needed" in await refusal(f"redis://127.0.0.1:{port}")


async def test_an_option_that_means_nothing_is_told(open_server: RedisServer) -> None:
    assert "has an option after its ?" in await refusal(f"{open_server.url}?colour=red")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis+sentinel://:not-to-be-shown@a:1,b:2", "the name of the master is missing"),
        ("redis+cluster://:not-to-be-shown@a:1/2", "no numbered databases"),
        ("redis+cluster://:not-to-be-shown@a:1,,b:2", "a host is missing"),
        ("redis://:not-to-be-shown:x@a:not-to-be-shown", "cannot be read"),
        ("https://:not-to-be-shown@a", "cannot be read"),
    ],
)
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        Connections(url)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


def test_what_is_shown_of_an_address_holds_no_login() -> None:
    for url, shown in (
        (f"rediss://app:{SECRET}@[::1]:7000/3?ssl_ca_certs=/ca.pem", "[::1]:7000"),
        (f"redis+cluster://app:{SECRET}@a,b:7001", "a:6379,b:7001"),
        (f"redis+sentinel://app:{SECRET}@a,b:7001/main?sentinel_password={SECRET}", "a:26379,b:7001"),
        ("unix:///run/redis.sock", "/run/redis.sock"),
    ):
        connections = Connections(url)
        assert connections.address == shown
        assert SECRET not in repr(connections)
        assert connections.url == url


@asynccontextmanager
async def answering(greeting: bytes) -> AsyncIterator[int]:
    """A server that says this to whoever comes and no more; its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.write_eof()
        await reader.read()  # to the end: to close before would take back what was said and has not been read yet
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def relaying(port: int, before: str, after: str) -> AsyncIterator[int]:
    """A way to the server at *port* on which *before* reads *after*, of the same length; its port."""
    connections: set[asyncio.Task[Any]] = set()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        for source, target in ((reader, back), (there, writer)):
            connections.add(asyncio.create_task(copy(source, target)))

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data.replace(before.encode(), after.encode()))
        target.close()

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*connections, return_exceptions=True)
