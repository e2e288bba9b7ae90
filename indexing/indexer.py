"""Keeps a passage index in step with SQL, in the one process that owns it; each of several indexes has its own.

SQL is the truth: whatever process loads documents, this sees it by asking now and then. What is done is marked in SQL
only after the index has it on disk. Doing it twice changes nothing, so a process that is killed leaves nothing but work
for the next one.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import TypeVar

from sqlalchemy.orm import Session

from domain import indexing
from domain.db import Database
from domain.in_thread import read, write
from domain.models import Chunk, Document, DocumentState
from domain.slots import FIRST_SLOT
from ingestion.cutting import Cutter
from retrieval.index import PassageIndex
from retrieval.lexical import make_embedding_text
from utils.context import TenantContext
from utils.errors import ProblemError
from utils.passages import Passage
from utils.ports import Embedder
from utils.slices import cut_into_slices

logger = logging.getLogger(__name__)
T = TypeVar("T")

WORDS_BATCH = 200  # passages put into the index at once
VECTORS_BATCH = 8  # passages embedded at once: what a question waits for at most
DOCUMENTS_BATCH = 20  # documents held in memory at once
LISTED = 200  # documents listed by how few of their passages wait
POLLS_A_LIST = 10  # such a list is used for that many polls, …
LIST_COST = 20  # … and at least that many times as long as it took to make
POLL_S = 0.5
LONGEST_PAUSE_S = 30.0


@dataclass(slots=True)
class _Pace:
    """How a tenant's passages are embedded: *batch* at once, after *skip* that were refused one by one.

    So passages that the embedder does not take end up alone, and others do not wait for them. *waiting* are the
    documents that come next, with their number of passages: small ones do not wait for large ones. It is read anew
    at *expires_at*, on the clock of `time.monotonic`.
    """

    batch: int = VECTORS_BATCH
    skip: int = 0
    waiting: dict[str, int] = field(default_factory=dict)
    expires_at: float = 0.0

    def slow_down(self) -> None:
        self.skip += self.batch == 1
        self.batch = 1

    def speed_up(self) -> None:
        self.batch = min(self.batch * 2, VECTORS_BATCH)

    def choose_documents(self) -> tuple[list[str], int]:
        """Those that hold the next batch, and how many passages of the first of them are to be passed over."""
        chosen: list[str] = []
        skip, room = self.skip, self.batch
        for document_id, count in self.waiting.items():
            if not chosen and skip >= count:
                skip -= count
                continue
            room -= count if chosen else count - skip
            chosen.append(document_id)
            if room <= 0:
                break
        return chosen, skip

    def note_done(self, passages: Sequence[Passage]) -> None:
        for document_id, count in Counter(passage.document_id for passage in passages).items():
            self.waiting[document_id] -= count
            if self.waiting[document_id] <= 0:
                del self.waiting[document_id]


class Indexer:
    """Two loops beside each other: words at once, for all tenants; vectors in small batches, a batch a tenant in turn,
    those of documents with the fewest waiting first.

    So a document is found by its words within a poll, also while the embedding model is slow or away. What is done is
    marked in *slot*, the index's own. *cutter* cuts documents that were loaded for an index of another cut; without it
    there must be none. `poll_s` may be changed at any time.
    """

    def __init__(
        self,
        database: Database,
        index: PassageIndex,
        embedder: Embedder,
        *,
        slot: int = FIRST_SLOT,
        cutter: Cutter | None = None,
        poll_s: float = POLL_S,
    ) -> None:
        self._database, self._index, self._embedder, self._slot = database, index, embedder, slot
        self._cutter = cutter
        self.poll_s = poll_s
        self._pending = 0
        self._errors: dict[str, str] = {}
        self._pace: dict[str, _Pace] = {}
        # What is put into the index and what is marked in SQL about it must not be pulled apart by the other loop.
        self._writing = asyncio.Lock()

    def pending(self) -> int:
        """Passages that waited for their vector when last looked; no I/O."""
        return self._pending

    @property
    def last_error(self) -> str | None:
        """What stops indexing at present, None if nothing does."""
        return "; ".join(self._errors.values()) or None

    async def run(self) -> None:
        """Keep in step until cancelled. Errors are logged, kept in `last_error`, and retried ever more slowly."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._repeat("words", self._catch_up_words))
            loops.create_task(self._repeat("vectors", self._embed_vectors))

    async def catch_up_words(self) -> None:
        """Put all words into the index that SQL has; at a start before the first question, and now and then.

        An index that lost passages is filled anew.
        """
        for ctx in await self._read(indexing.all_tenants):
            # Twice: a document may be taken out between the question to SQL and the one to the index.
            if await self._has_lost_any(ctx) and await self._has_lost_any(ctx):
                logger.warning("Passages are missing in the index; indexing them again.", extra=_map_to_tenants(ctx))
                await self._write(partial(indexing.mark_undone, ctx=ctx, slot=self._slot))
        await self._catch_up_words()
        self._pending = await self._count_pending()

    async def _repeat(self, name: str, step: Callable[[], Awaitable[bool]]) -> None:
        pause_s = self.poll_s
        while True:
            try:
                busy = await step()
            except Exception as exc:  # whatever broke, the index must go on following
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
                self._report(name, exc, pause_s)
                await asyncio.sleep(pause_s)
            else:
                self._errors.pop(name, None)
                pause_s = self.poll_s
                await asyncio.sleep(0 if busy else pause_s)

    async def _has_lost_any(self, ctx: TenantContext) -> bool:
        """Whether the index holds less than SQL has marked as done.

        SQL is asked first: a load that comes in between can only make it expect too little.
        """
        words, vectors = await self._read(partial(indexing.count_done, ctx=ctx, slot=self._slot))
        counts = await self._index.counts(ctx)
        return counts.passages < words or counts.passages - counts.pending < vectors

    async def _catch_up_words(self) -> bool:
        """Make the index hold the words of every document; whether any was waiting."""
        return await _run_for_each(
            await self._read(partial(indexing.tenants_without_words, slot=self._slot)), self._catch_up_words_of
        )

    async def _embed_vectors(self) -> bool:
        """Embed one batch for each tenant that waits for vectors; whether any did."""
        tenants = await self._read(partial(indexing.tenants_without_vectors, slot=self._slot))
        try:
            return await _run_for_each(tenants, self._embed_vectors_of)
        finally:
            self._pending = await self._count_pending() if tenants else 0

    async def _catch_up_words_of(self, ctx: TenantContext) -> bool:
        while waiting := await self._read(
            partial(indexing.without_words, ctx=ctx, limit=DOCUMENTS_BATCH, slot=self._slot)
        ):
            await self._take_out(ctx, [document for document, _ in waiting if document.state == DocumentState.REMOVED])
            present = [each for each in waiting if each[0].state != DocumentState.REMOVED]
            uncut = [document for document, chunks in present if document.chunk_count and not chunks]
            cut = [each for each in present if each[0] not in uncut]
            for document, chunks in cut:
                if document.version > 1:
                    await self._replace(ctx, document, chunks)
            await self._put_all(ctx, [each for each in cut if each[0].version <= 1])
            # Last: a text that cannot be had must not keep the others waiting.
            await self._cut_all(ctx, uncut)
            self._pending = await self._count_pending()
        return True

    async def _cut_all(self, ctx: TenantContext, documents: Sequence[Document]) -> None:
        """Cut documents for this index; with their chunks they are waiting again."""
        for document in documents:
            if self._cutter is None:
                raise RuntimeError("A document is cut for another index, and nobody is there to cut it for this one.")
            if not await asyncio.to_thread(self._cutter.cut, ctx, document):
                await self._put_all(ctx, [(document, [])])

    async def _take_out(self, ctx: TenantContext, documents: Sequence[Document]) -> None:
        if not documents:
            return
        async with self._writing:
            await self._index.delete_documents(ctx, [document.document_id for document in documents])
            await self._write(partial(indexing.drop_removed, ctx=ctx, documents=documents, slot=self._slot))

    async def _replace(self, ctx: TenantContext, document: Document, chunks: list[Chunk]) -> None:
        """Put a new version in the place of the former. The document is unfindable for milliseconds in between."""
        # Once a part of this version is in, what the former left is gone.
        if not any(self._holds_words(chunk) for chunk in chunks):
            async with self._writing:
                await self._index.delete_documents(ctx, [document.document_id])
        await self._put_all(ctx, [(document, chunks)])

    async def _put_all(self, ctx: TenantContext, waiting: Sequence[indexing.Waiting]) -> None:
        if not waiting:
            return
        passages = [
            indexing.as_passage(document, chunk)
            for document, chunks in waiting
            for chunk in chunks
            if not self._holds_words(chunk)
        ]
        for batch in cut_into_slices(passages, WORDS_BATCH):
            async with self._writing:
                await self._index.put(ctx, batch)
                await self._write(partial(indexing.mark_words, ctx=ctx, passages=batch, slot=self._slot))
        for document, chunks in waiting:
            if held := next((chunk for chunk in chunks if self._holds_words(chunk)), None):
                # It is there already: what is new is what is said of it, or nothing.
                async with self._writing:
                    await self._index.update_document(ctx, indexing.as_passage(document, held))
        documents = [document for document, _ in waiting]
        await self._write(partial(indexing.mark_searchable, ctx=ctx, documents=documents, slot=self._slot))

    async def _embed_vectors_of(self, ctx: TenantContext) -> bool:
        pace = self._pace.setdefault(ctx.tenant_id, _Pace())
        passages = await self._choose_next(ctx, pace)
        if not passages and pace.skip:
            pace.skip = 0
            passages = await self._choose_next(ctx, pace)
        if not passages:
            return False
        try:
            await self._embed(ctx, passages)
        except Exception:
            pace.slow_down()
            raise
        pace.note_done(passages)
        pace.speed_up()
        return True

    async def _choose_next(self, ctx: TenantContext, pace: _Pace) -> list[Passage]:
        if monotonic() < pace.expires_at and (passages := await self._choose_next_listed(ctx, pace)):
            return passages
        began = monotonic()
        listed = partial(indexing.documents_without_vectors, ctx=ctx, limit=LISTED + pace.skip, slot=self._slot)
        pace.waiting = await self._read(listed)
        took_s = monotonic() - began
        pace.expires_at = began + max(POLLS_A_LIST * self.poll_s, LIST_COST * took_s)
        return await self._choose_next_listed(ctx, pace)

    async def _choose_next_listed(self, ctx: TenantContext, pace: _Pace) -> list[Passage]:
        ids, offset = pace.choose_documents()
        if not ids:
            return []
        waiting = partial(indexing.passages_without_vectors, ctx=ctx, limit=pace.batch, offset=offset)
        return await self._read(partial(waiting, slot=self._slot, document_ids=ids))

    async def _embed(self, ctx: TenantContext, passages: Sequence[Passage]) -> None:
        vectors = await self._embedder.embed_passages([make_embedding_text(passage) for passage in passages])
        by_id = {passage.passage_id: vector for passage, vector in zip(passages, vectors, strict=True)}
        async with self._writing:
            await self._index.put_vectors(ctx, by_id)
            await self._write(partial(indexing.mark_vectors, ctx=ctx, passages=passages, slot=self._slot))

    def _holds_words(self, chunk: Chunk) -> bool:
        return bool(chunk.words_in & self._slot)

    async def _count_pending(self) -> int:
        return await self._read(partial(indexing.count_without_vectors, slot=self._slot))

    def _report(self, name: str, exc: Exception, pause_s: float) -> None:
        self._errors[name] = f"{type(exc).__name__}: {exc}"
        expected = isinstance(exc, ProblemError)
        logger.warning(
            "Indexing of %s pauses for %.0f s: %s",
            name,
            pause_s,
            self._errors[name],
            exc_info=None if expected else exc,
        )

    async def _read(self, work: Callable[[Session], T]) -> T:
        return await read(self._database, work)

    async def _write(self, work: Callable[[Session], None]) -> None:
        await write(self._database, work)


async def _run_for_each(tenants: Sequence[TenantContext], work: Callable[[TenantContext], Awaitable[bool]]) -> bool:
    """Do *work* for each tenant, also after it failed for one; whether any gave True. Raises the last failure."""
    busy, failure = False, None
    for ctx in tenants:
        try:
            busy = await work(ctx) or busy
        except Exception as exc:  # one tenant's trouble must not stop the others
            failure = exc
    if failure is not None:
        raise failure
    return busy


def _map_to_tenants(ctx: TenantContext) -> dict[str, str]:
    return {"tenant_id": ctx.tenant_id}
