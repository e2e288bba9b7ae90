"""Moves turns that have ended to the transcript in SQL, in the background of every worker."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn

from redis.exceptions import RedisError

from agents.runs.live import LiveRun
from agents.runs.outbox import Outbox
from domain.db import Database
from domain.in_thread import read, write
from domain.transcript_retention import Retention, list_own_retention_s
from domain.transcript_writing import FinishedTurn, write_turns
from utils.checkpointer.cipher import Keyring
from utils.errors import StoreUnavailable
from utils.loops import repeat

logger = logging.getLogger(__name__)

_POLL_S = 0.5  # turns gather for so long: several cost little more than one
_LONGEST_PAUSE_S = 5.0
_LOOK_S = 5.0  # between two looks at what other workers have left
_AT_ONCE = 25  # of each shard
_LEARN_S = 10.0


class TranscriptWriter:
    """Writes the turns that wait in Redis, and those that this process holds while Redis is away; each once.

    A worker writes those that ended with it, and after some seconds also those that another has left. Each is given to
    one of them for some seconds, and one that is written is not written again. `waiting`: how many did when it last
    looked; `written`: how many this process has.

    Args:
        list_unwritten: the runs that have ended here, of which Redis could not be told.
        keys: encrypt the texts in SQL; None where conversations are not encrypted.
    """

    def __init__(
        self,
        outbox: Outbox,
        database: Database,
        *,
        retention: Retention,
        keys: Keyring | None,
        list_unwritten: Callable[[], Sequence[LiveRun]],
    ) -> None:
        self._outbox, self._database, self._retention, self._keys = outbox, database, retention, keys
        self._list_unwritten = list_unwritten
        self._look_at_s = self._learn_at_s = 0.0
        self._oldest_ended_s: float | None = None  # of those that could not be written
        self.waiting, self.written = 0, 0

    @property
    def dropped(self) -> int:
        """How many turns of this process found no room to wait."""
        return self._outbox.dropped

    @property
    def oldest_s(self) -> float:
        """For how many seconds the oldest turn has waited that could not be written; 0 where all can be."""
        return 0.0 if self._oldest_ended_s is None else max(0.0, time.time() - self._oldest_ended_s)

    async def run(self) -> NoReturn:
        """Do so until cancelled."""
        await repeat(
            "Writing the transcript",
            self.write_waiting,
            get_poll_s=lambda: _POLL_S,
            longest_pause_s=_LONGEST_PAUSE_S,
        )

    async def write_waiting(self) -> bool:
        """Write some of those that wait; whether there may be more.

        Raises:
            StoreUnavailable: the database is away; they go on waiting.
        """
        batch = await self._take()
        own = list(self._outbox.own)
        runs = [live for live in self._list_unwritten() if live.turn is not None]
        turns = [*own, *batch, *(live.turn for live in runs if live.turn is not None)]
        if turns:
            await self._write(turns)
            del self._outbox.own[: len(own)]
            for live in runs:
                live.turn = None
        await self._outbox.remove([*own, *batch])
        await self._learn_retention()
        return len(batch) >= _AT_ONCE

    async def _take(self) -> list[FinishedTurn]:
        """Turns that nobody has written for some seconds, where it is time to look for them."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._look_at_s:
            return []
        try:
            batch, self.waiting = await self._outbox.take(_AT_ONCE)
        except RedisError:  # others say so
            return []
        if len(batch) < _AT_ONCE:
            self._look_at_s = now_s + _LOOK_S
        return batch

    async def _write(self, turns: Sequence[FinishedTurn]) -> None:
        try:
            await self._write_together(turns)
        except StoreUnavailable:
            self._outbox.own.clear()  # they wait in Redis
            oldest_s = min(turn.sequence for turn in turns) / 1_000_000
            self._oldest_ended_s = min(self._oldest_ended_s or oldest_s, oldest_s)
            raise
        self._oldest_ended_s = None

    async def _write_together(self, turns: Sequence[FinishedTurn]) -> None:
        work = partial(write_turns, turns=turns, retention=self._retention, keys=self._keys)
        try:
            self.written += len(await write(self._database, work))
        except StoreUnavailable:
            raise
        except Exception:
            if len(turns) == 1:  # it would keep all others waiting for good
                logger.exception("A turn cannot be written to the transcript.", extra={"run_id": turns[0].run_id})
                return
            for turn in turns:
                await self._write_together([turn])

    async def _learn_retention(self) -> None:
        """Find out which tenants keep their transcript for longer or shorter than others."""
        if asyncio.get_running_loop().time() >= self._learn_at_s:
            self._outbox.own_keep_s = await read(self._database, list_own_retention_s)
            self._learn_at_s = asyncio.get_running_loop().time() + _LEARN_S
