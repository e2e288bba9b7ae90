"""Marks bound to passages: a table of answers, and what must hold for any answer."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.citations import bind_citations, without_marks
from utils.passages import Hit, Passage

TEXTS = [
    "The office opens at 8:00. It closes at 16:30 on weekdays.\nOn Fridays it closes at noon.",
    "Rent is IDR 650,000 a month. A deposit of one month is due.",
    "Fees are due by 21 August 2026.",
]


def hit(number: int, text: str) -> Hit:
    passage = Passage(f"p{number}", f"d{number}", "Title", "a.md", "https://a.example", 3, "Fees", 100, 200, "en", text)
    return Hit(passage, 1.23456, 0.9, 4.0)


HITS = [hit(number, text) for number, text in enumerate(TEXTS, 1)]


@pytest.mark.parametrize(
    ("answer", "text", "quotes"),
    [
        ("Rent is IDR 650,000 a month. [2]", "Rent is IDR 650,000 a month. [2]", {2: "Rent is IDR 650,000 a month."}),
        (
            "They close at noon on Fridays [1].",
            "They close at noon on Fridays [1].",
            {1: "On Fridays it closes at noon."},
        ),
        ("Due 21 August [3][2].", "Due 21 August [3][2].", {3: TEXTS[2], 2: "A deposit of one month is due."}),
        ("Both [1, 3].", "Both [1][3].", {1: "The office opens at 8:00.", 3: TEXTS[2]}),
        ("Nothing [9].", "Nothing.", {}),
        ("Nothing [0] but [2, 9] this.", "Nothing but [2] this.", {2: "Rent is IDR 650,000 a month."}),
        ("No marks at all.", "No marks at all.", {}),
        ("[1] first", "[1] first", {1: "The office opens at 8:00."}),
        ("", "", {}),
        (
            "Open at 8:00 [1]. On Fridays closed at noon [1].",
            "Open at 8:00 [1]. On Fridays closed at noon [1].",
            {1: TEXTS[0]},
        ),
    ],
)
def test_marks_are_bound_to_the_sentence_they_rest_on(answer: str, text: str, quotes: dict[int, str]) -> None:
    bound, citations = bind_citations(answer, HITS)
    assert bound.strip() == text
    assert {citation.number: citation.quote for citation in citations} == quotes


def test_a_citation_says_where_its_quote_stands_in_the_document() -> None:
    _, [citation] = bind_citations("It closes at 16:30 on weekdays. [1]", HITS)
    assert (citation.start - 100, citation.end - 100) == (26, 57)
    assert TEXTS[0][26:57] == citation.quote
    assert (citation.document_id, citation.page, citation.heading, citation.url) == (
        "d1",
        3,
        "Fees",
        "https://a.example",
    )


@given(st.lists(st.sampled_from(["[1]", "[2]", "[7]", "[1, 2]", "[x]", " rent ", "due.", "\n", "noon"])).map("".join))
def test_every_mark_that_stays_has_one_citation_and_its_quote_is_verbatim(answer: str) -> None:
    text, citations = bind_citations(answer, HITS)
    assert {int(mark) for mark in re.findall(r"\[(\d+)\]", text)} == {citation.number for citation in citations}
    for citation in citations:
        passage = TEXTS[citation.number - 1]
        assert passage[citation.start - 100 : citation.end - 100] == citation.quote


def test_marks_can_be_taken_out() -> None:
    assert without_marks("Open at 8 [1]. Closed [2][3].") == "Open at 8. Closed."
