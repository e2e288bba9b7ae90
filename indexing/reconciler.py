"""What one process of an installation does for its indexes: fills them, lets a new one serve, removes what is old."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy.orm import Session

from domain import index_orders, indexes, indexing
from domain.db import Database
from domain.file_store import FileStore
from domain.in_thread import read, write
from domain.models import IndexRow, IndexState
from domain.slots import SLOTS
from indexing.active import ActiveIndex
from indexing.check import IndexCheck
from indexing.indexer import POLL_S, Indexer
from indexing.open_index import Opener, OpenIndex
from indexing.orders import HANDLERS, ClaimedOrder
from indexing.reconciliation import reconcile, reconcile_files
from ingestion.chunking import ChunkSizes
from ingestion.rechunker import Rechunker
from utils.errors import Conflict, ProblemError
from utils.loops import describe_failure, repeat

logger = logging.getLogger(__name__)

TICK_S = 2.0  # nobody who asks or loads waits for it
RECONCILIATION_S = 86_400.0


@dataclass(slots=True)
class _Followed:
    """An index, the indexer that keeps it in step with SQL, and the task in which it does."""

    opened: OpenIndex
    indexer: Indexer
    task: "asyncio.Task[None] | None" = None


@dataclass(slots=True, kw_only=True)
class IndexReconciler:
    """Keeps every index in step with SQL and carries out what their rows say; by one process at a time.

    Where the settings want another index than the one that serves, it is begun here, filled beside it, and serves once
    it holds all the other does and *check* passes. An index that served before never comes back by itself: of two
    processes with different settings each would undo what the other did. *keep_days* later it is removed.

    Documents come to the index that serves within *poll_s*, to the others within *tick_s*.
    """

    database: Database
    opener: Opener
    serving: ActiveIndex
    check: IndexCheck
    keep_days: float
    files: FileStore
    tick_s: float = TICK_S
    poll_s: float = POLL_S
    _followed: dict[int, _Followed] = field(default_factory=dict)
    _began_at: float = field(default_factory=time.time)
    _published: int = 0
    _reconciled_at: float | None = None
    _problem: str | None = None
    _has_warned: bool = False
    _ordered: "asyncio.Task[None] | None" = None

    def count_pending(self) -> int:
        """Passages that wait for their vector in the index that serves; no I/O."""
        followed = self._followed.get(self.serving.opened.number)
        return followed.indexer.count_pending() if followed else 0

    @property
    def last_error(self) -> str | None:
        """What stops the index that serves from following, or an index from being built; None if nothing does."""
        followed = self._followed.get(self.serving.opened.number)
        return self._problem or (followed.indexer.last_error if followed else None)

    async def run(self) -> None:
        """Do all of it until cancelled. Errors are logged, kept in `last_error`, and retried ever more slowly."""
        self._published = 0  # another process may have looked after them meanwhile
        try:
            await repeat(
                "Index reconciliation",
                self._advance,
                get_poll_s=lambda: self.tick_s,
                note_failure=self._note_failure,
            )
        finally:
            await _end(self._ordered)
            for number in list(self._followed):
                await self._stop_following(number)

    async def catch_up_words(self) -> None:
        """Put all words that SQL has into the index that serves, and look whether one lost what it held."""
        serving = await self._follow(await read(self.database, _find_serving_row), start=False)
        await serving.indexer.catch_up_words()
        for followed in list(self._followed.values()):
            if followed is not serving and followed.task is not None:
                await followed.indexer.catch_up_words()

    async def _advance(self) -> None:
        rows_before, is_ordered = await read(self.database, index_orders.list_indexes_and_orders)
        rows = await self._apply_settings(rows_before)
        await self.serving.follow(rows)
        for row in rows:
            if row.state == IndexState.DROPPING:
                await self._remove(row)
            else:
                await self._follow(row, start=True)
        for row in rows:
            if row.state == IndexState.BUILDING:
                await self._complete(row)
        await self._publish()
        if is_ordered:
            await self._take_order()
        await self._reconcile(rows)

    async def _apply_settings(self, rows: Sequence[IndexRow]) -> Sequence[IndexRow]:
        """The rows after what follows from the settings and the time was done."""
        serving = next(row for row in rows if row.state == IndexState.SERVING)
        target = self.opener.target
        stale = [
            row
            for row in rows
            if row.state in (IndexState.BUILDING, IndexState.REFUSED)
            and not target.fits(row)
            # A process with former settings must not undo what one with new ones began.
            and row.made_at.timestamp() < self._began_at
        ]
        for row in stale:
            logger.info(
                "Index %s, for %s, chunking version %s, is abandoned: the settings name %s, chunking version %s.",
                *(row.number, row.model, row.chunking_version, target.model, target.chunking_version),
            )
            await write(self.database, partial(indexes.drop_index, number=row.number))
        expired = indexes.find_expired(rows, self.keep_days, target)
        for row in expired:
            await write(self.database, partial(indexes.drop_index, number=row.number))
        is_former = bool(serving.served_at and serving.served_at.timestamp() > self._began_at)
        if not is_former and not any(target.fits(row) and row.state != IndexState.DROPPING for row in rows):
            await self._begin(rows)
        elif not stale and not expired:
            return rows
        return await read(self.database, indexes.list_indexes)

    async def _begin(self, rows: Sequence[IndexRow]) -> None:
        """Begin the index that the settings want; where there is no room, the oldest former one goes first."""
        along = await self.opener.reads_along(self.serving.opened)
        if along is not None and self._is_of_target_model():
            if not self._has_warned:
                logger.warning("Passages keep their size: the collection %s was written by LangChain.", along)
            self._has_warned = True
            return
        if along is not None:
            raise Conflict(
                f"The Qdrant collection {along} was written with LangChain and can only be searched with the embedding "
                "model it was made with: set EMBEDDING_MODEL to that one again, or QDRANT_COLLECTION_NAME to a new "
                "name and load its documents here."
            )
        if len(rows) == len(SLOTS):
            former = [row for row in rows if row.state == IndexState.KEPT]
            if former:
                oldest = min(former, key=lambda row: row.left_at or row.made_at)
                await write(self.database, partial(indexes.drop_index, number=oldest.number))
            return
        target = self.opener.target
        # What is there already is nobody's: SQL was restored from a backup that is older than it.
        await self.opener.remove(indexes.choose_next_number(rows), target)
        row = await write(self.database, partial(indexes.begin_index, spec=target))
        logger.info(
            "Index %s, for %s, chunking version %s, is being built beside the one that serves.",
            row.number,
            row.model,
            row.chunking_version,
        )

    def _is_of_target_model(self) -> bool:
        serving, target = self.serving.opened.spec, self.opener.target
        return (serving.model, serving.dimension) == (target.model, target.dimension)

    async def _complete(self, row: IndexRow) -> None:
        """Let an index serve that holds all the serving one does, if its check passes."""
        if not await read(self.database, partial(indexing.holds_as_much, row=row)):
            return
        new, old = await self.opener.open(row), self.serving.opened
        verdict = await self.check(old, new)
        if not verdict.passed:
            logger.error(
                "Index %s, for %s, is not switched to: %s See `flask index status`.",
                row.number,
                row.model,
                verdict.note,
            )
            await write(self.database, partial(indexes.refuse_index, number=row.number, note=verdict.note))
            return
        with suppress(Conflict):  # an operator switched to it meanwhile
            await write(self.database, partial(indexes.switch_to, number=row.number, note=verdict.note))
            logger.info("Index %s serves instead of index %s: %s", row.number, old.number, verdict.note)
        await self.serving.refresh()

    async def _follow(self, row: IndexRow, *, start: bool) -> _Followed:
        followed = self._followed.get(row.number)
        if followed is None:
            opened = await self.opener.open(row)
            sizes = ChunkSizes.parse(opened.spec.chunking_version)
            rechunker = Rechunker(self.database, self.files, slot=opened.slot, sizes=sizes)
            indexer = Indexer(self.database, opened.index, opened.embedder, slot=opened.slot, rechunker=rechunker)
            followed = self._followed[row.number] = _Followed(opened, indexer)
        followed.indexer.poll_s = self.poll_s if row.state == IndexState.SERVING else self.tick_s
        if start and (followed.task is None or followed.task.done()):
            followed.task = asyncio.create_task(followed.indexer.run())
        return followed

    async def _stop_following(self, number: int) -> None:
        followed = self._followed.pop(number, None)
        if followed is not None:
            await _end(followed.task)

    async def _remove(self, row: IndexRow) -> None:
        """Remove an index once no turn can be asking it any more."""
        await self._stop_following(row.number)
        if not self.serving.has_rested(row.number):
            return
        await self.opener.remove(row.number, row)
        await write(self.database, partial(indexes.forget_index, number=row.number))
        logger.info("Index %s, for %s, is removed.", row.number, row.model)

    async def _publish(self) -> None:
        opened = self.serving.opened
        if self._published != opened.number:
            await self.opener.publish(opened)
            self._published = opened.number

    async def _take_order(self) -> None:
        if self._ordered is not None and not self._ordered.done():
            return
        order = await write(self.database, _take_up_order)
        if order is not None:
            self._ordered = asyncio.create_task(self._carry_out(*order))

    async def _carry_out(self, order_id: str, kind: str, arguments: dict[str, object]) -> None:
        outcome: dict[str, object]
        try:
            opened = [followed.opened for followed in self._followed.values()]
            outcome = await HANDLERS[kind](ClaimedOrder(self.database, self.files, opened), arguments)
        except ProblemError as exc:
            outcome = {"error": exc.detail}
        except Exception as exc:  # who ordered waits for an answer
            logger.exception("The order %s failed.", kind)
            outcome = {"error": f"It failed ({type(exc).__name__}): see the log of the service."}
        await write(self.database, partial(index_orders.finish_order, order_id=order_id, outcome=outcome))

    async def _reconcile(self, rows: Sequence[IndexRow]) -> None:
        """Once at the start and then daily: remove from every index what SQL does not know, and add what is missing."""
        if self._reconciled_at is not None and time.monotonic() - self._reconciled_at < RECONCILIATION_S:
            return
        if self._ordered is not None and not self._ordered.done():
            return  # an import is in the indexes before it is in SQL
        for row in rows:
            if row.state not in (IndexState.DROPPING, IndexState.BUILDING):
                opened = await self.opener.open(row)
                findings = await reconcile(self.database, opened.index, slot=row.slot, repair=True)
                if findings.count:
                    logger.warning("Repaired differences between index %s and SQL: %s", row.number, findings.describe())
        look = partial(reconcile_files, self.database, self.files, repair=True)
        files = await asyncio.to_thread(look)
        if files.unknown or files.missing:
            logger.warning("Deleted %s orphaned files; %s files are missing.", files.unknown, files.missing)
        self._reconciled_at = time.monotonic()

    def _note_failure(self, failure: Exception | None) -> None:
        self._problem = describe_failure(failure) if failure else None


def _find_serving_row(session: Session) -> IndexRow:
    row = indexes.find_serving_index(session)
    assert row is not None  # noqa: S101 - `ActiveIndex.begin` noted it
    return row


def _take_up_order(session: Session) -> tuple[str, str, dict[str, object]] | None:
    order = index_orders.take_next_order(session)
    return (order.order_id, order.kind, order.arguments) if order else None


async def _end(task: "asyncio.Task[None] | None") -> None:
    if task is not None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
