"""The words that facts are made of, in English, Spanish and Indonesian, folded: the tables of `words.json`."""

from collections.abc import Callable
from typing import Any, TypeVar

from utils.data_files import load_json

V = TypeVar("V")

_TABLES: dict[str, Any] = load_json("utils.facts", "words.json")


def _invert(table: str, value_of: Callable[[str], V]) -> dict[str, V]:
    """The value of each word in a table of words by value."""
    return {word: value_of(value) for value, words in _TABLES[table].items() for word in words}


def _load_by_language(table: str) -> dict[str, frozenset[str]]:
    return {language: frozenset(words) for language, words in _TABLES[table].items()}


MONTHS = _invert("months", int)
WEEKDAYS = _invert("weekdays", int)  # Monday is 0
SPELLED = _invert("numbers", float)
# Words that are numbers and much else: they prove a number, but are not missed as one.
WEAK = frozenset[str](_TABLES["weak_numbers"])
MAGNITUDES = _invert("magnitudes", float)
UNITS = _invert("units", str)
# Often with a capital although they name nothing, or different in each language.
NEVER_NAMES = frozenset[str](_TABLES["never_names"])
NEGATIONS = _load_by_language("negations")
NOT_ONLY = _load_by_language("not_only")  # a negation before one of these denies nothing
EXCEPTIONS = frozenset[str](_TABLES["exceptions"])  # what follows is the opposite of what was said
FREE_OF_CHARGE = tuple[str, ...](_TABLES["free_of_charge"])
OPPOSITES = [(frozenset[str](one), frozenset[str](other)) for one, other in _TABLES["opposites"]]
