"""The savers that are compared, each as its documents say, with the same lifetime and as many connections."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import redis.asyncio
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver

from benchmarks.checkpointer_peers import peer, version_of
from benchmarks.checkpointer_stores import Store, StoreName
from utils.checkpointer import RedisCheckpointer

Saver = BaseCheckpointSaver[Any]
TTL_S = 3600
_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Kind:
    """A saver: what it is called here, its package, where it keeps conversations, how to make one.

    `opened` takes a store and a port that leads there (0: directly); leaving the context closes the connections.
    """

    name: str
    package: str
    store: StoreName
    opened: Callable[[Store, int], AbstractAsyncContextManager[Saver]]

    def version(self) -> str:
        """The package and its version, empty for our own."""
        return f"{self.package} {version_of(self.package)}" if self.package else ""


@asynccontextmanager
async def _ours(store: Store, port: int) -> AsyncIterator[Saver]:
    saver = RedisCheckpointer.from_url(store.url(port), ttl_s=TTL_S, keep=None, max_connections=_CONNECTIONS)
    yield saver
    await saver.aclose()


@asynccontextmanager
async def _ours_as_usual(store: Store, port: int) -> AsyncIterator[Saver]:
    saver = RedisCheckpointer.from_url(store.url(port), ttl_s=TTL_S, max_connections=_CONNECTIONS)
    yield saver
    await saver.aclose()


@asynccontextmanager
async def _redis_client(store: Store, port: int) -> AsyncIterator[Any]:
    # The default pool fails with "Too many connections" where many talk at once.
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        store.url(port), max_connections=_CONNECTIONS, timeout=None, socket_timeout=30
    )
    async with redis.asyncio.Redis.from_pool(pool) as client:
        yield client


@asynccontextmanager
async def _plainredis(store: Store, port: int) -> AsyncIterator[Saver]:
    async with _redis_client(store, port) as client:
        yield peer("langgraph_checkpoint_plainredis").AsyncRedisSaver(client, ttl=TTL_S)


@asynccontextmanager
async def _with_modules(store: Store, port: int) -> AsyncIterator[Saver]:
    ttl = {"default_ttl": TTL_S // 60, "refresh_on_read": True}
    async with (
        _redis_client(store, port) as client,
        peer("langgraph.checkpoint.redis.aio").AsyncRedisSaver.from_conn_string(redis_client=client, ttl=ttl) as saver,
    ):
        yield saver


@asynccontextmanager
async def _valkey(store: Store, port: int) -> AsyncIterator[Saver]:
    valkey = peer("valkey.asyncio")
    pool = valkey.BlockingConnectionPool.from_url(store.url(port), max_connections=_CONNECTIONS, timeout=None)
    async with valkey.Valkey(connection_pool=pool) as client:
        yield peer("langgraph_checkpoint_aws.checkpoint.valkey").AsyncValkeySaver(client, ttl=TTL_S)
    await pool.aclose()


@asynccontextmanager
async def _postgres(store: Store, port: int) -> AsyncIterator[Saver]:
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": peer("psycopg.rows").dict_row}
    async with peer("psycopg_pool").AsyncConnectionPool(
        store.url(port), min_size=1, max_size=_CONNECTIONS, kwargs=options, timeout=60
    ) as pool:
        saver = peer("langgraph.checkpoint.postgres.aio").AsyncPostgresSaver(pool)
        await saver.setup()
        yield saver


@asynccontextmanager
async def _sqlite(store: Store, port: int) -> AsyncIterator[Saver]:
    async with peer("langgraph.checkpoint.sqlite.aio").AsyncSqliteSaver.from_conn_string(store.url()) as saver:
        yield saver


class MemoryStore(Store):
    """LangGraph's in-memory saver, which is its own store; `cold` means nothing with it."""

    def __init__(self) -> None:
        self.saver = InMemorySaver()

    def stored(self) -> tuple[int, int]:
        """The bytes of everything it has serialized, without what Python's objects add, and the number of values."""
        checkpoints = [part for of in self.saver.storage.values() for ns in of.values() for part in ns.values()]
        values = [value for checkpoint, meta, _ in checkpoints for value in (checkpoint, meta)]
        values += self.saver.blobs.values()
        values += [write[2] for writes in self.saver.writes.values() for write in writes.values()]
        return sum(len(data) for _, data in values), len(values)


@asynccontextmanager
async def _memory(store: Store, port: int) -> AsyncIterator[Saver]:
    assert isinstance(store, MemoryStore)
    yield store.saver


OURS = Kind("pustaka", "", "redis", _ours)
OURS_AS_USUAL = Kind("pustaka, default retention", "", "redis", _ours_as_usual)
# Those that keep the whole history in Redis: what ours is judged against.
REDIS_PEERS = (
    Kind("plainredis", "langgraph-checkpoint-plainredis", "redis", _plainredis),
    Kind("aws valkey", "langgraph-checkpoint-aws", "redis", _valkey),
    Kind("redis with modules", "langgraph-checkpoint-redis", "modules", _with_modules),
)
OTHERS = (
    Kind("postgres", "langgraph-checkpoint-postgres", "postgres", _postgres),
    Kind("sqlite", "langgraph-checkpoint-sqlite", "sqlite", _sqlite),
    Kind("memory", "langgraph-checkpoint", "memory", _memory),
)
KINDS = {kind.name: kind for kind in (OURS, *REDIS_PEERS, *OTHERS, OURS_AS_USUAL)}
