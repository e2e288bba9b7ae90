"""The order of passages by what one of their sentences has of the question."""

import pytest

from retrieval.question import Question
from retrieval.selection import SENTENCE_WEIGHT, order_by_best_sentence
from tests.retrieval.corpus import passage
from utils.passages import Hit

APART = "The ferry needs a ticket. Bicycles are parked at the harbour. Who carries a dog pays nothing."
TOGETHER = "A bicycle on the ferry needs a ticket of its own. The harbour opens at six."


def hit(text: str, *, score: float = 0.0, language: str = "en") -> Hit:
    return Hit(passage(text, language=language), score, 0.8, 1.0)


def test_words_that_stand_together_count_more_than_the_same_ones_here_and_there() -> None:
    found = order_by_best_sentence(Question("Does a bicycle need a ticket on the ferry?"), [hit(APART), hit(TOGETHER)])
    assert [each.passage.text for each in found] == [TOGETHER, APART]
    assert found[0].score > found[1].score > 0
    assert found[0].score <= SENTENCE_WEIGHT


def test_a_better_fused_score_is_not_overruled_by_far() -> None:
    question = Question("Does a bicycle need a ticket on the ferry?")
    found = order_by_best_sentence(question, [hit(APART, score=SENTENCE_WEIGHT), hit(TOGETHER)])
    assert [each.passage.text for each in found] == [APART, TOGETHER]


def test_a_passage_in_another_language_neither_gains_nor_loses_by_it() -> None:
    spanish = hit("La bicicleta paga en el transbordador.", score=0.5, language="es")
    found = order_by_best_sentence(
        Question("How much does one pay for a bicycle on the ferry?"), [spanish, hit(TOGETHER), hit("Nothing.")]
    )
    gains = {each.passage.text: each.score for each in found}
    assert gains[spanish.passage.text] - 0.5 == pytest.approx((gains[TOGETHER] + gains["Nothing."]) / 2)


@pytest.mark.parametrize("question", ["", "?", "the of and"])
def test_a_question_without_words_changes_nothing(question: str) -> None:
    hits = [hit(APART, score=1.0), hit(TOGETHER, score=0.5)]
    assert order_by_best_sentence(Question(question), hits) == hits
    assert order_by_best_sentence(Question(question), []) == []


@pytest.mark.parametrize("end", [". ", "! ", "? ", "… ", ".\n", "\n", " \n\n "])
def test_words_on_both_sides_of_a_sentences_end_do_not_stand_together(end: str) -> None:
    apart, question = hit(f"The ferry{end}Bicycles"), Question("ferry bicycle")
    assert question.share_in_best_sentence(apart.passage) == 0.5


@pytest.mark.parametrize("between", [" ", ", ", " for 3.5 dollars, ", ".x ", "; "])
def test_words_without_a_sentences_end_between_them_stand_together(between: str) -> None:
    question = Question("ferry bicycle")
    assert question.share_in_best_sentence(hit(f"The ferry{between}bicycles").passage) == 1.0
