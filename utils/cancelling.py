"""Calls that must not be left half done where their caller is cancelled meanwhile."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
Work = Coroutine[Any, Any, T]


async def run_to_end(work: Work[T], *, undo: Callable[[T], Work[object]] | None = None) -> T:
    """What *work* gives. A caller that is cancelled meanwhile waits until it is over, and is cancelled then; unless
    *work* has failed, what *undo* makes of its result comes before.

    For what takes something for seconds, such as a lease in Redis: a call that is broken off may be carried out.
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
    """Wait until *task* is over, also while being cancelled, which is what it gives then."""
    cancelled = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled
