"""What a follow-up is searched for with: words of the question and the answer before it."""

import pytest

from retrieval.conversation import choose_topic_words


@pytest.mark.parametrize(
    ("question", "asked", "answered", "words"),
    [
        (
            "And for children?",
            "How much is the swimming pool?",
            "A ticket for the Arden Baths costs 6.50.",
            {"swimming", "pool", "Arden", "Baths"},
        ),
        ("¿Y los domingos?", "¿Cuándo abre la biblioteca?", "Abre de lunes a viernes.", {"biblioteca", "abre"}),
        ("Kalau Minggu?", "Jam berapa perpustakaan buka?", "Senin sampai Jumat.", {"perpustakaan", "buka"}),
    ],
)
def test_names_and_words_of_the_last_question_and_answer_are_added(
    question: str, asked: str, answered: str, words: set[str]
) -> None:
    found = choose_topic_words(question, asked, answered).split()
    assert words <= set(found)
    assert len(found) <= 6


def test_words_that_are_in_the_question_already_are_not_added() -> None:
    assert "libraries" not in choose_topic_words("Is the library open?", "Which libraries are there?", "").split()


def test_a_first_question_has_nothing_to_add() -> None:
    assert choose_topic_words("How much is a room?", "", "") == ""


def test_hostile_history_adds_few_words() -> None:
    found = choose_topic_words("And then?", "x" * 9000 + " word" * 5000, "\u0000 [1] ()" * 9000)
    assert len(found.split()) <= 6
