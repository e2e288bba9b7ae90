"""Follow-ups are given their topic by rule; questions that name their topic are left alone."""

from functools import reduce

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from providers.chat.extractive import standalone_question
from providers.chat.followups import names_no_topic

FOLLOW_UPS = [
    ("Tell me about the dormitory", "How much does it cost?", "dormitory"),
    ("Tell me about the dormitory", "When can I apply?", "dormitory"),
    ("Tell me about the dormitory", "Does it cover electricity and the internet?", "dormitory"),
    ("Tell me about the dormitory", "Is that allowed there?", "dormitory"),
    ("How much does the dormitory cost?", "And for students from abroad?", "much dormitory cost"),
    ("What are the opening hours of the library?", "What about Sundays?", "opening hours library"),
    ("How much is tuition in band B?", "And for students in band D?", "much tuition"),
    ("Who is the rector?", "How can I contact her?", "rector"),
    ("Tell me about the exchange programme", "Why?", "exchange programme"),
    ("Saya tertarik dengan ITB", "Bagaimana cara mendaftar?", "ITB"),
    ("Apa itu ITB?", "Berapa biayanya?", "ITB"),
    ("Jam berapa perpustakaan buka?", "Kalau hari Sabtu?", "Jam perpustakaan buka"),
    ("Apa syarat beasiswa?", "Siapa yang bisa mendapatkannya?", "beasiswa"),
    ("Berapa denda keterlambatan buku?", "Bagaimana cara membayar denda itu?", "keterlambatan buku"),
    ("Háblame de la residencia", "¿Cuánto cuesta?", "residencia"),
    ("¿A qué hora abre la biblioteca?", "¿Y los sábados?", "hora abre biblioteca"),
    ("Háblame de las becas", "¿Cómo la solicito?", "becas"),
    ("Quiero saber sobre el programa de intercambio", "¿Cuáles son los requisitos?", "programa intercambio"),
    ("¿Cuánto cuesta la residencia?", "¿Cuál es su dirección?", "residencia"),
]
SELF_CONTAINED = [
    ("Tell me about the dormitory", "Where is the library?"),
    ("Tell me about the dormitory", "What is the tuition fee?"),
    ("Tell me about the dormitory", "How long does it take to get a student card?"),
    ("Tell me about the dormitory", "When did Holden announce that it will close its Victoria plant?"),
    ("Tell me about the dormitory", "Why are ctenophores extremely rare as fossils?"),
    ("Tell me about the dormitory", "Thanks!"),
    ("Tell me about the dormitory", "Hello"),
    ("Tell me about the dormitory", "ok"),
    ("Háblame de las becas", "Muchas gracias"),
    ("Berapa denda keterlambatan buku?", "Apa itu ITB?"),
    ("Ceritakan tentang asrama", "Di mana perpustakaan?"),
    ("Ceritakan tentang asrama", "Mengapa India merayakan hari kemerdekaannya pada tanggal 15 Agustus?"),
    ("Ceritakan tentang asrama", "Terima kasih"),
    ("Háblame de las becas", "¿Dónde está el centro de salud?"),
    ("Háblame de las becas", "¿Qué es la septicemia?"),
    ("Háblame de las becas", "¿Cómo puede un estudiante cambiar su contraseña?"),
]


def talk(*questions: str) -> list[BaseMessage]:
    """A conversation in which each of *questions* was answered."""
    return reduce(lambda said, asked: [*said, HumanMessage(asked), AIMessage("Tuition is due [1].")], questions, [])


@pytest.mark.parametrize(("before", "question", "topic"), FOLLOW_UPS)
def test_a_follow_up_gets_the_topic_of_the_question_before(before: str, question: str, topic: str) -> None:
    assert standalone_question(talk(before), question) == f"{question} ({topic})"


@pytest.mark.parametrize(
    ("before", "question", "standalone"),
    [
        ("How much is tuition in band B for 2027?", "And band D in 2028?", "How much is tuition in band D for 2028?"),
        ("Berapa biaya kuliah golongan B?", "Kalau golongan D?", "Berapa biaya kuliah golongan D?"),
        ("¿Qué cubre la beca del nivel 2?", "¿Y la del nivel 3?", "¿Qué cubre la beca del nivel 3?"),
    ],
)
def test_a_letter_or_number_takes_the_place_of_the_one_before(before: str, question: str, standalone: str) -> None:
    assert standalone_question(talk(before), question) == standalone


@pytest.mark.parametrize(("before", "question"), SELF_CONTAINED)
def test_a_question_that_names_its_topic_is_left_alone(before: str, question: str) -> None:
    assert standalone_question(talk(before), question) == question


def test_the_topic_lasts_over_several_follow_ups() -> None:
    asked = talk("Tell me about the dormitory", "How much does it cost?")
    assert standalone_question(asked, "When can I apply?") == "When can I apply? (dormitory)"


def test_a_new_topic_takes_the_place_of_the_old_one() -> None:
    asked = talk("Tell me about the dormitory", "Where is the library?")
    assert standalone_question(asked, "When does it open?") == "When does it open? (library)"


def test_a_first_question_is_left_alone() -> None:
    assert standalone_question([], "How much does it cost?") == "How much does it cost?"


@pytest.mark.parametrize(
    "question",
    [
        "more information about her?", "how much is it?", "When does it open?", "Who is he?", "How much?",
        "¿Cuánto cuesta?", "¿A qué hora abre?", "¿Dónde está?", "Berapa biayanya?", "berapa harganya?", "kapan dibuka?",
    ],
)  # fmt: skip
def test_a_question_that_refers_to_what_was_never_named_names_no_topic(question: str) -> None:
    assert names_no_topic(question)


@pytest.mark.parametrize(
    "question",
    [
        "How do I apply?", "What are the opening hours?", "Is it allowed to smoke in the dormitory?",
        "How much does it cost to apply?", "¿Cómo me inscribo?", "¿Cuánto cuesta la residencia?",
        "Bagaimana cara mendaftar?", "Where is the library?",
        "Berapa biaya kuliah?", "What does it mean if my card is blocked?", "", "?!",
    ],
)  # fmt: skip
def test_a_question_that_refers_to_nothing_else_is_not_said_to_name_no_topic(question: str) -> None:
    assert not names_no_topic(question)
