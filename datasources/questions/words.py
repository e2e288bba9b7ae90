"""Words of questions in English, Spanish and Indonesian: what says nothing, what says how to ask, and other forms.

The words themselves are in `words.json`, without accents.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import Any

from utils.data_files import load_json
from utils.language import detect_language

_TABLES: dict[str, Any] = load_json("datasources.questions", "words.json")
_LONGEST_COMPARISON = 3  # words


def invert(table: Mapping[str, str]) -> dict[str, str]:
    """The name of its row for each word of *table*."""
    return {word: name for name, words in table.items() for word in words.split()}


COURSES = frozenset(_TABLES["courses"].split())
"""Verbs of what has a course, such as a river: whatever it is about, it is not the name of the thing itself."""
STOP = COURSES.union(*(words.split() for words in _TABLES["says_nothing"].values()))
UNSUPPORTED = frozenset(_TABLES["unsupported"].split())
AGGREGATES = invert(_TABLES["aggregates"])
SUPERLATIVES: Mapping[str, tuple[tuple[str, ...], str]] = {
    word: (tuple(_TABLES["measures"][each["measures"]]), each["end"])
    for each in _TABLES["superlatives"]
    for word in each["words"].split()
}
MOST = invert(_TABLES["most"])
EACH = frozenset(_TABLES["each"].split())
MAYBE_EACH = frozenset(_TABLES["maybe_each"].split())
"""Words that group where a name follows them, and else say nothing: "por estado", "por favor"."""
TOP = frozenset(_TABLES["top"].split())
NUMBERS = {word: number for words in _TABLES["numbers"] for number, word in enumerate(words.split(), 1)}
COUNTS = frozenset(tuple(each.split()) for each in _TABLES["counts"])
SIMILAR: Mapping[str, str] = _TABLES["similar"]
"""Names that may be meant where there is none of the first: "estado" is both."""
JOINING = frozenset(_TABLES["joining"].split())
LISTING = frozenset(_TABLES["listing"].split())
"""Words that ask for rows, where others ask for a figure."""
CURRENCIES = invert(_TABLES["currencies"])
_COMPARISONS = {tuple(words.split()): sign for sign, phrases in _TABLES["than"].items() for words in phrases}
_OF_LANGUAGE: dict[str, frozenset[str]] = {
    language: frozenset(f"{_TABLES['says_nothing'][language]} {words}".split())
    for language, words in _TABLES["tells_language"].items()
}
_FORMS, _VALUE_FORMS = invert(_TABLES["same"]), invert(_TABLES["same_values"])
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_REPEATED = re.compile(r"\b([^\W\d_]{3,})-\1(?=\b|nya\b)")  # of several, in Indonesian
_GROUPED = {"en": re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])"),
            "": re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3})+(?![\d.])")}  # fmt: skip
_WITH_COMMA = re.compile(r"(?<![\d.,])(\d+),(\d{1,2}|\d{4,})(?![\d.,])")


def split_words(text: str) -> list[str]:
    """The words of *text* in small letters without accents."""
    plain = unicodedata.normalize("NFD", text.lower())
    letters = "".join(each for each in plain if unicodedata.category(each) != "Mn")
    joined = _REPEATED.sub(r"\1", letters.replace("'s ", " ").replace("-nya", "nya")).replace("rata rata", "rata")
    return re.findall(r"[a-z0-9]+(?:\.[0-9]+)?", joined)


def split_question(question: str, language: str) -> list[str]:
    """The words of *question*, its numbers read as *language* writes them: "15.000" and "3,5" are none of English.

    A comma before three digits is left where it may part decimals or, in Mexico, thousands: that makes two numbers.
    """
    grouping = _GROUPED["" if language in ("es", "id") else "en"]
    plain = grouping.sub(lambda found: re.sub(r"\D", "", found[0]), question)
    words = split_words(_WITH_COMMA.sub(r"\1.\2", plain) if language in ("es", "id") else plain)
    for index in range(len(words) - 2, -1, -1):  # "paling tinggi" is "tertinggi"
        if words[index] == "paling" and (joined := f"ter{words[index + 1]}") in SUPERLATIVES.keys() | MOST.keys():
            words[index : index + 2] = [joined]
    return words


def is_number(word: str) -> bool:
    """Whether it is one in digits."""
    return _NUMBER.fullmatch(word) is not None


def read_comparison(words: Sequence[str], place: int) -> tuple[str, int] | None:
    """The sign of the comparison with a number that begins there, and how many words say it: "por encima de 5".

    Also where no number follows "more than": that is none of another sense.
    """
    for length in range(min(_LONGEST_COMPARISON, len(words) - place - 1), 0, -1):
        phrase, after = tuple(words[place : place + length]), words[place + length]
        sign = _COMPARISONS.get(phrase)
        if sign and (is_number(after) or after in NUMBERS or phrase[-1] in ("than", "que", "dari")):
            return sign, length
    return None


def detect_question_language(question: str, previous: str = "") -> str:
    """That of most of its small words, else of the *previous* question, else of its letters: a question is short, and
    names say little."""
    words = split_words(question)
    counts = {language: sum(word in own for word in words) for language, own in _OF_LANGUAGE.items()}
    most = max(counts.values())
    best = [language for language, count in counts.items() if count == most]
    if most and len(best) == 1:
        return best[0]
    return detect_question_language(previous) if previous else detect_language(question)


def read_name(name: str) -> list[str]:
    """The words of a name such as `next_maintenance` or `UnitPrice`."""
    return split_words(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " "))


def split_name(name: str) -> tuple[str, ...]:
    """The words of a name, each in its basic form."""
    return tuple(map(reduce_word, read_name(name)))


def reduce_word(word: str) -> str:
    """*word* without the ending of a plural, and for those of another language or the same sense, one of them."""
    singular = cut_plural(word)
    return _FORMS.get(word, _FORMS.get(singular, singular))


def cut_plural(word: str) -> str:
    """*word* without the ending of a plural."""
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 4 and word.endswith("es") and (word[:-2] in _FORMS or re.search(r"(ss|x|ch|sh)es$", word)):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def list_bases(words: Sequence[str]) -> list[tuple[str, ...]]:
    """The basic forms that *words* may have together, the likeliest first."""
    return list(product(*map(_list_forms, words)))


def list_values(word: str) -> list[str]:
    """The values that *word* may mean: as it is, one of several, or in another language."""
    singulars = dict.fromkeys((word, cut_plural(word), *_cut_endings(word)))
    return list(dict.fromkeys((*singulars, *(_VALUE_FORMS[each] for each in singulars if each in _VALUE_FORMS))))


@lru_cache(4096)
def _list_forms(word: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((reduce_word(word), *map(reduce_word, _cut_endings(word)))))


def _cut_endings(word: str) -> list[str]:
    """*word* without those of Spanish plurals after a consonant, and the Indonesian "-nya"."""
    result = [word[:-3]] if len(word) > 5 and word.endswith("nya") else []
    if len(word) > 5 and word.endswith("ces"):
        return [*result, f"{word[:-3]}z"]
    return [*result, word[:-2]] if len(word) > 4 and re.search(r"[dlnrsyj]es$", word) else result
