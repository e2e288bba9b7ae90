"""The queries of one search on a Qdrant server, all in one request."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from qdrant_client import models

from retrieval.lexical import Terms
from retrieval.ranking import LANGUAGE, MEANING, TENANT, WORDS, Candidates
from utils.context import TenantContext


def owned(ctx: TenantContext, *also: Any) -> models.Filter:
    """The tenant filter: the only place it is written."""
    return models.Filter(must=[models.FieldCondition(key=TENANT, match=models.MatchValue(value=ctx.tenant_id)), *also])


def sparse(terms: Terms) -> models.SparseVector:
    """*terms* as the client wants them."""
    return models.SparseVector(indices=terms.indices, values=terms.values)


@dataclass(frozen=True, slots=True)
class Plan:
    """A question as queries for the `wanted` best passages by words and, in each of `languages`, by meaning.

    What one ranking proposes is scored by the other in the same request: the second half of the queries takes the first
    half's results for its candidates. `vector` is None, or `languages` empty, where words alone are to be searched.
    """

    ctx: TenantContext
    terms: Terms
    vector: list[float] | None
    languages: Sequence[str]
    wanted: int
    idf_by_tenant: bool

    def requests(self) -> list[models.QueryRequest]:
        """The queries, maybe none: a question may have no words to search."""
        by_words, by_meaning = bool(self.terms.indices), self.vector is not None and bool(self.languages)
        requests = [self._words()] if by_words else []
        if by_meaning:
            requests += [self._meaning(_spoken(language)) for language in self.languages]
        if by_words and by_meaning:
            requests += [self._meaning_of_words(), self._words_of_meaning()]
        return requests

    def candidates(
        self, requests: Sequence[models.QueryRequest], answers: Iterable[models.QueryResponse]
    ) -> Candidates:
        """What the *answers* to *requests*, in their order, propose."""
        found = Candidates()
        for request, answer in zip(requests, answers, strict=True):
            scores = found.lexical if request.using == WORDS else found.dense
            for point in answer.points:
                key, language = uuid.UUID(str(point.id)), (point.payload or {}).get(LANGUAGE)
                if language is None or language in self.languages:
                    scores[key] = point.score
                if language is not None:
                    found.languages[key] = language
        return found

    def _words(self, prefetch: list[models.Prefetch] | None = None, limit: int | None = None) -> models.QueryRequest:
        return models.QueryRequest(
            query=sparse(self.terms),
            using=WORDS,
            filter=owned(self.ctx),
            params=self._params(),
            limit=limit or self.wanted,
            prefetch=prefetch,
        )

    def _meaning(
        self, *also: models.FieldCondition, prefetch: list[models.Prefetch] | None = None
    ) -> models.QueryRequest:
        return models.QueryRequest(
            query=self.vector,
            using=MEANING,
            filter=owned(self.ctx, *also),
            limit=self.wanted,
            with_payload=[LANGUAGE],
            prefetch=prefetch,
        )

    def _meaning_of_words(self) -> models.QueryRequest:
        # Without a condition on the language: the engine would hand it on to the candidates and propose others.
        prefetch = models.Prefetch(
            query=sparse(self.terms),
            using=WORDS,
            filter=owned(self.ctx),
            params=self._params(),
            limit=self.wanted,
        )
        return self._meaning(prefetch=[prefetch])

    def _words_of_meaning(self) -> models.QueryRequest:
        """No score for a passage means no common word."""
        # Each language proposes its own: a model places the passages of the question's language nearer.
        prefetches = [
            models.Prefetch(
                query=self.vector, using=MEANING, filter=owned(self.ctx, _spoken(language)), limit=self.wanted
            )
            for language in self.languages
        ]
        return self._words(prefetches, limit=self.wanted * len(prefetches))

    def _params(self) -> models.SearchParams | None:
        """Document frequencies of the tenant's own passages: others' texts must not move its ranking."""
        if not self.idf_by_tenant:
            return None
        return models.SearchParams(idf=models.IdfCorpusParams(corpus=owned(self.ctx)))


def _spoken(language: str) -> models.FieldCondition:
    return models.FieldCondition(key=LANGUAGE, match=models.MatchValue(value=language))
