"""Keeps a passage index in step with SQL, in the one process that owns it; each of several indexes has its own.

SQL is the truth: whatever process loads documents, this sees it by asking now and then. What is done is marked in SQL
only after the index has it on disk. Doing it twice changes nothing, so a process that is killed leaves nothing but work
for the next one.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import TypeVar

from sqlalchemy.orm import Session

from auth.principal import Principal
from domain import index_marks, indexing
from domain.db import Database
from domain.in_thread import read, write
from domain.models import Chunk, Document, DocumentState
from domain.passages import make_passage
from domain.slots import FIRST_SLOT
from indexing.pace import OLDEST_EVERY, Pace, Paces, TenantRoundRobin
from ingestion.rechunker import Rechunker
from retrieval.index import PassageIndex
from retrieval.lexical import make_embedding_text
from utils.loops import describe_failure, repeat
from utils.passages import Passage
from utils.ports import Embedder

logger = logging.getLogger(__name__)
T = TypeVar("T")

WORDS_BATCH = 200  # passages put into the index at once
DOCUMENTS_BATCH = 20  # documents put into the index at once
LISTED = 200  # documents listed by how few of their passages wait
POLLS_A_LIST = 10  # such a list is used for that many polls, …
LIST_COST = 20  # … and at least that many times as long as it took to make
POLL_S = 0.5
_WORDS, _VECTORS = "Indexing of words", "Indexing of vectors"


class Indexer:
    """Two loops beside each other: words and vectors, each a batch a tenant in turn, small documents first.

    So a document is found by its words within a poll, also while the embedding model is slow or away. What is done is
    marked in *slot*, the index's own. *rechunker* cuts documents that were loaded for another chunking version; without
    it there must be none. `poll_s` may be changed at any time.
    """

    def __init__(
        self,
        database: Database,
        index: PassageIndex,
        embedder: Embedder,
        *,
        slot: int = FIRST_SLOT,
        rechunker: Rechunker | None = None,
        poll_s: float = POLL_S,
    ) -> None:
        self._database, self._index, self._embedder, self._slot = database, index, embedder, slot
        self._rechunker = rechunker
        self.poll_s = poll_s
        self._pending = 0
        self._errors: dict[str, Exception | None] = {}
        self._word_turns = TenantRoundRobin(_WORDS, self._index_words_of)
        self._vector_turns = TenantRoundRobin(_VECTORS, self._embed_vectors_of)
        self._caught_up_loss = 0  # the last loss of the index after which all words were put back
        self._word_batches: Counter[str] = Counter()
        self._paces: defaultdict[str, Paces] = defaultdict(Paces)
        # What is put into the index and what is marked in SQL about it must not be pulled apart by the other loop.
        self._writing = asyncio.Lock()

    def count_pending(self) -> int:
        """Passages that waited for their vector when last looked; no I/O."""
        return self._pending

    @property
    def last_error(self) -> str | None:
        """What stops indexing at present, None if nothing does."""
        failures = [*self._errors.values(), self._word_turns.failure, self._vector_turns.failure]
        return "; ".join(dict.fromkeys(describe_failure(failure) for failure in failures if failure)) or None

    async def run(self) -> None:
        """Keep in step until cancelled. Errors are logged, kept in `last_error`, and retried ever more slowly."""
        async with asyncio.TaskGroup() as loops:
            for name, step in ((_WORDS, self._index_words), (_VECTORS, self._embed_vectors)):
                note = partial(self._note_failure, name)
                loops.create_task(repeat(name, step, get_poll_s=lambda: self.poll_s, note_failure=note))

    def _note_failure(self, name: str, failure: Exception | None) -> None:
        self._errors[name] = failure

    async def catch_up_words(self) -> None:
        """Put all words into the index that SQL has; at a start before the first question, and now and then.

        An index that lost passages is filled again.
        """
        loss = self._index.loss_count
        for ctx in await self._read(indexing.list_tenants_with_documents):
            # Twice: a document may be taken out between the question to SQL and the one to the index.
            if await self._has_lost_any(ctx) and await self._has_lost_any(ctx):
                logger.warning(
                    "Passages are missing in the index; indexing them again.", extra={"tenant_id": ctx.tenant_id}
                )
                await self._write(partial(index_marks.mark_undone, ctx=ctx, slot=self._slot))
        while await self._index_words():
            pass
        self._pending = await self._count_pending()
        if self._word_turns.failure:
            raise self._word_turns.failure
        self._caught_up_loss = loss
        self._note_whole()

    async def _has_lost_any(self, ctx: Principal) -> bool:
        """Whether the index holds less than SQL has marked as done.

        SQL is asked first: a load that comes in between can only make it expect too little.
        """
        words, vectors = await self._read(partial(indexing.count_done, ctx=ctx, slot=self._slot))
        counts = await self._index.counts(ctx)
        return counts.passages < words or counts.passages - counts.pending < vectors

    async def _index_words(self) -> bool:
        """A batch of words of each tenant; whether any was waiting."""
        tenants = await asyncio.to_thread(indexing.list_tenants_without_words, self._database, self._slot)
        return await self._word_turns.take(tenants, pause_s=self.poll_s)

    async def _embed_vectors(self) -> bool:
        """Embed one batch for each tenant that waits for vectors; whether any did."""
        tenants = await asyncio.to_thread(indexing.list_tenants_without_vectors, self._database, self._slot)
        busy = await self._vector_turns.take(tenants, pause_s=self.poll_s)
        self._pending = await self._count_pending() if tenants else 0
        self._note_whole()
        return busy

    def _note_whole(self) -> None:
        """What was lost is back once it was looked for, and no passage waits for its vector."""
        if self._caught_up_loss == self._index.loss_count and not self._pending:
            self._index.is_whole = True

    async def _index_words_of(self, ctx: Principal) -> bool:
        self._word_batches[ctx.tenant_id] += 1
        waiting = await self._read(
            partial(
                indexing.list_documents_without_words,
                ctx=ctx,
                limit=DOCUMENTS_BATCH,
                slot=self._slot,
                chunks=WORDS_BATCH,
                oldest_first=self._word_batches[ctx.tenant_id] % OLDEST_EVERY == 0,
            )
        )
        await self._remove(ctx, [document for document, _ in waiting if document.state == DocumentState.REMOVED])
        present = [each for each in waiting if each[0].state != DocumentState.REMOVED]
        uncut = [document for document, chunks in present if document.chunk_count and not chunks]
        ready = [each for each in present if each[0] not in uncut]
        await self._remove_former(ctx, ready)
        await self._index_all(ctx, ready)
        # Last, and one at a time: a text that cannot be had must not keep the others waiting.
        await self._cut_all(ctx, uncut[:1])
        self._pending = await self._count_pending()
        return bool(waiting)

    async def _cut_all(self, ctx: Principal, documents: Sequence[Document]) -> None:
        """Cut documents for this index; with their chunks they are waiting again."""
        for document in documents:
            if self._rechunker is None:
                raise RuntimeError("A document is cut for another index, and nobody is there to cut it for this one.")
            if not await asyncio.to_thread(self._rechunker.cut, ctx, document):
                await self._index_all(ctx, [(document, [])])

    async def _remove(self, ctx: Principal, documents: Sequence[Document]) -> None:
        if not documents:
            return
        async with self._writing:
            await self._index.delete_documents(ctx, [document.document_id for document in documents])
            await self._write(partial(index_marks.drop_removed, ctx=ctx, documents=documents, slot=self._slot))

    async def _remove_former(self, ctx: Principal, waiting: Sequence[indexing.Waiting]) -> None:
        """Take out what documents said before; until the new version is in, they are unfindable for milliseconds."""
        # Once a part of a version is in, what the former left is gone.
        begun = {document.document_id for document, chunks in waiting if any(map(self._holds_words, chunks))}
        former = [each.document_id for each, _ in waiting if each.version > 1 and each.document_id not in begun]
        if former:
            async with self._writing:
                await self._index.delete_documents(ctx, former)

    async def _index_all(self, ctx: Principal, waiting: Sequence[indexing.Waiting]) -> None:
        if not waiting:
            return
        lacking = [(document, [one for one in chunks if not self._holds_words(one)]) for document, chunks in waiting]
        passages = [make_passage(document, chunk) for document, chunks in lacking for chunk in chunks]
        if passages:
            async with self._writing:
                await self._index.put(ctx, passages)
                await self._write(partial(index_marks.mark_words, ctx=ctx, passages=passages, slot=self._slot))
                self._paces[ctx.tenant_id].note_words(passages)
        documents = []
        for (document, chunks), (_, written) in zip(waiting, lacking, strict=True):
            present = next((chunk for chunk in chunks if self._holds_words(chunk)), None)
            if present and written:
                continue  # begun before: once all of it is there, what is said of it is written to every passage
            if present:
                # It is there already: what is new is what is said of it, or nothing.
                async with self._writing:
                    await self._index.update_document(ctx, make_passage(document, present))
            documents.append(document)
        await self._write(partial(index_marks.mark_searchable, ctx=ctx, documents=documents, slot=self._slot))

    async def _embed_vectors_of(self, ctx: Principal) -> bool:
        paces = self._paces[ctx.tenant_id]
        pace = paces.current
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
        finally:
            paces.advance()
        paces.note_done(passages)
        pace.speed_up()
        return True

    async def _choose_next(self, ctx: Principal, pace: Pace) -> list[Passage]:
        if monotonic() < pace.expires_at and (passages := await self._choose_next_listed(ctx, pace)):
            return passages
        began = monotonic()
        listed = partial(indexing.list_documents_without_vectors, ctx=ctx, limit=LISTED + pace.skip, slot=self._slot)
        pace.waiting = await self._read(partial(listed, oldest_first=pace.oldest_first))
        took_s = monotonic() - began
        pace.expires_at = began + max(POLLS_A_LIST * self.poll_s, LIST_COST * took_s)
        return await self._choose_next_listed(ctx, pace)

    async def _choose_next_listed(self, ctx: Principal, pace: Pace) -> list[Passage]:
        ids, offset = pace.choose_documents()
        if not ids:
            return []
        waiting = partial(indexing.list_passages_without_vectors, ctx=ctx, limit=pace.batch, offset=offset)
        return await self._read(partial(waiting, slot=self._slot, document_ids=ids))

    async def _embed(self, ctx: Principal, passages: Sequence[Passage]) -> None:
        vectors = await self._embedder.embed_passages([make_embedding_text(passage) for passage in passages])
        by_id = {passage.passage_id: vector for passage, vector in zip(passages, vectors, strict=True)}
        async with self._writing:
            await self._index.put_vectors(ctx, by_id)
            await self._write(partial(index_marks.mark_vectors, ctx=ctx, passages=passages, slot=self._slot))

    def _holds_words(self, chunk: Chunk) -> bool:
        return bool(chunk.lexical_slots & self._slot)

    async def _count_pending(self) -> int:
        return await self._read(partial(indexing.count_without_vectors, slot=self._slot))

    async def _read(self, work: Callable[[Session], T]) -> T:
        return await read(self._database, work)

    async def _write(self, work: Callable[[Session], None]) -> None:
        await write(self._database, work)
