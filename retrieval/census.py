"""What our collection on a Qdrant server holds over all tenants: for an operator, who must not overwrite any of it."""

from qdrant_client import AsyncQdrantClient

from retrieval.qdrant import connect, our_errors, server_version
from retrieval.ranking import MEANING, WORDS

_TIMEOUT_S = 30.0


async def count_on_server(url: str, *, api_key: str | None, collection: str) -> int | None:
    """How many passages there are, of whichever tenant; None where there is no collection of ours yet. Makes nothing.

    Raises:
        StoreUnavailable: the server does not answer.
        StoreRefused: it answers, but is not what we need.
    """
    client = connect(url, api_key=api_key, timeout_s=_TIMEOUT_S)
    try:
        with our_errors(with_key=api_key is not None):
            await server_version(client)
            # Ours stands beside one that was written with LangChain, see layout.py.
            for name in (collection, f"{collection}-pustaka"):
                if await client.collection_exists(name) and await _is_ours(client, name):
                    return (await client.count(name, exact=True)).count
        return None
    finally:
        await client.close()


async def _is_ours(client: AsyncQdrantClient, name: str) -> bool:
    params = (await client.get_collection(name)).config.params
    return isinstance(params.vectors, dict) and MEANING in params.vectors and WORDS in (params.sparse_vectors or {})
