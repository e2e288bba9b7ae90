"""The passage index, with the vectors, tenant by tenant."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from bootstrap.relocation.compared import compare, total
from bootstrap.relocation.places import Place, once, without_secrets
from bootstrap.relocation.records import tenants_of
from bootstrap.relocation.report import PASSAGES, Check, Look, Progress
from bootstrap.stores import collection_name, index_folder, server_index
from config import Settings
from domain.db import Database
from retrieval.edge import EdgeIndex
from retrieval.index import PassageIndex, Stored
from utils.context import TenantContext
from utils.ports import MadeWith

Known = dict[str, tuple[str, int]]
"""Passage id → its document, and a mark that differs when the passage does."""


@dataclass(frozen=True, slots=True)
class PassagesPlace(Place[PassageIndex]):
    """`held` counts what is there of any tenant, without opening it for use."""

    held: Callable[[], Awaitable[dict[str, int]]]


def embedded_passages(stack: AsyncExitStack, settings: Settings, made_with: MadeWith, number: int) -> PassagesPlace:
    """The folder in the data folder of index *number*."""
    folder = index_folder(settings, settings.data_dir, made_with.model, number)

    async def open_folder() -> PassageIndex:
        folder.parent.mkdir(parents=True, exist_ok=True)
        index = await asyncio.to_thread(EdgeIndex.open, folder, dimension=made_with.dimension)
        stack.push_async_callback(index.close)
        return index

    make = once(open_folder)

    async def find() -> PassageIndex | None:
        return await make() if folder.exists() else None

    async def held() -> dict[str, int]:
        # The engine counts for one tenant at a time, and whose passages these are is not known here.
        return {"index folder": int(folder.exists())}

    return PassagesPlace(str(folder), f"move {folder} away", find, make, held)


def configured_passages(stack: AsyncExitStack, settings: Settings, made_with: MadeWith, number: int) -> PassagesPlace:
    """The collection of index *number* on the Qdrant server."""
    from retrieval.census import count_on_server  # here: its client takes long to import, and is of no use to others

    url, collection = settings.qdrant_url or "", collection_name(settings, number)
    key = settings.qdrant_api_key.get_secret_value() if settings.qdrant_api_key else None
    count = partial(count_on_server, url, api_key=key, collection=collection)

    async def prepare() -> PassageIndex:
        index = server_index(settings, made_with, number)
        stack.push_async_callback(index.close)
        await index.prepare()
        return index

    make = once(prepare)

    async def find() -> PassageIndex | None:
        return None if await count() is None else await make()

    async def held() -> dict[str, int]:
        return {"passages": await count() or 0}

    name = f"{without_secrets(url)}, collection {collection}"
    return PassagesPlace(name, "let QDRANT_COLLECTION_NAME be one that is not there yet", find, make, held)


class PassagesMove:
    """Everything the index holds for the tenants of *records*.

    Where the source has no index for the embedding model there is nothing to copy, and `unindexed` says so: the service
    then computes the vectors from the records.
    """

    role = PASSAGES

    def __init__(self, source: PassagesPlace, target: PassagesPlace, records: Sequence[Place[Database]]) -> None:
        self._places, self._records = (source, target), records
        self.unindexed = False

    async def look(self) -> Look:
        """How many passages both sides have; nothing is changed."""
        source, target = self._places
        tenants = await tenants_of(*self._records)
        self.unindexed = await source.find() is None
        return Look(
            role=PASSAGES,
            from_place=source.name,
            to_place=target.name,
            source=await _counts(await source.find(), tenants),
            target=await target.held(),
            way_out=target.way_out,
        )

    async def prepare(self) -> None:
        """Make the index that is to be filled."""
        if not self.unindexed:
            self._source, self._target = [await place.make() for place in self._places]

    async def copy(self, progress: Progress) -> None:
        """Make the target hold what the source holds; what is there already is not sent again."""
        if self.unindexed:
            return
        tenants = await tenants_of(*self._records)
        of, done = (await _counts(self._source, tenants))["passages"], 0
        for ctx in tenants:
            async for count in _follow(self._source, self._target, ctx):
                done += count
                progress(PASSAGES, done, of)

    async def check(self) -> list[Check]:
        """Both sides compared: the number of passages and vectors of every tenant, and some of each whole."""
        if self.unindexed:
            return []
        found = [await compare(self._source, self._target, ctx) for ctx in await tenants_of(*self._records)]
        checks = [total(what, [pair[at] for pair in found]) for at, what in enumerate(("passages", "vectors"))]
        held = (await self._places[1].held()).get("passages", checks[0].target)
        if held != checks[0].target:
            checks.append(Check(PASSAGES, "passages of all tenants", checks[0].target, held, 0))
        return checks


async def _counts(index: PassageIndex | None, tenants: Iterable[TenantContext]) -> dict[str, int]:
    if index is None:
        return {"passages": 0, "vectors": 0}
    counts = [await index.counts(ctx) for ctx in tenants]
    passages = sum(count.passages for count in counts)
    return {"passages": passages, "vectors": passages - sum(count.pending for count in counts)}


async def _follow(source: PassageIndex, target: PassageIndex, ctx: TenantContext) -> AsyncIterator[int]:
    """Bring a tenant's passages over, a batch at a time; gives how many of the source were dealt with."""
    known = await _known(target, ctx)
    if known:
        await _drop_stale(source, target, ctx, known)
    async for batch in source.export(ctx):
        await _put(target, ctx, [stored for stored in batch if known.get(stored.passage.passage_id) != _mark(stored)])
        yield len(batch)


async def _known(index: PassageIndex, ctx: TenantContext) -> Known:
    return {stored.passage.passage_id: _mark(stored) async for batch in index.export(ctx) for stored in batch}


async def _drop_stale(source: PassageIndex, target: PassageIndex, ctx: TenantContext, known: Known) -> None:
    """Remove documents of an earlier attempt that the source holds otherwise now, or no longer."""
    gone = dict(known)
    async for batch in source.export(ctx):
        for stored in batch:
            gone.pop(stored.passage.passage_id, None)
    documents = {document_id for document_id, _ in gone.values()}
    await target.delete_documents(ctx, sorted(documents))
    for passage_id in [key for key, (document_id, _) in known.items() if document_id in documents]:
        del known[passage_id]


async def _put(index: PassageIndex, ctx: TenantContext, batch: Sequence[Stored]) -> None:
    if batch:
        await index.put(ctx, [stored.passage for stored in batch])
        vectors = {stored.passage.passage_id: stored.vector for stored in batch if stored.vector is not None}
        await index.put_vectors(ctx, vectors)


def _mark(stored: Stored) -> tuple[str, int]:
    return stored.passage.document_id, hash((stored.passage, stored.vector is None))
