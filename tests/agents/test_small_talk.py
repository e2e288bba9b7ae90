"""Small talk is told from questions by words alone."""

import json
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.small_talk import recognise
from tests.service import ROOT

PHRASES = json.loads((files("agents") / "small_talk.json").read_text("utf-8"))["phrases"]
KNOWN = [(kind, text) for kind, told in PHRASES.items() for texts in told.values() for text in texts]
QUESTIONS = json.loads((ROOT / "tests/samples/questions.json").read_text())
ASKED = [each["question"] for each in QUESTIONS["questions"]] + [
    turn["question"] for talk in QUESTIONS["conversations"] for turn in talk["turns"]
]


@pytest.mark.parametrize(
    ("message", "intent", "language"),
    [
        ("HELLOOO!!!", "greeting", "en"),
        ("hola buenas tardes 👋", "greeting", "es"),
        ("selamat siang kak", "greeting", "id"),
        ("Bonjour", "greeting", ""),
        ("ok thanks so much", "thanks", "en"),
        ("muchas gracias!!", "thanks", "es"),
        ("makasih banyak ya", "thanks", "id"),
        ("thx ur a star lol", "thanks", "en"),
        ("who r u", "identity", "en"),
        ("quien sos", "identity", "es"),
        ("kamu robot?", "identity", "id"),
        ("what can you do for me", "abilities", "en"),
        ("en que me puedes ayudar", "abilities", "es"),
        ("bisa tanya apa aja?", "abilities", "id"),
        ("i need some help", "help", "en"),
        ("tengo una consulta", "help", "es"),
        ("halo, mau tanya dong", "help", "id"),
        ("bye!", "goodbye", "en"),
        ("hasta luego", "goodbye", "es"),
        ("sampai jumpa lagi", "goodbye", "id"),
        ("Who are you and what can you do?", "identity", "en"),
        ("hi, who are you and how can you help me?", "identity", "en"),
        ("¿Cómo te llamas y qué haces?", "identity", "es"),
        ("¿Quién eres y qué puedes hacer?", "abilities", "es"),
        ("Halo, kamu siapa dan bisa bantu apa saja?", "identity", "id"),
        ("how are you doing today?", "greeting", "en"),
        ("tell me a joke", "abilities", "en"),
    ],
)
def test_small_talk_is_recognised(message: str, intent: str, language: str) -> None:
    found = recognise(message)
    assert found is not None
    assert (found.intent, found.language) == (intent, language)


@pytest.mark.parametrize(
    "message",
    [
        "Hello, what time do you open?",
        "thanks, and on Sundays?",
        "can you help me with my scholarship?",
        "who are you and when are you open?",
        "hola, ¿quién eres y cuánto cuesta la matrícula?",
        "Halo dan berapa harganya?",
        "where are you?",
        "who is the director?",
        "what can I bring?",
        "ayudas",
        "hola, ¿cuánto cuesta la matrícula?",
        "halo kak, perpustakaan buka jam berapa?",
        "siapa rektornya?",
        "how does it work?",
        "what?",
        "can I talk to a person?",
        "room 12",
        "yes",
        "",
        "?",
        *ASKED,
    ],
)
def test_a_question_is_not_taken_for_small_talk(message: str) -> None:
    assert recognise(message) is None


@pytest.mark.parametrize(("kind", "phrase"), KNOWN)
def test_each_phrase_is_known_for_what_it_is(kind: str, phrase: str) -> None:
    found = recognise(phrase)
    assert (found.intent if found else "question") == kind


@given(st.text(max_size=400))
def test_any_text_is_looked_at(text: str) -> None:
    recognise(text)
