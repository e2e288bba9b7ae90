"""Searches put to the engine that comes with qdrant-client, through its models."""

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import TypeAdapter
from qdrant_client import AsyncQdrantClient, models

ANY: TypeAdapter[Any] = TypeAdapter(Any)


class MemoryWire:
    """`Wire` to *client*; a request that its models would not have made is refused."""

    def __init__(self, client: AsyncQdrantClient) -> None:
        self._client = client

    async def ask(self, collection: str, what: str, body: Mapping[str, Any]) -> Any:
        return ANY.dump_python(await self._answer(collection, what, orjson.dumps(body)), mode="json")

    async def _answer(self, collection: str, what: str, body: bytes) -> object:
        if what == "points/query/batch":
            searches = models.QueryRequestBatch.model_validate_json(body).searches
            return await self._client.query_batch_points(collection, searches)
        if what == "facet":
            facet = models.FacetRequest.model_validate_json(body)
            return await self._client.facet(collection, facet.key, facet_filter=facet.filter, limit=facet.limit or 10)
        assert what == "points"
        asked = models.PointRequest.model_validate_json(body)
        return await self._client.retrieve(collection, asked.ids, with_payload=asked.with_payload or False)

    async def close(self) -> None:
        """Nothing is held."""
