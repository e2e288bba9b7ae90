"""Job workers in the threads of a service that has no others: where nothing is configured, all of them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from ingestion.jobs import JobWorker
from utils.loops import repeat

POLL_S = 0.5
_STOP_LIMIT_S = 5.0


class JobWorkerPool:
    """*count* workers, each in a thread of its own, and one that tidies up, from the begin of `run` to its end.

    Nobody asks for a job while *is_any_open* says that there is none, so that an idle service stays idle.
    """

    def __init__(
        self,
        make_worker: Callable[[], JobWorker],
        tidy: Callable[[], None],
        *,
        is_any_open: Callable[[], bool],
        count: int,
    ) -> None:
        self._make_worker, self._tidy, self._is_any_open, self._count = make_worker, tidy, is_any_open, count
        self._open = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled; the jobs at hand are then another one's at once."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._count):
                group.create_task(self._serve(self._make_worker()))
            group.create_task(repeat("Tidying up jobs", self._look, get_poll_s=lambda: POLL_S))

    async def _look(self) -> None:
        if await asyncio.to_thread(self._is_any_open):
            self._open.set()
            await asyncio.to_thread(self._tidy)
        else:
            self._open.clear()

    async def _serve(self, worker: JobWorker) -> None:
        thread = ThreadPoolExecutor(1, thread_name_prefix="jobs")

        async def work() -> bool:
            await self._open.wait()
            return await asyncio.get_running_loop().run_in_executor(thread, worker.run_next)

        try:
            await repeat("Work on documents", work, get_poll_s=lambda: POLL_S)
        finally:
            await _end(worker, thread)


async def _end(worker: JobWorker, thread: ThreadPoolExecutor) -> None:
    worker.stop()
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.to_thread(thread.shutdown), _STOP_LIMIT_S)
