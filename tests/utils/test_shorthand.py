"""Short forms as people type them on a phone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.shorthand import spell_out


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Brp denda kalo buku telat dikembalikan?", "berapa denda kalau buku telat dikembalikan?"),
        ("teman2 saya boleh masuk ga?", "teman-teman saya boleh masuk tidak?"),
        ("xq no puedo entrar en la biblioteca?", "por qué no puedo entrar en la biblioteca?"),
        ("whats the fee for a lost card, can u tell me pls", "what is the fee for a lost card, can you tell me please"),
    ],
)
def test_short_forms_are_spelled_out_in_the_language_of_the_question(typed: str, meant: str) -> None:
    assert spell_out(typed) == meant


@pytest.mark.parametrize(
    "plain",
    [
        "Berapa denda buku yang terlambat dikembalikan ke perpustakaan P2?",
        "¿Cuánto cuesta la residencia de estudiantes y cuándo se paga?",
        "How much is a room in Hall U, and what does CO2 stand for?",
        "",
    ],
)
def test_what_is_none_stays_as_it_is(plain: str) -> None:
    assert spell_out(plain) == plain


@given(st.text(max_size=600))
def test_any_text_can_be_asked_and_asking_twice_changes_nothing_more(text: str) -> None:
    assert len(spell_out(text)) <= 12 * len(text) + 12
    if len(text) > 500:
        assert spell_out(text) == text
