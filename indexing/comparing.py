"""Compares documents with each other for conflicts, in the background, when nothing else is to be indexed.

Not each with each: a passage is compared with those of other documents that are nearest to it by meaning.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from agents.conflicts.comparison import Difference, find_differences
from auth.principal import Principal
from domain import conflicts
from domain.conflicts import FoundConflict, Side
from domain.db import Database
from domain.documents import get_chunks
from domain.in_thread import read, write
from domain.jobs import is_any_processed
from domain.models import Document
from domain.passages import make_passage
from retrieval.index import PassageIndex
from utils.errors import ProblemError
from utils.loops import repeat
from utils.passages import Passage
from utils.validity import today

NEIGHBOURS = 8  # passages that a passage is compared with
MAX_OF_ONE = 100  # conflicts of one document: more are those of a text that should not be there
DOCUMENTS_AT_ONCE = 20
POLL_S = 2.0
EXPIRY_S = 60.0  # between two looks whether documents have ceased to hold
LONGEST_WAIT_S = 3600.0


@dataclass(slots=True, kw_only=True)
class DocumentComparer:
    """Compares every document that is new or changed, once it has its vectors, by one process at a time.

    *index* is that which serves, with its chunking version. While *is_busy*, as documents are read or indexed, it
    waits, and for *delay_s* after that; but no longer than *longest_wait_s*, since a document whose passages the
    embedding model refuses is never done. It works for half of the time at most.
    """

    database: Database
    index: Callable[[], tuple[PassageIndex, str]]
    is_busy: Callable[[], bool]
    delay_s: float
    longest_wait_s: float = LONGEST_WAIT_S
    poll_s: float = POLL_S
    _rested_since: float = field(default_factory=time.monotonic)
    _busy_since: float = float("inf")
    _expired_at: float = float("-inf")

    async def run(self) -> None:
        """Do so until cancelled. Errors are logged, and retried ever more slowly."""
        await repeat("Comparing documents", self.step, get_poll_s=lambda: self.poll_s)

    async def step(self) -> None:
        """Compare some documents of each tenant that has any to compare, unless there is other work.

        Raises the last failure, after the other documents.
        """
        now_s = time.monotonic()
        is_busy = self.is_busy() or await read(self.database, is_any_processed)
        self._busy_since = min(self._busy_since, now_s) if is_busy else float("inf")
        if is_busy and now_s - self._busy_since < self.longest_wait_s:
            self._rested_since = now_s
            return
        if now_s - self._expired_at >= EXPIRY_S:
            await write(self.database, conflicts.end_expired)
            self._expired_at = now_s
        if now_s - self._rested_since >= self.delay_s or is_busy:
            await self._compare_some(should_stop=lambda: self.is_busy() and not is_busy)

    async def _compare_some(self, should_stop: Callable[[], bool]) -> None:
        failure: Exception | None = None
        for ctx in await read(self.database, conflicts.list_tenants_to_compare):
            listing = partial(conflicts.list_documents_to_compare, ctx=ctx, limit=DOCUMENTS_AT_ONCE)
            for document in await read(self.database, listing):
                if should_stop():
                    return
                try:
                    await self._compare(ctx, document)
                except ProblemError:
                    raise  # a store is away: the others would fail, too
                except Exception as exc:  # one document's trouble must not keep the others waiting
                    failure = exc
        if failure is not None:
            raise failure

    async def _compare(self, ctx: Principal, document: Document) -> None:
        found: dict[str, FoundConflict] = {}
        passages = await self._load_passages(ctx, document)
        if passages and not document.compared_version:  # the index may be of before it kept the days of documents
            await self.index()[0].update_document(ctx, passages[0])
        for passage in passages:
            if passage.valid_until and passage.valid_until < today().isoformat():
                break
            began = time.monotonic()
            near = await self.index()[0].find_neighbours(ctx, passage, limit=NEIGHBOURS)
            others = [each for each in near if _may_hold_together(passage, each)]
            for each in await asyncio.to_thread(partial(_find_conflicts, passage, others)):
                if len(found) < MAX_OF_ONE:
                    found[each.conflict_id] = each
            await asyncio.sleep(time.monotonic() - began)  # the rest of the process goes first
        recording = partial(conflicts.record_comparison, ctx=ctx, document=document, conflicts=list(found.values()))
        await write(self.database, recording)

    async def _load_passages(self, ctx: Principal, document: Document) -> Sequence[Passage]:
        _, version = self.index()
        chunks = await read(self.database, partial(get_chunks, ctx=ctx, document_id=document.document_id))
        return [make_passage(document, chunk) for chunk in chunks if chunk.chunking_version == version]


def _may_hold_together(one: Passage, other: Passage) -> bool:
    """Whether there is a day, today or later, on which both documents hold."""
    begins = max(today().isoformat(), one.valid_from or "", other.valid_from or "")
    return all(begins <= (each.valid_until or begins) for each in (one, other))


def _find_conflicts(passage: Passage, others: Sequence[Passage]) -> list[FoundConflict]:
    return [
        _make_conflict(passage, other, difference)
        for other in others
        for difference in find_differences(passage, other)
    ]


def _make_conflict(passage: Passage, other: Passage, difference: Difference) -> FoundConflict:
    return FoundConflict(
        _make_side(passage, difference.one.text), _make_side(other, difference.other.text), difference.kind
    )


def _make_side(passage: Passage, sentence: str) -> Side:
    return Side(passage.document_id, passage.version or 0, passage.title, sentence)
