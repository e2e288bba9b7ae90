"""Ratings as a question set."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from domain.models import AnswerRating
from evaluation.cases import Case, load_set
from evaluation.from_ratings import make_question_set
from utils.errors import BadInput


def row(question: str, rating: str = "down", **parts: Any) -> AnswerRating:
    told: dict[str, Any] = {
        "expected": "",
        "comment": "",
        "answer": "It costs IDR 5: see # 3.",
        "answered": True,
        "stands_alone": True,
        "sources": ["fees.md"],
    }
    return AnswerRating(question=question, rating=rating, **{**told, **parts})


def loaded(tmp_path: Path, text: str) -> list[Case]:
    file = tmp_path / "ratings.yaml"
    file.write_text(text, encoding="utf-8")
    return list(load_set(file).cases)


ROWS = [
    row("What is the fee?", expected="IDR 6"),
    row('Is it open?\n# not a comment: "no"', comment="It is not.", answered=False, sources=[]),
    row("And on Sunday?", expected="Closed", stands_alone=False),
    row("Who leads?", rating="up"),
    row("Who won the match?", rating="up", answered=False, sources=[]),
    row("what is  the FEE?", rating="up"),
]


def test_bad_answers_become_questions_where_it_is_known_what_would_be_right(tmp_path: Path) -> None:
    text, complete, left = make_question_set(ROWS, with_good=False)
    assert loaded(tmp_path, text) == [Case(question="What is the fee?", answer=["IDR 6"])]
    assert (complete, left) == (1, 2)


def test_those_that_are_to_be_completed_are_comments_of_which_questions_can_be_made() -> None:
    text, _, _ = make_question_set(ROWS, with_good=False)
    lines = text.split("unanswerable: true`.\n")[1].splitlines()
    assert yaml.safe_load("\n".join(line.removeprefix("# ") for line in lines)) == [
        {"question": ROWS[1].question, "was answered": ROWS[1].answer, "comment": "It is not."},
        {
            "question": "And on Sunday?",
            "within a conversation": True,
            "answer": "Closed",
            "was answered": ROWS[2].answer,
            "from": ["fees.md"],
        },
    ]


def test_good_answers_must_stay_as_they_are(tmp_path: Path) -> None:
    text, complete, _ = make_question_set(ROWS, with_good=True)
    assert loaded(tmp_path, text) == [
        Case(question="What is the fee?", answer=["IDR 6"]),
        Case(question="Who leads?", document=["fees.md"]),
        Case(question="Who won the match?", unanswerable=True),
    ]
    assert complete == 3


def test_what_would_be_right_is_not_lost_to_a_newer_verdict_that_does_not_say_it(tmp_path: Path) -> None:
    rows = [
        row("what is the fee?", rating="up", stands_alone=False),
        row("What is the FEE?"),
        row("What is the fee?", expected="IDR 6"),
        row("What is the fee?", expected="IDR 7"),
    ]
    text, complete, left = make_question_set(rows, with_good=False)
    assert loaded(tmp_path, text) == [Case(question="What is the fee?", answer=["IDR 6"])]
    assert (complete, left) == (1, 0)


def test_without_a_rating_there_is_nothing_to_measure(tmp_path: Path) -> None:
    text, complete, left = make_question_set([], with_good=True)
    assert (complete, left) == (0, 0)
    with pytest.raises(BadInput, match="questions"):
        loaded(tmp_path, text)
