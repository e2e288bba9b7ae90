"""Between Qdrant's wire format, as the client's models have it, and the objects of the engine in this process.

Only what clients of these tests send is known; anything else is refused as a bad request, so that nothing is ignored.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import qdrant_edge as engine
from qdrant_client import models

_DISTANCES = {
    models.Distance.COSINE: engine.Distance.Cosine,
    models.Distance.DOT: engine.Distance.Dot,
    models.Distance.EUCLID: engine.Distance.Euclid,
    models.Distance.MANHATTAN: engine.Distance.Manhattan,
}


def shard_config(asked: models.CreateCollection) -> engine.EdgeConfig:
    """The configuration of a shard for a collection."""
    named = {"": asked.vectors} if isinstance(asked.vectors, models.VectorParams) else asked.vectors or {}
    sparse = asked.sparse_vectors or {}
    return engine.EdgeConfig(
        vectors={name: engine.EdgeVectorParams(each.size, _DISTANCES[each.distance]) for name, each in named.items()},
        sparse_vectors={
            name: engine.EdgeSparseVectorParams(modifier=engine.Modifier.Idf if each.modifier else None)
            for name, each in sparse.items()
        },
        wal_enabled=False,
    )


def points(asked: models.PointsList | models.PointsBatch) -> list[engine.Point]:
    """The points of an upsert in either of its forms."""
    if isinstance(asked, models.PointsList):
        return [engine.Point(_id(each.id), vector(each.vector), each.payload) for each in asked.points]
    batch = asked.batch
    payloads: Sequence[models.Payload | None] = batch.payloads or [None] * len(batch.ids)
    by_name: Mapping[str, Any] = batch.vectors if isinstance(batch.vectors, dict) else {"": batch.vectors}
    return [
        engine.Point(_id(each), vector({name: column[at] for name, column in by_name.items()}), payloads[at])
        for at, each in enumerate(batch.ids)
    ]


def vector(asked: object) -> Any:
    """A vector, or several by name."""
    if isinstance(asked, dict):
        return {name: vector(each) for name, each in asked.items()}
    if isinstance(asked, models.SparseVector):
        return engine.SparseVector(asked.indices, asked.values)
    if isinstance(asked, list):
        return asked
    raise _unknown(asked)


def query(asked: models.QueryRequest) -> engine.QueryRequest:
    """A query with all its candidates' queries."""
    return engine.QueryRequest(
        limit=asked.limit or 10,
        offset=asked.offset,
        query=_scoring(asked.query, asked.using),
        prefetches=_prefetches(asked.prefetch),
        with_payload=selector(asked.with_payload, default=False),
        with_vector=with_vector(asked.with_vector),
        filter=condition(asked.filter),
        score_threshold=asked.score_threshold,
        params=_params(asked.params),
    )


def condition(asked: models.Filter | None) -> engine.Filter | None:
    """A filter; None selects everything."""
    if asked is None:
        return None
    if asked.min_should is not None:
        raise _unknown(asked.min_should)
    return engine.Filter(must=_all(asked.must), should=_all(asked.should), must_not=_all(asked.must_not))


def ids(asked: Sequence[models.ExtendedPointId]) -> list[Any]:
    """Point ids: UUIDs and numbers."""
    return [_id(each) for each in asked]


def selector(asked: models.WithPayloadInterface | None, *, default: bool) -> Any:
    """Which fields of the payload to give back."""
    if isinstance(asked, models.PayloadSelectorInclude):
        return asked.include
    if isinstance(asked, models.PayloadSelectorExclude):
        raise _unknown(asked)
    return default if asked is None else asked


def with_vector(asked: models.WithVector | None) -> Any:
    """Which vectors to give back."""
    if isinstance(asked, str):
        return [asked]
    return asked or False


def record(found: engine.Record | engine.ScoredPoint) -> dict[str, Any]:
    """A point as JSON can hold it."""
    known: Any = found.vector
    scored = {"score": found.score, "version": 0} if isinstance(found, engine.ScoredPoint) else {}
    return {"id": found.id, "payload": found.payload, "vector": _plain(known)} | scored


def _plain(found: Any) -> Any:
    if isinstance(found, engine.SparseVector):
        return {"indices": found.indices, "values": found.values}
    if isinstance(found, dict):
        return _plain(found[""]) if list(found) == [""] else {name: _plain(each) for name, each in found.items()}
    return found


def _id(asked: models.ExtendedPointId) -> Any:
    return uuid.UUID(asked) if isinstance(asked, str) else asked


def _scoring(asked: object, using: str | None) -> Any:
    match asked:
        case None:
            return None
        case models.NearestQuery():
            return engine.Query.Nearest(vector(asked.nearest), using=using)
        case models.FusionQuery():
            return engine.Fusion.Rrf(2) if asked.fusion == models.Fusion.RRF else engine.Fusion.Dbsf()
    return engine.Query.Nearest(vector(asked), using=using)


def _prefetches(asked: Sequence[models.Prefetch] | models.Prefetch | None) -> list[engine.Prefetch]:
    listed = [asked] if isinstance(asked, models.Prefetch) else asked or []
    return [
        engine.Prefetch(
            limit=each.limit or 10,
            query=_scoring(each.query, each.using),
            prefetches=_prefetches(each.prefetch),
            params=_params(each.params),
            filter=condition(each.filter),
            score_threshold=each.score_threshold,
        )
        for each in listed
    ]


def _params(asked: models.SearchParams | None) -> engine.SearchParams | None:
    if asked is None:
        return None
    idf = engine.IdfParams(condition(asked.idf.corpus)) if isinstance(asked.idf, models.IdfCorpusParams) else None
    return engine.SearchParams(exact=bool(asked.exact), idf=idf)


def _all(asked: Sequence[models.Condition] | models.Condition | None) -> list[Any] | None:
    if asked is None:
        return None
    return [_condition(each) for each in (asked if isinstance(asked, list) else [asked])]


def _condition(asked: object) -> Any:
    match asked:
        case models.Filter():
            return condition(asked)
        case models.HasIdCondition():
            return engine.HasIdCondition(set(ids(asked.has_id)))
        case models.HasVectorCondition():
            return engine.HasVectorCondition(asked.has_vector)
        case models.FieldCondition(match=models.MatchValue() as wanted):
            return engine.FieldCondition(asked.key, match=engine.MatchValue(wanted.value))
        case models.FieldCondition(match=models.MatchAny() as wanted):
            return engine.FieldCondition(asked.key, match=engine.MatchAny([str(each) for each in wanted.any]))
        case models.FieldCondition(range=models.DatetimeRange() as wanted):
            limits = {name: each.isoformat() for name in ("lt", "gt") if (each := getattr(wanted, name))}
            return engine.FieldCondition(asked.key, range=engine.RangeDateTime(**limits))
        case models.FieldCondition(match=models.MatchText() as wanted):
            return engine.FieldCondition(asked.key, match=engine.MatchText(wanted.text))
    raise _unknown(asked)


def _unknown(asked: object) -> ValueError:
    return ValueError(f"the fake server does not know {type(asked).__name__}")
