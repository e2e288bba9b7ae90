"""The servers and files that savers keep conversations in, each new and empty, and how much is in them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import psycopg
import redis

from benchmarks.checkpointer_peers import folder_of_modules
from benchmarks.machine import process_tree
from bootstrap.valkey import find_valkey
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer

StoreName = Literal["redis", "modules", "postgres", "sqlite", "memory"]
_MODULES = ("rejson.so", "redisearch.so")
_BATCH = 1000


class Store:
    """What is the same for all: nothing runs, nothing is counted.

    `url` leads there, by way of another port if one is given (0: directly); `port` is its own, 0 if it has none.
    """

    name = "this process"
    port = 0

    def url(self, port: int = 0) -> str:
        """The address."""
        return ""

    def pids(self) -> list[int]:
        """The processes of the server."""
        return []

    def stored(self) -> tuple[int, int]:
        """Bytes and keys (rows, in a database) that it holds."""
        return 0, 0


class RedisStore(Store):
    """Redis or Valkey without persistence."""

    def __init__(self, server: RedisServer) -> None:
        self._server, self.port, self.client = server, server.port, server.client
        info: Any = self.client.info("server")
        self._pid = int(info["process_id"])
        self.name = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info['redis_version']}"

    def url(self, port: int = 0) -> str:
        """The address."""
        return f"redis://127.0.0.1:{port or self.port}/0"

    def pids(self) -> list[int]:
        """The one process."""
        return [self._pid]

    def stored(self) -> tuple[int, int]:
        """What the keys occupy with all their parts, and how many there are."""
        keys = list(self.client.scan_iter(count=_BATCH))
        used = 0
        for start in range(0, len(keys), _BATCH):
            pipeline = self.client.pipeline(transaction=False)
            for key in keys[start : start + _BATCH]:
                pipeline.memory_usage(key, samples=0)
            used += sum(size or 0 for size in pipeline.execute())
        return used, len(keys)


class PostgresStore(Store):
    """PostgreSQL with fsync off: disks are not what is compared."""

    def __init__(self, server: PostgresServer) -> None:
        self._server, self.port = server, server.port
        with psycopg.connect(server.url) as connection:
            backend = connection.info.backend_pid
            self._pid = int(Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[1])
            self.name = f"PostgreSQL {connection.info.server_version // 10000}"

    def url(self, port: int = 0) -> str:
        """The address."""
        return self._server.url.replace(f":{self.port}/", f":{port or self.port}/")

    def pids(self) -> list[int]:
        """The server's processes, of which each connection has one."""
        return process_tree(self._pid)

    def stored(self) -> tuple[int, int]:
        """What the tables occupy with their indexes, after VACUUM, and how many rows they have."""
        with psycopg.connect(self._server.url, autocommit=True) as connection:
            connection.execute("VACUUM")
            found = connection.execute(
                "SELECT tablename, pg_total_relation_size(tablename::regclass) FROM pg_tables WHERE schemaname='public'"
            ).fetchall()
            rows = [connection.execute(f"SELECT count(*) FROM {name}").fetchone() for name, _ in found]  # noqa: S608 - its own names
            return sum(size for _, size in found), sum(row[0] for row in rows if row)


class SqliteStore(Store):
    """A file in the benchmark's folder."""

    name = "SQLite"

    def __init__(self, path: Path) -> None:
        self._path = path

    def url(self, port: int = 0) -> str:
        """The path of the file."""
        return str(self._path)

    def stored(self) -> tuple[int, int]:
        """What the file and the log before it occupy; rows are not counted."""
        return sum(path.stat().st_size for path in self._path.parent.glob(f"{self._path.name}*")), 0


@contextmanager
def started(name: StoreName, folder: Path, *, binary: Path | None = None) -> Iterator[Store]:
    """A store that runs as long as the context lasts. *binary* is another Redis or Valkey than that on the PATH.

    Raises:
        FileNotFoundError: RedisJSON and RediSearch are not at hand.
    """
    if name == "redis":
        with RedisServer(folder, options={"appendonly": "no"}, binary=binary or redis_binary()) as redis_server:
            yield RedisStore(redis_server)
    elif name == "modules":
        # RediSearch wants Redis 7.1 or newer, which the embedded Valkey is as far as modules are concerned.
        modules = {f"loadmodule {folder_of_modules() / module}": "" for module in _MODULES}
        with RedisServer(folder, options={"appendonly": "no", **modules}, binary=find_valkey()) as redis_server:
            store = RedisStore(redis_server)
            store.name += " with RedisJSON and RediSearch"
            yield store
    elif name == "postgres":
        with PostgresServer(folder) as postgres_server:
            yield PostgresStore(postgres_server)
    else:
        yield SqliteStore(folder / "checkpoints.db") if name == "sqlite" else Store()


def redis_binary() -> Path | None:
    """The embedded Valkey where no redis-server is installed, None where one is."""
    return None if shutil.which("redis-server") else find_valkey()


def used_memory(client: redis.Redis) -> int:
    """Bytes the server says it has in use, with everything."""
    info: Any = client.info("memory")
    return int(info["used_memory"])
