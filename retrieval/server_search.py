"""A search in the collections of a Qdrant server."""

import asyncio
import re
from collections.abc import Sequence

from qdrant_client import AsyncQdrantClient

from auth.principal import DEFAULT_TENANT
from retrieval.langchain import ScoredDocument, join
from retrieval.languages import Languages
from retrieval.layout import Layout
from retrieval.lexical import Lexicon, RememberingLexicon
from retrieval.qdrant import translate_errors
from retrieval.queries import IndexQuery, QueryPlan
from retrieval.ranking import Candidates, make_hits, parse_passage, rank
from retrieval.wire import Wire, write_vector
from utils.passages import Hit, Passage

_WORD = re.compile(r"\w+")


class ServerSearch:
    """Searches our collection, and with it the one that was written with LangChain, where there is one."""

    def __init__(self, client: AsyncQdrantClient, wire: Wire, lexicon: Lexicon, languages: Languages) -> None:
        self._client, self._wire, self._lexicon, self._languages = client, wire, lexicon, languages
        self._joining_lexicon = RememberingLexicon()

    async def search(self, at: Layout, query: IndexQuery) -> list[Hit]:
        """The best passages, best first."""
        if at.foreign is not None and query.ctx.tenant_id == DEFAULT_TENANT:
            return await self._search_both(at, query)
        ranked = rank(await self._find_candidates(at, query), query.question, limit=query.limit)
        return make_hits(ranked, await self._fetch_passages(at, [item.point for item in ranked]))

    async def _search_both(self, at: Layout, query: IndexQuery) -> list[Hit]:
        own = await self._find_candidates(at, query)
        foreign = await self._search_foreign(at, query)
        passages = await self._fetch_passages(at, [*(own.lexical.keys() | own.dense.keys())])
        # Up to 30 ms of stemming for 300 passages it has not seen lately, which is not the event loop's to do.
        joined = await asyncio.to_thread(join, own, passages, foreign, query.question, self._joining_lexicon)
        passages |= {point: hit.passage for point, hit in foreign.items()}
        return make_hits(rank(joined, query.question, limit=query.limit), passages)

    async def _find_candidates(self, at: Layout, query: IndexQuery) -> Candidates[str]:
        languages = [] if query.vector is None else await self._languages.find(query.ctx)
        plan = QueryPlan(
            query,
            self._lexicon.make_question_terms(query.question),
            None if query.vector is None else write_vector(query.vector),
            languages,
            idf_by_tenant=at.idf_by_tenant,
        )
        if not (requests := plan.make_requests()):
            return Candidates()
        answers = await self._wire.ask(at.own, "points/query/batch", {"searches": requests})
        with translate_errors():
            return plan.merge_candidates(requests, answers)

    async def _fetch_passages(self, at: Layout, points: Sequence[str]) -> dict[str, Passage]:
        """The passages of *points*, without those that were removed meanwhile."""
        if not points:
            return {}
        records = await self._wire.ask(at.own, "points", {"ids": points, "with_payload": True})
        with translate_errors():
            return {record["id"]: parse_passage(record["payload"]) for record in records}

    async def _search_foreign(self, at: Layout, query: IndexQuery) -> dict[str, ScoredDocument]:
        """What the foreign collection proposes; it has no fields of ours to be filtered by."""
        if at.foreign is None:
            return {}
        if query.vector is not None:
            documents = await at.foreign.find_near(self._wire, query.vector, limit=query.depth)
        else:
            words = [word for word in _WORD.findall(query.question) if self._lexicon.make_question_terms(word).indices]
            documents = await at.foreign.find_by_words(self._client, words)
        return {point: each for point, each in documents.items() if query.filters.allow(each.passage)}
