"""Job workers in the threads of a service that has no others: where nothing is configured, all of them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from ingestion.jobs import JobWorker
from utils.loops import repeat

POLL_S = 0.5
_STOP_LIMIT_S = 5.0


class JobWorkerPool:
    """*count* workers, each in a thread of its own, and one that tidies up, from the begin of `run` to its end."""

    def __init__(self, make_worker: Callable[[], JobWorker], tidy: Callable[[], None], *, count: int) -> None:
        self._make_worker, self._tidy, self._count = make_worker, tidy, count

    async def run(self) -> None:
        """Work until cancelled; the jobs at hand are then another one's at once."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._count):
                group.create_task(_serve(self._make_worker()))
            tidying = partial(asyncio.to_thread, self._tidy)
            group.create_task(repeat("Tidying up jobs", tidying, get_poll_s=lambda: POLL_S))


async def _serve(worker: JobWorker) -> None:
    thread = ThreadPoolExecutor(1, thread_name_prefix="jobs")
    working = partial(asyncio.get_running_loop().run_in_executor, thread, worker.run_next)
    try:
        await repeat("Work on documents", working, get_poll_s=lambda: POLL_S)
    finally:
        worker.stop()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(thread.shutdown), _STOP_LIMIT_S)
