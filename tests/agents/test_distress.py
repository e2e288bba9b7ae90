"""Somebody who wants to die is heard whatever else they say, and nobody else is taken for them."""

import time

import pytest

from agents.small_talk import recognise


@pytest.mark.parametrize(
    ("message", "language"),
    [
        ("I want to kill myself", "en"),
        ("hi, i want to kill myself", "en"),
        ("I failed the exam. I want to kill myself.", "en"),
        ("I want to kill myself because my scholarship was cancelled", "en"),
        ("I want to die. When does the library close?", "en"),
        ("my exam went badly and I want to die", "en"),
        ("I don't want to live any more", "en"),
        ("I’m suicidal", "en"),
        ("I want to commit suicide", "en"),
        ("I have no reason to live anymore", "en"),
        ("i want to take my own life", "en"),
        ("how do I kill myself painlessly", "en"),
        ("I want to kill myself in 10 minutes", "en"),
        ("no quiero vivir más", "es"),
        ("quiero acabar con mi vida", "es"),
        ("me voy a suicidar", "es"),
        ("aku pengen mati aja", "id"),
        ("gak mau hidup lagi", "id"),
        ("saya ingin bunuh diri karena skripsi saya gagal", "id"),
        ("ich will nicht mehr leben", "en"),
    ],
)
def test_whoever_wants_to_die_is_heard(message: str, language: str) -> None:
    found = recognise(message)
    assert found is not None
    assert (found.intent, found.language) == ("distress", language)


@pytest.mark.parametrize(
    "message",
    [
        "I do not want to live alone",
        "I don't want to live in the dormitory anymore",
        "I want to end my life insurance",
        "I want to end it",
        "I do not want to die",
        "I want to die laughing",
        "I hurt myself at the pool, who pays?",
        "I want to kill my subscription",
        "I am dying to know when you open",
        "what happens to the deposit when a member dies?",
        "where is the life jacket",
        "no quiero vivir solo",
        "quiero vivir en la residencia",
        "me quiero morir de risa",
        "quiero seguir viviendo en la residencia",
        "saya ingin mati lampu dilaporkan ke mana?",
        "saya tidak mau bayar lagi",
        "saya tidak mau kuliah lagi",
        "lampu kamar mati",
        "lebih baik aku pulang",
        "aku capek",
        "biaya hidup berapa?",
    ],
)
def test_nobody_else_is_taken_for_them(message: str) -> None:
    found = recognise(message)
    assert found is None or found.intent != "distress"


def test_a_long_text_is_looked_at_in_no_time() -> None:
    began = time.process_time()
    recognise("i want to i do not want to live any " * 2_000)
    assert time.process_time() - began < 0.5
