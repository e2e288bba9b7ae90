"""Redis clients by URL: one for each event loop, because connections belong to the loop that opened them, and a
blocking one for the sync interface, made when it is first needed."""

import asyncio
import threading
import weakref

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError
from redis.retry import Retry


class Connections:
    """Pools for the server at *url*: `redis://`, `rediss://` or `unix://`.

    A pool waits for a free connection instead of failing with "Too many connections", and never longer than the
    commands before it may take. A connection that the server closed meanwhile is opened anew once; a time-out is not
    repeated.
    """

    def __init__(
        self, url: str, *, connect_timeout_s: float = 1.0, timeout_s: float = 2.0, max_connections: int = 32
    ) -> None:
        self._url = url
        self._options = {
            "socket_connect_timeout": connect_timeout_s,
            "socket_timeout": timeout_s,
            "max_connections": max_connections,
            "timeout": None,
            "protocol": 2,  # Redis 5 knows no other
        }
        self._of_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, redis.asyncio.Redis] = (
            weakref.WeakKeyDictionary()
        )
        self._blocking: redis.Redis | None = None
        self._lock = threading.Lock()

    def asynchronous(self) -> redis.asyncio.Redis:
        """The client of the running event loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            client = self._of_loop.get(loop)
            if client is None:
                retry = AsyncRetry(NoBackoff(), 1, supported_errors=(ConnectionError,))
                pool = redis.asyncio.BlockingConnectionPool.from_url(self._url, retry=retry, **self._options)
                client = self._of_loop[loop] = redis.asyncio.Redis.from_pool(pool)
            return client

    def blocking(self) -> redis.Redis:
        """The client of the sync interface, for all threads."""
        with self._lock:
            if self._blocking is None:
                retry = Retry(NoBackoff(), 1, supported_errors=(ConnectionError,))
                pool = redis.BlockingConnectionPool.from_url(self._url, retry=retry, **self._options)
                self._blocking = redis.Redis.from_pool(pool)
            return self._blocking

    async def aclose(self) -> None:
        """Close the blocking client and that of the running loop; other loops close theirs by calling this."""
        with self._lock:
            client, blocking = self._of_loop.pop(asyncio.get_running_loop(), None), self._blocking
            self._blocking = None
        if client is not None:
            await client.aclose()
        if blocking is not None:
            blocking.close()

    def close(self) -> None:
        """Close the blocking client."""
        with self._lock:
            blocking, self._blocking = self._blocking, None
        if blocking is not None:
            blocking.close()
