"""What an answer says of documents that differ: quotes with marks of ours alone, and what is known of their days."""

from typing import Any

import pytest

from agents.citations import bind_citations
from agents.conflicts.notes import Note, note_conflicts
from utils.passages import Hit, Passage

FEE = "The application fee for the library card is {} euros{}."


def passage(number: int, text: str, **told: Any) -> Hit:
    about = f"Guide {number}", f"{number}.md", None, None, ""
    return Hit(Passage(f"p{number}", f"d{number}", *about, 0, len(text), "en", text, 1, **told), 1.0, 0.9, 1.0)


def note(*hits: Hit) -> Note:
    _, citations = bind_citations(f"{hits[0].passage.text} [1]", hits)
    return note_conflicts(citations[:1], hits, "en")


def test_marks_of_a_document_are_not_taken_for_marks_of_the_answer() -> None:
    other = passage(3, "Parking is free on Sundays.")
    told = note(passage(1, FEE.format(15, "")), passage(2, FEE.format(18, " [3]")), other)
    assert "18 euros. [2]" in told.text
    assert "[3]" not in told.text
    assert [citation.number for citation in told.citations] == [2]
    assert told.conflicts[0]["statements"][1]["sentence"] == FEE.format(18, " [3]")  # as it stands there


@pytest.mark.parametrize("days", [(None, None), ("2026-01-01", None)])
def test_documents_without_a_day_are_not_said_to_be_of_the_same(days: tuple[str | None, str | None]) -> None:
    told = note(*(passage(n, FEE.format(n, ""), dated=day) for n, day in enumerate(days, 1)))
    assert told.conflicts[0]["preferred_document_id"] is None
    assert "same day" not in told.text
    assert told.text.endswith("Ask which one holds.")


@pytest.mark.parametrize(("counted", "kind"), [("volumes", "number"), ("euros", "EUR"), ("days", "duration")])
def test_the_kind_of_value_is_a_word_and_not_the_begin_of_one(counted: str, kind: str) -> None:
    text = f"Members of the library borrow at most {{}} {counted}."
    told = note(*(passage(n, text.format(n + 4)) for n in (1, 2)))
    assert [conflict["kind"] for conflict in told.conflicts] == [kind]


def test_documents_of_the_same_day_are_said_to_be() -> None:
    told = note(*(passage(n, FEE.format(n, ""), dated="2026-01-01") for n in (1, 2)))
    assert told.text.endswith("Both are of the same day: ask which one holds.")
