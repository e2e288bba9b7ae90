"""Following runs that other workers work on: one question a shard for all who follow, several times a second."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from agents.runs.codec import Batch
from agents.runs.record import ENDS, Event
from agents.runs.run_store import RunStore
from utils.errors import NotFound

_LOOK_S = 0.1
_LOOKS_UNTIL_DOUBT = 50  # without news, between two looks at whether the run is still there


@dataclass(slots=True)
class _Reader:
    run_id: str
    after: int
    news: "asyncio.Future[Batch]"


class RunEventReader:
    """Readers of runs in the run store."""

    def __init__(self, run_store: RunStore) -> None:
        self._run_store = run_store
        self._readers: list[_Reader] = []
        self._looking: asyncio.Task[None] | None = None
        self.is_draining = False  # this worker is about to stop: who reads its own runs is sent to others
        self._is_closed = False

    async def follow(self, run_id: str, after: int) -> AsyncGenerator[Batch, None]:
        """The events of a run after number *after*, several at a time, to its end or until `close`; now and then an
        empty batch.

        Raises:
            NotFound: the run has expired.
            StoreUnavailable: Redis is away.
        """
        batch = await self._run_store.read_events(run_id, after)
        while not self._is_closed:
            if not batch and await self._has_ended(run_id):
                batch = await self._get_last(run_id, after)
                if not batch:
                    return
            if batch:
                yield batch
                after = batch[-1][0]
                if batch[-1][1]["type"] in ENDS and await self._has_ended(run_id, batch[-1][1]):
                    return
            batch = await self._wait_for_next(run_id, after)
            if not batch:
                yield []

    async def read(self, run_id: str, after: int) -> Batch:
        """The events after number *after* that are there now.

        Raises:
            StoreUnavailable: Redis is away.
        """
        return await self._run_store.read_events(run_id, after)

    async def get_last_event(self, run_id: str) -> Event | None:
        """What was told last of a run.

        Raises:
            StoreUnavailable: Redis is away.
        """
        numbered = await self._run_store.read_last_event(run_id)
        return numbered[1] if numbered else None

    def close(self) -> None:
        """Let all who follow go on at another worker."""
        self._is_closed = True
        for reader in self._readers:
            if not reader.news.done():
                reader.news.set_result([])

    async def _has_ended(self, run_id: str, last: Event | None = None) -> bool:
        if last is not None and last["type"] != "waiting":
            return True  # nothing comes after the others
        record = await self._run_store.record(run_id)
        if record is None:
            raise NotFound("Run not found or expired.")
        return record.status != "running"

    async def _get_last(self, run_id: str, after: int) -> Batch:
        """What came between two looks; else its end, if its number is not *after*: a run that Redis has lost and that
        was begun again is numbered from 1 on."""
        batch = await self._run_store.read_events(run_id, after)
        last = None if batch else await self._run_store.read_last_event(run_id)
        return [last] if last is not None and last[0] < after else batch

    async def _wait_for_next(self, run_id: str, after: int) -> Batch:
        """The next events, or none when there were none for some seconds."""
        reader = _Reader(run_id, after, asyncio.get_running_loop().create_future())
        self._readers.append(reader)
        if self._looking is None:
            self._looking = asyncio.create_task(self._read_new_events())
        try:
            async with asyncio.timeout(_LOOK_S * _LOOKS_UNTIL_DOUBT):
                return await reader.news
        except TimeoutError:
            return []
        finally:
            self._readers.remove(reader)

    async def _read_new_events(self) -> None:
        try:
            while self._readers:
                await asyncio.sleep(_LOOK_S)
                readers = list(self._readers)
                batches = await self._run_store.read_new_events([(reader.run_id, reader.after) for reader in readers])
                for reader, batch in zip(readers, batches or (), strict=False):
                    if batch and not reader.news.done():
                        reader.news.set_result(batch)
        finally:
            self._looking = None
