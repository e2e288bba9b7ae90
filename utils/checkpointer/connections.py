"""Redis clients by URL: one for each event loop, because connections belong to the loop that opened them, and a
blocking one for the sync interface, made when it is first needed."""

import asyncio
import threading
import weakref

from .address import Address
from .clients import AsyncClient, BlockingClient, Patience, async_client, blocking_client
from .diagnosis import examine


class Connections:
    """Pools for the Redis at *url*: one server, a cluster, or behind Sentinels; see `Address.parse`.

    A pool waits for a free connection instead of failing with "Too many connections". A connection that the server
    closed meanwhile is opened anew once; a time-out is not repeated. Redirections within a cluster and the Sentinels'
    choice of another master are followed.

    Raises:
        ValueError: *url* is none; the message repeats nothing of it.
    """

    def __init__(
        self, url: str, *, connect_timeout_s: float = 1.0, timeout_s: float = 2.0, max_connections: int = 32
    ) -> None:
        self._address = Address.parse(url)
        self._patience = Patience(connect_timeout_s, timeout_s, max_connections)
        self._of_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncClient] = weakref.WeakKeyDictionary()
        self._blocking: BlockingClient | None = None
        self._lock, self._blocking_lock = threading.Lock(), threading.Lock()

    @property
    def url(self) -> str:
        """Where they lead; a secret if it holds one."""
        return self._address.url

    @property
    def address(self) -> str:
        """Where they lead, as it may be shown."""
        return str(self._address)

    def asynchronous(self) -> AsyncClient:
        """The client of the running event loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            client = self._of_loop.get(loop)
            if client is None:
                client = self._of_loop[loop] = async_client(self._address, self._patience)
            return client

    def blocking(self) -> BlockingClient:
        """The client of the sync interface, for all threads.

        Raises:
            redis.exceptions.ConnectionError: a cluster does not answer.
        """
        with self._blocking_lock:  # a lock of its own: this may connect, and no event loop may wait for that
            if self._blocking is None:
                self._blocking = blocking_client(self._address, self._patience)
            return self._blocking

    async def check(self) -> list[str]:
        """Find out whether the service can work there, writing nothing that lasts. Gives warnings, maybe none.

        Raises:
            StoreUnavailable: nothing answers there now.
            StoreRefused: what answers is wrong, and waiting does not help.
        """
        return await examine(self._address, self._patience)

    async def aclose(self) -> None:
        """Close the blocking client and that of the running loop; other loops close theirs by calling this."""
        self.close()
        with self._lock:
            client = self._of_loop.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def close(self) -> None:
        """Close the blocking client."""
        with self._blocking_lock:
            blocking, self._blocking = self._blocking, None
        if blocking is not None:
            blocking.close()
