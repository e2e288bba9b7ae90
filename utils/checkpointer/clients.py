"""redis-py's clients for each kind of address, all with the same manners: they wait for a free connection instead of
failing with "Too many connections", try anew once where a connection was closed, and give up in time."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import redis
import redis.asyncio
from redis.asyncio.cluster import ClusterNode as AsyncClusterNode
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import ConnectionError, RedisClusterException, SlotNotCoveredError
from redis.retry import Retry
from redis.sentinel import Sentinel

from .address import Address
from .pipelining import Pipeline
from .places import Places

AsyncClient: TypeAlias = "_Server | _Cluster"
BlockingClient = redis.Redis | RedisCluster
_NO_LIMIT = 2**31
_SCRIPTS = ("EVALSHA", "EVAL")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client waits, for a connection and for an answer, and how many connections it may have."""

    connect_timeout_s: float
    timeout_s: float
    max_connections: int

    @property
    def whole_s(self) -> float:
        """The longest a command may take, with everything: a place, another try, asking others for the way."""
        return 2 * (self.connect_timeout_s + self.timeout_s)

    @property
    def one_s(self) -> float:
        """The longest a command may take at one server, also one that has to connect first, and once more."""
        return max(self.timeout_s, 2 * self.connect_timeout_s)

    @property
    def options(self) -> dict[str, Any]:
        """The same for redis-py, for one connection."""
        return {
            "socket_connect_timeout": self.connect_timeout_s,
            "socket_timeout": self.timeout_s,
            "protocol": 2,  # Redis 5 knows no other
        }


def async_client(address: Address, patience: Patience) -> AsyncClient:
    """A client for the running event loop; it connects when it is first used."""
    if address.kind == "cluster":
        client: AsyncClient = _cluster(address, patience)
    else:
        client = _server(address, patience) if address.kind == "server" else _master(address, patience)
    client.limit(patience, patience.one_s if address.kind == "server" else patience.whole_s)
    return client


def _server(address: Address, patience: Patience) -> "_Server":
    # A command has an end anyway, see _Limited; redis-py's own for each request takes a task on Python 3.11, and a
    # fifth of the time of a small one.
    options = {**patience.options, "socket_timeout": None}
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        address.url, retry=_twice(), max_connections=patience.max_connections, timeout=None, **options
    )
    return cast(_Server, _Server.from_pool(pool))


def _master(address: Address, patience: Patience) -> "_Server":
    asks = {"retry": AsyncRetry(NoBackoff(), 0), "ssl": address.tls, **patience.options, **address.sentinel_options}
    sentinels = AsyncSentinel(  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        list(address.hosts), sentinel_kwargs=asks, retry=_twice(), **_options(address, patience)
    )
    master: _Server = sentinels.master_for(address.service, redis_class=_Server)
    master.sentinels = sentinels
    return master


def _cluster(address: Address, patience: Patience) -> "_Cluster":
    return _Cluster(
        startup_nodes=[AsyncClusterNode(*host) for host in address.hosts],
        # A node's name stays while its address may change: the ones given are asked, not those the cluster names.
        dynamic_startup_nodes=False,
        retry=AsyncRetry(NoBackoff(), 1),
        # Each slot that has moved is learned by itself. To learn all anew redis-py would close the connections of the
        # commands that are under way.
        reinitialize_steps=0,
        **_options(address, patience),
    )


def blocking_client(address: Address, patience: Patience) -> BlockingClient:
    """A client for all threads. That of a cluster connects at once.

    Raises:
        ConnectionError: a cluster that does not answer.
    """
    if address.kind == "server":
        return _blocking_server(address, patience)
    client = _blocking_master(address, patience) if address.kind == "sentinel" else _blocking_cluster(address, patience)
    client.limit(patience)
    return client


def _blocking_server(address: Address, patience: Patience) -> redis.Redis:
    pool = redis.BlockingConnectionPool.from_url(
        address.url, retry=_twice_blocking(), max_connections=patience.max_connections, timeout=None, **patience.options
    )
    return redis.Redis.from_pool(pool)


def _blocking_master(address: Address, patience: Patience) -> "_BlockingMaster":
    asks = {"retry": Retry(NoBackoff(), 0), "ssl": address.tls, **patience.options, **address.sentinel_options}
    sentinels = Sentinel(  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        address.hosts, sentinel_kwargs=asks, retry=_twice_blocking(), **_options(address, patience)
    )
    master: _BlockingMaster = sentinels.master_for(  # type: ignore[no-untyped-call]  # the same
        address.service, redis_class=_BlockingMaster
    )
    return master


def _blocking_cluster(address: Address, patience: Patience) -> "_BlockingCluster":
    nodes = [ClusterNode(*host) for host in address.hosts]  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    again = Retry(NoBackoff(), 1)
    options = _options(address, patience)
    try:
        return _BlockingCluster(startup_nodes=nodes, dynamic_startup_nodes=False, retry=again, **options)
    except RedisClusterException as exc:
        raise ConnectionError(str(exc)) from exc


def _twice() -> AsyncRetry:
    return AsyncRetry(NoBackoff(), 1, supported_errors=(ConnectionError,))


def _twice_blocking() -> Retry:
    return Retry(NoBackoff(), 1, supported_errors=(ConnectionError,))


def _options(address: Address, patience: Patience) -> dict[str, Any]:
    # The places are the limit: redis-py would refuse a connection too many instead of waiting for one.
    return {**patience.options, **address.options, "ssl": address.tls, "max_connections": _NO_LIMIT}


class _Limited(ABC):
    """Before an asyncio client: a place for each command, and an end to it."""

    _places: Places

    def limit(self, patience: Patience, whole_s: float) -> None:
        """Keep to *patience*; no command takes longer than *whole_s* once it has a place."""
        quick_s = min(patience.connect_timeout_s, patience.timeout_s) / 2
        self._places = Places(patience.max_connections, whole_s=whole_s, quick_s=quick_s)

    def script(self, *args: bytes | str | int) -> Awaitable[Any]:
        """What the server replies to a command that calls a script; what it raises is redis-py's."""
        return self.execute_command(*args)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """See redis-py."""
        return await self._places.run(lambda: self._execute(*args, **options))

    @abstractmethod
    async def _execute(self, *args: Any, **options: Any) -> Any:
        """What the client does without us."""


class _Server(_Limited, redis.asyncio.Redis):  # type: ignore[misc]  # redis-py's own bases disagree
    """One server, or the one that Sentinels call the master. Scripts that are called at the same time go together."""

    sentinels: AsyncSentinel | None = None
    _scripts: Pipeline

    def limit(self, patience: Patience, whole_s: float) -> None:
        """See `_Limited.limit`."""
        super().limit(patience, whole_s)
        self._scripts = Pipeline(self.connection_pool, whole_s)

    def script(self, *args: bytes | str | int) -> Awaitable[Any]:
        """See `_Limited.script`."""
        return self._scripts.reply(*args)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """See redis-py."""
        if args[0] in _SCRIPTS and not options:
            return await self.script(*args)
        return await super().execute_command(*args, **options)

    async def _execute(self, *args: Any, **options: Any) -> Any:
        # Named, since `super` would be the one that waits.
        execute = redis.asyncio.Redis.execute_command
        return await execute(self, *args, **options)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """See redis-py; the connection of the scripts and those to Sentinels, too."""
        await self._scripts.aclose()
        await super().aclose(close_connection_pool)
        if self.sentinels is not None:
            await self.sentinels.aclose()


class _Cluster(_Limited, redis.asyncio.RedisCluster):  # type: ignore[misc]  # redis-py's own bases disagree
    """A cluster that cannot be reached is away like any server; redis-py's error for it is of another family."""

    async def _execute(self, *args: Any, **options: Any) -> Any:
        # redis-py sends what it is given before it knows the cluster to any node of it.
        await self.initialize()
        try:
            return await redis.asyncio.RedisCluster.execute_command(self, *args, **options)
        except SlotNotCoveredError as exc:
            raise ConnectionError(str(exc)) from exc
        except AttributeError as exc:
            # What a command meets whose connection another one closed, having found that a node is gone.
            raise ConnectionError("The connection was closed.") from exc

    async def initialize(self, *args: Any, **options: Any) -> "_Cluster":
        """See redis-py."""
        try:
            await super().initialize(*args, **options)
        except RedisClusterException as exc:
            raise ConnectionError(str(exc)) from exc
        return self


class _BlockingLimited:
    """Before a blocking client: a place for each command."""

    _places: AbstractContextManager[object] = nullcontext()  # a cluster is asked already while its client is made

    def limit(self, patience: Patience) -> None:
        """Keep to *patience*."""
        self._places = threading.Semaphore(patience.max_connections)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """See redis-py."""
        with self._places:
            try:
                return super().execute_command(*args, **options)  # type: ignore[misc]  # the client's
            except RedisClusterException as exc:
                raise ConnectionError(str(exc)) from exc


class _BlockingMaster(_BlockingLimited, redis.Redis):
    """The server that Sentinels call the master."""


class _BlockingCluster(_BlockingLimited, RedisCluster):
    """A cluster."""
