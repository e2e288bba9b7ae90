"""`PassageIndex` on Qdrant's engine inside this process."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import numpy as np
import qdrant_edge as engine

from retrieval.edge_queries import Search, any_of, id_of, owned, sparse
from retrieval.entries import entry_of
from retrieval.filters import ALL, Filters
from retrieval.index import Entry, IndexCounts, Stored
from retrieval.lexical import Lexicon
from retrieval.ranking import (
    CANDIDATES,
    DOCUMENT,
    LANGUAGE,
    LANGUAGES_APART,
    MEANING,
    MOST_TENANTS,
    PASSAGE,
    TENANT,
    WORDS,
    Ranked,
    hits_of,
    passage_of,
    payload_of,
    point_id,
    rank,
    require_fitting,
)
from retrieval.shard import open_shard
from utils.context import TenantContext
from utils.errors import StoreUnavailable
from utils.passages import Hit, Passage
from utils.ports import FloatArray
from utils.slices import slices

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Passages written in one call of the engine: what the rest of the process waits for, about 3 ms.
SLICE = 64
LISTED = 500  # passages of a reconciliation read in one call: as long


class EdgeIndex:
    """One shard in one folder, owned by this process.

    The engine never lets go of Python's interpreter lock: while it works, the whole process stands still, whichever
    thread called it. So there is one thread for it, where calls wait for each other without the event loop waiting for
    them, and each call is kept short: about 3 ms for the longest of a search in 20,000 passages, 10 ms for a write.
    `optimize`, which takes seconds, runs when the index is opened and at no other time.
    """

    def __init__(self, open_one: Callable[[], engine.EdgeShard], *, dimension: int) -> None:
        self._shard, self._open_one = open_one(), open_one
        self._dimension, self._lexicon, self._is_closed = dimension, Lexicon(), False
        # By tenant, until its passages change: counting 20,000 of them is a tenth of a search.
        self._spoken: dict[str, list[str]] = {}
        self._thread = ThreadPoolExecutor(1, "passage-index")

    @classmethod
    def open(cls, folder: Path, *, dimension: int) -> Self:
        """The index in *folder*, made if it is not there yet, for vectors of *dimension* numbers.

        Raises:
            StoreUnavailable: another process has it open.
            StoreRefused: it was made for vectors of another dimension.
        """
        return cls(partial(open_shard, folder, dimension), dimension=dimension)

    async def put(self, ctx: TenantContext, passages: Sequence[Passage]) -> None:
        """Add or replace passages, found by their words at once, durable on return."""
        for part in slices(passages, SLICE):
            await self._run(partial(self._put, ctx, part))
        await self._run(lambda: self._shard.flush())

    async def put_vectors(self, ctx: TenantContext, vectors: Mapping[str, FloatArray]) -> None:
        """Give passages their vectors by passage id, durable on return; ids that are gone meanwhile are passed over.

        Raises:
            ValueError: a vector has not the index's dimension, or holds something else than numbers; none is written.
        """
        require_fitting(vectors, self._dimension)
        for part in slices(list(vectors), SLICE):
            await self._run(partial(self._put_vectors, ctx, {key: vectors[key] for key in part}))
        await self._run(lambda: self._shard.flush())

    async def delete_documents(self, ctx: TenantContext, document_ids: Sequence[str]) -> None:
        """Remove every passage of these documents, durable on return."""
        of_documents = owned(ctx, any_of(DOCUMENT, document_ids))
        operation = engine.UpdateOperation.delete_points_by_filter(of_documents)
        await self._run(lambda: self._change(ctx, operation))
        await self._run(lambda: self._shard.flush())

    async def search(
        self, ctx: TenantContext, question: str, vector: FloatArray | None, *, limit: int, filters: Filters = ALL
    ) -> Sequence[Hit]:
        """The best passages by words and, with a vector, by meaning."""
        return await self._run(lambda: self._search(ctx, question, vector, limit, filters))

    async def counts(self, ctx: TenantContext) -> IndexCounts:
        """How much is in the index for this tenant."""
        return await self._run(lambda: IndexCounts(self._count(owned(ctx)), self._count(_pending(ctx))))

    async def document_ids(self, ctx: TenantContext) -> set[str]:
        """The documents the tenant has passages of."""
        return await self._run(lambda: self._document_ids(ctx))

    async def export(self, ctx: TenantContext) -> AsyncIterator[Sequence[Stored]]:
        """Every passage of the tenant with its vector, in batches.

        What is written meanwhile may be in it or not; what was there before and stays is in it once.
        """
        offset = None
        while True:
            page, offset = await self._run(partial(self._page, ctx, offset))
            if page:
                yield page
            if offset is None:
                return

    async def inventory(self, ctx: TenantContext) -> AsyncIterator[Sequence[Entry]]:
        """Every passage of the tenant without its text and vector, in batches."""
        for condition, has_vector in ((_pending(ctx), False), (_with_vector(ctx), True)):
            offset = None
            while True:
                page, offset = await self._run(partial(self._list, condition, has_vector, offset))
                if page:
                    yield page
                if offset is None:
                    break

    async def tenant_ids(self) -> set[str]:
        """Whose passages are in the index."""
        request = engine.FacetRequest(TENANT, limit=MOST_TENANTS, exact=True)
        # Also those of whom all is deleted, with a count of none.
        return {str(hit.value) for hit in (await self._run(lambda: self._shard.facet(request))).hits if hit.count}

    async def check(self) -> None:
        """Ask the engine for a sign of life.

        Raises:
            StoreUnavailable: it gives none.
        """
        await self._run(lambda: self._shard.info())

    async def close(self) -> None:
        """Write everything down and let go of the folder; calls under way are finished first."""
        self._is_closed = True
        try:
            await self._run(lambda: self._shard.close())
        finally:
            self._thread.shutdown()

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._try, work)

    def _try(self, work: Callable[[], T]) -> T:
        """*work*; where the engine fails, once more with the shard opened anew, since a shard that failed stays so."""
        try:
            return _ask_engine(work)
        except StoreUnavailable:
            if self._is_closed:
                raise
        self._open_anew()
        return _ask_engine(work)

    def _open_anew(self) -> None:
        with suppress(Exception):  # that it failed is logged
            self._shard.close()
        self._shard = self._open_one()
        self._spoken.clear()

    def _put(self, ctx: TenantContext, passages: Sequence[Passage]) -> None:
        points = [
            engine.Point(
                point_id(ctx, passage.passage_id),
                {WORDS: sparse(self._lexicon.of_passage(passage))},
                payload_of(ctx, passage),
            )
            for passage in passages
        ]
        self._change(ctx, engine.UpdateOperation.upsert_points(points))

    def _change(self, ctx: TenantContext, operation: engine.UpdateOperation) -> None:
        self._spoken.pop(ctx.tenant_id, None)
        self._shard.update(operation)

    def _put_vectors(self, ctx: TenantContext, vectors: Mapping[str, FloatArray]) -> None:
        by_point = {point_id(ctx, passage_id): vector for passage_id, vector in vectors.items()}
        # The engine refuses the whole batch for one unknown id. Nothing can vanish in between: there is one thread.
        there = [id_of(point) for point in self._shard.retrieve(list(by_point), False, False)]
        updates = [engine.PointVectors(point, {MEANING: by_point[point].tolist()}) for point in there]
        self._shard.update(engine.UpdateOperation.update_vectors(updates, condition=owned(ctx)))

    def _count(self, condition: engine.Filter) -> int:
        return self._shard.count(engine.CountRequest(filter=condition))

    def _search(
        self, ctx: TenantContext, question: str, vector: FloatArray | None, limit: int, filters: Filters
    ) -> list[Hit]:
        search = Search(self._shard, ctx, max(limit, CANDIDATES), filters)
        languages = [] if vector is None else self._languages(ctx)
        found = search.candidates(self._lexicon.of_question(question), vector, languages)
        return self._hits(rank(found, question, limit=limit), search.ids)

    def _languages(self, ctx: TenantContext) -> list[str]:
        """The languages of the tenant's passages, most spoken first."""
        if ctx.tenant_id not in self._spoken:
            counted = self._shard.facet(engine.FacetRequest(LANGUAGE, limit=LANGUAGES_APART, filter=owned(ctx)))
            self._spoken[ctx.tenant_id] = [str(hit.value) for hit in counted.hits]
        return self._spoken[ctx.tenant_id]

    def _hits(self, ranked: Sequence[Ranked[int]], ids: Mapping[int, uuid.UUID]) -> list[Hit]:
        """*ranked* with their passages, in the same order."""
        found = self._shard.retrieve([ids[item.point] for item in ranked], True, False)
        return hits_of(ranked, {id_of(point).int: passage_of(point.payload) for point in found})

    def _document_ids(self, ctx: TenantContext) -> set[str]:
        passages = self._count(owned(ctx))
        request = engine.FacetRequest(DOCUMENT, limit=max(passages, 1), exact=True, filter=owned(ctx))
        return {str(hit.value) for hit in self._shard.facet(request).hits}

    def _page(self, ctx: TenantContext, offset: uuid.UUID | None) -> tuple[list[Stored], uuid.UUID | None]:
        """The next stored passages from *offset* on, and where the ones after them begin."""
        records, following = self._shard.scroll(
            engine.ScrollRequest(offset, limit=SLICE, filter=owned(ctx), with_payload=True, with_vector=[MEANING])
        )
        return [Stored(passage_of(record.payload), _dense(record)) for record in records], cast(Any, following)

    def _list(
        self, condition: engine.Filter, has_vector: bool, offset: uuid.UUID | None
    ) -> tuple[list[Entry], uuid.UUID | None]:
        wanted = [PASSAGE, DOCUMENT]
        records, following = self._shard.scroll(
            engine.ScrollRequest(offset, limit=LISTED, filter=condition, with_payload=wanted, with_vector=False)
        )
        return [entry_of(record.payload, has_vector=has_vector) for record in records], cast(Any, following)


def _ask_engine(work: Callable[[], T]) -> T:
    try:
        return work()
    except Exception as exc:
        if type(exc) is not Exception:  # the engine raises nothing narrower
            raise
        logger.error("The passage index failed: %.500s", exc)
        raise StoreUnavailable("The passage index failed: see the log.") from exc


def _pending(ctx: TenantContext) -> engine.Filter:
    return engine.Filter(must=[owned(ctx)], must_not=[engine.HasVectorCondition(MEANING)])


def _with_vector(ctx: TenantContext) -> engine.Filter:
    return owned(ctx, engine.HasVectorCondition(MEANING))


def _dense(record: engine.Record) -> FloatArray | None:
    named = cast(Mapping[str, list[float]], record.vector or {})
    return np.array(named[MEANING], np.float32) if MEANING in named else None
