"""redis-py's clients for each kind of address. All wait for a free connection instead of failing with "Too many
connections", try again once where a connection was closed, and give up in time."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import redis.asyncio
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisClusterException, SlotNotCoveredError

from .address import Address
from .limits import CommandBatcher, CommandLimiter

AsyncClient: TypeAlias = "ServerClient | ClusterClient"
_NO_LIMIT = 2**31


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a client waits for a connection and for an answer, and how many connections it may have."""

    connect_timeout_s: float
    timeout_s: float
    max_connections: int

    @property
    def options(self) -> dict[str, Any]:
        """What redis-py calls them, for one connection."""
        return {
            "socket_connect_timeout": self.connect_timeout_s,
            "socket_timeout": self.timeout_s,
            "protocol": 2,  # Redis 5 knows no other
        }

    def make_limiter(self, address: Address) -> CommandLimiter:
        """The limits of all commands together."""
        once_s = max(self.timeout_s, 2 * self.connect_timeout_s)  # with a connection to open, and once more
        elsewhere_s = 2 * (self.connect_timeout_s + self.timeout_s)  # with asking others for the way
        quick_s = min(self.connect_timeout_s, self.timeout_s) / 2
        timeout_s = once_s if address.kind == "server" else elsewhere_s
        return CommandLimiter(self.max_connections, timeout_s=timeout_s, quick_s=quick_s)


def open_client(address: Address, timeouts: Timeouts) -> AsyncClient:
    """A client for the running event loop; it connects when it is first used."""
    if address.kind == "cluster":
        client: AsyncClient = _open_cluster(address, timeouts)
    else:
        client = _open_server(address, timeouts) if address.kind == "server" else _open_master(address, timeouts)
    client.limiter = timeouts.make_limiter(address)
    return client


def _open_server(address: Address, timeouts: Timeouts) -> "ServerClient":
    # A command has an end anyway, see CommandLimiter; redis-py's own for each request takes a task on Python 3.11, and
    # a fifth of the time of a small one.
    options = {**timeouts.options, "socket_timeout": None}
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        address.url, retry=_retry_once(), max_connections=timeouts.max_connections, timeout=None, **options
    )
    return cast(ServerClient, ServerClient.from_pool(pool))


def _open_master(address: Address, timeouts: Timeouts) -> "ServerClient":
    of_sentinels = {"retry": Retry(NoBackoff(), 0), "ssl": address.tls, **timeouts.options, **address.sentinel_options}
    sentinels = Sentinel(  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        list(address.hosts), sentinel_kwargs=of_sentinels, retry=_retry_once(), **_make_options(address, timeouts)
    )
    master: ServerClient = sentinels.master_for(address.service, redis_class=ServerClient)
    master.sentinels = sentinels
    return master


def _open_cluster(address: Address, timeouts: Timeouts) -> "ClusterClient":
    return ClusterClient(
        startup_nodes=[ClusterNode(*host) for host in address.hosts],
        # A node's name stays while its address may change: the ones given are asked, not those the cluster names.
        dynamic_startup_nodes=False,
        retry=Retry(NoBackoff(), 1),
        # Each slot that has moved is learned by itself. To learn all again redis-py would close the connections of the
        # commands that are under way.
        reinitialize_steps=0,
        **_make_options(address, timeouts),
    )


def _retry_once() -> Retry:
    return Retry(NoBackoff(), 1, supported_errors=(ConnectionError,))


def _make_options(address: Address, timeouts: Timeouts) -> dict[str, Any]:
    # The limiter counts connections: redis-py would refuse one too many instead of waiting.
    return {**timeouts.options, **address.options, "ssl": address.tls, "max_connections": _NO_LIMIT}


class ServerClient(redis.asyncio.Redis):
    """One server, or the one that Sentinels call the master. Scripts that are called at the same time go together."""

    limiter: CommandLimiter
    sentinels: Sentinel | None = None
    _scripts: CommandBatcher | None = None

    def run_script(self, *args: bytes | str | int) -> Awaitable[Any]:
        """The reply to a command that calls a script; it raises what redis-py does."""
        if self._scripts is None:
            self._scripts = CommandBatcher(self.connection_pool, self.limiter)
        encode = self.get_encoder().encode  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        return self._scripts.reply([part if type(part) is bytes else encode(part) for part in args])

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """See redis-py."""
        execute = super().execute_command
        return await self.limiter.run(lambda: execute(*args, **options))  # type: ignore[no-untyped-call]

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """See redis-py; the connections to Sentinels, too."""
        if self._scripts is not None:
            await self._scripts.aclose()
        await super().aclose(close_connection_pool)
        if self.sentinels is not None:
            await self.sentinels.aclose()


class ClusterClient(redis.asyncio.RedisCluster):
    """A cluster that cannot be reached is away like any server; redis-py's error for it is of another family."""

    limiter: CommandLimiter

    def run_script(self, *args: bytes | str | int) -> Awaitable[Any]:
        """See `ServerClient.run_script`; each goes by itself to the node that has its keys."""
        return self.execute_command(*args)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """See redis-py."""
        return await self.limiter.run(lambda: self._execute(*args, **options))

    async def _execute(self, *args: Any, **options: Any) -> Any:
        # redis-py sends what it is given before it knows the cluster to any node of it.
        await self.initialize()
        try:
            return await super().execute_command(*args, **options)
        except SlotNotCoveredError as exc:
            raise ConnectionError(str(exc)) from exc
        except AttributeError as exc:
            # What a command meets whose connection another one closed, having found that a node is gone.
            raise ConnectionError("The connection was closed.") from exc

    async def initialize(self, *args: Any, **options: Any) -> "ClusterClient":
        """See redis-py."""
        try:
            await super().initialize(*args, **options)
        except RedisClusterException as exc:
            raise ConnectionError(str(exc)) from exc
        return self
