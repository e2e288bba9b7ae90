"""What the fake Qdrant server answers: REST requests in Qdrant's wire format, put to the client's own local engine.

Wire format: https://api.qdrant.tech/api-reference
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json
from qdrant_client import QdrantClient, models

_INSERT: TypeAdapter[models.PointsBatch | models.PointsList] = TypeAdapter(models.PointInsertOperations)
_SELECTOR: TypeAdapter[models.PointIdsList | models.FilterSelector] = TypeAdapter(models.PointsSelector)
Answer = tuple[int, bytes]


class RefusedRequest(Exception):
    """A request the server refuses, with the HTTP status and the words it does that with."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class FakeEngine:
    """Collections in memory. Not for several threads at once.

    Unlike the local engine it insists, as the server does, on an index for the field of a facet.
    """

    def __init__(self) -> None:
        self._client = QdrantClient(":memory:")
        self._indexes: dict[str, dict[str, models.PayloadIndexInfo]] = defaultdict(dict)
        self._points: dict[tuple[str, str], Callable[[str, bytes], object]] = {
            ("POST", "points/query"): self._query,
            ("POST", "points/query/batch"): self._query_batch,
            ("POST", "facet"): self._facet,
            ("POST", "points/count"): self._count,
            ("POST", "points/scroll"): self._scroll,
            ("POST", "points"): self._retrieve,
            ("PUT", "points"): self._upsert,
            ("PUT", "points/vectors"): self._update_vectors,
            ("POST", "points/vectors/delete"): self._delete_vectors,
            ("POST", "points/delete"): self._delete,
            ("POST", "points/payload"): self._set_payload,
            ("PUT", "index"): self._create_index,
        }

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """The HTTP status and the body for a request; *path* is without the query string."""
        try:
            parts = [part for part in path.split("/") if part]
            if not parts:
                return 200, to_json(self._client.info())
            result = self._route(method, parts, body)
            return 200, to_json({"result": result, "status": "ok", "time": 0.0})
        except RefusedRequest as exc:
            return exc.status, _refusal(exc.reason)
        except ValidationError as exc:
            return 400, _refusal(f"Format error in JSON body: {exc.errors(include_url=False, include_input=False)[:3]}")
        except KeyError as exc:  # how the local engine names a point that is not there
            return 404, _refusal(f"Not found: No point with id {exc.args[0]} found")
        except ValueError as exc:
            return 400, _refusal(f"Wrong input: {exc}")

    def _route(self, method: str, parts: list[str], body: bytes) -> object:
        match method, parts:
            case "GET", ["collections"]:
                return self._client.get_collections()
            case "GET", ["collections", name, "exists"]:
                return {"exists": self._client.collection_exists(name)}
            case "PUT", ["collections", name]:
                return self._create(name, body)
            case "DELETE", ["collections", name]:
                self._indexes.pop(name, None)
                return self._client.delete_collection(name)
            case "GET", ["collections", name]:
                self._insist(name)
                return self._client.get_collection(name).model_copy(update={"payload_schema": self._indexes[name]})
            case _, ["collections", name, *rest] if handler := self._points.get((method, "/".join(rest))):
                self._insist(name)
                return handler(name, body)
        raise RefusedRequest(404, "Not found: there is no such endpoint")

    def _insist(self, name: str) -> None:
        if not self._client.collection_exists(name):
            raise RefusedRequest(404, f"Not found: Collection `{name}` doesn't exist!")

    # --- Collections
    def _create(self, name: str, body: bytes) -> bool:
        if self._client.collection_exists(name):
            raise RefusedRequest(409, f"Wrong input: Collection `{name}` already exists!")
        asked = models.CreateCollection.model_validate_json(body)
        return self._client.create_collection(
            name, asked.vectors or {}, sparse_vectors_config=asked.sparse_vectors, metadata=asked.metadata
        )

    def _create_index(self, name: str, body: bytes) -> models.UpdateResult:
        asked = models.CreateFieldIndex.model_validate_json(body)
        schema = asked.field_schema
        kind = schema if isinstance(schema, models.PayloadSchemaType) else models.PayloadSchemaType.KEYWORD
        params = None if schema is None or isinstance(schema, models.PayloadSchemaType) else schema
        self._indexes[name][asked.field_name] = models.PayloadIndexInfo(data_type=kind, params=params, points=0)
        return _DONE

    # --- Reading
    def _query(self, name: str, body: bytes) -> models.QueryResponse:
        return self._client.query_batch_points(name, [models.QueryRequest.model_validate_json(body)])[0]

    def _query_batch(self, name: str, body: bytes) -> list[models.QueryResponse]:
        return self._client.query_batch_points(name, models.QueryRequestBatch.model_validate_json(body).searches)

    def _facet(self, name: str, body: bytes) -> models.FacetResponse:
        asked = models.FacetRequest.model_validate_json(body)
        if asked.key not in self._indexes[name]:
            raise RefusedRequest(400, f"Wrong input: No appropriate index for faceting: `{asked.key}`.")
        return self._client.facet(name, asked.key, facet_filter=asked.filter, limit=asked.limit or 10)

    def _count(self, name: str, body: bytes) -> models.CountResult:
        return self._client.count(name, models.CountRequest.model_validate_json(body).filter)

    def _scroll(self, name: str, body: bytes) -> dict[str, Any]:
        asked = models.ScrollRequest.model_validate_json(body)
        records, following = self._client.scroll(
            name,
            scroll_filter=asked.filter,
            limit=asked.limit or 10,
            offset=asked.offset,
            with_payload=True if asked.with_payload is None else asked.with_payload,
            with_vectors=asked.with_vector or False,
        )
        return {"points": records, "next_page_offset": following}

    def _retrieve(self, name: str, body: bytes) -> list[models.Record]:
        asked = models.PointRequest.model_validate_json(body)
        payload = True if asked.with_payload is None else asked.with_payload
        return self._client.retrieve(name, asked.ids, with_payload=payload, with_vectors=asked.with_vector or False)

    # --- Writing
    def _upsert(self, name: str, body: bytes) -> models.UpdateResult:
        asked = _INSERT.validate_json(body)
        points = asked.batch if isinstance(asked, models.PointsBatch) else asked.points
        return self._client.upsert(name, points, update_filter=asked.update_filter)

    def _update_vectors(self, name: str, body: bytes) -> models.UpdateResult:
        asked = models.UpdateVectors.model_validate_json(body)
        return self._client.update_vectors(name, asked.points, update_filter=asked.update_filter)

    def _delete_vectors(self, name: str, body: bytes) -> models.UpdateResult:
        asked = models.DeleteVectors.model_validate_json(body)
        return self._client.delete_vectors(name, asked.vector, asked.points or asked.filter or [])

    def _delete(self, name: str, body: bytes) -> models.UpdateResult:
        return self._client.delete(name, _SELECTOR.validate_json(body))

    def _set_payload(self, name: str, body: bytes) -> models.UpdateResult:
        asked = models.SetPayload.model_validate_json(body)
        return self._client.set_payload(name, asked.payload, asked.points or asked.filter or [])


_DONE = models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)


def _refusal(reason: str) -> bytes:
    return to_json({"status": {"error": reason}, "time": 0.0})
