"""Passages of attached files, ranked together with those of an index."""

from dataclasses import replace

import numpy as np
import pytest

from agents.nodes.attached_questions import is_about_attached
from retrieval.attached import AttachedPassages, merge_attached
from utils.passages import Hit, Passage

QUESTION = "What is the deposit of the lease?"
VECTOR = np.array([1.0, 0.0], np.float32)
PASSAGE = Passage(
    "a", "file", "Contract", "contract.pdf", None, 1, "", 0, 40, "en", "The deposit of the lease is 412 euros."
)
OTHERS = [replace(PASSAGE, passage_id=f"x{number}", text=f"Sports are on day {number}.") for number in range(300)]
INDEXED = replace(PASSAGE, passage_id="i", document_id="doc", text="The library opens at eight.")
BETTER = replace(INDEXED, passage_id="b", text="A lease of a room needs a deposit of 300 euros.")


def hit(passage: Passage, dense: float | None, lexical: float) -> Hit:
    return Hit(passage, 1.0, dense, lexical, 1, 1)


@pytest.mark.parametrize("vector", [VECTOR, None])
def test_a_passage_of_a_file_passes_those_of_the_index_that_fit_worse(vector: np.ndarray | None) -> None:
    vectors = {PASSAGE.passage_id: VECTOR} | {each.passage_id: VECTOR[::-1] for each in OTHERS}
    attached = AttachedPassages([*OTHERS, PASSAGE], vectors, "model")
    found = merge_attached([hit(INDEXED, 0.1, 0.5)], attached, QUESTION, vector, limit=5)
    assert len(found) == (5 if vector is not None else 2)
    best = found[0]
    assert best.passage == PASSAGE
    assert best.lexical > 5
    assert (best.dense is None) is (vector is None)


def test_a_passage_of_the_index_that_fits_much_better_stays_first() -> None:
    attached = AttachedPassages(OTHERS[:3], {each.passage_id: VECTOR[::-1] for each in OTHERS[:3]}, "model")
    found = merge_attached([hit(BETTER, 0.95, 9.0), hit(INDEXED, 0.3, 0.0)], attached, QUESTION, VECTOR, limit=12)
    assert found[0].passage == BETTER
    assert found[0].dense == 0.95


def test_what_has_no_word_of_the_question_is_not_proposed_without_vectors() -> None:
    assert merge_attached([], AttachedPassages(OTHERS), QUESTION, VECTOR, limit=5) == []


@pytest.mark.parametrize(
    "question",
    [
        "Summarise this file",
        "What does the attached document say about pets?",
        "Resume el archivo adjunto",
        "¿Qué dice este documento?",
        "Apa isi dokumen ini?",
        "Ringkas berkas terlampir",
        "What stands in Marigold-Lease?",
    ],
)
def test_questions_about_attached_files_are_told_from_others(question: str) -> None:
    assert is_about_attached(question, ["marigold-lease.pdf"])


@pytest.mark.parametrize(
    "question",
    [
        "Which documents do I need?",
        "How much is a file cabinet?",
        "¿Cuánto cuesta?",
        "¿Dónde recojo el documento de identidad?",
        "Where do I find information about visas?",
    ],
)
def test_questions_about_anything_else_are_not(question: str) -> None:
    assert not is_about_attached(question, ["a.pdf", "marigold-lease.pdf", "form.pdf", "find .pdf "])
