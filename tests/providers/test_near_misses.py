"""Questions that come near a passage which does not answer them: uncertain; the ones that it answers are not."""

import pytest

from tests.providers.test_extractive import answer, is_uncertain

POOL = (
    "The swimming pool was opened in 1994 by the mayor, Ms Lestari. Members swim free of charge on weekdays. "
    "Children under twelve must be accompanied by an adult. The pool is heated to 27 degrees."
)
KOLAM = (
    "Kolam renang dibuka pada tahun 1994 oleh wali kota, Ibu Lestari. Anggota berenang gratis pada hari kerja. "
    "Anak di bawah dua belas tahun harus didampingi orang dewasa."
)
PISCINA = (
    "La piscina fue inaugurada en 1994 por la alcaldesa, la señora Lestari. Los socios nadan gratis entre semana. "
    "Los niños menores de doce años deben ir acompañados de un adulto."
)
MUSEUM = "The museum is open every day except Wednesday. Admission to the museum is free for students of Ms Lestari."
MUSEO = (
    "El museo está abierto todos los días excepto el miércoles. "
    "La entrada al museo es gratuita para los alumnos de Lestari."
)
MUSEUM_ID = "Museum buka setiap hari kecuali hari Rabu. Masuk museum gratis bagi para murid Ibu Lestari."


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Which children do not have to be accompanied by an adult at the swimming pool?", POOL),
        ("When was the swimming pool closed by the mayor?", POOL),
        ("Who designed and built the heated pool for members?", "The heated pool for members was built in 1994."),
        ("Which members swim free of charge on weekdays since 2003 in Bandung?", POOL),
        ("Anak mana yang tidak harus didampingi orang dewasa di kolam renang?", KOLAM),
        ("¿Qué niños no deben ir acompañados de un adulto en la piscina?", PISCINA),
    ],
)
def test_an_answer_that_comes_near_without_answering_is_uncertain(question: str, text: str) -> None:
    assert is_uncertain(question, text)


@pytest.mark.parametrize(
    ("question", "text", "part"),
    [
        ("When was the swimming pool opened?", POOL, "1994"),
        ("Who opened the swimming pool?", POOL, "Lestari"),
        ("Which children must be accompanied by an adult?", POOL, "under twelve"),
        ("Is it true that members do not pay on weekdays?", f"{POOL} Members do not pay on weekdays.", "do not pay"),
        ("Kapan kolam renang dibuka?", KOLAM, "1994"),
        ("Siapa yang membuka kolam renang?", KOLAM, "Lestari"),
        ("¿Cuándo fue inaugurada la piscina?", PISCINA, "1994"),
        ("¿Qué niños deben ir acompañados?", PISCINA, "menores de doce"),
        ("On which day is the museum closed?", MUSEUM, "except Wednesday"),
        ("¿Qué día está cerrado el museo?", MUSEO, "excepto el miércoles"),
        ("Hari apa museum tutup?", MUSEUM_ID, "kecuali hari Rabu"),
        ("¿Quién puede entrar en el museo sin pagar?", MUSEO, "gratuita"),
        ("Siapa yang bisa masuk museum tanpa membayar?", MUSEUM_ID, "gratis"),
        ("Who can visit the museum without paying?", MUSEUM, "free"),
    ],
)
def test_a_question_that_the_passage_answers_is_answered(question: str, text: str, part: str) -> None:
    assert part in answer(question, text)
    assert not is_uncertain(question, text)


def test_a_number_that_the_title_names_is_not_missing() -> None:
    text = "The Broncos won the final game against the Panthers in Santa Clara. Many people came."
    question = "Who won the final game 50 against the Panthers in Santa Clara in 2016?"
    assert is_uncertain(question, text)
    assert not is_uncertain(question, text, title="Final game 50 of 2016")


@pytest.mark.parametrize(
    ("question", "text", "uncertain"),
    [
        ("Where do I pay?", "Students pay 5 euros a day for meals.", True),
        ("Where do I pay?", "Students pay for meals at the counter.", False),
        ("¿Dónde pago?", "Se pago siempre por adelantado.", True),
        ("When do I pay?", "Students pay on Friday.", False),
    ],
)
def test_a_short_question_is_uncertain_where_what_it_asks_for_is_not_given(
    question: str, text: str, uncertain: bool
) -> None:
    assert is_uncertain(question, text) == uncertain
