"""What the words of a question are to a result that was just given."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from datasources.questions.times import read_span
from datasources.questions.words import (
    AGGREGATES,
    COUNTS,
    NUMBERS,
    STOP,
    invert,
    is_number,
    read_comparison,
    reduce_word,
    split_words,
)
from utils.data_files import load_json
from utils.query_tables import QueryTable

Function = Literal["SUM", "AVG", "MAX", "MIN", "COUNT"]
End = Literal["earliest", "latest", "most", "least"]
DAY = re.compile(r"\d{4}-\d\d(-\d\d.*)?")
_LONGEST_NAME = 5  # words
TABLES: dict[str, Any] = load_json("datasources.questions", "followups.json")
POINTING = frozenset(TABLES["pointing"].split())
_SURELY_POINTING = POINTING - set(TABLES["maybe_pointing"].split())
SAYS_NOTHING = frozenset(TABLES["says_nothing"].split())
_SAYS_NOTHING = (STOP | SAYS_NOTHING | set(TABLES["says_little"].split())) - POINTING
WHICH = frozenset(TABLES["continuing"]["which"].split())
RELATIVE = frozenset(TABLES["relative"].split())
"""Words that stand before a time, and in names such as "next maintenance"."""
_NO_REFERENCE = frozenset(TABLES["no_reference"].split())
_PLACES = {word: place for place, words in enumerate(TABLES["ordinals"]) for word in words.split()}
_FIRST_ROWS = frozenset(TABLES["first_rows"].split())
_LAST = frozenset(TABLES["last"].split())
_ENDS: Mapping[str, End] = invert(TABLES["ends"])  # type: ignore[assignment] # they are ends
_MAYBE_ENDS: Mapping[str, End] = invert(TABLES["maybe_ends"])  # type: ignore[assignment] # "más antigua" is no number
_ADDING = frozenset(TABLES["adding"].split())
_SORTING = frozenset(TABLES["sorting"].split())


@dataclass(slots=True)
class FollowupParts:
    """What the words of a question are; `unknown` are those that are nothing."""

    points: bool = False
    names_things: bool = False
    counts: bool = False
    sorts: bool = False
    place: int | None = None
    function: Function | None = None
    end: End | None = None
    takes_first: bool = False
    number: int | None = None
    comparison: tuple[str, float] | None = None
    unknown: list[str] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    values: list[frozenset[int]] = field(default_factory=list)

    @property
    def asks(self) -> bool:
        """Whether a word says what is to be done."""
        done = (self.place, self.function, self.end, self.comparison)
        return (
            self.counts or self.sorts or self.takes_first or bool(self.values) or any(each is not None for each in done)
        )

    @property
    def asks_more(self) -> bool:
        """Whether a word says what is to be done with the rows that a comparison leaves."""
        return self.counts or self.sorts or any(each is not None for each in (self.place, self.function, self.end))


def refers_to_result(question: str, previous: str = "") -> bool:
    """Whether it surely speaks of things that were just given: "these machines", not "this month".

    In Indonesian also "rata-rata jamnya", where it does not name anew what *previous* was about.
    """
    words = split_words(question)
    of_them = [each for each in words if len(each) > 5 and each.endswith("nya") and each not in _NO_REFERENCE]
    if previous and of_them and (set(words) - STOP).isdisjoint(set(split_words(previous)) - STOP):
        return True
    named = {
        place
        for index in range(len(words))
        if (span := read_span(words, index))
        for place in range(index, index + span[1])
    }
    return any(word in _SURELY_POINTING and index not in named for index, word in enumerate(words))


def read_parts(words: Sequence[str], table: QueryTable, previous: str) -> FollowupParts:
    """What each word is to *table*, which answered the question *previous*."""
    parts, place = FollowupParts(), 0
    things = frozenset(map(reduce_word, split_words(previous)))
    columns, values = dict(_list_columns(table)), _list_values(table)
    while place < len(words):
        length = _read_number(words, place, parts) or _read_name(words, place, parts, columns, values)
        if not length and not _read_word(words, place, parts, things):
            parts.unknown.append(words[place])
        place += length or 1
    return parts


def _read_number(words: Sequence[str], place: int, parts: FollowupParts) -> int:
    """Note with what figures are compared there; how many words say so, 0 for none."""
    sign, length = read_comparison(words, place) or ("", 0)
    after = words[place + length]
    number = float(after) if is_number(after) else NUMBERS.get(after)
    if not length or number is None:
        return 0
    parts.comparison = sign, number
    return length + 1


def _read_name(
    words: Sequence[str],
    place: int,
    parts: FollowupParts,
    columns: Mapping[tuple[str, ...], int],
    values: Mapping[tuple[str, ...], frozenset[int]],
) -> int:
    """Note the longest name, value or phrase that begins there; how many words it has, 0 for none."""
    for length in range(min(_LONGEST_NAME, len(words) - place), 0, -1):
        name = tuple(words[place : place + length])
        reduced = tuple(reduce_word(word.removesuffix("nya")) for word in name)
        if name in COUNTS:
            parts.counts = True
            return length
        if reduced in columns:
            parts.columns.append(columns[reduced])
            return length
        is_operator = length == 1 and (name[0] in _SAYS_NOTHING or name[0] in _ENDS or name[0] in _PLACES)
        if name in values and not is_operator:
            parts.values.append(values[name])
            return length
    return 0


def _read_word(words: Sequence[str], place: int, parts: FollowupParts, things: frozenset[str]) -> bool:
    """Note what one word says; whether it says anything that is known."""
    word, after = words[place].removesuffix("nya"), words[place + 1] if place + 1 < len(words) else ""
    number = int(word) if word.isdigit() and len(word) <= 3 else NUMBERS.get(word)
    if word in POINTING:
        parts.points = True
    elif word in _FIRST_ROWS and (after.isdigit() or (after in NUMBERS and after not in POINTING)):
        parts.takes_first = True
    elif word in _LAST:
        parts.place = -1
    elif word in _PLACES:
        parts.place = _PLACES[word]
    elif end := _ENDS.get(word) or _ENDS.get(word.removesuffix("s")):
        parts.end = end
    elif word in _MAYBE_ENDS:
        parts.end = parts.end or _MAYBE_ENDS[word]
    elif word in AGGREGATES:
        parts.function = AGGREGATES[word]  # type: ignore[assignment] # they are functions
    elif word in _ADDING:
        parts.function = "SUM"
    elif word in _SORTING:
        parts.sorts = True
    elif number is not None:
        parts.number = number
    elif reduce_word(word) in things and word not in STOP:
        parts.names_things = True
    else:
        return word in _SAYS_NOTHING
    return True


def _list_columns(table: QueryTable) -> Iterator[tuple[tuple[str, ...], int]]:
    """The names and synonyms of its columns, in basic forms."""
    for at, column in reversed(list(enumerate(table.columns))):
        for name in (*column.words.split("; "), column.name):
            words = tuple(map(reduce_word, split_words(name.replace("_", " "))))
            if 0 < len(words) <= _LONGEST_NAME:
                yield words, at


def _list_values(table: QueryTable) -> dict[tuple[str, ...], frozenset[int]]:
    """The rows that have a text, by its words."""
    values: dict[tuple[str, ...], set[int]] = {}
    for number, row in enumerate(table.rows):
        for cell in row:
            words = tuple(split_words(cell)) if isinstance(cell, str) and not DAY.fullmatch(cell) else ()
            if words:
                values.setdefault(words, set()).add(number)
    return {words: frozenset(rows) for words, rows in values.items()}
