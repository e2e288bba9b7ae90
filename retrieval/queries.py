"""The queries of one search on a Qdrant server, all in one request, as its REST interface has them.

Written out rather than built of qdrant-client's models, which take 20 times as long; tests hold them against those.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from qdrant_client import models

from auth.principal import Principal
from retrieval.index import Filters
from retrieval.lexical import Terms
from retrieval.ranking import CANDIDATES, LANGUAGE, MEANING, TENANT, WORDS, Candidates, make_payload, make_point_id
from utils.passages import Passage
from utils.ports import FloatArray

Json = dict[str, Any]


def make_tenant_filter(ctx: Principal, *also: Any) -> models.Filter:
    """The tenant filter for the client: here and in `make_tenant_filter_json` are the only places it is written."""
    return models.Filter(must=[models.FieldCondition(key=TENANT, match=models.MatchValue(value=ctx.tenant_id)), *also])


def make_tenant_filter_json(ctx: Principal, *also: Json) -> Json:
    """The tenant filter as it is sent."""
    return {"must": [_is(TENANT, ctx.tenant_id), *also]}


def make_pending_filter(ctx: Principal) -> models.Filter:
    """The tenant's passages that wait for their vector."""
    return models.Filter(must=[make_tenant_filter(ctx)], must_not=[models.HasVectorCondition(has_vector=MEANING)])


def make_point(ctx: Principal, passage: Passage, terms: Terms) -> models.PointStruct:
    """A passage with its words, without its vector: replacing one takes the vector of the old text away."""
    words = models.SparseVector(indices=terms.indices, values=terms.values)
    vectors: dict[str, models.Vector] = {WORDS: words} if terms.indices else {}
    return models.PointStruct(
        id=str(make_point_id(ctx, passage.passage_id)), vector=vectors, payload=make_payload(ctx, passage)
    )


@dataclass(frozen=True, slots=True)
class IndexQuery:
    """One search, as the port has it."""

    ctx: Principal
    question: str
    vector: FloatArray | None
    limit: int
    filters: Filters

    @property
    def depth(self) -> int:
        """How many each ranking is to propose."""
        return max(self.limit, CANDIDATES)


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """A question as queries for the best passages by words and, in each of `languages`, by meaning.

    What one ranking proposes is scored by the other in the same request: the second half of the queries takes the first
    half's results for its candidates. `vector` is None, or `languages` empty, where words alone are to be searched.
    """

    query: IndexQuery
    terms: Terms
    vector: orjson.Fragment | None
    languages: Sequence[str]
    idf_by_tenant: bool

    def make_requests(self) -> list[Json]:
        """The queries, maybe none: a question may have no words to search."""
        by_words = [self._make_word_query(self.query.depth)] if self.terms.indices else []
        spoken = self.languages if self.vector is not None else ()
        # Each language proposes its own: a model places the passages of the question's language nearer.
        by_meaning = [self._make_meaning_query(_is(LANGUAGE, language)) for language in spoken]
        requests = by_words + by_meaning
        if by_words and by_meaning:
            # Without a condition on the language: the engine would hand it on to the candidates and propose others.
            # So each says which language it is in; of the others that is known.
            requests.append(self._make_meaning_query() | {"prefetch": by_words, "with_payload": [LANGUAGE]})
            # No score for a passage means no common word.
            requests.append(self._make_word_query(self.query.depth * len(by_meaning)) | {"prefetch": by_meaning})
        return requests

    def merge_candidates(self, requests: Sequence[Json], answers: Iterable[Mapping[str, Any]]) -> Candidates[str]:
        """What the *answers* to *requests*, in their order, propose."""
        candidates, languages = Candidates[str](), iter(self.languages)
        for request, answer in zip(requests, answers, strict=True):
            scores = {point["id"]: point["score"] for point in answer["points"]}
            if request["using"] == WORDS:
                candidates.lexical |= scores
            elif "with_payload" not in request:
                candidates.dense |= scores
                candidates.languages |= dict.fromkeys(scores, next(languages))
            else:
                spoken = {point["id"]: point["payload"][LANGUAGE] for point in answer["points"]}
                candidates.languages |= spoken
                # Not those in languages that are too rare to be asked apart.
                candidates.dense |= {key: score for key, score in scores.items() if spoken[key] in self.languages}
        return candidates

    def _make_word_query(self, limit: int) -> Json:
        query = {"indices": self.terms.indices, "values": self.terms.values}
        # Document frequencies of the tenant's own passages: others' texts must not move its ranking.
        params = {"params": {"idf": {"corpus": make_tenant_filter_json(self.query.ctx)}}} if self.idf_by_tenant else {}
        return {"query": query, "using": WORDS, "filter": self._make_filter(), "limit": limit} | params

    def _make_meaning_query(self, *also: Json) -> Json:
        return {"query": self.vector, "using": MEANING, "filter": self._make_filter(*also), "limit": self.query.depth}

    def _make_filter(self, *also: Json) -> Json:
        chosen = [{"key": field, "match": {"any": values}} for field, values in self.query.filters.list_conditions()]
        past = [
            {"key": field, "range": {compared: day}} for field, compared, day in self.query.filters.iter_exclusions()
        ]
        return make_tenant_filter_json(self.query.ctx, *chosen, {"must_not": past}, *also)


def _is(field: str, value: str) -> Json:
    return {"key": field, "match": {"value": value}}
