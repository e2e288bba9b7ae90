"""Whether an index may take the place of the one that serves: both are asked questions made of the passages themselves.

The first sentence of a passage has to find that passage, or what has its place where documents are cut otherwise. It
is asked twice: as questions are, and by meaning alone, since a sentence finds itself by its words whatever the vectors
are worth. It may be among the first five passages, or as many smaller ones as say as much: there are more that compete.
No model judges, and the passages are always the same, so that the outcome is, too. What it cannot see is
whether real questions are answered better.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from auth.principal import Principal
from domain.db import Database
from domain.in_thread import read
from domain.indexing import sample_passages
from indexing.open_index import OpenIndex
from utils.errors import ProviderError
from utils.passages import Passage
from utils.ports import FloatArray

logger = logging.getLogger(__name__)

QUESTIONS = 100
AMONG = 5
_MOST = 10 * AMONG  # where they are shorter
MARGIN = 0.03  # of the questions may find less than before: three of a hundred
_LONGEST = 200
_SHORTEST = 20
_SENTENCE_END = re.compile(r"[.!?。！？](?=\s|$)")


@dataclass(frozen=True, slots=True)
class IndexVerdict:
    """Whether the new index may serve, and why, in a sentence."""

    passed: bool
    note: str


IndexCheck = Callable[[OpenIndex, OpenIndex], Awaitable[IndexVerdict]]
"""Compares the index that serves with one that is to take its place. Raises what the stores and models raise."""


@dataclass(frozen=True, slots=True)
class _Found:
    """For how many questions the passage was among the first, as questions are asked and by meaning alone."""

    full: float
    meaning: float


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """`IndexCheck` by questions that *database*'s own passages make."""

    database: Database

    async def __call__(self, old: OpenIndex, new: OpenIndex) -> IndexVerdict:
        """Compare what both find.

        Raises:
            ProviderError: the model of *new* does not answer. That of *old* may be gone.
            StoreUnavailable: an index does not answer.
        """
        sample = await read(self.database, lambda session: sample_passages(session, QUESTIONS))
        if not sample:
            return IndexVerdict(True, "There are no passages to ask about.")
        result = await _ask(new, sample)
        try:
            before = await _ask(old, sample)
        except ProviderError as exc:
            logger.info("The model of index %s is no longer called: %s", old.number, exc.detail)
            before = await _ask_by_words(old, sample)
        passed = result.full >= before.full - MARGIN and result.meaning >= before.meaning - MARGIN
        return IndexVerdict(
            passed,
            f"Of {len(sample)} passages, their first sentence finds {result.full:.0%} (before: {before.full:.0%}), "
            f"by meaning alone {result.meaning:.0%} (before: {before.meaning:.0%}).",
        )


def make_question(passage: Passage) -> str:
    """The first sentence of *passage*, or its beginning where none ends in time."""
    beginning = passage.text[:_LONGEST]
    end = _SENTENCE_END.search(beginning, _SHORTEST)
    return beginning[: end.end()] if end else beginning


async def _ask(opened: OpenIndex, sample: Sequence[tuple[Principal, Passage]]) -> _Found:
    full = meaning = 0
    for ctx, passage in sample:  # one after the other: people ask at the same time
        question = make_question(passage)
        vector = await opened.retriever.embedder.embed_query(question)
        full += await _finds(opened, ctx, passage, question, vector)
        meaning += await _finds(opened, ctx, passage, "", vector)
    return _Found(full / len(sample), meaning / len(sample))


async def _ask_by_words(opened: OpenIndex, sample: Sequence[tuple[Principal, Passage]]) -> _Found:
    result = [await _finds(opened, ctx, passage, make_question(passage), None) for ctx, passage in sample]
    return _Found(sum(result) / len(sample), 0.0)


async def _finds(opened: OpenIndex, ctx: Principal, passage: Passage, question: str, vector: FloatArray | None) -> bool:
    hits = await opened.index.search(ctx, question, vector, limit=_MOST)
    return any(
        _covers(result, passage) for result in _sample_passages([hit.passage for hit in hits], len(passage.text))
    )


def _sample_passages(passages: Sequence[Passage], length: int) -> Iterator[Passage]:
    """The first five, and where they are shorter than *length* as many as say as much as five of it."""
    size = 0
    for place, passage in enumerate(passages):
        if place >= AMONG and size >= AMONG * length:
            return
        size += len(passage.text)
        yield passage


def _covers(passage: Passage, expected: Passage) -> bool:
    """Whether *passage* holds the beginning of *expected*, though it may be cut otherwise, or stand elsewhere."""
    is_there = passage.document_id == expected.document_id and passage.start <= expected.start < passage.end
    return is_there or make_question(expected) in passage.text
