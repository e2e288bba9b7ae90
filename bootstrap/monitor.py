"""Looks at what the service depends on, so that health checks can answer without asking."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from sqlalchemy.exc import SQLAlchemyError

from bootstrap.background import Background
from domain.db import Database
from domain.indexing import count_without_vectors
from domain.transcript_retention import count_used_conversations
from utils.checkpointer import Connections, FallbackCheckpointer
from utils.checkpointer.circuit import Circuit
from utils.disk import DiskSpace, SpaceState
from utils.errors import ProblemError, StoreDamaged
from utils.loops import repeat
from utils.observers import StoreObservers
from utils.ports import StoreObserver

logger = logging.getLogger("bootstrap.monitor")

State = Literal["ok", "down", "unknown"]
_EVERY_S = 2.0
_PATIENCE_S = 2.0
_ACTIVE_S, _COUNT_S = 900.0, 10.0
_LATE_S = 60.0  # that a turn has waited for the transcript


class Checkable(Protocol):
    """Something that can say whether it can serve now."""

    async def check(self) -> None:
        """Raises StoreUnavailable if it cannot."""


class IndexingProgress(Protocol):
    """How far the index is behind the documents."""

    def count_pending(self) -> int:
        """Passages whose vectors are still to come; no I/O."""

    @property
    def last_error(self) -> str | None:
        """Why it is stuck, None if it is not."""


class TranscriptProgress(Protocol):
    """How far the transcript is behind the turns."""

    waiting: int  # turns, when it was last looked
    written: int  # turns, by this process

    @property
    def dropped(self) -> int:
        """Turns of this process that found no room to wait."""

    @property
    def oldest_s(self) -> float:
        """For how long the oldest one has waited that cannot be written; 0 where all can."""


@dataclass(frozen=True, slots=True)
class Status:
    """The result of the last look.

    `problems` are reasons to call the service degraded, `blocking` those for which it cannot serve a turn. `pending`:
    passages whose vectors are still to come.
    """

    redis: State = "unknown"
    database: State = "unknown"
    index: State = "unknown"
    chat_model: State | None = None  # None where none is configured
    pending: int = 0
    space: SpaceState = "ok"
    problems: list[str] = field(default_factory=list)
    blocking: list[str] = field(default_factory=lambda: ["The service is starting."])

    @property
    def has_looked(self) -> bool:
        """Whether anything was seen yet."""
        return self.redis != "unknown"


@dataclass(slots=True, kw_only=True)
class Monitor:
    """Asks every dependency every two seconds, each with a time limit, and keeps the last answers in `status`.

    It also brings conversations back to Redis after an outage. `memory_suffices`: turns may be served while Redis is
    away, because no other process could hold another part of the same conversation, or because that is accepted.
    `keeps_turns_on_disk`: what turns add to conversations is kept on *disk*, so that none is served while it is full.
    `check_scanner` raises ScannerUnavailable, within two seconds, while the malware scanner is away; None without one.
    `language_model` knows whether it answers; it is not asked here, as that costs money. `active_sessions`:
    conversations that were used lately, where *counts_sessions*.
    """

    checkpointer: FallbackCheckpointer
    connections: Connections
    database: Database
    index: Checkable
    indexer: IndexingProgress
    background: Background
    memory_suffices: bool
    disk: DiskSpace
    keeps_turns_on_disk: bool
    check_scanner: Callable[[], None] | None = None
    is_scanner_required: bool = True
    language_model: Circuit | None = None
    transcript_writer: TranscriptProgress | None = None
    counts_sessions: bool = False
    active_sessions: int = 0
    _sessions_from_s: float = 0.0
    stores: StoreObserver = field(default_factory=StoreObservers)
    status: Status = field(default_factory=Status)
    _logged: dict[str, str | None] = field(default_factory=dict)

    def count_pending(self) -> int:
        """Passages whose vectors are still to come; no I/O."""
        return self.indexer.count_pending() if self.background.at_work else self.status.pending

    async def run(self) -> None:
        """Watch until cancelled."""
        await repeat("Looking at the stores", self.check_once, get_poll_s=lambda: _EVERY_S, longest_pause_s=_EVERY_S)

    async def check_once(self) -> None:
        """Ask once."""
        redis, database, index, scanner = await asyncio.gather(
            self._find_problem("Redis", self._time("redis", self._ask_redis)),
            self._find_problem("The SQL database", self._time("database", self._ask_database)),
            self._find_problem("The passage index", self._time("index", self.index.check)),
            self._find_problem("The malware scanner", self._ask_scanner),
        )
        space, model = self.disk.measure_state(), self._explain_model()
        is_refusing = space == "full" and self.keeps_turns_on_disk
        reasons = [  # each with whether no turn can be served for it
            (database, True),
            (index, True),
            (redis and f"{redis} Conversations are held in memory.", not self.memory_suffices),
            (None if database else self._explain_indexing(), False),
            (self._describe_space(space, is_refusing=is_refusing), is_refusing),
            (scanner and f"{scanner} {self._explain_scanner()}", False),
            (self._explain_transcript(), False),
            (model and f"The language model does not answer, quotes do instead: {model}", False),
        ]
        blocking = [reason for reason, is_blocking in reasons if reason and is_blocking]
        self.status = Status(
            redis=_make_state(redis),
            database=_make_state(database),
            index=_make_state(index or (None if database else self.indexer.last_error)),
            chat_model=_make_state(model) if self.language_model else None,
            pending=self.status.pending,
            space=space,
            problems=blocking + [reason for reason, is_blocking in reasons if reason and not is_blocking],
            blocking=blocking,
        )

    def _explain_indexing(self) -> str | None:
        reason = self.indexer.last_error
        return f"New documents are not searchable yet: {reason}" if reason else None

    def _explain_transcript(self) -> str | None:
        writer = self.transcript_writer
        if writer is None or writer.oldest_s < _LATE_S:
            return None
        waiting, oldest_s = max(1, writer.waiting), writer.oldest_s
        return f"{waiting} finished turns wait to be written to the database, the oldest for {oldest_s:.0f} s."

    def _explain_scanner(self) -> str:
        outcome = "New documents wait until it does" if self.is_scanner_required else "Files are read without a scan"
        return f"{outcome}. Start clamd, or correct CLAMD_ADDRESS."

    def _explain_model(self) -> str | None:
        return self.language_model.reason if self.language_model and self.language_model.is_open else None

    def _describe_space(self, space: SpaceState, *, is_refusing: bool) -> str | None:
        """What the lack of room on the disk means, None without one; a change is logged."""
        reason = None
        if space != "ok":
            what = "Documents and questions are refused" if is_refusing else "Documents are refused"
            reason = f"Not enough disk space: {self.disk.describe()} {what} until there is more."
        if space != self._logged.get("space", "ok"):
            logger.log(
                logging.ERROR if reason else logging.INFO,
                "%s",
                reason or f"There is enough room on the disk again: {self.disk.describe()}",
            )
            self._logged["space"] = space
        return reason

    async def _find_problem(self, what: str, ask: Callable[[], Awaitable[object]]) -> str | None:
        """Why *what* cannot be used, None if it can; a change is logged."""
        reason, level = None, logging.WARNING
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await ask()
        except ProblemError as exc:
            reason = exc.detail
            if isinstance(exc, StoreDamaged):
                level = logging.ERROR
        except (TimeoutError, OSError, SQLAlchemyError):
            reason = f"{what} does not answer."
        except Exception:  # whatever broke, the others are looked at, and this one again
            reason = f"{what} cannot be looked at; the log says why."
            logger.exception("%s", reason)
        if reason != self._logged.get(what):
            logger.log(level if reason else logging.INFO, "%s", reason or f"{what} answers again.")
            self._logged[what] = reason
        return reason

    def _time(self, store: str, ask: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[object]]:
        async def timed() -> None:
            began_s, succeeded = time.perf_counter(), False
            try:
                await ask()
                succeeded = True
            finally:
                self.stores.note_duration(store, "check", time.perf_counter() - began_s, succeeded=succeeded)

        return timed

    async def _ask_redis(self) -> None:
        if await self.checkpointer.probe() == "memory":
            await self.connections.check()  # tells why
            raise TimeoutError
        if self.checkpointer.held_conversations:
            await self.checkpointer.return_held()

    async def _ask_scanner(self) -> None:
        if self.check_scanner:
            await asyncio.to_thread(self.check_scanner)

    async def _ask_database(self) -> None:
        self.status = replace(self.status, pending=await asyncio.to_thread(self._read_database))

    def _read_database(self) -> int:
        self.database.check()
        with self.database.open_read_session() as session:
            if self.counts_sessions and time.monotonic() >= self._sessions_from_s:
                self.active_sessions = count_used_conversations(session, within_s=_ACTIVE_S)
                self._sessions_from_s = time.monotonic() + _COUNT_S
            return count_without_vectors(session)


def _make_state(reason: str | None) -> State:
    return "down" if reason else "ok"
