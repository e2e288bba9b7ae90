"""What the words of a question stand for."""

from collections.abc import Container
from dataclasses import dataclass
from typing import Any, Literal

from datasources.questions.refusals import QuestionRefused
from datasources.questions.times import UNITS, read_span
from datasources.questions.vocabulary import Vocabulary
from datasources.questions.words import (
    AGGREGATES,
    COUNTS,
    CURRENCIES,
    EACH,
    MAYBE_EACH,
    MOST,
    NUMBERS,
    SIMILAR,
    STOP,
    SUPERLATIVES,
    TOP,
    UNSUPPORTED,
    detect_question_language,
    is_number,
    read_comparison,
    reduce_word,
    split_question,
    split_words,
)

Kind = Literal[
    "table", "column", "value", "count", "aggregate", "superlative", "most", "each", "number", "than", "top", "period",
    "unit",
]  # fmt: skip
_LONGEST_NAME = 4  # words
MAX_WORDS = 60


@dataclass(frozen=True, slots=True)
class Item:
    """A part of the question: what it stands for, its words, and the place of the first one."""

    kind: Kind
    meaning: Any
    words: tuple[str, ...]
    place: int


def read_question(
    question: str, vocabulary: Vocabulary, language: str = "", ignored: Container[str] = ()
) -> tuple[list[str], list[Item]]:
    """Its words, and its parts, without the words that say nothing, and those that are *ignored*.

    *language*: "" for that of its words.

    Raises:
        QuestionRefused: there is a word that is not explained, or that rules do not know how to ask.
    """
    words, items, place = split_question(question, language or detect_question_language(question)), list[Item](), 0
    if not 0 < len(words) <= MAX_WORDS:
        raise QuestionRefused("length", str(MAX_WORDS))
    while place < len(words):
        item = (
            _read_comparison(words, place)
            or _read_name(words, place, vocabulary)
            or (None if words[place] in ignored else _read_word(words, place, vocabulary))
        )
        if item is not None:
            items.append(item)
        place += len(item.words) if item else 1
    listed = {part[-1] for part in map(split_words, question.split(",")[:-1]) if part}
    return words, [each for each in items if each.words[-1] in listed or not _is_first_half(each, items)]


def _is_first_half(item: Item, items: list[Item]) -> bool:
    """Whether it only says more of the next one, without a comma between: `population density`, `más grande`."""
    following = [each for each in items if each.place == item.place + len(item.words)]
    if item.kind == "most":
        return any(each.kind == "superlative" for each in following)
    if item.kind != "column":
        return False
    following = [each for each in following if each.kind == "column"]
    tables = {each.table for each in item.meaning}
    return any(tables & {each.table for each in other.meaning} for other in following)


def _read_name(words: list[str], place: int, vocabulary: Vocabulary) -> Item | None:
    """The longest name, value or phrase that begins there."""
    span = read_span(words, place)
    for length in range(min(_LONGEST_NAME, len(words) - place), 0, -1):
        name = tuple(words[place : place + length])
        if name in COUNTS:
            return Item("count", None, name, place)
        if span is not None and length == span[1] and name[:1] not in vocabulary.column_names:
            return Item("period", span[0], name, place)
        if length > 1 and name in vocabulary.values:
            return Item("value", vocabulary.values[name], name, place)
        if table := vocabulary.find_table(name):
            return Item("table", table, name, place)
        if columns := vocabulary.find_columns(name):
            return Item("column", columns, name, place)
        is_operator = name[0] in STOP or name[0] in AGGREGATES or name[0] in SUPERLATIVES or name[0] in MOST
        if length == 1 and not is_operator and (value := vocabulary.find_values(name[0])):
            return Item("value", value, name, place)
    similar = vocabulary.column_names.get((SIMILAR.get(reduce_word(words[place]), ""),))
    return Item("column", similar, (words[place],), place) if similar else None


def _read_word(words: list[str], place: int, vocabulary: Vocabulary) -> Item | None:
    """A word that says how to ask; None for one that says nothing."""
    word, before = words[place], words[place - 1] if place else ""
    if word in UNSUPPORTED:
        raise QuestionRefused("unsupported", word)
    for kind, table in (("superlative", SUPERLATIVES), ("most", MOST), ("aggregate", AGGREGATES), ("number", NUMBERS)):
        if word in table:
            return Item(kind, table[word], (word,), place)  # type: ignore[arg-type] # each is a kind
    if is_number(word):
        return Item("number", float(word) if "." in word else int(word), (word,), place)
    if word in EACH or (word in MAYBE_EACH and _names_kind(words, place + 1, vocabulary)):
        return Item("each", None, (word,), place)
    if before in EACH | MAYBE_EACH and word in UNITS:
        return Item("unit", UNITS[word], (word,), place)
    if word in TOP:
        return Item("top", None, (word,), place)
    if word in STOP:
        return None
    in_currency = [column for column, unit in vocabulary.units.items() if unit == CURRENCIES.get(word)]
    if in_currency:
        return Item("column", in_currency, (word,), place)
    return _read_part_of_name(word, place, vocabulary)


def _read_comparison(words: list[str], place: int) -> Item | None:
    compared = read_comparison(words, place)
    return Item("than", compared[0], tuple(words[place : place + compared[1]]), place) if compared else None


def _names_kind(words: list[str], place: int, vocabulary: Vocabulary) -> bool:
    """Whether what follows may be counted for each of: a table, a column, or a unit of time."""
    if place >= len(words) or not SUPERLATIVES.keys().isdisjoint(words):  # "el más pequeño por área"
        return False
    named = _read_name(words, place, vocabulary)
    return words[place] in UNITS or (named is not None and named.kind in ("table", "column"))


def _read_part_of_name(word: str, place: int, vocabulary: Vocabulary) -> Item:
    """A column that one word of its name tells from all others."""
    reduced = reduce_word(word)
    part_of_name = [each for key, named in vocabulary.column_names.items() if reduced in key for each in named]
    if len(reduced) > 3 and len({each.column for each in part_of_name}) == 1:
        return Item("column", part_of_name, (word,), place)
    raise QuestionRefused("word", word)
