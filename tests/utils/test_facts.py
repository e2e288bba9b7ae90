"""Numbers, dates, names and denials by value, in three languages: tables of what agrees and what does not."""

import json
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.facts.dates import KnownDates, find_dates
from utils.facts.folding import fold
from utils.facts.names import find_names, is_known, list_words
from utils.facts.numbers import KnownNumbers, find_numbers
from utils.facts.polarity import find_negations, find_opposed, tokenize


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,200", "1200"),
        ("1.200", "1,200"),
        ("Rp 650.000", "IDR 650,000"),
        ("1.015.910 jiwa", "1015910"),
        ("3,5 km", "3.5 kilometers"),
        ("40 %", "40 percent"),
        ("40%", "40 por ciento"),
        ("40 persen", "40 per cent"),
        ("1.5 million", "1,500,000"),
        ("2 millones", "2,000,000"),
        ("650 ribu", "650000"),
        ("3 mil millones", "3 billion"),
        ("two", "2"),
        ("twenty-one", "21"),
        ("two hundred and five", "205"),
        ("tres", "tiga"),
        ("dua puluh", "20"),
        ("doce", "12"),
        ("dua belas mesin", "12 mesin"),
        ("seratus dua puluh lima", "125"),
        ("dua ribu tiga ratus empat puluh", "2340"),
        ("one thousand two hundred and thirty-four", "1234"),
        ("ciento veinticinco", "125"),
        ("dos mil trescientos cuarenta y cinco", "2345"),
        ("ochenta y cinco mil", "85000"),
        ("dos mil millones", "2 billion"),
        ("twelve hundred", "1200"),
        ("the 5th day", "day 5"),
        ("abad ke-21", "21st century"),
        ("8 pm", "20:00"),
        ("08.00", "8:00 a.m."),
        ("9:30 p.m.", "21:30"),
        ("8:00", "8"),
        ("US$40", "40 dollars"),
    ],
)
def test_numbers_agree_by_value(one: str, other: str) -> None:
    assert any(map(KnownNumbers(find_numbers(one)).agree, find_numbers(other)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,200", "1,300"),
        ("40 %", "40 km"),
        ("40 dollars", "40 euros"),
        ("8 am", "20:00"),
        ("1.5 million", "1.5 billion"),
        ("twenty-one", "20"),
        ("650,000", "560,000"),
        ("3 days", "3 weeks"),
        ("dua belas", "2"),
        ("seratus dua puluh", "102"),
    ],
)
def test_other_numbers_do_not(one: str, other: str) -> None:
    assert not any(map(KnownNumbers(find_numbers(one)).agree, find_numbers(other)))


SAME_DAY = [
    "12 March 2026",
    "March 12, 2026",
    "the 12th of March, 2026",
    "2026-03-12",
    "12/03/2026",
    "12.3.2026",
    "12 de marzo de 2026",
    "12 Maret 2026",
    "12 Mar. 2026",
]


@pytest.mark.parametrize("one", SAME_DAY)
@pytest.mark.parametrize("other", SAME_DAY)
def test_a_day_is_the_same_however_it_is_written(one: str, other: str) -> None:
    [first], [second] = find_dates(one), find_dates(other)
    assert KnownDates([first]).say(second)


@pytest.mark.parametrize(
    ("source", "claim", "says"),
    [
        ("12 March 2026", "March 2026", True),
        ("12 March 2026", "12 March", True),
        ("March 2026", "12 March 2026", False),
        ("12 March 2026", "13 March 2026", False),
        ("12 March 2026", "12 May 2026", False),
        ("Monday to Friday", "Wednesday", True),
        ("Monday to Friday", "Saturday", False),
        ("lunes", "Monday", True),
        ("Senin sampai Kamis", "martes", True),
    ],
)
def test_a_date_says_what_is_less_exact_and_a_range_every_day_in_it(source: str, claim: str, says: bool) -> None:
    assert KnownDates(find_dates(source)).say(find_dates(claim)[0]) is says


@pytest.mark.parametrize("text", ["In March they march.", "It may rain.", "room 12", "99/99/2026", "31 Flavours"])
def test_what_looks_like_a_date_is_none(text: str) -> None:
    assert not [each for each in find_dates(text) if each.readings]


@pytest.mark.parametrize(
    ("name", "text", "known"),
    [
        ("Wirawan's", "by Ratna Wirawan", True),
        ("Lucia", "Lucía Ortega", True),
        ("Indonesian", "in Indonesia", True),
        ("RATNA", "Ratna", True),
        ("Austria", "Australia", False),
        ("Ann", "Anna", False),
        ("Kusuma", "by Ratna Wirawan", False),
    ],
)
def test_names_are_known_without_case_accents_and_possessives(name: str, text: str, known: bool) -> None:
    [found] = find_names(f"it was {name}")
    assert is_known(found.key, list_words(text)) is known


def test_the_start_of_a_sentence_days_and_small_words_make_no_names() -> None:
    found = find_names("The rent of Gull House is due. On Monday Dr Ortega opens B2 in March.")
    assert [each.text for each in found if not each.opens] == ["Gull", "House", "Ortega", "B2"]


@pytest.mark.parametrize(
    ("text", "language", "denied"),
    [
        ("Visitors must not stay.", "en", ["not"]),
        ("They can't and never will.", "en", ["can't", "never"]),
        ("Not only dogs.", "en", []),
        ("No hay sitio, nunca.", "es", ["no", "nunca"]),
        ("Tamu tidak boleh, bukan besok.", "id", ["tidak", "bukan"]),
        ("Open daily.", "en", []),
    ],
)
def test_denials_are_found(text: str, language: str, denied: list[str]) -> None:
    assert [each.word for each in find_negations(tokenize(text), language)] == denied


def test_a_word_is_opposed_by_its_opposite_in_its_place() -> None:
    assert find_opposed({"the", "door", "closed"}, {"the", "door", "open"}) == ("closed", "open")
    assert find_opposed({"closed", "open"}, {"open"}) is None


@given(st.text(max_size=200))
def test_any_text_can_be_looked_at(text: str) -> None:
    assert all(each.end <= len(text) for each in find_numbers(text))
    assert all(text[each.start : each.end] == each.text for each in find_dates(text))
    assert all(text[each.start : each.end] == each.text for each in find_names(text))


@pytest.mark.parametrize("table", ["months", "weekdays", "numbers", "magnitudes", "units"])
def test_a_word_of_a_table_is_folded_and_has_one_value(table: str) -> None:
    tables = json.loads((files("utils.facts") / "words.json").read_text("utf-8"))
    words = [word for listed in tables[table].values() for word in listed]
    assert words == [fold(word) for word in words]
    assert len(words) == len(set(words))


def test_words_that_deny_or_oppose_or_name_nothing_are_folded() -> None:
    tables = json.loads((files("utils.facts") / "words.json").read_text("utf-8"))
    by_language = [*tables["negations"].values(), *tables["not_only"].values()]
    sides = [side for pair in tables["opposites"] for side in pair]
    for words in (*by_language, *sides, tables["weak_numbers"], tables["never_names"]):
        assert words == [fold(word) for word in words]
