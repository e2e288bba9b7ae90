"""Keeps the passage index in step with SQL, in the one process that owns the index.

SQL is the truth: whatever process loads documents, this sees it by asking twice a second. What is done is marked in SQL
only after the index has it on disk, and doing it twice changes nothing, so a process that is killed leaves nothing but
work for the next one.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from sqlalchemy.orm import Session

from domain import indexing
from domain.db import Database
from domain.models import Chunk, Document, DocumentState
from retrieval.index import PassageIndex
from retrieval.lexical import embedding_text
from utils.context import TenantContext
from utils.passages import Passage
from utils.ports import Embedder

logger = logging.getLogger(__name__)
T = TypeVar("T")

WORDS_BATCH = 200  # passages put into the index at once
VECTORS_BATCH = 8  # passages embedded at once: what a question waits for at most
DOCUMENTS_BATCH = 50  # documents looked at between two looks at the other tenants
LONGEST_PAUSE_S = 30.0


class Indexer:
    """Words first, for all tenants; then vectors in small batches, a batch a tenant in turn."""

    def __init__(self, database: Database, index: PassageIndex, embedder: Embedder, *, poll_s: float = 0.5) -> None:
        self._database, self._index, self._embedder, self._poll_s = database, index, embedder, poll_s
        self._pending = 0
        self._skip: dict[str, int] = {}  # by tenant: passages at the front whose embedding failed
        self.last_error: str | None = None

    def pending(self) -> int:
        """Passages that waited for their vector when last looked; no I/O."""
        return self._pending

    async def run(self) -> None:
        """Keep in step until cancelled. Errors are logged, kept in `last_error`, and retried ever more slowly."""
        pause_s = self._poll_s
        while True:
            try:
                busy = await self._step()
            except Exception as exc:  # whatever broke, the index must go on following
                pause_s = min(max(pause_s, 0.5) * 2, LONGEST_PAUSE_S)
                self._report(exc, pause_s)
                await asyncio.sleep(pause_s)
            else:
                self.last_error, pause_s = None, self._poll_s
                await asyncio.sleep(0 if busy else self._poll_s)

    async def catch_up_words(self) -> None:
        """Put all words into the index that SQL has; at a start, before the first question.

        Then compare: an index that lost passages, or is another one since the embedding model changed, is filled anew.
        """
        await self._words()
        for ctx in await self._read(indexing.all_tenants):
            if not await self._is_whole(ctx):
                logger.warning("The index does not hold what was loaded: it is filled again.", extra=_whose(ctx))
                await self._write(partial(indexing.mark_undone, ctx=ctx))
        await self._words()
        self._pending = await self._read(indexing.count_without_vectors)

    async def _step(self) -> bool:
        """Do what there is to do, a bounded amount; whether there was anything."""
        words = await self._words()
        vectors = await self._vectors()
        if words or vectors or self._pending:
            self._pending = await self._read(indexing.count_without_vectors)
        return words or vectors

    async def _is_whole(self, ctx: TenantContext) -> bool:
        counts = await self._index.counts(ctx)
        passages = await self._read(lambda session: indexing.count_chunks(session, ctx))
        pending = await self._read(lambda session: indexing.count_chunks_without_vectors(session, ctx))
        return counts.passages >= passages and counts.pending <= pending

    async def _words(self) -> bool:
        tenants = await self._read(indexing.tenants_without_words)
        failure: Exception | None = None
        for ctx in tenants:
            try:
                await self._words_of(ctx)
            except Exception as exc:  # one tenant's trouble must not stop the others
                failure = exc
        if failure is not None:
            raise failure
        return bool(tenants)

    async def _words_of(self, ctx: TenantContext) -> None:
        while documents := await self._read(
            lambda session: indexing.documents_without_words(session, ctx, DOCUMENTS_BATCH)
        ):
            for document in documents:
                await self._follow(ctx, document)

    async def _follow(self, ctx: TenantContext, document: Document) -> None:
        """Make the index hold exactly this version of the document's words, or nothing of it if it was removed."""
        document_id, version = document.document_id, document.version
        if document.state == DocumentState.REMOVED:
            await self._index.delete_documents(ctx, [document_id])
            await self._write(lambda session: indexing.drop_removed(session, ctx, document_id, version))
            return
        chunks = await self._read(lambda session: indexing.chunks_of(session, ctx, document_id))
        # Once a part is in, what the former version left is gone already.
        if version > 1 and not any(chunk.lexical_done for chunk in chunks):
            await self._index.delete_documents(ctx, [document_id])
        waiting = [chunk for chunk in chunks if not chunk.lexical_done]
        for start in range(0, len(waiting), WORDS_BATCH):
            await self._put(ctx, document, waiting[start : start + WORDS_BATCH])
        await self._write(lambda session: indexing.mark_searchable(session, ctx, document_id, version))

    async def _put(self, ctx: TenantContext, document: Document, chunks: Sequence[Chunk]) -> None:
        await self._index.put(ctx, [indexing.as_passage(document, chunk) for chunk in chunks])
        ids = [chunk.chunk_id for chunk in chunks]
        await self._write(lambda session: indexing.mark_words(session, ctx, ids))

    async def _vectors(self) -> bool:
        """One batch for each tenant that waits for vectors."""
        done = [await self._vectors_of(ctx) for ctx in await self._read(indexing.tenants_without_vectors)]
        return any(done)

    async def _vectors_of(self, ctx: TenantContext) -> bool:
        skip = self._skip.get(ctx.tenant_id, 0)
        passages = await self._read(
            lambda session: indexing.passages_without_vectors(session, ctx, VECTORS_BATCH, skip)
        )
        if not passages:
            self._skip.pop(ctx.tenant_id, None)
            return skip > 0
        try:
            await self._embed(ctx, passages)
        except Exception:
            # Others go first, in case it is these passages that the embedder does not take.
            self._skip[ctx.tenant_id] = skip + len(passages)
            raise
        return True

    async def _embed(self, ctx: TenantContext, passages: Sequence[Passage]) -> None:
        vectors = await self._embedder.embed_passages([embedding_text(passage) for passage in passages])
        by_id = {passage.passage_id: vector for passage, vector in zip(passages, vectors, strict=True)}
        await self._index.put_vectors(ctx, by_id)
        await self._write(lambda session: indexing.mark_vectors(session, ctx, passages))

    def _report(self, exc: Exception, pause_s: float) -> None:
        self.last_error = f"{type(exc).__name__}: {exc}"
        logger.warning("Indexing stopped for %.0f s: %s", pause_s, self.last_error, exc_info=exc)

    async def _read(self, work: Callable[[Session], T]) -> T:
        def in_thread() -> T:
            with self._database.reading() as session:
                result = work(session)
                session.expunge_all()
                return result

        return await asyncio.to_thread(in_thread)

    async def _write(self, work: Callable[[Session], None]) -> None:
        def in_thread() -> None:
            with self._database.writing() as session:
                work(session)

        await asyncio.to_thread(in_thread)


def _whose(ctx: TenantContext) -> dict[str, str]:
    return {"tenant_id": ctx.tenant_id}
