"""A Valkey for the tests of a module, and a way to it on which answers get lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.valkey import find_valkey
from tests.servers.cutting import CuttingProxy
from tests.servers.redis import RedisServer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sockets of both are."""
    return tmp_path_factory.mktemp("valkey")


@pytest.fixture(scope="module")
def valkey(folder: Path) -> Iterator[RedisServer]:
    """A server of the module's own; a test that stops it starts it again."""
    options = {"unixsocket": str(folder / "valkey.sock")}
    with RedisServer(folder / "valkey", binary=find_valkey(), options=options) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(valkey: RedisServer, folder: Path) -> Iterator[CuttingProxy]:
    """A way to the server on which answers get lost, or are held up."""
    with CuttingProxy(folder / "proxy.sock", folder / "valkey.sock") as running:
        yield running
