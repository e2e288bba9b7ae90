"""Threads for code that blocks: sync views and the bodies they stream, kept off the server's loop."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar, cast

from flask import Flask, current_app
from werkzeug.exceptions import ServiceUnavailable

T = TypeVar("T")
_SYNC_POOL = "sync_pool"  # in Flask's `extensions`


class SyncPool:
    """A bounded number of threads and a bounded queue in front of them, used from one event loop.

    `threads` run at once; `queue_limit` more may wait. Threads are started when they are first needed.
    """

    def __init__(self, *, threads: int, queue_limit: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="sync-view")
        self._threads, self._limit = threads, threads + queue_limit
        self._jobs = 0

    @property
    def busy(self) -> int:
        """Threads at work."""
        return min(self._jobs, self._threads)

    @property
    def waiting(self) -> int:
        """Calls that wait for a thread."""
        return max(0, self._jobs - self._threads)

    def check_room(self) -> None:
        """Return if another view may be started.

        Raises:
            ServiceUnavailable: all threads are busy and the queue is full; with `Retry-After`, in seconds.
        """
        if self._jobs >= self._limit:
            raise ServiceUnavailable("All workers are busy. Try again in a moment.", retry_after=1)

    async def run(self, call: Callable[[], T]) -> T:
        """The result of `call()` in a thread, which sees and changes the caller's context variables.

        A cancelled caller waits until a call that has begun is over: what it uses must not be torn down under it.
        """
        context = contextvars.copy_context()
        try:
            return await self.run_in(context, call)
        finally:
            adopt(context)

    async def run_in(self, context: contextvars.Context, call: Callable[[], T]) -> T:
        """Run *call* in *context*, which several calls after one another may share; else as `run`."""
        self._jobs += 1
        try:
            return await _get_result(self._executor.submit(context.run, call))
        finally:
            self._jobs -= 1


def get_sync_pool(app: Flask | None = None) -> SyncPool:
    """The threads of *app*, by default the present one."""
    return cast(SyncPool, (app or current_app).extensions[_SYNC_POOL])


def has_pool(app: Flask) -> bool:
    """Whether *app* has got its threads."""
    return _SYNC_POOL in app.extensions


def give_pool(app: Flask, pool: SyncPool) -> None:
    """Let the views of *app* use these threads."""
    app.extensions[_SYNC_POOL] = pool


async def _get_result(job: Future[T]) -> T:
    waiter = asyncio.wrap_future(job)
    try:
        return await asyncio.shield(waiter)
    except asyncio.CancelledError:
        if not job.cancel():
            await _wait_settled(waiter)
        raise


async def _wait_settled(waiter: asyncio.Future[T]) -> None:
    while not waiter.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([waiter])
    waiter.exception()  # looked at, so that asyncio does not report it as lost


def adopt(context: contextvars.Context) -> None:
    """Take over what a thread set in its copy of the context, as if it had run here."""
    current = contextvars.copy_context()
    for variable, value in context.items():
        if current.get(variable) is not value:
            variable.set(value)
