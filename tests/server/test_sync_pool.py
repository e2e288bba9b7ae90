"""The pool behind sync views, where its callers are cancelled."""

import asyncio
import threading

import pytest

from server.sync_pool import SyncPool
from tests.server.live_server import Journal


class Work:
    """A call that says when it runs and ends when it is told to."""

    def __init__(self, journal: Journal, name: str) -> None:
        self._journal, self._name = journal, name
        self.began, self.end = asyncio.Event(), threading.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self) -> None:
        self._loop.call_soon_threadsafe(self.began.set)
        self.end.wait(10)
        self._journal.note(self._name)


async def test_a_caller_waits_for_its_call_however_often_it_is_cancelled() -> None:
    journal, pool = Journal(), SyncPool(threads=1, queue_limit=1)
    work = Work(journal, "done")
    caller = asyncio.create_task(pool.run(work))
    await work.began.wait()
    for _ in range(3):
        caller.cancel()
        await asyncio.sleep(0)  # it sees the cancellation
        await asyncio.sleep(0)
        assert not caller.done()
    work.end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert journal.entries == ["done"]


async def test_a_call_still_in_the_queue_is_dropped_with_its_caller() -> None:
    journal, pool = Journal(), SyncPool(threads=1, queue_limit=1)
    first, second = Work(journal, "first"), Work(journal, "second")
    running = asyncio.create_task(pool.run(first))
    await first.began.wait()
    queued = asyncio.create_task(pool.run(second))
    await asyncio.sleep(0)  # it is put into the queue
    queued.cancel()
    with pytest.raises(asyncio.CancelledError):
        await queued
    first.end.set()
    await running
    assert journal.entries == ["first"]


async def test_an_exception_in_the_thread_is_the_callers() -> None:
    def fail() -> None:
        raise LookupError("in the thread")

    with pytest.raises(LookupError, match="in the thread"):
        await SyncPool(threads=1, queue_limit=0).run(fail)
