"""What a tenant's documents are about, and questions about them that are answered."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from agents.bots import BotConfig
from auth.principal import Principal
from prompts.small_talk import TOPICS_QUERY, make_example_questions
from retrieval.search import Retriever, SearchOptions
from utils.expiring import Expiring
from utils.passages import Hit, Passage

_LOOKED_AT = 24  # passages
_TITLES, _QUESTIONS, _TRIED = 8, 4, 12
_SHORT_TABLE = 4  # lines below its first one: it is quoted whole
_LONGEST = 60  # characters of a heading that reads well in a question
_KEPT, _KEPT_S = 1000, 120.0  # documents come in, and get their vectors, meanwhile


@dataclass(frozen=True, slots=True)
class TopicQuestion:
    """A question to which the search is sure to find the answer, in this document under this heading."""

    question: str
    heading: str
    document_id: str
    title: str


@dataclass(frozen=True, slots=True)
class Topics:
    """Titles of some documents, the languages of the documents, most of them first, and questions about them.

    All are empty without documents.
    """

    titles: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    questions: tuple[TopicQuestion, ...] = ()


class TopicFinder:
    """Finds topics, and keeps those of each bot, language and document for two minutes."""

    def __init__(self) -> None:
        self._cache: Expiring[tuple[str, str, str, str], Topics] = Expiring(_KEPT, _KEPT_S)

    async def find(
        self, retriever: Retriever, ctx: Principal, bot: BotConfig, language: str, document_id: str = ""
    ) -> Topics:
        """Topics of what *bot* searches, for a reader of *language*, one of "en", "es" and "id".

        The questions are about different documents; with *document_id*, about different headings of that one.
        """
        key = (ctx.tenant_id, bot.key, language, document_id)
        if (cached := self._cache.get(key)) is not None:
            return cached
        everything = SearchOptions(filters=bot.filters)
        looked_in = everything
        if document_id:
            looked_in = SearchOptions(filters=replace(bot.filters, document_ids=(document_id,)))
        hits = await _search_topics(retriever, ctx, language, looked_in)
        ask = partial(_find_questions, retriever, ctx, language=language, options=everything, limit=bot.top_k)
        if document_id:
            in_order = sorted(_iter_headings(hits), key=lambda passage: passage.start)
            questions = await ask(in_order, max_of_each=_QUESTIONS)
        else:
            # A heading of another language makes half a question of it: only where there is nothing else.
            in_language = SearchOptions(filters=replace(bot.filters, languages=(language,)))
            own = await _search_topics(retriever, ctx, language, in_language)
            questions = await ask(_alternate(own), max_of_each=1) or await ask(_alternate(hits), max_of_each=1)
        topics = Topics(
            tuple(dict.fromkeys(" ".join(hit.passage.title.split()) for hit in hits))[:_TITLES],
            tuple(code for code, _ in Counter(hit.passage.language for hit in hits).most_common()),
            questions,
        )
        if topics.titles:
            self._cache.put(key, topics)
        return topics


async def _search_topics(retriever: Retriever, ctx: Principal, language: str, options: SearchOptions) -> list[Hit]:
    """Passages of what visitors ask for most, each once, those in *language* first."""
    results = await asyncio.gather(
        *(retriever.search(ctx, query, limit=_LOOKED_AT, options=options) for query in TOPICS_QUERY.values())
    )
    hits = {hit.passage.passage_id: hit for each in results for hit in each.hits}
    return sorted(hits.values(), key=lambda hit: (hit.passage.language != language, -hit.score))


async def _find_questions(
    retriever: Retriever,
    ctx: Principal,
    passages: Sequence[Passage],
    *,
    language: str,
    options: SearchOptions,
    limit: int,
    max_of_each: int,
) -> tuple[TopicQuestion, ...]:
    """Questions about *passages* that are answered from these, at most *max_of_each* of a document."""
    questions = list[TopicQuestion]()
    for passage in sorted(passages, key=_makes_poor_question)[:_TRIED]:
        if sum(each.document_id == passage.document_id for each in questions) == max_of_each:
            continue
        heading = passage.last_heading
        for question in make_example_questions(passage.title, heading, language, passage.text):
            if await _is_found(retriever, ctx, question, passage, options, limit):
                questions.append(TopicQuestion(question, heading, passage.document_id, passage.title))
                break
        if len(questions) == _QUESTIONS:
            break
    return tuple(questions)


def _makes_poor_question(passage: Passage) -> bool:
    """A heading that is a question says less often what it is about, and is found less surely. What a table says on the
    whole is not answered by some of its rows."""
    return passage.heading.endswith("?") or passage.text.count("\n|") > _SHORT_TABLE


def _iter_headings(hits: Sequence[Hit]) -> Iterator[Passage]:
    """One passage of each heading of each document, of those under a heading of their own."""
    seen: set[tuple[str, str]] = set()
    for passage in (hit.passage for hit in hits):
        heading = passage.last_heading
        key = passage.document_id, heading
        if heading and heading != passage.title and len(heading) <= _LONGEST and key not in seen:
            seen.add(key)
            yield passage


def _alternate(hits: Sequence[Hit]) -> list[Passage]:
    """The first passage with a heading of each document, then the second of each, and so on."""
    passages = list(_iter_headings(hits))
    counts, ranks = Counter[str](), dict[str, int]()
    for passage in passages:
        ranks[passage.passage_id] = counts[passage.document_id]
        counts[passage.document_id] += 1
    return sorted(passages, key=lambda passage: ranks[passage.passage_id])


async def _is_found(
    retriever: Retriever, ctx: Principal, question: str, passage: Passage, options: SearchOptions, limit: int
) -> bool:
    """Whether it is what an answer, which rests on *limit* passages, would rest on first."""
    result = await retriever.search(ctx, question, limit=limit, options=options)
    first = result.hits[:1]
    place = passage.document_id, passage.heading
    return result.verdict.answerable and [(hit.passage.document_id, hit.passage.heading) for hit in first] == [place]
