"""The work that one process of an installation does for all: loading KNOWLEDGE_DIR and keeping the index in step."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from domain.leadership import Leadership
from ingestion.indexer import Indexer
from ingestion.pipeline import LoadSummary

logger = logging.getLogger("bootstrap.background")

Load = Callable[[], Coroutine[Any, Any, LoadSummary | None]]


class Background:
    """Loads and indexes; with *leadership*, only while no other process does.

    Without it this process is the only one that can, as the owner of an embedded index.
    """

    def __init__(self, indexer: Indexer, load: Load, *, leadership: Leadership | None) -> None:
        self._indexer, self._load, self._leadership = indexer, load, leadership
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

    async def start(self) -> None:
        """Begin. The words of what is in SQL are in an index of our own on return, before the first question."""
        if self._leadership is None:
            await self._indexer.catch_up_words()
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
            if self._leadership is not None:
                await self._indexer.catch_up_words()
            async with asyncio.TaskGroup() as both:
                both.create_task(self._indexer.run())
                both.create_task(self._load_knowledge())
        finally:
            self._at_work = False

    async def _load_knowledge(self) -> None:
        summary = await self._load()
        await self._indexer.catch_up_words()  # so that whoever is told "loaded" finds it
        if not self._loaded.done():
            self._loaded.set_result(summary)
