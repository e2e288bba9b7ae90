"""Planted conflicts are found, and what only looks like one is not."""

from itertools import combinations
from pathlib import Path

import pytest

from agents.conflicts.comparison import find_differences
from benchmarks.conflicts import precision, recall, run
from ingestion.chunking import ChunkSizes, chunk_text, estimate_tokens
from ingestion.language import detect_document_language
from ingestion.parsers import kinds
from ingestion.parsers.parsed import Limits
from utils.passages import Passage

LEAST = 0.8
VISITORS = Path(__file__).parents[2] / "evaluation" / "visitors" / "documents"
SAMPLES = Path(__file__).parents[2] / "samples"
MAX_FOUND = 6  # of more than 10,000 pairs of passages of institutions that have nothing to do with each other


@pytest.mark.parametrize("half", ["open", "sealed"])
def test_planted_conflicts_are_found_and_look_alikes_are_not(half: str) -> None:
    outcomes = run(half)
    assert len(outcomes) == 60
    for language in ("en", "id", "es"):
        own = [each for each in outcomes if each.pair["language"] == language]
        assert (recall(own) >= LEAST, precision(own) >= LEAST) == (True, True), language


def test_documents_that_have_nothing_to_do_with_each_other_hardly_ever_conflict() -> None:
    passages = [passage for path in sorted(VISITORS.iterdir()) for passage in passages_of(path)]
    pairs = [pair for pair in combinations(passages, 2) if pair[0].document_id != pair[1].document_id]
    assert len(pairs) > 10_000
    found = [each for pair in pairs for each in find_differences(*pair)]
    assert len(found) <= MAX_FOUND, [(each.one.text, each.other.text) for each in found]


def test_the_samples_do_not_conflict() -> None:
    passages = [passage for path in sorted(SAMPLES.iterdir()) if path.is_file() for passage in passages_of(path)]
    found = [each for one, other in combinations(passages, 2) for each in find_differences(one, other)]
    assert [(each.one.text, each.other.text) for each in found] == []


def passages_of(path: Path) -> list[Passage]:
    """A document, cut as for the index."""
    parsed = kinds.parse(path.read_bytes(), path.name, Limits(), {})
    language = detect_document_language(parsed.text)
    chunks = chunk_text(parsed.text, parsed.sections, language, sizes=ChunkSizes(), count_tokens=estimate_tokens)
    about = parsed.title or "", path.name, None
    return [
        Passage(f"{path.name}{n}", path.name, *about, each.page, each.heading, 0, len(each.text), language, each.text)
        for n, each in enumerate(chunks)
    ]
