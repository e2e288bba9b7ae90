"""Redis clients by URL: one for each event loop, because connections belong to the loop that opened them."""

import asyncio
import threading
import weakref
from collections.abc import Coroutine
from typing import Any, TypeVar

from .address import Address
from .clients import AsyncClient, Timeouts, open_client
from .diagnosis import examine

T = TypeVar("T")


class Connections:
    """Pools for the Redis at *url*: one server, a cluster, or behind Sentinels; see `Address.parse`.

    A pool waits for a free connection instead of failing with "Too many connections". A connection that the server
    closed meanwhile is opened again once; a time-out is not repeated. Redirections within a cluster and the Sentinels'
    choice of another master are followed.

    Raises:
        ValueError: *url* is none; the message repeats nothing of it.
    """

    def __init__(
        self, url: str, *, connect_timeout_s: float = 1.0, timeout_s: float = 2.0, max_connections: int = 32
    ) -> None:
        self._address = Address.parse(url)
        self._timeouts = Timeouts(connect_timeout_s, timeout_s, max_connections)
        self._of_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncClient] = weakref.WeakKeyDictionary()
        self._blocking: _LoopThread | None = None
        self._lock = threading.Lock()

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
                client = self._of_loop[loop] = open_client(self._address, self._timeouts)
            return client

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of *coroutine* for a caller without an event loop: one thread has a loop for all of them."""
        with self._lock:
            if self._blocking is None or not self._blocking.is_alive():  # a process that was forked has no such thread
                self._blocking = _LoopThread()
            blocking = self._blocking
        return blocking.run(coroutine)

    async def check(self) -> list[str]:
        """Find out whether the service can work there, writing nothing that lasts. Gives warnings, maybe none.

        Raises:
            StoreUnavailable: nothing answers there now.
            StoreRefused: what answers is wrong, and waiting does not help.
        """
        return await examine(self._address, self._timeouts)

    async def aclose(self) -> None:
        """Close those of the running loop and of `run`; other loops close theirs by calling this."""
        if self._blocking is not None:
            await asyncio.to_thread(self.close)
        await self._close_here()

    def close(self) -> None:
        """Close those of `run`, and end its thread."""
        with self._lock:
            blocking, self._blocking = self._blocking, None
        if blocking is not None and blocking.is_alive():
            blocking.run(self._close_here())
            blocking.end()

    async def _close_here(self) -> None:
        with self._lock:
            client = self._of_loop.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()


class _LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="checkpointer", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def end(self) -> None:
        self.run(_cancel_others())  # or those who wait for them would wait forever
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others)
