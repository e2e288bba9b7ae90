"""Erases from the transcript what is kept no longer, and lets nothing of it stand in the files of embedded stores."""

import asyncio
import logging
import time
from datetime import timedelta
from typing import NoReturn

from redis.exceptions import RedisError

from agents.transcripts import Transcripts
from domain.db import Database
from domain.models import now
from domain.transcript_retention import empty_write_log, erase_deleted, erase_expired
from utils.checkpointer.clients import AsyncClient
from utils.loops import repeat

logger = logging.getLogger(__name__)

_POLL_S = 2.0
_EXPIRE_S = 60.0
_REWRITE_S = 30.0  # between two rewritings of Redis' file, which hold up the disk


class TranscriptUpkeep:
    """Erases deleted conversations once they cannot be restored any more, and expired ones, in batches.

    After that SQLite's log is emptied, and the append-only file of an *embedded* Redis rewritten: both would hold the
    texts for a while. Several workers may do so.
    """

    def __init__(self, database: Database, transcripts: Transcripts, redis: AsyncClient, *, embedded: bool) -> None:
        self._database, self._transcripts, self._redis, self._embedded = database, transcripts, redis, embedded
        self._seen = 0  # erasures that were made by requests
        self._log_is_stale = self._file_is_stale = False
        self._expire_at_s = self._rewrite_at_s = 0.0
        self._expire_s = min(_EXPIRE_S, max(1.0, transcripts.retention.default_s / 10))

    async def run(self) -> NoReturn:
        """Do so until cancelled."""
        await repeat("Erasing from the transcript", self.tidy, get_poll_s=lambda: _POLL_S)

    async def tidy(self) -> None:
        """Do what is due.

        Raises:
            StoreUnavailable: the database is away.
        """
        if self._seen != (seen := self._transcripts.erasures):
            self._seen, self._log_is_stale, self._file_is_stale = seen, True, True
        erased = await asyncio.to_thread(self._erase)
        self._log_is_stale |= bool(erased)
        if self._log_is_stale:
            self._log_is_stale = not await asyncio.to_thread(empty_write_log, self._database)
        if self._file_is_stale and self._embedded and time.monotonic() >= self._rewrite_at_s:
            await self._rewrite()

    def _erase(self) -> int:
        before = now() - timedelta(seconds=self._transcripts.undo_s)
        erased = erase_deleted(self._database, before=before)
        if time.monotonic() >= self._expire_at_s:
            erased += erase_expired(self._database, self._transcripts.retention)
            self._expire_at_s = time.monotonic() + self._expire_s
        return erased

    async def _rewrite(self) -> None:
        try:
            await self._redis.execute_command("BGREWRITEAOF")
        except RedisError as exc:  # it is away, or at it: again with the next look
            logger.debug("The append-only file was not rewritten: %s", exc)
            return
        self._file_is_stale, self._rewrite_at_s = False, time.monotonic() + _REWRITE_S
