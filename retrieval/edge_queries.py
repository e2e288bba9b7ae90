"""The queries of one search in Qdrant's engine, in three calls of it."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

import qdrant_edge as engine

from auth.principal import Principal
from retrieval.index import Filters
from retrieval.lexical import Terms
from retrieval.ranking import LANGUAGE, MEANING, TENANT, WORDS, Candidates
from utils.ports import FloatArray

Condition = engine.HasIdCondition | engine.FieldCondition | engine.Filter


def make_tenant_filter(ctx: Principal, *also: Any) -> engine.Filter:
    """The tenant filter: the only place it is written."""
    return engine.Filter(must=[engine.FieldCondition(TENANT, match=engine.MatchValue(ctx.tenant_id)), *also])


def make_condition(name: str, values: Sequence[str]) -> engine.FieldCondition:
    """The points whose field *name* has one of *values*."""
    return engine.FieldCondition(name, match=engine.MatchAny(list(values)))


def make_sparse_vector(terms: Terms) -> engine.SparseVector:
    """*terms* as the engine wants them."""
    return engine.SparseVector(terms.indices, terms.values)


def parse_point_id(point: engine.ScoredPoint | engine.Record) -> UUID:
    """All our points have UUIDs; the engine knows numbers too."""
    return cast(UUID, point.id)


@dataclass(slots=True)
class Search:
    """A search of one tenant's passages, for which each ranking proposes *depth*.

    `ids` are those of the points that were found: making a UUID anew takes as long as scoring a point.
    """

    shard: engine.EdgeShard
    ctx: Principal
    depth: int
    filters: Filters
    ids: dict[int, UUID] = field(default_factory=dict)

    def merge_candidates(self, terms: Terms, vector: FloatArray | None, languages: Sequence[str]) -> Candidates[int]:
        """What the words propose and, with a *vector*, the meaning in each of *languages*, scored by both."""
        candidates, query = Candidates[int](), [] if vector is None else vector.tolist()
        spoken = list(languages) if query else []
        # Each language proposes its own: a model places the passages of the question's language nearer.
        self._take(
            candidates,
            spoken,
            [self._make_meaning_query(query, language, *self._make_conditions()) for language in spoken],
        )
        most = max(Counter(candidates.languages.values()).values(), default=0)
        candidates.lexical = self._score_words(terms, candidates.dense, one_by_one=most < self.depth)
        if missing := candidates.lexical.keys() - candidates.dense.keys():
            among = self._make_id_condition(missing)
            self._take(candidates, spoken, [self._make_meaning_query(query, language, among) for language in spoken])
        return candidates

    def _score_words(self, terms: Terms, dense: Collection[int], *, one_by_one: bool) -> dict[int, float]:
        """What the words propose, and the scores of *dense* too; none means no common word.

        Asked *one_by_one*, the second is left out where the words do not propose all they may: then they left out none.
        In one call the engine counts the frequencies of the words once.
        """
        proposed = self._make_word_query(terms, self.depth, *self._make_conditions())
        if one_by_one:
            [scores] = self._ask([proposed])
            if len(scores) < self.depth or not dense:
                return scores
            [theirs] = self._ask([self._make_word_query(terms, len(dense), self._make_id_condition(dense))])
        else:
            scores, theirs = self._ask(
                [proposed, self._make_word_query(terms, len(dense), self._make_id_condition(dense))]
            )
        return theirs | scores

    def _take(self, found: Candidates[int], languages: Sequence[str], requests: list[engine.QueryRequest]) -> None:
        for language, scores in zip(languages, self._ask(requests), strict=True):
            found.dense |= scores
            found.languages |= dict.fromkeys(scores, language)

    def _make_conditions(self) -> list[Condition]:
        past: list[Any] = [
            engine.FieldCondition(name, range=engine.RangeDateTime(**{compared: day}))
            for name, compared, day in self.filters.iter_exclusions()
        ]
        chosen = [make_condition(name, values) for name, values in self.filters.list_conditions()]
        return [*chosen, engine.Filter(must_not=past)]

    def _make_id_condition(self, points: Iterable[int]) -> engine.HasIdCondition:
        return engine.HasIdCondition({self.ids[point] for point in points})

    def _make_meaning_query(self, query: list[float], language: str, *only: Condition) -> engine.QueryRequest:
        spoken = engine.FieldCondition(LANGUAGE, match=engine.MatchValue(language))
        nearest = engine.Query.Nearest(query, using=MEANING)
        return engine.QueryRequest(limit=self.depth, query=nearest, filter=make_tenant_filter(self.ctx, spoken, *only))

    def _make_word_query(self, terms: Terms, limit: int, *only: Condition) -> engine.QueryRequest:
        nearest = engine.Query.Nearest(make_sparse_vector(terms), using=WORDS)
        # Document frequencies of the tenant's own passages: others' texts must not move its ranking.
        params = engine.SearchParams(idf=engine.IdfParams(make_tenant_filter(self.ctx)))
        return engine.QueryRequest(
            limit=limit, query=nearest, filter=make_tenant_filter(self.ctx, *only), params=params
        )

    def _ask(self, requests: list[engine.QueryRequest]) -> list[dict[int, float]]:
        """The scores of the points that each of *requests* finds."""
        if not requests:
            return []
        return [self._read_scores(points) for points in self.shard.query_batch(engine.QueryBatchRequest(requests))]

    def _read_scores(self, points: Sequence[engine.ScoredPoint]) -> dict[int, float]:
        ids = [parse_point_id(point) for point in points]
        keys = [each.int for each in ids]
        self.ids.update(zip(keys, ids, strict=True))
        return dict(zip(keys, [point.score for point in points], strict=True))
