"""Opens the indexes of an installation, each with the embedding model its vectors are of."""

import asyncio
from collections.abc import Set
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from bootstrap.ingesting import make_chunk_sizes
from bootstrap.models import add_cache, open_former_embedder
from bootstrap.stores import index_folder, make_server_index, open_passages
from config import Settings
from domain.indexes import IndexSpec
from domain.models import IndexRow
from indexing.open_index import OpenIndex
from retrieval.edge_folder import remove_folder
from retrieval.index import PassageIndex
from retrieval.lexical import LEXICAL_VERSION
from retrieval.search import Retriever
from utils.ports import Embedder, VectorSpec

if TYPE_CHECKING:
    from retrieval.server import ServerIndex


class MakeRetriever(Protocol):
    """Makes what searches *index*, of this *number*, with vectors of *embedder*; *cached* is that model for questions.

    What it needs beside them is closed with *stack*, before the index.
    """

    async def __call__(
        self, stack: AsyncExitStack, *, number: int, embedder: Embedder, cached: Embedder, index: PassageIndex
    ) -> Retriever: ...


async def make_plain_retriever(
    stack: AsyncExitStack, *, number: int, embedder: Embedder, cached: Embedder, index: PassageIndex
) -> Retriever:
    """Search by words and meaning alone; *stack*, *number* and *embedder* are not used."""
    return Retriever(cached, index)


class IndexOpener:
    """The `Opener` of an installation.

    *embedder* is the configured model, *cached* the same for questions. An index of another one gets that: it goes on
    being asked with the model its vectors are of.
    """

    def __init__(
        self, settings: Settings, folder: Path, embedder: Embedder, cached: Embedder, make_retriever: MakeRetriever
    ) -> None:
        self.replaced = asyncio.Event()  # an index was damaged and lacks all that SQL has
        self._settings, self._folder = settings, folder
        self._embedder, self._cached, self._make_retriever = embedder, cached, make_retriever
        self._open: dict[int, tuple[OpenIndex, AsyncExitStack]] = {}
        self._opening = asyncio.Lock()

    @property
    def target(self) -> IndexSpec:
        """What an index is made with that fits the settings."""
        endpoint = self._settings.embedding_endpoint
        base_url = endpoint.base_url if endpoint else None
        chunking_version = make_chunk_sizes(self._settings).chunking_version
        return IndexSpec(self._embedder.model, self._embedder.dimension, base_url, LEXICAL_VERSION, chunking_version)

    async def open(self, row: IndexRow) -> OpenIndex:
        """The index of *row*, opened unless it is.

        Raises:
            StoreUnavailable: it cannot be opened.
        """
        async with self._opening:
            entry = self._open.get(row.number)
            if entry is None:
                entry = self._open[row.number] = await self._open_row(row)
            return entry[0]

    async def close(self, number: int) -> None:
        """Close an index, if it is open."""
        async with self._opening:
            _, stack = self._open.pop(number, (None, None))
            if stack is not None:
                await stack.aclose()

    async def close_others(self, numbers: Set[int]) -> None:
        """Close all indexes but these."""
        for number in self._open.keys() - numbers:
            await self.close(number)

    async def close_all(self) -> None:
        """Close all."""
        for number in list(self._open):
            await self.close(number)

    async def remove(self, number: int, spec: VectorSpec) -> None:
        """Remove all that index *number* holds, for good; nothing where there is none.

        Raises:
            StoreUnavailable: the server does not answer.
        """
        await self.close(number)
        if self._settings.qdrant_url is None:
            folder = index_folder(self._settings, self._folder, spec.model, number)
            await asyncio.to_thread(remove_folder, folder)
            return
        server = make_server_index(self._settings, spec, number)
        try:
            await server.remove()
        finally:
            await server.close()

    async def publish(self, opened: OpenIndex) -> None:
        """Let the server's alias stand for *opened*; an engine in this process has no names for others."""
        if server := self._get_server_index(opened):
            await server.publish(f"{self._settings.qdrant_collection_name}-serving")

    async def reads_along(self, opened: OpenIndex) -> str | None:
        """The collection of LangChain's that is searched along with *opened*, which no other model can search."""
        server = self._get_server_index(opened)
        return await server.reads_along() if server else None

    def _get_server_index(self, opened: OpenIndex) -> "ServerIndex | None":
        return None if self._settings.qdrant_url is None else cast("ServerIndex", opened.index)

    async def _open_row(self, row: IndexRow) -> tuple[OpenIndex, AsyncExitStack]:
        async with AsyncExitStack() as stack:
            embedder, cached = await self._open_embedders(stack, row)
            on_replaced = partial(asyncio.get_running_loop().call_soon_threadsafe, self.replaced.set)
            index = await open_passages(self._settings, self._folder, row, row.number, on_replaced=on_replaced)
            stack.push_async_callback(index.close)
            spec = IndexSpec(row.model, row.dimension, row.base_url, row.lexical_version, row.chunking_version)
            retriever = await self._make_retriever(
                stack, number=row.number, embedder=embedder, cached=cached, index=index
            )
            return OpenIndex(row.number, row.slot, spec, index, embedder, retriever), stack.pop_all()
        raise AssertionError  # the stack swallows nothing

    async def _open_embedders(self, stack: AsyncExitStack, row: IndexRow) -> tuple[Embedder, Embedder]:
        if (row.model, row.dimension) == (self._embedder.model, self._embedder.dimension):
            return self._embedder, self._cached
        former = await open_former_embedder(
            stack, self._settings, model=row.model, dimension=row.dimension, base_url=row.base_url
        )
        return former, add_cache(self._settings, former)
