"""From a question to the passages that may answer it."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import TypeVar

from auth.principal import Principal
from retrieval.answerability import Calibration, Verdict, judge
from retrieval.attached import NOTHING_ATTACHED, AttachedPassages, merge_attached
from retrieval.calibration import Calibrations
from retrieval.index import ALL, Filters, PassageIndex
from retrieval.lexical import make_embedding_text
from retrieval.question import Question
from retrieval.ranking import CANDIDATES
from retrieval.selection import add_scores, count_within_budget, drop_repeats, join_neighbours, order_by_best_sentence
from utils.errors import ProviderError
from utils.long_texts import process_text
from utils.observers import StoreObservers
from utils.passages import Hit
from utils.ports import Embedder, FloatArray, Reranker, StoreObserver
from utils.shorthand import spell_out

logger = logging.getLogger(__name__)
T = TypeVar("T")

_SPARE = 2  # times as many as wanted are looked at: some are dropped as duplicates, some become one
_AT_ONCE = 32_000  # characters of passages, see `process_text`
_RERANKED = 30  # passages a reranker is shown


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What a search is limited to, and what it prefers.

    `priorities` by dataset id are added to the fused score, which counts in standard deviations of the candidates: with
    0.5 a passage passes others that are half a deviation better. Negative ones hold back. `context` are words of the
    conversation before: the question is searched for with and without them, and both scores count. `continued` are ids
    of documents that the conversation is about: others are shown where these do not answer. `attached` is searched
    too, or alone where the question is `about_attached`; filters do not apply to it. `further`: so many passages more
    than the limit are given, within `MAX_CHARACTERS` for all; they have no say in the verdict.
    """

    filters: Filters = ALL
    priorities: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    context: str = ""
    continued: frozenset[str] = frozenset()
    attached: AttachedPassages = NOTHING_ATTACHED
    about_attached: bool = False
    further: int = 0


PLAIN = SearchOptions()
INDEX_IS_FILLED = "The search index was damaged and is being filled again: passages may be missing."


@dataclass(frozen=True, slots=True)
class SearchStage:
    """What a stage of a search left, best first, and how long it took."""

    name: str
    duration_s: float
    hits: Sequence[Hit]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Passages for a question, best first, maybe none; the `verdict` is whether they hold an answer.

    `degraded` says what was missing when the ranking is worse than it could be, None otherwise. `is_index_whole`: False
    while a lost index is filled again, so that nothing is said by what is not found. `stages` are those the
    search went through: `embedding`, `index`, `sentences`, where they apply `priorities` and `rerank`, and `selection`.
    """

    hits: Sequence[Hit]
    degraded: str | None
    verdict: Verdict
    stages: Sequence[SearchStage]
    is_index_whole: bool = True


@dataclass(frozen=True, slots=True)
class Retriever:
    """Hybrid search: the question's vector from *embedder*, both rankings from *index*, put in order by *reranker*."""

    embedder: Embedder
    index: PassageIndex
    stores: StoreObserver = field(default_factory=StoreObservers)
    reranker: Reranker | None = None
    calibrations: Calibrations | None = None  # for a model that none is fixed for

    async def search(
        self, ctx: Principal, question: str, *, limit: int, options: SearchOptions = PLAIN
    ) -> SearchResult:
        """The best passages of the caller's tenant, at most *limit* and those `further`.

        The same text is given once, neighbours as one passage.

        When the embedder fails they are found by their words alone, and when the reranker fails they stay in the order
        of the fused score; `degraded` says so.
        """
        course, question = _Course(), spell_out(question)
        questions = [f"{question} ({options.context})", question] if options.context else [question]
        parsed = [Question(each) for each in questions]
        was_whole = self.index.is_whole
        rankings, degraded = [], []
        for each in parsed:
            ranking, without_vector = await self._rank(ctx, each, limit, options, course)
            rankings.append(ranking)
            degraded.append(without_vector)
        estimated = self.calibrations.get(ctx) if self.calibrations else None
        if options.continued:
            own = partial(self._stay_in, options.continued, parsed[0], rankings, limit, estimated)
            rankings = list(await self._process(own, rankings[0]))
        hits = add_scores(rankings)
        if options.priorities:
            hits = course.note_stage("priorities", _prefer_language(hits, options.priorities))
        if self.reranker is not None and len(hits) > 1:
            ranked, without_reranker = await self._rerank(self.reranker, parsed[0].text, hits)
            hits = course.note_stage("rerank", ranked)
            degraded.append(without_reranker)
        found = hits
        selected = course.note_stage(
            "selection", await self._process(lambda: _select(found, limit, options.further), found)
        )
        judged = (rankings[0] if options.context else hits)[:limit]

        def look() -> Verdict:
            verdict = judge(parsed[0], judged, model=self.embedder.model, estimated=estimated)
            if not options.context:
                return verdict
            alone = judge(parsed[1], rankings[1][:limit], model=self.embedder.model, estimated=estimated)
            if parsed[1].names_more_than([hit.passage for hit in judged]):
                return alone
            # Words of the conversation find passages for anything: "asdf qwer" after a question about rent.
            return replace(verdict, is_sure=verdict.is_sure and alone.is_sure)

        verdict = await self._process(look, judged)
        is_whole = was_whole and self.index.is_whole  # a search may be what finds the damage
        degraded.append(None if is_whole else INDEX_IS_FILLED)
        notice = " ".join(dict.fromkeys(filter(None, degraded))) or None
        return SearchResult(selected, notice, verdict, course.stages, is_whole)

    def _stay_in(
        self,
        documents: frozenset[str],
        question: Question,
        rankings: Sequence[Sequence[Hit]],
        limit: int,
        estimated: Calibration | None,
    ) -> Sequence[Sequence[Hit]]:
        """The *rankings* of *documents* alone where these may answer *question*, else all of them."""
        own = [[hit for hit in ranking if hit.passage.document_id in documents] for ranking in rankings]
        may_answer = judge(question, own[0][:limit], model=self.embedder.model, estimated=estimated).answerable
        return own if may_answer else rankings

    async def _rank(
        self, ctx: Principal, question: Question, limit: int, options: SearchOptions, course: "_Course"
    ) -> tuple[Sequence[Hit], str | None]:
        """The candidates for *question*, best first, and what was missing."""
        vector, without_vector = await self._embed_question(question.text)
        course.note_stage("embedding", [])
        hits = course.note_stage("index", await self._find_candidates(ctx, question.text, vector, limit, options))
        ordered = await self._process(partial(order_by_best_sentence, question, hits), hits)
        return course.note_stage("sentences", ordered), without_vector

    async def _process(self, work: Callable[[], T], hits: Sequence[Hit]) -> T:
        return await process_text(work, characters=sum(len(hit.passage.text) for hit in hits), at_once=_AT_ONCE)

    async def _find_candidates(
        self, ctx: Principal, question: str, vector: FloatArray | None, limit: int, options: SearchOptions
    ) -> Sequence[Hit]:
        depth = max(limit * _SPARE + options.further, _RERANKED if self.reranker else 0)
        attached = options.attached
        if not attached:
            return await self._ask_index(ctx, question, vector, depth, options.filters)
        # As many as the index compares with each other, for the scores of both to mean the same.
        index_depth = 0 if options.about_attached else max(depth, CANDIDATES)
        hits = await self._ask_index(ctx, question, vector, index_depth, options.filters) if index_depth else []
        comparable = vector if attached.model == self.embedder.model else None
        merge = partial(merge_attached, hits, attached, question, comparable, limit=depth)
        return await process_text(merge, characters=attached.characters, at_once=_AT_ONCE)

    async def _ask_index(
        self, ctx: Principal, question: str, vector: FloatArray | None, limit: int, filters: Filters
    ) -> Sequence[Hit]:
        began_s, succeeded = time.perf_counter(), False
        try:
            hits = await self.index.search(ctx, question, vector, limit=limit, filters=filters)
            succeeded = True
        finally:
            self.stores.note_duration("index", "search", time.perf_counter() - began_s, succeeded=succeeded)
        return hits

    async def _embed_question(self, question: str) -> tuple[FloatArray | None, str | None]:
        try:
            return await self.embedder.embed_query(question), None
        except ProviderError as exc:
            logger.warning("Searching by words alone: the embedding model failed.", exc_info=exc)
            return None, "The embedding model did not answer: passages were found by their words alone."

    async def _rerank(self, reranker: Reranker, question: str, hits: Sequence[Hit]) -> tuple[Sequence[Hit], str | None]:
        top = hits[:_RERANKED]
        try:
            scores = await reranker.rerank(question, [make_embedding_text(hit.passage) for hit in top])
        except ProviderError as exc:
            logger.warning("Searching without the reranker: it failed.", exc_info=exc)
            return hits, "The reranker did not answer: passages are in the order of the search alone."
        scored = [replace(hit, score=score) for hit, score in zip(top, scores, strict=True)]
        return [*_sort_by_score(scored), *hits[_RERANKED:]], None


def _select(hits: Sequence[Hit], limit: int, further: int) -> Sequence[Hit]:
    """What is given of those *hits*: *limit* of them, and *further* ones within a budget of characters."""
    selected = join_neighbours(drop_repeats(hits), limit=limit + further)
    return selected[: count_within_budget([len(hit.passage.text) for hit in selected], least=limit)]


class _Course:
    """The stages of a search as they pass."""

    def __init__(self) -> None:
        self.stages: list[SearchStage] = []
        self._since_s = time.perf_counter()

    def note_stage(self, name: str, hits: Sequence[Hit]) -> Sequence[Hit]:
        """*hits*, which the stage *name* left just now."""
        now_s = time.perf_counter()
        self.stages.append(SearchStage(name, now_s - self._since_s, hits))
        self._since_s = now_s
        return hits


def _prefer_language(hits: Sequence[Hit], priorities: Mapping[str, float]) -> list[Hit]:
    return _sort_by_score([replace(hit, score=hit.score + priorities.get(hit.passage.dataset_id, 0.0)) for hit in hits])


def _sort_by_score(hits: Sequence[Hit]) -> list[Hit]:
    return sorted(hits, key=lambda hit: -hit.score)
