"""Names in a text: words with a capital that the start of a sentence does not explain, and codes such as "B2"."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import lru_cache

from utils.facts.folding import fold, unify_marks
from utils.facts.words import MONTHS, NEVER_NAMES, UNITS, WEEKDAYS

_TOKEN = re.compile(r"[^\W_]+(?:['’‘][^\W_]+)*")
_POSSESSIVE = re.compile(r"'s$|'$")
_ORDINAL = re.compile(r"(?<!\d)\d++(?:st|nd|rd|th|s|er|[ºª]|[^\W\d_]{1,3}[²³]?)", re.IGNORECASE)
_LOOKED_BACK = 12  # characters before a word
_STARTS = re.compile(rf"(?:^|[.!?:;…\n•|]|[-*]\s)[\s\"'“‘«(\[*_¿¡-]{{0,{_LOOKED_BACK}}}$")
_NO_NAMES = NEVER_NAMES.union(MONTHS, WEEKDAYS, UNITS)
_MIN_SHARED = 4
_MAX_INITIALS = 10


@dataclass(frozen=True, slots=True)
class Name:
    """A word of a name: as it is compared, as it is written, and where. *follows*: it continues the name before."""

    key: str
    text: str
    start: int
    end: int
    follows: bool = False
    opens: bool = False  # the sentence: may be a word like any other


def find_names(text: str) -> list[Name]:
    """The words of names in *text*, in order, days and months not among them."""
    return list(_read_names(text))


@lru_cache(4096)
def make_name_key(word: str) -> str:
    """A word as names are compared: without case, accents and possessive."""
    return _POSSESSIVE.sub("", fold(unify_marks(word)))


def list_words(text: str) -> frozenset[str]:
    """All words of *text* as names are compared."""
    return frozenset(make_name_key(token) for token in _TOKEN.findall(text))


def is_known(key: str, words: frozenset[str]) -> bool:
    """Whether a name, or a word made of it as "Indonesian" of "Indonesia", is among *words* (`list_words`).

    Two words are kin where the shorter one, but for its last letter, begins the other, by four letters at least.
    """
    if key in words:
        return True
    if len(key) <= _MIN_SHARED:
        return False
    ordered, stems = _sort_words(words)
    beginning = key[:-1]
    at = bisect_left(ordered, beginning)
    if at < len(ordered) and ordered[at].startswith(beginning):
        return True
    return any((size, key[: max(_MIN_SHARED, size - 1)]) in stems for size in range(_MIN_SHARED, len(key)))


@lru_cache(512)
def _sort_words(words: frozenset[str]) -> tuple[list[str], Set[tuple[int, str]]]:
    """*words* in order, and how long each is with what longer ones have to begin with."""
    ordered = sorted(word for word in words if len(word) >= _MIN_SHARED)
    return ordered, {(len(word), word[: max(_MIN_SHARED, len(word) - 1)]) for word in ordered}


def find_initials(text: str) -> frozenset[str]:
    """What runs of words with capitals would be short for: "UN" for "United Nations"."""
    initials, run = set(), ""
    for token in _TOKEN.findall(text):
        if token[0].isupper():
            run = (run + token[0].casefold())[-_MAX_INITIALS:]
            initials |= {run[index:] for index in range(len(run) - 1)}
        elif token.casefold() not in NEVER_NAMES:
            run = ""
    return frozenset(initials)


def _read_names(text: str) -> Iterator[Name]:
    last_end, last_is_name = -1, False
    for match in _TOKEN.finditer(text):
        word = match[0]
        is_name = _looks_like_name(word) and text[max(0, match.start() - 1) : match.start()] != "°"
        opens = is_name and _STARTS.search(text, max(0, match.start() - _LOOKED_BACK), match.start()) is not None
        follows = last_is_name and text[last_end : match.start()] in (" ", "-", "'", "’", ". ")
        if is_name:
            yield Name(make_name_key(word), word, match.start(), match.end(), follows, opens)
        last_end, last_is_name = match.end(), is_name


def _looks_like_name(word: str) -> bool:
    if word[0].isdigit() or not word[0].isupper():
        return _is_mixed(word) and not _ORDINAL.fullmatch(word)
    key = make_name_key(word)
    return key not in _NO_NAMES and not _is_roman(word)


def _is_mixed(word: str) -> bool:
    """Whether there are figures and letters in it."""
    return any(map(str.isdecimal, word)) and any(each.isalnum() and not each.isdecimal() for each in word)


def _is_roman(word: str) -> bool:
    return set(word) <= set("IVX")
