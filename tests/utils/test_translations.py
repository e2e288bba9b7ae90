"""Words in another of our languages, and those of the same one that say nearly the same."""

import json
from importlib.resources import files

import pytest

from utils.translations import find_translations
from utils.words import hash_content_words


@pytest.mark.parametrize(
    ("word", "source", "said", "target"),
    [
        ("price", "en", "precio", "es"), ("precios", "es", "harga", "id"), ("perpustakaan", "id", "library", "en"),
        ("Dogs", "en", "anjing", "id"), ("cost", "en", "fee", "en"), ("jueves", "es", "Thursday", "en"),
        ("fuel", "en", "gasolina", "es"), ("obat", "id", "medicine", "en"), ("plazo", "es", "batas", "id"),
    ],
)  # fmt: skip
def test_everyday_words_are_known_by_their_stems(word: str, source: str, said: str, target: str) -> None:
    assert hash_content_words(said, target) <= find_translations(word, source, target)


@pytest.mark.parametrize(
    ("word", "source", "target"), [("Thornwick", "en", "es"), ("price", "fr", "en"), ("", "en", "id")]
)
def test_nothing_is_known_of_names_and_of_other_languages(word: str, source: str, target: str) -> None:
    assert find_translations(word, source, target) == frozenset()


def test_every_row_has_words_in_each_language() -> None:
    rows = json.loads((files("utils") / "translations.json").read_text("utf-8"))
    assert all(len(row) == 3 and all(map(str.strip, row)) for row in rows)
    assert len({tuple(row) for row in rows}) == len(rows)
