"""What a tenant's documents are about, and questions about them that are answered."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agents.bots import BotConfig
from auth.principal import Principal
from prompts.small_talk import TOPICS_QUERY, example_question
from retrieval.search import Retriever, SearchOptions
from utils.expiring import Expiring
from utils.passages import Hit, Passage

_LOOKED_AT = 24  # passages
_TITLES, _EXAMPLES = 5, 3
_LONGEST = 60  # characters of a heading that reads well in a question
_KEPT, _KEPT_S = 1000, 600.0


@dataclass(frozen=True, slots=True)
class Topics:
    """Titles of some documents, and questions that the search finds the answer of; both empty without documents."""

    titles: tuple[str, ...]
    examples: tuple[str, ...]


class TopicFinder:
    """Finds topics, and keeps those of each bot and language for ten minutes."""

    def __init__(self) -> None:
        self._known: Expiring[tuple[str, str, str], Topics] = Expiring(_KEPT, _KEPT_S)

    async def find(self, retriever: Retriever, ctx: Principal, bot: BotConfig, language: str) -> Topics:
        """Topics of what *bot* searches, for a reader of *language*, one of "en", "es" and "id"."""
        key, options = (ctx.tenant_id, bot.key, language), SearchOptions(filters=bot.filters)
        if (known := self._known.get(key)) is not None:
            return known
        found = await retriever.search(ctx, TOPICS_QUERY[language], limit=_LOOKED_AT, options=options)
        hits = sorted(found.hits, key=lambda hit: hit.passage.language != language)
        titles = tuple(dict.fromkeys(" ".join(hit.passage.title.split()) for hit in hits))[:_TITLES]
        examples = []
        for passage in _with_headings(hits):
            question = example_question(passage.title, _last_heading(passage), language)
            if await _is_found(retriever, ctx, question, passage, options):
                examples.append(question)
            if len(examples) == _EXAMPLES:
                break
        topics = Topics(titles, tuple(examples))
        if titles:
            self._known.put(key, topics)
        return topics


def _with_headings(hits: Sequence[Hit]) -> Iterator[Passage]:
    """One passage of each document, of those under a heading of their own."""
    seen: set[str] = set()
    for passage in (hit.passage for hit in hits):
        heading = _last_heading(passage)
        if heading and heading != passage.title and len(heading) <= _LONGEST and passage.document_id not in seen:
            seen.add(passage.document_id)
            yield passage


def _last_heading(passage: Passage) -> str:
    return passage.heading.rpartition(" › ")[2]


async def _is_found(
    retriever: Retriever, ctx: Principal, question: str, passage: Passage, options: SearchOptions
) -> bool:
    found = await retriever.search(ctx, question, limit=1, options=options)
    first = found.hits[:1]
    return found.verdict.answerable and [hit.passage.document_id for hit in first] == [passage.document_id]
