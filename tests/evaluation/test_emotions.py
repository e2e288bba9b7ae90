"""The emotion of questions from their words: told of some that have one, and of hardly any that has none."""

import asyncio

import pytest

from benchmarks.emotions import count, run

pytestmark = pytest.mark.long
MAX_VISITORS = 3  # of 228, of whom two are worried, and angry


@pytest.mark.parametrize("half", ["open", "sealed"])
def test_emotions_are_told_where_they_are_plain_and_neutral_questions_stay_neutral(half: str) -> None:
    told = asyncio.run(run(half))
    for language in ("en", "id", "es"):
        own = count([each for each in told["sentences"] if each.language == language])
        assert own["neutral_kept"] == own["neutral"] >= 8, language
        assert own["right"] >= 0.4 * own["emotional"], language
        assert own["wrong"] <= 0.1 * own["emotional"], language
    followed, visitors = count(told["with_question"]), count(told["visitors"])
    assert followed["right"] >= 0.6 * followed["emotional"]
    assert visitors["neutral"] - visitors["neutral_kept"] <= MAX_VISITORS
