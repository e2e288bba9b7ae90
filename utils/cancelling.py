"""Calls that must not be left half done where their caller is cancelled meanwhile."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
Work = Coroutine[Any, Any, T]


async def run_to_end(work: Work[T], *, undo: Callable[[T], Work[object]] | None = None) -> T:
    """What *work* gives. A caller that is cancelled meanwhile waits for its end, and is cancelled only then.

    For what takes something in Redis, such as a lease: a call that is broken off may be carried out all the same.
    *undo* is called with the result where the caller was cancelled, and awaited too.
    """
    task = asyncio.ensure_future(work)
    cancelled = await wait_for_end(task)
    if cancelled is None:
        return task.result()
    has_failed = task.cancelled() or task.exception() is not None
    if undo is not None and not has_failed:
        await wait_for_end(asyncio.ensure_future(undo(task.result())))
    raise cancelled


async def wait_for_end(task: "asyncio.Future[Any]") -> asyncio.CancelledError | None:
    """Wait for the end of *task*; gives the cancellation of the caller that came meanwhile, if one did."""
    cancelled = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled
