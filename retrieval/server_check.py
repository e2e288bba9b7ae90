"""A Qdrant server asked the very questions that a start asks of it, while nothing is made there."""

from typing import Any, cast

from qdrant_client import AsyncQdrantClient

from retrieval.index import ModelMismatch
from retrieval.layout import BESIDE, is_ours, prepare_layout
from retrieval.qdrant import connect, read_server_version, translate_client_errors
from utils.addresses import hide_login

_COUNTING_S = 30.0


class _WouldBeMade(Exception):
    """The start would make this collection."""


class _ReadOnlyClient:
    """A Qdrant client that reads alone."""

    def __init__(self, client: AsyncQdrantClient) -> None:
        self.info, self.scroll = client.info, client.scroll
        self.collection_exists, self.get_collection = client.collection_exists, client.get_collection

    async def create_collection(self, name: str, **_: Any) -> None:
        raise _WouldBeMade(name)

    async def create_payload_index(self, name: str, field: str, **_: Any) -> None:
        """The start does it; here it is left."""


async def check_server(
    url: str, api_key: str | None, collection: str, space: tuple[str, int] | None, *, timeout_s: float
) -> str:
    """What the start would find for *collection* and the vectors of *space*: a model's name and their length.

    Raises:
        StoreUnavailable: the server does not answer.
        StoreRefused: it cannot be used as it is.
    """
    client = connect(url, api_key=api_key, timeout_s=timeout_s)
    try:
        with translate_client_errors(with_key=api_key is not None):
            await read_server_version(client)  # says so if it is no Qdrant
            server = f"{(await client.info()).version} at {hide_login(url)}"
            if space is None:
                return f"{server} answers; whether {collection} fits the embedding model is not known"
            return f"{server}{await _describe(client, collection, space)}"
    finally:
        await client.close()


async def _describe(client: AsyncQdrantClient, collection: str, space: tuple[str, int]) -> str:
    model, dimension = space
    try:
        reading = cast(AsyncQdrantClient, _ReadOnlyClient(client))
        layout = await prepare_layout(reading, collection=collection, dimension=dimension, model=model)
        points = (await client.count(layout.own, exact=True)).count
    except ModelMismatch as exc:
        if exc.model is None:
            raise
        former = f"{collection} was made with {exc.model}, which goes on answering"
        return f"; {former} until an index for {model} is built beside it"
    except _WouldBeMade as exc:
        return f"; the collection {exc} is made at the first start"
    beside = f", and {layout.foreign.name} beside it, written with LangChain" if layout.foreign else ""
    return f", collection {layout.own} of {dimension} numbers, {points} points{beside}"


async def count_on_server(url: str, *, api_key: str | None, collection: str) -> int | None:
    """How many passages our collection holds, of whichever tenant; None where there is none yet. Makes nothing."""
    client = connect(url, api_key=api_key, timeout_s=_COUNTING_S)
    try:
        with translate_client_errors(with_key=api_key is not None):
            await read_server_version(client)
            for name in (collection, f"{collection}{BESIDE}"):
                if await client.collection_exists(name) and is_ours(await client.get_collection(name)):
                    return (await client.count(name, exact=True)).count
        return None
    finally:
        await client.close()
