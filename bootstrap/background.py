"""The work that one process of an installation does for all: loading KNOWLEDGE_DIR, reading what was uploaded and what
the web has, and keeping the index in step.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from domain.leadership import Leadership
from ingestion.job_workers import JobWorkerPool
from ingestion.pipeline import LoadSummary
from utils.loops import log_pause, repeat

Load = Callable[[], Coroutine[Any, Any, LoadSummary | None]]
Loop = Callable[[], Coroutine[Any, Any, None]]
DeleteOld = Callable[[], Coroutine[Any, Any, object]]

COMPARE_S = 60.0  # for so long nobody notices that an index lost passages while the service runs
RETRY_S = 10.0
DELETE_OLD_S = 3600.0
_COMPARING = "The comparison of the index with SQL"


class IndexFollower(Protocol):
    """What keeps the index in step with SQL; see `Indexer` and `IndexReconciler`."""

    async def run(self) -> None:
        """Do so until cancelled."""

    async def catch_up_words(self) -> None:
        """Put all words into the index that SQL has, also those it lost."""


class Background:
    """Loads, reads and indexes; with *leadership*, only while no other process does.

    Without it this process is the only one that can, as the owner of an embedded index. Every *compare_s* seconds, or
    after *retry_s* where that was not possible, the index is compared with SQL: a server may come back without what it
    held. That is done at once where *replaced* tells that an index starts again. *delete_old* deletes what has
    been kept for long enough, again and again.
    """

    def __init__(
        self,
        indexer: IndexFollower,
        load: Load,
        *,
        delete_old: DeleteOld,
        working: JobWorkerPool,
        leadership: Leadership | None,
        crawl: Loop | None = None,
        compare: Loop | None = None,
        send_webhooks: Loop | None = None,
        retire_samples: Loop | None = None,
        replaced: asyncio.Event | None = None,
        compare_s: float = COMPARE_S,
        retry_s: float = RETRY_S,
    ) -> None:
        self._indexer, self._load, self._working = indexer, load, working
        self._crawl, self._compare, self._retire_samples = crawl, compare, retire_samples
        self._send_webhooks = send_webhooks
        self._leadership, self._delete_old = leadership, delete_old
        self._compare_s, self._retry_s, self._replaced = compare_s, retry_s, replaced or asyncio.Event()
        self._loaded: asyncio.Future[LoadSummary | None] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        self._at_work = False

    @property
    def at_work(self) -> bool:
        """Whether it is this process that does the work now."""
        return self._at_work

    @property
    def is_shared(self) -> bool:
        """Whether another process may do the work, so that nobody here should wait for it."""
        return self._leadership is not None

    @property
    def loaded(self) -> "asyncio.Future[LoadSummary | None]":
        """What KNOWLEDGE_DIR held, None for nothing; done once it is loaded, never while another process does it."""
        return self._loaded

    @property
    def has_loaded(self) -> bool:
        """Whether KNOWLEDGE_DIR is loaded, and held documents."""
        return self._loaded.done() and not self._loaded.cancelled() and self._loaded.result() is not None

    async def start(self) -> None:
        """Begin. The words of what is in SQL are in an index of our own on return, before the first question.

        An index that is away is no reason not to: it is filled when it is there.
        """
        if self._leadership is None:
            await self._fill_index()
            self._task = asyncio.create_task(self._work())
        else:
            self._task = asyncio.create_task(self._leadership.lead(self._work))

    async def stop(self) -> None:
        """End it; what was not finished is found again by whoever works next."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._loaded.cancel()

    async def _work(self) -> None:
        self._at_work = True
        try:
            async with asyncio.TaskGroup() as all_of_it:
                all_of_it.create_task(self._indexer.run())
                all_of_it.create_task(self._load_knowledge())
                all_of_it.create_task(self._repair_index())
                all_of_it.create_task(self._working.run())
                all_of_it.create_task(self._delete_periodically())
                for optional in (self._crawl, self._compare, self._send_webhooks):
                    if optional is not None:
                        all_of_it.create_task(optional())
        finally:
            self._at_work = False

    async def _load_knowledge(self) -> None:
        summary = await self._load()
        await self._fill_index()  # so that whoever is told "loaded" finds it
        if not self._loaded.done():
            self._loaded.set_result(summary)
        if self._retire_samples is not None:  # only now are all of them there that there will be
            await self._retire_samples()

    async def _repair_index(self) -> None:
        await repeat(
            _COMPARING,
            self._indexer.catch_up_words,
            get_poll_s=lambda: self._compare_s,
            longest_pause_s=self._retry_s,
            wake=self._replaced,
        )

    async def _delete_periodically(self) -> None:
        async def delete() -> None:
            await self._delete_old()

        await repeat("Deleting expired data", delete, get_poll_s=lambda: DELETE_OLD_S)

    async def _fill_index(self) -> None:
        """Compare the index with SQL and fill what it lacks; where that fails, `_repair_index` tries again."""
        try:
            await self._indexer.catch_up_words()
        except Exception as exc:  # whatever broke, indexing must go on
            log_pause(_COMPARING, exc, self._retry_s)
