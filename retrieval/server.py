"""`PassageIndex` on a Qdrant server, shared by any number of processes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
from qdrant_client import AsyncQdrantClient, models

from auth.principal import Principal
from retrieval.index import ALL, Entry, Filters, IndexCounts, PassageIndex, Stored, fetch_pages, make_entry
from retrieval.languages import Languages
from retrieval.layout import Layout, move_alias, prepare_layout
from retrieval.lexical import Lexicon
from retrieval.qdrant import (
    CollectionGone,
    PointGone,
    connect,
    make_rest_address,
    translate_client_errors,
    translate_errors,
)
from retrieval.queries import (
    IndexQuery,
    make_pending_filter,
    make_point,
    make_tenant_filter,
    make_tenant_filter_json,
)
from retrieval.ranking import (
    DOCUMENT,
    LANGUAGE,
    LANGUAGES_APART,
    MAX_TENANTS,
    MEANING,
    PASSAGE,
    TENANT,
    make_description,
    make_point_id,
    parse_passage,
    require_fitting,
)
from retrieval.server_search import ServerSearch
from retrieval.wire import HttpWire, Wire
from utils.passages import Hit, Passage
from utils.ports import FloatArray
from utils.slices import cut_into_slices

T = TypeVar("T")

# Points in one request: 100 vectors of 3072 numbers are 4 MB as JSON, the server takes 32.
BATCH = 100
LISTED = 1000  # points of a reconciliation in one answer
_TRIES = 3


class ServerIndex(PassageIndex):
    """`PassageIndex` in one collection on a Qdrant server, made when it is first needed.

    Nothing is asked of the server before `prepare`, `check` or the first call; when it was away then, the next call
    tries again. Where the collection was written with LangChain it is only read, for the default tenant, and our own
    passages are in another beside it: `retrieval/layout.py`. `counts` and `export` are of our own.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None,
        collection: str,
        dimension: int,
        model: str,
        timeout_s: float = 5,
        client: AsyncQdrantClient | None = None,
        wire: Wire | None = None,
    ) -> None:
        """*model* names the embedding model, *dimension* is the length of its vectors.

        A *client* that is given is used instead of one for *url*, and stays the giver's to close; so is a *wire*, which
        searches go over: for them the client's own layers cost too much.
        """
        self._client = client or connect(url, api_key=api_key, timeout_s=timeout_s)
        self._owns_client, self._with_key = client is None, bool(api_key)
        self._collection, self._dimension, self._model = collection, dimension, model
        self._lexicon = Lexicon()
        self._layout: Layout | None = None
        self._languages = Languages(self._ask_languages)
        self._wire = wire or HttpWire(make_rest_address(self._client), api_key=api_key, timeout_s=timeout_s)
        self._owns_wire = wire is None
        self._search = ServerSearch(self._client, self._wire, self._lexicon, self._languages)

    async def prepare(self) -> None:
        """Make the collection if it is missing, otherwise see that it fits. Nothing in it is changed.

        Raises:
            StoreUnavailable: the server does not answer.
            StoreRefused: it refuses the key, is no Qdrant, or the collection was made for something else.
        """
        self._layout = await self._prepare()

    async def check(self) -> None:
        """Ask the server whether it can serve now, and prepare it if it is new."""
        await self.prepare()

    async def put(self, ctx: Principal, passages: Sequence[Passage]) -> None:
        """Add or replace passages."""
        for part in cut_into_slices(passages, BATCH):
            points = [make_point(ctx, passage, self._lexicon.make_passage_terms(passage)) for passage in part]
            await self._run(partial(self._upsert, points))
            self._languages.refresh(ctx)

    async def put_vectors(self, ctx: Principal, vectors: Mapping[str, FloatArray]) -> None:
        """Give passages their vectors."""
        require_fitting(vectors, self._dimension)
        by_point = {str(make_point_id(ctx, passage_id)): vector for passage_id, vector in vectors.items()}
        for part in cut_into_slices(list(by_point), BATCH):
            await self._run(partial(self._put_vectors, {point: by_point[point] for point in part}))

    async def update_document(self, ctx: Principal, passage: Passage) -> None:
        """Let every passage of the document have the describing fields of *passage*."""
        is_its = models.FieldCondition(key=DOCUMENT, match=models.MatchValue(value=passage.document_id))
        selector, described = models.FilterSelector(filter=make_tenant_filter(ctx, is_its)), make_description(passage)
        await self._run(lambda at: self._client.set_payload(at.own, described, points=selector, wait=True))

    async def delete_documents(self, ctx: Principal, document_ids: Sequence[str]) -> None:
        """Remove every passage of these documents."""
        if not document_ids:
            return
        of_documents = models.FieldCondition(key=DOCUMENT, match=models.MatchAny(any=list(document_ids)))
        selector = models.FilterSelector(filter=make_tenant_filter(ctx, of_documents))
        await self._run(lambda at: self._client.delete(at.own, selector, wait=True))
        self._languages.refresh(ctx)

    async def search(
        self, ctx: Principal, question: str, vector: FloatArray | None, *, limit: int, filters: Filters = ALL
    ) -> Sequence[Hit]:
        """The best passages by words and, with a vector, by meaning."""
        query = IndexQuery(ctx, question, vector, limit, filters)
        return await self._run(lambda at: self._search.search(at, query))

    async def find_neighbours(self, ctx: Principal, passage: Passage, *, limit: int) -> Sequence[Passage]:
        """The nearest passages of other documents."""
        point = str(make_point_id(ctx, passage.passage_id))
        records = await self._run(
            lambda at: self._client.retrieve(at.own, [point], with_payload=False, with_vectors=[MEANING])
        )
        vectors = [vector for record in records if (vector := _parse_vector(record)) is not None]
        if not vectors:
            return []
        spoken = models.FieldCondition(key=LANGUAGE, match=models.MatchValue(value=passage.language))
        own = models.FieldCondition(key=DOCUMENT, match=models.MatchValue(value=passage.document_id))
        only = make_tenant_filter(ctx, spoken, models.Filter(must_not=[own]))
        neighbours = await self._run(
            lambda at: self._client.query_points(
                at.own, vectors[0].tolist(), using=MEANING, query_filter=only, limit=limit, with_payload=True
            )
        )
        return [parse_passage(each.payload) for each in neighbours.points]

    async def counts(self, ctx: Principal) -> IndexCounts:
        """How much is in our collection for this tenant."""
        # One after the other, here as elsewhere: if one fails, nothing is left running.
        return IndexCounts(await self._count(make_tenant_filter(ctx)), await self._count(make_pending_filter(ctx)))

    async def export(self, ctx: Principal) -> AsyncIterator[Sequence[Stored]]:
        """Every passage of the tenant in our collection with its vector, in batches."""
        fields = {"limit": BATCH, "with_payload": True, "with_vectors": [MEANING]}
        async for page in fetch_pages(partial(self._scroll, make_tenant_filter(ctx), fields)):
            yield [_make_stored(record) for record in page]

    async def list_entries(self, ctx: Principal) -> AsyncIterator[Sequence[Entry]]:
        """Every passage of the tenant in our collection without its text and vector, in batches."""
        has_vector = models.HasVectorCondition(has_vector=MEANING)
        fields = {"limit": LISTED, "with_payload": [PASSAGE, DOCUMENT]}
        for condition, is_embedded in ((make_pending_filter(ctx), False), (make_tenant_filter(ctx, has_vector), True)):
            async for page in fetch_pages(partial(self._scroll, condition, fields)):
                yield [make_entry(record.payload, has_vector=is_embedded) for record in page]

    async def list_tenant_ids(self) -> set[str]:
        """Whose passages are in our collection."""
        answer = await self._run(lambda at: self._client.facet(at.own, TENANT, limit=MAX_TENANTS, exact=True))
        return {str(hit.value) for hit in answer.hits if hit.count}

    async def reads_along(self) -> str | None:
        """The collection that was written with LangChain and is searched along with ours; None without one."""
        foreign = (await self._ensure_ready()).foreign
        return foreign.name if foreign else None

    async def publish(self, alias: str) -> None:
        """Let *alias* stand for our collection, in one step where it stood for another; for other programs than ours.

        We ask for collections by name: a question's vector has to be one of the model of the collection it is put to.
        """
        await self._run(lambda at: move_alias(self._client, alias, at.own))

    async def remove(self) -> None:
        """Remove our collection with all that is in it; the index is of no use afterwards."""
        with translate_client_errors(with_key=self._with_key):
            await self._client.delete_collection(self._collection)

    async def close(self) -> None:
        """Let go of the connections."""
        if self._owns_wire:
            await self._wire.close()
        if self._owns_client:
            await self._client.close()

    async def _run(self, work: Callable[[Layout], Awaitable[T]]) -> T:
        layout = await self._ensure_ready()
        try:
            with translate_client_errors(with_key=self._with_key):
                return await work(layout)
        except CollectionGone:
            self._layout = None
            raise

    async def _prepare(self) -> Layout:
        with translate_client_errors(with_key=self._with_key):
            return await prepare_layout(
                self._client, collection=self._collection, dimension=self._dimension, model=self._model
            )

    async def _ensure_ready(self) -> Layout:
        if self._layout is None:
            # Not one at a time: calls would queue up behind a server that does not answer, each for its own time-out.
            self._layout = await self._prepare()
        return self._layout

    async def _upsert(self, points: list[models.PointStruct], at: Layout) -> None:
        await self._client.upsert(at.own, points, wait=True)

    async def _put_vectors(self, by_point: Mapping[str, FloatArray], at: Layout) -> None:
        for attempt in range(_TRIES):
            present = await self._client.retrieve(at.own, list(by_point), with_payload=False)
            points = [
                models.PointVectors(id=record.id, vector={MEANING: by_point[str(record.id)].tolist()})
                for record in present
            ]
            try:
                with translate_client_errors(with_key=self._with_key):
                    if points:
                        await self._client.update_vectors(at.own, points, wait=True)
                return
            except PointGone:  # removed in between by another process; the server may have written none
                if attempt == _TRIES - 1:
                    raise

    async def _count(self, condition: models.Filter) -> int:
        answer = await self._run(lambda at: self._client.count(at.own, condition, exact=True))
        return answer.count

    async def _scroll(
        self, condition: models.Filter, fields: Mapping[str, Any], offset: Any
    ) -> tuple[list[models.Record], Any]:
        return await self._run(lambda at: self._client.scroll(at.own, scroll_filter=condition, offset=offset, **fields))

    async def _ask_languages(self, ctx: Principal) -> list[str]:
        body = {"key": LANGUAGE, "limit": LANGUAGES_APART, "filter": make_tenant_filter_json(ctx)}
        answer = await self._wire.ask((await self._ensure_ready()).own, "facet", body)
        with translate_errors():
            return [str(hit["value"]) for hit in answer["hits"]]


def _make_stored(record: models.Record) -> Stored:
    return Stored(parse_passage(record.payload), _parse_vector(record))


def _parse_vector(record: models.Record) -> FloatArray | None:
    vector = record.vector.get(MEANING) if isinstance(record.vector, dict) else None
    return None if vector is None else np.array(vector, np.float32)
