"""`PassageIndex` on Qdrant's engine inside this process."""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import qdrant_edge as engine

from retrieval.fusion import fuse
from retrieval.index import IndexCounts
from retrieval.lexical import Lexicon, Terms
from utils.context import TenantContext
from utils.errors import StoreUnavailable
from utils.passages import Hit, Passage
from utils.ports import FloatArray

T = TypeVar("T")

WORDS, MEANING = "words", "meaning"
TENANT, DOCUMENT = "tenant_id", "document_id"
PASSAGE_FIELDS = [field.name for field in fields(Passage)]
# How many each ranking proposes; every proposal is then scored by both.
CANDIDATES = 50
SEARCH_THREADS = 4


class EdgeIndex:
    """One shard in one folder, owned by this process.

    Writes happen one after the other in a thread of their own and are flushed before they return; searches run beside
    them in a small pool. The event loop never waits for the engine.
    """

    def __init__(self, shard: engine.EdgeShard, *, dimension: int) -> None:
        self._shard, self._dimension, self._lexicon = shard, dimension, Lexicon()
        self._readers = ThreadPoolExecutor(SEARCH_THREADS, "index-search")
        self._writer = ThreadPoolExecutor(1, "index-write")

    @classmethod
    def open(cls, folder: Path, *, dimension: int) -> Self:
        """The index in *folder*, made if it is not there yet, for vectors of *dimension* numbers.

        Raises:
            StoreUnavailable: another process has it open, or it was made for vectors of another dimension.
        """
        return cls(_open_shard(folder, dimension), dimension=dimension)

    async def put(self, ctx: TenantContext, passages: Sequence[Passage]) -> None:
        """Add or replace passages, found by their words at once, durable on return."""
        if passages:
            await self._write(lambda: self._put(ctx, passages))

    async def put_vectors(self, ctx: TenantContext, vectors: Mapping[str, FloatArray]) -> None:
        """Give passages their vectors by passage id; ids that are gone meanwhile are passed over.

        Raises:
            ValueError: a vector has not the index's dimension.
        """
        for passage_id, vector in vectors.items():
            if vector.shape != (self._dimension,):
                raise ValueError(f"The vector of {passage_id} has shape {vector.shape}, not ({self._dimension},).")
        if vectors:
            await self._write(lambda: self._put_vectors(ctx, vectors))

    async def delete_documents(self, ctx: TenantContext, document_ids: Sequence[str]) -> None:
        """Remove every passage of these documents."""
        of_documents = engine.FieldCondition(DOCUMENT, match=engine.MatchAny(list(document_ids)))
        operation = engine.UpdateOperation.delete_points_by_filter(_owned(ctx, of_documents))
        if document_ids:
            await self._write(lambda: self._shard.update(operation))

    async def search(
        self, ctx: TenantContext, question: str, vector: FloatArray | None, *, limit: int
    ) -> Sequence[Hit]:
        """The best passages by words and, with a vector, by meaning."""
        return await self._read(lambda: self._search(ctx, question, vector, limit))

    async def counts(self, ctx: TenantContext) -> IndexCounts:
        """How much is in the index for this tenant."""
        return await self._read(lambda: IndexCounts(self._count(_owned(ctx)), self._count(_pending(ctx))))

    async def close(self) -> None:
        """Write everything down and let go of the folder; calls under way are finished first."""
        await asyncio.to_thread(self._readers.shutdown)
        await asyncio.to_thread(self._writer.shutdown)
        await asyncio.to_thread(self._shard.close)

    async def _read(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    async def _write(self, work: Callable[[], None]) -> None:
        def durably() -> None:
            work()
            self._shard.flush()

        await asyncio.get_running_loop().run_in_executor(self._writer, durably)

    def _put(self, ctx: TenantContext, passages: Sequence[Passage]) -> None:
        points = [
            engine.Point(
                _point_id(ctx, passage.passage_id),
                {WORDS: _sparse(self._lexicon.of_passage(passage))},
                asdict(passage) | {TENANT: ctx.tenant_id},
            )
            for passage in passages
        ]
        self._shard.update(engine.UpdateOperation.upsert_points(points))

    def _put_vectors(self, ctx: TenantContext, vectors: Mapping[str, FloatArray]) -> None:
        by_point = {_point_id(ctx, passage_id): vector for passage_id, vector in vectors.items()}
        # The engine refuses the whole batch for one unknown id. Nothing can vanish in between: this is the only writer.
        there = self._shard.retrieve(list(by_point), False, False)
        updates = [engine.PointVectors(point.id, {MEANING: by_point[str(point.id)].tolist()}) for point in there]
        self._shard.update(engine.UpdateOperation.update_vectors(updates, condition=_owned(ctx)))

    def _count(self, condition: engine.Filter) -> int:
        return self._shard.count(engine.CountRequest(filter=condition))

    def _search(self, ctx: TenantContext, question: str, vector: FloatArray | None, limit: int) -> list[Hit]:
        terms = _sparse(self._lexicon.of_question(question))
        sides: dict[str, Any] = {WORDS: terms} if vector is None else {WORDS: terms, MEANING: vector.tolist()}
        proposed = self._ask(ctx, sides, max(limit, CANDIDATES), None)
        passages = {hit.id: _passage(hit.payload) for ranking in proposed for hit in ranking if hit.payload}
        scored = self._ask(ctx, sides, len(passages), engine.HasIdCondition(set(passages))) if passages else []
        return _ranked(passages, [{hit.id: hit.score for hit in ranking} for ranking in scored])[:limit]

    def _ask(
        self, ctx: TenantContext, sides: dict[str, Any], limit: int, only: engine.HasIdCondition | None
    ) -> list[list[engine.ScoredPoint]]:
        """A ranking for each of *sides*, with payloads unless *only* names the points to score."""
        owned = _owned(ctx)
        requests = [
            engine.QueryRequest(
                limit=limit,
                query=engine.Query.Nearest(side, using=name),
                filter=_owned(ctx, only) if only else owned,
                # Document frequencies of the tenant's own passages: others' texts must not move its ranking.
                params=engine.SearchParams(idf=engine.IdfParams(owned)) if name == WORDS else None,
                with_payload=only is None,
            )
            for name, side in sides.items()
        ]
        return self._shard.query_batch(engine.QueryBatchRequest(requests))


def _owned(ctx: TenantContext, *also: Any) -> engine.Filter:
    """The tenant filter: the only place it is written."""
    return engine.Filter(must=[engine.FieldCondition(TENANT, match=engine.MatchValue(ctx.tenant_id)), *also])


def _pending(ctx: TenantContext) -> engine.Filter:
    return engine.Filter(must=[_owned(ctx)], must_not=[engine.HasVectorCondition(MEANING)])


def _point_id(ctx: TenantContext, passage_id: str) -> str:
    """A point of this tenant alone, so that the same passage id of two tenants is two points."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{ctx.tenant_id}\n{passage_id}"))


def _sparse(terms: Terms) -> engine.SparseVector:
    return engine.SparseVector(terms.indices, terms.values)


def _passage(payload: Mapping[str, Any]) -> Passage:
    return Passage(**{name: payload[name] for name in PASSAGE_FIELDS})


def _ranked(passages: Mapping[Any, Passage], scored: Sequence[Mapping[Any, float]]) -> list[Hit]:
    """*passages* by fused score, best first; *scored* is by words and, if there was a vector, by meaning."""
    by_words = scored[0] if scored else {}
    by_meaning = scored[1] if len(scored) > 1 else {}
    lexical = np.array([by_words.get(key, 0.0) for key in passages])
    dense = np.array([by_meaning.get(key, np.nan) for key in passages])
    hits = (
        Hit(passage, score, by_meaning.get(key), by_words.get(key, 0.0))
        for (key, passage), score in zip(passages.items(), fuse(lexical, dense).tolist(), strict=True)
    )
    return sorted(hits, key=lambda hit: (-hit.score, hit.passage.passage_id))


def _open_shard(folder: Path, dimension: int) -> engine.EdgeShard:
    config = engine.EdgeConfig(
        vectors={MEANING: engine.EdgeVectorParams(dimension, engine.Distance.Cosine)},
        sparse_vectors={WORDS: engine.EdgeSparseVectorParams(modifier=engine.Modifier.Idf)},
    )
    begin = engine.EdgeShard.load if (folder / "edge_config.json").exists() else engine.EdgeShard.create
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shard = begin(str(folder), config)
        _index_fields(shard, (TENANT, DOCUMENT))
    except Exception as exc:  # the engine raises nothing narrower
        raise StoreUnavailable(_why(folder, str(exc))) from exc
    return shard


def _index_fields(shard: engine.EdgeShard, names: Iterable[str]) -> None:
    """Index payload fields that are not yet: on every open, for a start that was broken off before it came to this."""
    for name in names:
        if name not in shard.info().payload_schema:
            shard.update(engine.UpdateOperation.create_field_index(name, engine.PayloadSchemaType.Keyword))


def _why(folder: Path, reason: str) -> str:
    if "WouldBlock" in reason:
        return f"The passage index in {folder} is open in another process."
    if "incompatible" in reason.lower():
        return f"The passage index in {folder} was made for another embedding model: remove it and load again."
    return f"The passage index in {folder} cannot be opened: {reason}"
