"""The passage index, with the vectors, tenant by tenant."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from heapq import nsmallest
from secrets import token_bytes

import numpy as np

from auth.principal import Principal
from bootstrap.models import open_embedder
from bootstrap.relocation.records import Records, find_index, find_tenants
from bootstrap.relocation.report import PASSAGES, SAMPLES, Direction, Progress, StoreComparison, StoreCounts
from bootstrap.relocation.stores import Counts, Open, Store, check_path, count_both, order_ends
from bootstrap.stores import index_folder, make_collection_name, make_server_index
from config import Settings
from retrieval.edge import EdgeIndex
from retrieval.index import PassageIndex, Stored, put_stored
from utils.addresses import hide_login
from utils.ports import FloatArray, VectorSpec

_TOLERANCE = 1e-5  # between two engines that both scale vectors to length 1
Fingerprint = tuple[str, int]


class PassageStore(Store[PassageIndex]):
    """An index. `count_all` counts what is there of any tenant, without opening it for use."""

    def __init__(
        self, name: str, remedy: str, open_store: Open[PassageIndex], exists: Open[bool], count_all: Open[Counts]
    ) -> None:
        super().__init__(name, remedy, open_store, exists)
        self.count_all = count_all


async def open_passages_move(
    stack: AsyncExitStack, settings: Settings, direction: Direction, records: Sequence[Records]
) -> "PassagesMove":
    """The move of the passages of every tenant in *records*; its stores are closed with *stack*."""
    row = await find_index(records)
    spec, number = (row, row.number) if row else (await open_embedder(stack, settings), 1)
    embedded = _open_embedded(stack, settings, spec, number)
    return PassagesMove(*order_ends(direction, embedded, _open_configured(stack, settings, spec, number)), records)


def _open_embedded(stack: AsyncExitStack, settings: Settings, spec: VectorSpec, number: int) -> PassageStore:
    """The folder in the data folder of index *number*."""
    folder = index_folder(settings, settings.data_dir, spec.model, number)

    async def open_folder() -> PassageIndex:
        folder.parent.mkdir(parents=True, exist_ok=True)
        index = await asyncio.to_thread(EdgeIndex.open, folder, dimension=spec.dimension)
        stack.push_async_callback(index.close)
        return index

    async def count_all() -> Counts:
        # The engine counts for one tenant at a time, and whose passages these are is not known here.
        return {"index folder": int(folder.exists())}

    return PassageStore(str(folder), f"move {folder} away", open_folder, check_path(folder), count_all)


def _open_configured(stack: AsyncExitStack, settings: Settings, spec: VectorSpec, number: int) -> PassageStore:
    """The collection of index *number* on the Qdrant server."""
    # Here: its client takes long to import, and is of no use to others.
    from retrieval.server_check import count_on_server

    url, collection = settings.qdrant_url or "", make_collection_name(settings, number)
    key = settings.qdrant_api_key.get_secret_value() if settings.qdrant_api_key else None
    count = partial(count_on_server, url, api_key=key, collection=collection)

    async def prepare() -> PassageIndex:
        index = make_server_index(settings, spec, number)
        stack.push_async_callback(index.close)
        await index.prepare()
        return index

    async def exists() -> bool:
        return await count() is not None

    async def count_all() -> Counts:
        return {"passages": await count() or 0}

    name = f"{hide_login(url)}, collection {collection}"
    return PassageStore(name, "let QDRANT_COLLECTION_NAME be one that is not there yet", prepare, exists, count_all)


class PassagesMove:
    """Everything the index holds for the tenants of *records*.

    Where the source has no index for the embedding model there is nothing to copy, and `lacks_index`, known once they
    were counted, says so: the service then computes the vectors from the records.
    """

    def __init__(self, source: PassageStore, target: PassageStore, records: Sequence[Records]) -> None:
        self._stores, self._records = (source, target), records
        self.lacks_index = False

    async def count(self) -> StoreCounts:
        """How many passages both sides have; nothing is changed."""
        source, target = self._stores
        found = await source.find()
        self.lacks_index = found is None
        counts = await _count(found, await find_tenants(self._records)), await target.count_all()
        return count_both(PASSAGES, self._stores, *counts)

    async def prepare(self) -> None:
        """Make the index that is to be filled."""
        if not self.lacks_index:
            self._source, self._target = [await store.open() for store in self._stores]

    async def copy(self, progress: Progress) -> None:
        """Make the target hold what the source holds; what is there already is not sent again."""
        if self.lacks_index:
            return
        tenants = await find_tenants(self._records)
        total, done = (await _count(self._source, tenants))["passages"], 0
        for ctx in tenants:
            async for copied in _copy(self._source, self._target, ctx):
                done += copied
                progress(PASSAGES, done, total)

    async def compare(self) -> list[StoreComparison]:
        """Both sides compared: the number of passages and vectors of every tenant, and some of each whole."""
        if self.lacks_index:
            return []
        pairs = [await _compare(self._source, self._target, ctx) for ctx in await find_tenants(self._records)]
        checks = [
            _summarize(what, [pair[index] for pair in pairs]) for index, what in enumerate(("passages", "vectors"))
        ]
        expected = checks[0].target
        found = (await self._stores[1].count_all()).get("passages", expected)
        if found != expected:
            checks.append(StoreComparison(PASSAGES, "passages of all tenants", expected, found, 0))
        return checks


async def _count(index: PassageIndex | None, tenants: Iterable[Principal]) -> Counts:
    if index is None:
        return {"passages": 0, "vectors": 0}
    counts = [await index.counts(ctx) for ctx in tenants]
    passages = sum(count.passages for count in counts)
    return {"passages": passages, "vectors": passages - sum(count.pending for count in counts)}


async def _copy(source: PassageIndex, target: PassageIndex, ctx: Principal) -> AsyncIterator[int]:
    """Bring a tenant's passages over, a batch at a time; gives how many of the source were dealt with."""
    present = {stored.passage.passage_id: _compute_fingerprint(stored) async for stored in _walk(target, ctx)}
    if present:
        await _drop_stale(source, target, ctx, present)
    async for batch in source.export(ctx):
        new = [stored for stored in batch if present.get(stored.passage.passage_id) != _compute_fingerprint(stored)]
        await put_stored(target, ctx, new)
        yield len(batch)


async def _drop_stale(
    source: PassageIndex, target: PassageIndex, ctx: Principal, present: dict[str, Fingerprint]
) -> None:
    """Remove documents of an earlier attempt that the source holds otherwise now, or no longer; from *present*, too."""
    source_ids = {entry.passage_id async for batch in source.list_entries(ctx) for entry in batch}
    documents = {document_id for passage_id, (document_id, _) in present.items() if passage_id not in source_ids}
    await target.delete_documents(ctx, sorted(documents))
    for passage_id in [key for key, (document_id, _) in present.items() if document_id in documents]:
        del present[passage_id]


async def _walk(index: PassageIndex, ctx: Principal) -> AsyncIterator[Stored]:
    async for batch in index.export(ctx):
        for stored in batch:
            yield stored


def _compute_fingerprint(stored: Stored) -> Fingerprint:
    """The passage's document, and a number that differs when the passage does."""
    return stored.passage.document_id, hash((stored.passage, stored.vector is None))


@dataclass(slots=True)
class _Side:
    """One of two indexes: how much it holds of a tenant, and a sample of it."""

    passages: int = 0
    vectors: int = 0
    sample: list[Stored] = field(default_factory=list)


async def _survey(index: PassageIndex, ctx: Principal, salt: bytes) -> _Side:
    """A walk that keeps the passages whose salted hashes are smallest: in two like indexes these are the same."""

    def rank(stored: Stored) -> bytes:
        return blake2b(stored.passage.passage_id.encode(), key=salt).digest()

    side = _Side()
    async for batch in index.export(ctx):
        side.passages += len(batch)
        side.vectors += sum(stored.vector is not None for stored in batch)
        side.sample = nsmallest(SAMPLES, [*side.sample, *batch], key=rank)
    return side


async def _compare(
    source: PassageIndex, target: PassageIndex, ctx: Principal
) -> tuple[StoreComparison, StoreComparison]:
    """Passages and vectors of one tenant."""
    salt = token_bytes(16)
    ours, theirs = await _survey(source, ctx, salt), await _survey(target, ctx, salt)
    twins = {stored.passage.passage_id: stored for stored in theirs.sample}
    texts, vectors = [], []
    for stored in ours.sample:
        twin, name = twins.get(stored.passage.passage_id), f"passage {stored.passage.passage_id} of {ctx.tenant_id}"
        if twin is None or twin.passage != stored.passage:
            texts.append(name)
        elif not _is_same_vector(stored.vector, twin.vector):
            vectors.append(f"the vector of {name}")
    if ours.passages != theirs.passages:
        texts.append(f"{ctx.tenant_id} has {ours.passages} passages and {theirs.passages} in the target")
    with_vector = sum(stored.vector is not None for stored in ours.sample)
    return (
        StoreComparison(PASSAGES, "passages", ours.passages, theirs.passages, len(ours.sample), tuple(texts)),
        StoreComparison(PASSAGES, "vectors", ours.vectors, theirs.vectors, with_vector, tuple(vectors)),
    )


def _is_same_vector(one: FloatArray | None, other: FloatArray | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and bool(np.allclose(one, other, atol=_TOLERANCE))


def _summarize(what: str, checks: Sequence[StoreComparison]) -> StoreComparison:
    """What was found of all tenants together."""
    return StoreComparison(
        PASSAGES,
        what,
        sum(check.source for check in checks),
        sum(check.target for check in checks),
        sum(check.compared for check in checks),
        tuple(name for check in checks for name in check.differing),
    )
