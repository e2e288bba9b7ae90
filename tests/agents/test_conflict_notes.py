"""What an answer says of documents that differ: quotes with marks of ours alone, and what is known of their days."""

from dataclasses import replace
from typing import Any

import pytest

from agents.citations import make_citations
from agents.conflicts.notes import Note, note_conflicts
from utils.passages import Hit, Passage

FEE = "The application fee for the library card is {} euros{}."


def passage(number: int, text: str, **told: Any) -> Hit:
    about = f"Guide {number}", f"{number}.md", None, None, ""
    return Hit(Passage(f"p{number}", f"d{number}", *about, 0, len(text), "en", text, 1, **told), 1.0, 0.9, 1.0)


def note(*hits: Hit, question: str = "") -> Note:
    _, citations = make_citations(f"{hits[0].passage.text} [1]", hits)
    return note_conflicts(citations[:1], hits, lambda: "en", question=question)


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


OPENING = "The library desk opens at {} on Mondays. "


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("How much is the application fee for the library card?", ["18 euros"]),
        ("When does the library desk open on Mondays?", ["9:00"]),
        ("¿Cuánto cuesta el carné?", ["18 euros"]),
        ("", ["9:00"]),  # each pair of passages once
    ],
)
def test_only_what_was_asked_for_is_said_to_be_in_conflict(question: str, told: list[str]) -> None:
    texts = OPENING.format("8:00") + FEE.format(15, ""), OPENING.format("9:00") + FEE.format(18, "")
    noted = note(*(passage(n, text) for n, text in enumerate(texts, 1)), question=question)
    sentences = [conflict["statements"][1]["sentence"] for conflict in noted.conflicts]
    assert [any(part in each for part in told) for each in sentences] == [True]


@pytest.mark.parametrize("question", ["Who runs the library?", "Is the desk open on Mondays?"])
def test_a_conflict_about_something_else_is_not_told(question: str) -> None:
    desk = "The desk of the library is open on Mondays. "
    noted = note(*(passage(n, desk + FEE.format(n, "")) for n in (1, 2)), question=question)
    assert (noted.text, noted.conflicts) == ("", ())


def test_of_two_editions_of_a_title_the_later_one_is_the_newer_whenever_they_came_in() -> None:
    text = "| Programme | Tuition |\n|---|---|\n| Biology | USD {} |"
    hits = [
        Hit(replace(passage(n, text.format(n * 100)).passage, title=title, dated=day), 1.0, 0.9, 1.0)
        for n, (title, day) in enumerate((("Fees 2026/2027", "2026-01-01"), ("Fees 2025/2026", "2026-09-09")), 1)
    ]
    [conflict] = note(*hits, question="How much is tuition for Biology?").conflicts
    assert (conflict["preferred_document_id"], conflict["decided_by"]) == ("d1", "date")


@pytest.mark.parametrize(
    ("titles", "days"),
    [
        (("Fees", "Charges"), ("2026-01-01", "9999-12-31")),
        (("Fees", "Charges"), (None, "9999-12-31")),
        (("Fees 2026", "Fees 2099"), ("2026-01-01", "2026-01-01")),
    ],
)
def test_a_document_that_dates_itself_into_the_future_is_not_newer_for_it(
    titles: tuple[str, str], days: tuple[str | None, str]
) -> None:
    hits = [
        Hit(replace(passage(n, FEE.format(n, "")).passage, title=title, dated=day), 1.0, 0.9, 1.0)
        for n, (title, day) in enumerate(zip(titles, days, strict=True), 1)
    ]
    for order in (hits, hits[::-1]):
        [conflict] = note(*order).conflicts
        assert (conflict["preferred_document_id"], conflict["decided_by"]) == (None, None)


def test_other_years_of_other_documents_are_no_editions() -> None:
    texts = "In 2025 the application fee is USD 100.", "In 2026 the application fee is USD 120."
    hits = [
        Hit(replace(passage(n, text).passage, title=title), 1.0, 0.9, 1.0)
        for n, (text, title) in enumerate(zip(texts, ("Report 2025", "Guide 2026"), strict=True), 1)
    ]
    assert note(*hits).conflicts == ()


NAMES = [
    ("Bus line {} runs every {} minutes and stops at the gate.", "5", "6"),
    ("The fee for the laboratory of {} is {} euros.", "MATH 101", "MATH 102"),
    ("Meals of pupils in grade {} cost {} euros a week.", "1", "2"),
    ("El autobús de la línea {} pasa cada {} minutos por la puerta.", "5", "6"),
    ("Iuran makan siswa kelas {} sebesar {} ribu rupiah.", "1", "2"),
]


@pytest.mark.parametrize(("text", "one", "other"), NAMES)
def test_a_number_that_is_part_of_a_name_tells_apart_what_has_it(text: str, one: str, other: str) -> None:
    named = [passage(n, text.format(name, 10 * n)) for n, name in ((1, one), (2, other))]
    assert note(*named).conflicts == ()
    same = [passage(n, text.format(one, 10 * n)) for n in (1, 2)]
    assert len(note(*same).conflicts) == 1


def test_a_heading_names_by_a_number_what_stands_below_it() -> None:
    text = "Meals of pupils cost {} euros a week, to be paid in advance."
    for headings, count in ((("Grade 1", "Grade 2"), 0), (("Grade 1", "Grade 1"), 1)):
        hits = [passage(n, text.format(10 * n)) for n in (1, 2)]
        hits = [
            replace(hit, passage=replace(hit.passage, heading=heading))
            for hit, heading in zip(hits, headings, strict=True)
        ]
        assert len(note(*hits).conflicts) == count


def test_a_line_that_is_what_a_sentence_states_is_a_value() -> None:
    text = "To reach the museum of the harbour, take line {}."
    assert len(note(passage(1, text.format(5)), passage(2, text.format(6))).conflicts) == 1
