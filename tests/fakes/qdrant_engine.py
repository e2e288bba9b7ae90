"""What the fake Qdrant server answers: REST requests in Qdrant's wire format, put to Qdrant's engine in this process.

The engine written in Python that comes with the client would do as well, but takes 200 ms for a search in 500 passages.
Wire format: https://api.qdrant.tech/api-reference
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field

import qdrant_edge as engine
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json
from qdrant_client import models

from tests.fakes import qdrant_wire as wire

_INSERT: TypeAdapter[models.PointsBatch | models.PointsList] = TypeAdapter(models.PointInsertOperations)
_SELECTOR: TypeAdapter[models.PointIdsList | models.FilterSelector] = TypeAdapter(models.PointsSelector)
_DONE = models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)
Answer = tuple[int, bytes]


class RefusedRequest(Exception):
    """A request the server refuses, with the HTTP status and the words it does that with."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass
class Collection:
    """One collection: what it was made with, its points and the indexes of payload fields."""

    asked: models.CreateCollection
    shard: engine.EdgeShard
    indexes: dict[str, models.PayloadIndexInfo] = field(default_factory=dict)


class FakeEngine:
    """Collections in a temporary folder, as a server of *version* has them. Not for several threads at once."""

    def __init__(self, *, version: str) -> None:
        self._version = version
        self._folder = tempfile.TemporaryDirectory()
        self._collections: dict[str, Collection] = {}
        self._aliases: dict[str, str] = {}
        self._handlers: dict[tuple[str, str], Callable[[Collection, bytes], object]] = {
            ("GET", ""): lambda collection, _: _info(collection),
            ("PUT", "index"): _create_index,
            ("POST", "points/query"): lambda collection, body: {"points": self._query(collection, body)},
            ("POST", "points/query/batch"): self._query_batch,
            ("POST", "facet"): _facet,
            ("POST", "points/count"): _count,
            ("POST", "points/scroll"): _scroll,
            ("POST", "points"): _retrieve,
            ("PUT", "points"): _upsert,
            ("PUT", "points/vectors"): _update_vectors,
            ("POST", "points/delete"): _delete,
            ("POST", "points/payload"): _set_payload,
        }

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """The HTTP status and the body for a request; *path* is without the query string."""
        try:
            result = self._route(method, [part for part in path.split("/") if part], body)
            plain = path.strip("/") == ""
            return 200, to_json(result if plain else {"result": result, "status": "ok", "time": 0.0})
        except RefusedRequest as exc:
            return exc.status, _refusal(exc.reason)
        except ValidationError as exc:
            return 400, _refusal(f"Format error in JSON body: {exc.errors(include_url=False, include_input=False)[:3]}")
        except ValueError as exc:
            return 400, _refusal(f"Wrong input: {exc}")
        except Exception as exc:
            if type(exc) is not Exception:  # what the engine raises, whatever it is
                raise
            return 400, _refusal(f"Wrong input: {exc}")

    def close(self) -> None:
        """Forget everything."""
        for collection in self._collections.values():
            collection.shard.close()
        self._collections.clear()
        self._folder.cleanup()

    def _route(self, method: str, parts: list[str], body: bytes) -> object:
        match method, parts:
            case "GET", []:
                return {"title": "qdrant - vector search engine", "version": self._version, "commit": "0"}
            case "GET", ["collections"]:
                return {"collections": [{"name": name} for name in self._collections]}
            case "GET", ["collections", name, "exists"]:
                return {"exists": self._named(name) in self._collections}
            case "GET", ["aliases"]:
                listed = [{"alias_name": alias, "collection_name": name} for alias, name in self._aliases.items()]
                return {"aliases": listed}
            case "POST", ["collections", "aliases"]:
                return self._alias(models.ChangeAliasesOperation.model_validate_json(body))
            case "PUT", ["collections", name]:
                return self._create(name, models.CreateCollection.model_validate_json(body))
            case "DELETE", ["collections", name]:
                self._aliases = {alias: each for alias, each in self._aliases.items() if each != name}
                return self._collections.pop(name, None) is not None
            case _, ["collections", name, *rest] if handler := self._handlers.get((method, "/".join(rest))):
                if self._named(name) not in self._collections:
                    raise RefusedRequest(404, f"Not found: Collection `{name}` doesn't exist!")
                return handler(self._collections[self._named(name)], body)
        raise RefusedRequest(404, "Not found: there is no such endpoint")

    def _named(self, name: str) -> str:
        """The collection of that name or alias."""
        return self._aliases.get(name, name)

    def _alias(self, asked: models.ChangeAliasesOperation) -> bool:
        """All of the changes or none, as the server does it."""
        changed = dict(self._aliases)
        for action in asked.actions:
            if isinstance(action, models.DeleteAliasOperation):
                del changed[action.delete_alias.alias_name]
            elif isinstance(action, models.CreateAliasOperation):
                made = action.create_alias
                if made.collection_name not in self._collections or made.alias_name in self._collections:
                    raise RefusedRequest(400, f"Wrong input: alias {made.alias_name} for {made.collection_name}")
                changed[made.alias_name] = made.collection_name
            else:
                raise ValueError("the fake server cannot rename an alias")
        self._aliases = changed
        return True

    def _create(self, name: str, asked: models.CreateCollection) -> bool:
        if name in self._collections:
            raise RefusedRequest(409, f"Wrong input: Collection `{name}` already exists!")
        self._refuse_if_newer(asked.metadata is not None, "metadata", since=(1, 16))
        folder = tempfile.mkdtemp(dir=self._folder.name)
        self._collections[name] = Collection(asked, engine.EdgeShard.load(folder, wire.shard_config(asked)))
        return True

    def _query(self, collection: Collection, body: bytes) -> list[object]:
        return self._found(collection, models.QueryRequest.model_validate_json(body))

    def _query_batch(self, collection: Collection, body: bytes) -> list[object]:
        searches = models.QueryRequestBatch.model_validate_json(body).searches
        return [{"points": self._found(collection, asked)} for asked in searches]

    def _found(self, collection: Collection, asked: models.QueryRequest) -> list[object]:
        self._refuse_if_newer(asked.params is not None and asked.params.idf is not None, "idf", since=(1, 19))
        return [wire.record(point) for point in collection.shard.query(wire.query(asked))]

    def _refuse_if_newer(self, used: bool, what: str, *, since: tuple[int, int]) -> None:
        """A real server passes over what it does not know yet; here nobody would notice."""
        if used and tuple(map(int, self._version.split(".")[:2])) < since:
            raise RefusedRequest(400, f"Format error in JSON body: unknown field `{what}`")


def _info(collection: Collection) -> models.CollectionInfo:
    return models.CollectionInfo(
        status=models.CollectionStatus.GREEN,
        optimizer_status=models.OptimizersStatusOneOf.OK,
        points_count=collection.shard.info().points_count,
        segments_count=1,
        payload_schema=collection.indexes,
        config=models.CollectionConfig(
            params=models.CollectionParams(
                vectors=collection.asked.vectors, sparse_vectors=collection.asked.sparse_vectors
            ),
            hnsw_config=models.HnswConfig(m=16, ef_construct=100, full_scan_threshold=10000),
            optimizer_config=models.OptimizersConfig(
                deleted_threshold=0.2, vacuum_min_vector_number=1000, default_segment_number=0, flush_interval_sec=5
            ),
            metadata=collection.asked.metadata,
        ),
    )


def _create_index(collection: Collection, body: bytes) -> models.UpdateResult:
    asked = models.CreateFieldIndex.model_validate_json(body)
    if isinstance(asked.field_schema, models.KeywordIndexParams):
        kind, told = engine.PayloadSchemaType.Keyword, models.PayloadSchemaType.KEYWORD
    elif isinstance(asked.field_schema, models.DatetimeIndexParams):
        kind, told = engine.PayloadSchemaType.Datetime, models.PayloadSchemaType.DATETIME
    else:
        raise ValueError("the fake server knows indexes of keywords and of moments alone")
    collection.shard.update(engine.UpdateOperation.create_field_index(asked.field_name, kind))
    collection.indexes[asked.field_name] = models.PayloadIndexInfo(data_type=told, params=asked.field_schema, points=0)
    return _DONE


# --- Reading
def _facet(collection: Collection, body: bytes) -> models.FacetResponse:
    asked = models.FacetRequest.model_validate_json(body)
    if asked.key not in collection.indexes:
        raise ValueError(f"No appropriate index for faceting: `{asked.key}`.")
    request = engine.FacetRequest(
        asked.key, limit=asked.limit or 10, exact=bool(asked.exact), filter=wire.condition(asked.filter)
    )
    hits = collection.shard.facet(request).hits
    return models.FacetResponse(hits=[models.FacetValueHit(value=hit.value, count=hit.count) for hit in hits])


def _count(collection: Collection, body: bytes) -> models.CountResult:
    asked = models.CountRequest.model_validate_json(body)
    return models.CountResult(count=collection.shard.count(engine.CountRequest(filter=wire.condition(asked.filter))))


def _scroll(collection: Collection, body: bytes) -> dict[str, object]:
    asked = models.ScrollRequest.model_validate_json(body)
    request = engine.ScrollRequest(
        offset=None if asked.offset is None else wire.ids([asked.offset])[0],
        limit=asked.limit or 10,
        filter=wire.condition(asked.filter),
        with_payload=wire.selector(asked.with_payload, default=True),
        with_vector=wire.with_vector(asked.with_vector),
    )
    records, following = collection.shard.scroll(request)
    return {"points": [wire.record(each) for each in records], "next_page_offset": following}


def _retrieve(collection: Collection, body: bytes) -> list[object]:
    asked = models.PointRequest.model_validate_json(body)
    payload, vector = wire.selector(asked.with_payload, default=True), wire.with_vector(asked.with_vector)
    return [wire.record(each) for each in collection.shard.retrieve(wire.ids(asked.ids), payload, vector)]


# --- Writing
def _upsert(collection: Collection, body: bytes) -> models.UpdateResult:
    points = wire.points(_INSERT.validate_json(body))
    collection.shard.update(engine.UpdateOperation.upsert_points(points))
    return _DONE


def _update_vectors(collection: Collection, body: bytes) -> models.UpdateResult:
    """Like the server it writes those that are there, and then says which one is not."""
    asked = models.UpdateVectors.model_validate_json(body)
    by_id = dict(zip(wire.ids([each.id for each in asked.points]), asked.points, strict=True))
    there = {record.id for record in collection.shard.retrieve(list(by_id), False, False)}
    updates = [engine.PointVectors(each, wire.vector(by_id[each].vector)) for each in by_id if each in there]
    collection.shard.update(engine.UpdateOperation.update_vectors(updates))
    if missing := [each for each in by_id if each not in there]:
        raise RefusedRequest(404, f"Not found: No point with id {missing[0]} found")
    return _DONE


def _delete(collection: Collection, body: bytes) -> models.UpdateResult:
    asked = _SELECTOR.validate_json(body)
    if isinstance(asked, models.PointIdsList):
        operation = engine.UpdateOperation.delete_points(wire.ids(asked.points))
    else:
        operation = engine.UpdateOperation.delete_points_by_filter(wire.condition(asked.filter) or engine.Filter())
    collection.shard.update(operation)
    return _DONE


def _set_payload(collection: Collection, body: bytes) -> models.UpdateResult:
    asked = models.SetPayload.model_validate_json(body)
    chosen = wire.condition(asked.filter) or engine.Filter()
    collection.shard.update(engine.UpdateOperation.set_payload_by_filter(chosen, asked.payload))
    return _DONE


def _refusal(reason: str) -> bytes:
    return to_json({"status": {"error": reason}, "time": 0.0})
