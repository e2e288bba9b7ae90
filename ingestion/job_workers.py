"""Job workers in the threads of a service that has no others: where nothing is configured, all of them."""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from ingestion.jobs import JobWorker
from utils.errors import StoreUnavailable
from utils.loops import lengthen

logger = logging.getLogger(__name__)

POLL_S = 0.5
_STOP_LIMIT_S = 5.0

Step = Callable[[], bool]


class JobWorkerPool:
    """*count* workers and one thread that tidies up, from the begin of `run` to its end."""

    def __init__(self, make_worker: Callable[[], JobWorker], tidy: Callable[[], None], *, count: int) -> None:
        self._make_worker, self._tidy, self._count = make_worker, tidy, count

    async def run(self) -> None:
        """Work until cancelled; the jobs at hand are then another one's at once."""
        over, workers = threading.Event(), [self._make_worker() for _ in range(self._count)]
        threads = [threading.Thread(target=_serve, args=(worker, over), daemon=True) for worker in workers]
        threads.append(threading.Thread(target=repeat, args=(self._tidied, over), daemon=True))
        for thread in threads:
            thread.start()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            over.set()
            for worker in workers:
                worker.stop()
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(asyncio.to_thread(_join, threads)), _STOP_LIMIT_S)

    def _tidied(self) -> bool:
        self._tidy()
        return False


def repeat(step: Step, over: threading.Event, *, poll_s: float = POLL_S) -> None:
    """Do *step* until *over*, at once again while it gives True, else after a pause that grows while it fails."""
    pause_s = poll_s
    while not over.is_set():
        try:
            busy = step()
        except StoreUnavailable as exc:
            pause_s = lengthen(pause_s)
            logger.warning("%s Documents wait; the next look is in %.0f s.", exc.detail, pause_s)
        except Exception:  # whatever broke, jobs must go on being found
            pause_s = lengthen(pause_s)
            logger.exception("The work on jobs failed; it goes on in %.0f s.", pause_s)
        else:
            pause_s = poll_s
            if busy:
                continue
        over.wait(pause_s)


def _serve(worker: JobWorker, over: threading.Event) -> None:
    with worker:
        repeat(worker.run_next, over)


def _join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(_STOP_LIMIT_S)
