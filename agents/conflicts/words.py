"""The words that tell what a sentence is about and for whom it holds, in three languages: the tables of words.json."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from utils.data_files import load_json
from utils.facts.folding import fold
from utils.words import hash_content_words

_TABLES: dict[str, Any] = load_json("agents.conflicts", "words.json")
_LANGUAGES = ("en", "id", "es")


def _fold_all(words: Iterable[str]) -> frozenset[str]:
    return frozenset(map(fold, words))


def _index_by_word(table: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """The name of its row for each word."""
    return {fold(word): name for name, words in table.items() for word in words}


def _index_by_group(groups: Sequence[Sequence[Iterable[str]]]) -> dict[str, tuple[int, int]]:
    """For each word the number of its group, and its place in it."""
    return {
        fold(word): (group, place)
        for group, rows in enumerate(groups)
        for place, words in enumerate(rows)
        for word in words
    }


PLACES = _index_by_word(_TABLES["places"])  # "room", with which a number is no amount
LABELS = _index_by_word(_TABLES["labels"])  # "line", with which a number is a name
OWNERS = _index_by_word(_TABLES["owners"])  # "campus", whose rules may be others than those of the next one
LINKS = _fold_all(_TABLES["links"])
ROLES = _fold_all(_TABLES["roles"])
PHONES = _fold_all(_TABLES["phones"])
HEDGES = _fold_all(_TABLES["hedges"])
PAST = _fold_all(_TABLES["past"])
TIMES = _fold_all(_TABLES["times"])
CONDITIONS = _fold_all(_TABLES["conditions"])  # in a heading: what stands below holds for what the heading names
# For each word the group of alternatives, and which of them it is: "written" and "oral".
ALTERNATIVES = _index_by_group(_TABLES["groups"])
OPPOSITES = _index_by_group(_TABLES["opposites"])
_WEEKDAYS, _WEEKEND = _fold_all(_TABLES["weekdays"]), _fold_all(_TABLES["weekend"])


def list_weekdays(word: str) -> frozenset[int]:
    """The days of the week, from Monday, 0, that a folded *word* stands for: "weekdays"."""
    return frozenset(range(5)) if word in _WEEKDAYS else frozenset((5, 6)) if word in _WEEKEND else frozenset()


@lru_cache(16_384)
def find_subject(word: str, language: str) -> int | None:
    """What a folded *word* stands for, the same for words that say the same; None where it says little."""
    stem = next(iter(hash_content_words(word, language)), None)
    same, fillers = _load_subjects(language if language in _LANGUAGES else "en")
    return None if stem is None or stem in fillers else same.get(stem, stem)


def is_general(subject: int, language: str) -> bool:
    """Whether a subject (`find_subject`) tells nothing of what is spoken of: "call", "fee", "contact"."""
    return subject in _load_general(language if language in _LANGUAGES else "en")


@cache
def _load_general(language: str) -> frozenset[int]:
    subjects = (find_subject(fold(word), language) for word in _TABLES["general"][language])
    return frozenset(subject for subject in subjects if subject is not None)


@cache
def _load_subjects(language: str) -> tuple[dict[int, int], frozenset[int]]:
    """What each stem stands for that has others like it, and the stems that say little."""
    same: dict[int, int] = {}
    for row in _TABLES["same"][language]:
        stems = [stem for word in row for stem in hash_content_words(fold(word), language)]
        same |= dict.fromkeys(stems, min(stems, default=0))
    fillers = (stem for word in _TABLES["fillers"][language] for stem in hash_content_words(fold(word), language))
    return same, frozenset(fillers).difference(same)
