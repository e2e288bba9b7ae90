"""What each ingredient of the ranking adds: the shipped code with one thing taken out or done otherwise, in one run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from qdrant_edge import Bm25, Bm25Config, DisabledStemmer

from retrieval.fusion import LEXICAL_WEIGHT, Scores
from retrieval.lexical import Lexicon, Terms, make_embedding_text
from utils.passages import Passage

_RRF_K = 60
Change = Callable[[], AbstractContextManager[Any]]


def changes() -> dict[str, Change]:
    """What is changed, by what it is called in the table. Entered before the index is filled."""
    return {
        "as it serves": nullcontext,
        "without best sentence": lambda: patch("retrieval.selection.SENTENCE_WEIGHT", 0.0),
        "without meaning": lambda: _weighing(1.0),
        "without words": lambda: _weighing(0.0),
        "both weigh the same": lambda: _weighing(0.5),
        "ranks instead of scores (RRF)": lambda: patch("retrieval.ranking.fuse", _by_ranks),
        "20 candidates of each": lambda: patch("retrieval.edge.CANDIDATES", 20),
        "words vote in full across languages": lambda: patch("retrieval.fusion.FOREIGN_LEXICAL_WEIGHT", LEXICAL_WEIGHT),
        "without stems and stop words": _whole_words,
        "without title in the words": _without_title,
    }


@contextmanager
def _weighing(words: float) -> Iterator[None]:
    with patch("retrieval.fusion.LEXICAL_WEIGHT", words), patch("retrieval.fusion.FOREIGN_LEXICAL_WEIGHT", words):
        yield


def _by_ranks(lexical: Scores, dense: Scores, foreign: NDArray[np.bool_] | None = None) -> Scores:
    """Reciprocal rank fusion with equal weights, k = 60."""
    return _reciprocal(np.where(lexical > 0, lexical, np.nan)) + _reciprocal(dense)


def _reciprocal(scores: Scores) -> Scores:
    known = ~np.isnan(scores)
    ranks = (-np.where(known, scores, -np.inf)).argsort(kind="stable").argsort() + 1
    given: Scores = np.where(known, 1 / (_RRF_K + ranks), 0.0)
    return given


@contextmanager
def _whole_words() -> Iterator[None]:
    plain = Bm25(Bm25Config(stemmer=DisabledStemmer(), ascii_folding=True, avg_len=150.0))

    def of_passage(_: Lexicon, passage: Passage) -> Terms:
        found = plain.embed_document(make_embedding_text(passage))
        return Terms(found.indices, found.values)

    def of_question(_: Lexicon, question: str) -> Terms:
        found = plain.embed_query(question).indices
        return Terms(found, [1.0] * len(found))

    with (
        patch.object(Lexicon, "make_passage_terms", of_passage),
        patch.object(Lexicon, "make_question_terms", of_question),
    ):
        yield


@contextmanager
def _without_title() -> Iterator[None]:
    with patch("retrieval.lexical.make_embedding_text", lambda passage: passage.text):
        yield


def print_table(rows: dict[str, dict[str, tuple[float, float]]], sets: Sequence[str]) -> None:
    """A row a change, R@1/R@5 of each set."""
    print(f"{'R@1/R@5':32}" + "".join(f"{name:>16}" for name in sets))
    for name, figures in rows.items():
        print(f"{name:32}" + "".join(f"{'{:.3f}/{:.3f}'.format(*figures[each]):>16}" for each in sets))
