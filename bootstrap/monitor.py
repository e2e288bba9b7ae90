"""Looks at what the service depends on, so that health checks can answer without asking."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from domain.db import Database
from ingestion.indexer import Indexer
from utils.checkpointer import FallbackCheckpointer
from utils.errors import ProblemError

logger = logging.getLogger("bootstrap.monitor")

State = Literal["ok", "down", "unknown"]
_EVERY_S = 2.0
_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Status:
    """What was seen last.

    `problems` are reasons to call the service degraded, `blocking` those for which it cannot serve a turn.
    """

    redis: State = "unknown"
    database: State = "unknown"
    index: State = "unknown"
    problems: list[str] = field(default_factory=list)
    blocking: list[str] = field(default_factory=lambda: ["The service is starting."])


class Monitor:
    """Asks every dependency every two seconds, each with a time limit, and keeps the last answers in `status`."""

    def __init__(self, *, checkpointer: FallbackCheckpointer, database: Database, indexer: Indexer) -> None:
        self.status = Status()
        self._checkpointer, self._database, self._indexer = checkpointer, database, indexer

    def pending(self) -> int:
        """Passages whose vectors are still to come."""
        return self._indexer.pending()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """Ask once."""
        redis, database = await asyncio.gather(self._reach(self._ask_redis), self._reach(self._ping_database))
        indexing = self._indexer.last_error
        problems, blocking = [], []
        if database == "down":
            blocking.append("The SQL database does not answer: check DATABASE_URI.")
        if redis == "down":
            problems.append("Redis does not answer: conversations are held in memory. Check REDIS_URL.")
        if indexing:
            problems.append(f"New documents are not searchable yet: {indexing}")
        index: State = "down" if indexing else "ok"
        self.status = Status(redis, database, index, [*blocking, *problems], blocking)

    async def _reach(self, ask: Callable[[], Awaitable[object]]) -> State:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await ask()
        except (TimeoutError, OSError, SQLAlchemyError, ProblemError) as exc:
            logger.warning("A dependency did not answer: %s", exc)
            return "down"
        return "ok"

    async def _ask_redis(self) -> None:
        # Asking is also what brings conversations back to Redis when nobody chats.
        if await self._checkpointer.probe() == "memory":
            raise ConnectionError("Redis is away")

    async def _ping_database(self) -> object:
        def ask() -> object:
            with self._database.reading() as session:
                return session.scalar(text("SELECT 1"))

        return await asyncio.to_thread(ask)
