"""One leader among the processes of an installation: it alone does the work in the background."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from domain.db import Database
from domain.leader_locks import FileLock, Lock, ServerLock
from utils.errors import StoreUnavailable
from utils.loops import repeat

logger = logging.getLogger(__name__)
T = TypeVar("T")

Work = Callable[[], Awaitable[None]]

CHECK_S = 2.0
CHECK_LIMIT_S = 4.0  # a database that does not answer for so long may have given the lock to another
SETTLE_S = 1.0  # a former leader whose connection broke notices within this
RELEASE_LIMIT_S = 1.0


class Leadership:
    """Lets one of all processes with the same database, the one with the lock, run the work it is given.

    On PostgreSQL the lock is held by a connection to the database, beside those of the pool; on SQLite by the kernel,
    on a file in *folder*. It is free again when its process ends, however that happens.
    """

    def __init__(self, database: Database, *, folder: Path, poll_s: float = 1.0) -> None:
        self._database, self._file, self._poll_s = database, folder / "leader.lock", poll_s
        self._leads = False

    @property
    def is_leader(self) -> bool:
        """Whether this process holds the lock and runs the work."""
        return self._leads

    async def lead(self, work: Work) -> None:
        """Run *work* whenever this process is the leader, until cancelled; the lock is free on return.

        *work* is cancelled as soon as the lock is lost, and run again when it was won again. When it fails, the lock is
        released, and after a growing pause this process tries to win it again. When *work* returns, this process stays
        the leader and does nothing.
        """
        candidate = _Candidate(ServerLock(self._database) if self._database.is_server else FileLock(self._file))
        try:
            leading = partial(self._lead, candidate, work)
            await repeat("The work of the leader", leading, get_poll_s=lambda: self._poll_s)
        finally:
            await candidate.close()

    async def _lead(self, candidate: "_Candidate", work: Work) -> bool:
        """Once, until the lock is lost."""
        await self._wait_for_lock(candidate)
        failure = await self._work_under(candidate, work)
        await candidate.do(candidate.lock.release)
        if failure is not None:
            raise failure
        return True

    async def _wait_for_lock(self, candidate: "_Candidate") -> None:
        """Wait for the lock; one that another process may have lost just now is let rest for a moment."""
        logged, waited = "", False
        while True:
            try:
                if await candidate.do(candidate.lock.take):
                    if waited:
                        await asyncio.sleep(SETTLE_S)
                        await candidate.do(candidate.lock.check)
                    return
            except StoreUnavailable as exc:
                await candidate.do(candidate.lock.release)
                if exc.detail != logged:
                    logger.warning("%s Nothing is loaded or indexed by this process until then.", exc.detail)
                    logged = exc.detail
            waited = True
            await asyncio.sleep(self._poll_s)

    async def _work_under(self, candidate: "_Candidate", work: Work) -> Exception | None:
        """Run the work until the lock is lost; None then, else what the work failed with."""
        logger.info("This process is the leader now: it loads and indexes.")
        self._leads = True
        working, losing = asyncio.ensure_future(work()), asyncio.ensure_future(candidate.wait_until_lost())
        try:
            await asyncio.wait({working, losing}, return_when=asyncio.FIRST_COMPLETED)
            failure = None if losing.done() else _get_failure(working)
            if failure is None:
                await asyncio.wait({losing})
            return failure
        finally:
            await _end(losing)
            await _end(working)
            self._leads = False


class _Candidate:
    """A lock, and the thread in which it is used: one of its own, which no other work can keep busy."""

    def __init__(self, lock: Lock) -> None:
        self.lock = lock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="leadership")

    async def do(self, step: Callable[[], T]) -> T:
        """Run a step of the lock; cancelled, the step goes on and `close` comes after it."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, step)

    async def wait_until_lost(self) -> None:
        """Return when the lock is lost: at once when its connection breaks, else at the next check."""
        while True:
            await _wait_until_readable(self.lock.get_descriptor(), CHECK_S)
            try:
                async with asyncio.timeout(CHECK_LIMIT_S):
                    await self.do(self.lock.check)
            except (TimeoutError, StoreUnavailable) as exc:
                logger.warning(
                    "This process is not the leader any more. %s", str(exc) or "The database does not answer."
                )
                self.lock.interrupt()
                return

    async def close(self) -> None:
        """Let go of the lock; a step that hangs is broken off."""
        releasing = asyncio.ensure_future(self.do(self.lock.release))
        try:
            await asyncio.wait({releasing}, timeout=RELEASE_LIMIT_S)
        finally:
            if not releasing.done():
                self.lock.interrupt()
            self._thread.shutdown(wait=False)


async def _wait_until_readable(descriptor: int | None, limit_s: float) -> None:
    """Wait until there is something to read, as when the other side ends; *limit_s* at most."""
    if descriptor is None:
        await asyncio.sleep(limit_s)
        return
    loop, touched = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, touched.set)
    try:
        async with asyncio.timeout(limit_s):
            await touched.wait()
    except TimeoutError:
        pass
    finally:
        loop.remove_reader(descriptor)


async def _end(task: "asyncio.Future[None]") -> None:
    """Cancel it and wait for its end, which may take as long as the document it is at."""
    if task.cancel():
        await asyncio.wait({task})
        if not task.cancelled() and (failure := task.exception()):
            logger.error("The work of the leader failed while stopping.", exc_info=failure)


def _get_failure(task: "asyncio.Future[None]") -> Exception | None:
    """What it failed with; to cancel itself is a failure too."""
    try:
        task.result()
    except asyncio.CancelledError as exc:
        return RuntimeError("The work of the leader cancelled itself.").with_traceback(exc.__traceback__)
    except Exception as exc:
        return exc
    return None
