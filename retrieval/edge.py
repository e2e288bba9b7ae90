"""`PassageIndex` on Qdrant's engine inside this process."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import qdrant_edge as engine

from auth.principal import Principal
from retrieval.edge_folder import ShardFolder, close_on_failure
from retrieval.edge_queries import Search, make_condition, make_sparse_vector, make_tenant_filter, parse_point_id
from retrieval.edge_shard import EngineFailed, make_stored, parse_vector, run_engine
from retrieval.index import ALL, Entry, Filters, IndexCounts, PassageIndex, Stored, fetch_pages, make_entry
from retrieval.lexical import Lexicon
from retrieval.ranking import (
    CANDIDATES,
    DOCUMENT,
    LANGUAGE,
    LANGUAGES_APART,
    MAX_TENANTS,
    MEANING,
    PASSAGE,
    TENANT,
    WORDS,
    make_description,
    make_hits,
    make_payload,
    make_point_id,
    parse_passage,
    rank,
    require_fitting,
)
from utils.disk import DiskSpace
from utils.passages import Hit, Passage
from utils.ports import FloatArray
from utils.slices import cut_into_slices

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Passages written in one call of the engine: what the rest of the process waits for, about 3 ms.
SLICE = 64
LISTED = 500  # passages of a reconciliation read in one call: as long
CHECK_AGAIN_S = 60.0  # no sooner is the whole index read again because the engine fails: errors of ours do not pass


class EdgeIndex(PassageIndex):
    """`PassageIndex` in one shard in one folder, owned by this process.

    The engine never lets go of Python's interpreter lock: while it works, the whole process stands still, whichever
    thread called it. So there is one thread for it, where calls wait for each other without the event loop waiting for
    them, and each call is kept short: about 3 ms for the longest of a search in 20,000 passages, 10 ms for a write.
    `optimize`, which takes seconds, runs when the index is opened and at no other time.
    """

    def __init__(self, folder: ShardFolder) -> None:
        """The index in *folder*.

        Raises:
            StoreUnavailable: another process has it open, or it cannot be opened.
            StoreRefused: it was made for vectors of another dimension.
        """
        self._on_replaced = folder.on_replaced
        self._folder = folder = replace(folder, on_replaced=self._note_loss)
        self._disk, self._dimension = folder.disk, folder.dimension
        with close_on_failure(folder.lock()) as self._lock:
            self._shard = folder.open_checked()
        self._checked_at = float("-inf")  # what fails first is looked at at once
        self._lexicon, self._is_closed = Lexicon(), False
        # By tenant, until its passages change: counting 20,000 of them is a tenth of a search.
        self._spoken: dict[str, list[str]] = {}
        self._thread = ThreadPoolExecutor(1, "passage-index")

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        dimension: int,
        disk: DiskSpace | None = None,
        on_replaced: Callable[[], object] = lambda: None,
    ) -> Self:
        """The index in *folder* on *disk*; a damaged one is replaced by an empty one, of which *on_replaced* hears."""
        return cls(ShardFolder(folder, dimension, disk, on_replaced))

    async def put(self, ctx: Principal, passages: Sequence[Passage]) -> None:
        """Add or replace passages."""
        for part in cut_into_slices(passages, SLICE):
            await self._run(partial(self._put, ctx, part))
        await self._run(lambda: self._shard.flush())

    async def put_vectors(self, ctx: Principal, vectors: Mapping[str, FloatArray]) -> None:
        """Give passages their vectors."""
        require_fitting(vectors, self._dimension)
        for part in cut_into_slices(list(vectors), SLICE):
            await self._run(partial(self._put_vectors, ctx, {key: vectors[key] for key in part}))
        await self._run(lambda: self._shard.flush())

    async def update_document(self, ctx: Principal, passage: Passage) -> None:
        """Let every passage of the document have the describing fields of *passage*."""
        of_document = make_tenant_filter(ctx, make_condition(DOCUMENT, [passage.document_id]))
        operation = engine.UpdateOperation.set_payload_by_filter(of_document, make_description(passage))
        await self._run(lambda: self._change(ctx, operation))
        await self._run(lambda: self._shard.flush())

    async def delete_documents(self, ctx: Principal, document_ids: Sequence[str]) -> None:
        """Remove every passage of these documents."""
        of_documents = make_tenant_filter(ctx, make_condition(DOCUMENT, document_ids))
        operation = engine.UpdateOperation.delete_points_by_filter(of_documents)
        await self._run(lambda: self._change(ctx, operation))
        await self._run(lambda: self._shard.flush())

    async def search(
        self, ctx: Principal, question: str, vector: FloatArray | None, *, limit: int, filters: Filters = ALL
    ) -> Sequence[Hit]:
        """The best passages by words and, with a vector, by meaning."""
        return await self._run(lambda: self._search(ctx, question, vector, limit, filters))

    async def find_neighbours(self, ctx: Principal, passage: Passage, *, limit: int) -> Sequence[Passage]:
        """The nearest passages of other documents."""
        return await self._run(lambda: self._find_neighbours(ctx, passage, limit))

    async def counts(self, ctx: Principal) -> IndexCounts:
        """How much is in the index for this tenant."""
        return await self._run(
            lambda: IndexCounts(self._count(make_tenant_filter(ctx)), self._count(_make_pending_filter(ctx)))
        )

    def export(self, ctx: Principal) -> AsyncIterator[Sequence[Stored]]:
        """Every passage of the tenant with its vector, in batches."""
        return fetch_pages(partial(self._read_page, ctx))

    async def list_entries(self, ctx: Principal) -> AsyncIterator[Sequence[Entry]]:
        """Every passage of the tenant without its text and vector, in batches."""
        has_vector = engine.HasVectorCondition(MEANING)
        for condition, is_embedded in ((_make_pending_filter(ctx), False), (make_tenant_filter(ctx, has_vector), True)):
            async for page in fetch_pages(partial(self._list_page, condition, is_embedded)):
                yield page

    async def list_tenant_ids(self) -> set[str]:
        """Whose passages are in the index."""
        request = engine.FacetRequest(TENANT, limit=MAX_TENANTS, exact=True)
        # Also those of whom all is deleted, with a count of none.
        return {str(hit.value) for hit in (await self._run(lambda: self._shard.facet(request))).hits if hit.count}

    async def check(self) -> None:
        """Ask the engine for a sign of life."""
        await self._run(lambda: self._shard.info())

    async def close(self) -> None:
        """Write everything down and let go of the folder; calls under way are finished first."""
        self._is_closed = True
        try:
            await self._run(self._close)
        finally:
            self._thread.shutdown()
            os.close(self._lock)

    def _note_loss(self) -> None:
        self.loss_count, self.is_whole = self.loss_count + 1, False
        self._on_replaced()

    def _close(self) -> None:
        self._shard.close()
        self._folder.note_closed()

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._try, work)

    def _try(self, work: Callable[[], T]) -> T:
        """*work*; where the engine fails, once more with the shard opened again, since a shard that failed stays so."""
        try:
            return run_engine(work)
        except EngineFailed as exc:
            logger.error("The passage index failed: %.500s", exc.reason)
            if self._is_closed:
                raise
        with suppress(EngineFailed):  # that it failed is logged
            run_engine(self._shard.close)
        self._shard = self._open_again()
        self._spoken.clear()
        return run_engine(work)

    def _open_again(self) -> engine.EdgeShard:
        if time.monotonic() - self._checked_at < CHECK_AGAIN_S:
            return self._folder.open()
        self._checked_at = time.monotonic()
        return self._folder.open_checked()

    def _check_room(self) -> None:
        """Before every write: the engine's, into mapped files, ends the process where the disk is full."""
        if self._disk is not None:
            self._disk.check_documents()

    def _put(self, ctx: Principal, passages: Sequence[Passage]) -> None:
        self._check_room()
        points = [
            engine.Point(
                make_point_id(ctx, passage.passage_id),
                {WORDS: make_sparse_vector(self._lexicon.make_passage_terms(passage))},
                make_payload(ctx, passage),
            )
            for passage in passages
        ]
        self._change(ctx, engine.UpdateOperation.upsert_points(points))

    def _change(self, ctx: Principal, operation: engine.UpdateOperation) -> None:
        if self._disk is not None:
            self._disk.check_turns()  # what is deleted, or said of a document, may use the reserve
        self._spoken.pop(ctx.tenant_id, None)
        self._shard.update(operation)

    def _put_vectors(self, ctx: Principal, vectors: Mapping[str, FloatArray]) -> None:
        self._check_room()
        by_point = {make_point_id(ctx, passage_id): vector for passage_id, vector in vectors.items()}
        # The engine refuses the whole batch for one unknown id. Nothing can vanish in between: there is one thread.
        present = [parse_point_id(point) for point in self._shard.retrieve(list(by_point), False, False)]
        updates = [engine.PointVectors(point, {MEANING: by_point[point].tolist()}) for point in present]
        self._shard.update(engine.UpdateOperation.update_vectors(updates, condition=make_tenant_filter(ctx)))

    def _count(self, condition: engine.Filter) -> int:
        return self._shard.count(engine.CountRequest(filter=condition))

    def _search(
        self, ctx: Principal, question: str, vector: FloatArray | None, limit: int, filters: Filters
    ) -> list[Hit]:
        search = Search(self._shard, ctx, max(limit, CANDIDATES), filters)
        languages = [] if vector is None else self._read_languages(ctx)
        candidates = search.merge_candidates(self._lexicon.make_question_terms(question), vector, languages)
        ranked = rank(candidates, question, limit=limit)
        points = self._shard.retrieve([search.ids[item.point] for item in ranked], True, False)
        return make_hits(ranked, {parse_point_id(point).int: parse_passage(point.payload) for point in points})

    def _find_neighbours(self, ctx: Principal, passage: Passage, limit: int) -> list[Passage]:
        records = self._shard.retrieve([make_point_id(ctx, passage.passage_id)], False, [MEANING])
        vectors = [stored for record in records if (stored := parse_vector(record)) is not None]
        if not vectors:
            return []
        spoken = engine.FieldCondition(LANGUAGE, match=engine.MatchValue(passage.language))
        elsewhere = engine.Filter(must_not=[make_condition(DOCUMENT, [passage.document_id])])
        nearest = engine.Query.Nearest(vectors[0].tolist(), using=MEANING)
        only = make_tenant_filter(ctx, spoken, elsewhere)
        request = engine.QueryRequest(limit=limit, query=nearest, filter=only, with_payload=True)
        return [parse_passage(point.payload) for point in self._shard.query(request)]

    def _read_languages(self, ctx: Principal) -> list[str]:
        """The languages of the tenant's passages, most spoken first."""
        if ctx.tenant_id not in self._spoken:
            counted = self._shard.facet(
                engine.FacetRequest(LANGUAGE, limit=LANGUAGES_APART, filter=make_tenant_filter(ctx))
            )
            self._spoken[ctx.tenant_id] = [str(hit.value) for hit in counted.hits]
        return self._spoken[ctx.tenant_id]

    async def _read_page(self, ctx: Principal, offset: Any) -> tuple[list[Stored], Any]:
        request = engine.ScrollRequest(
            offset, limit=SLICE, filter=make_tenant_filter(ctx), with_payload=True, with_vector=[MEANING]
        )
        records, following = await self._run(lambda: self._shard.scroll(request))
        return [make_stored(record) for record in records], following

    async def _list_page(self, condition: engine.Filter, has_vector: bool, offset: Any) -> tuple[list[Entry], Any]:
        request = engine.ScrollRequest(
            offset, limit=LISTED, filter=condition, with_payload=[PASSAGE, DOCUMENT], with_vector=False
        )
        records, following = await self._run(lambda: self._shard.scroll(request))
        return [make_entry(record.payload, has_vector=has_vector) for record in records], following


def _make_pending_filter(ctx: Principal) -> engine.Filter:
    return engine.Filter(must=[make_tenant_filter(ctx)], must_not=[engine.HasVectorCondition(MEANING)])
