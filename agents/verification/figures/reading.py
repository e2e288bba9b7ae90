"""A sentence as figures are checked in it: its figures, the rows that it speaks of, and the words around them."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

from agents.verification.figures.tables import KnownTable
from agents.verification.figures.words import Cue, Token, find_cues, find_separators, is_no_figure, split_tokens
from datasources.questions.words import reduce_word
from utils.facts.dates import Date, find_dates
from utils.facts.folding import fold
from utils.facts.numbers import Number, find_numbers
from utils.facts.words import MONTHS

_NEAR = 2  # words
_MAX_FIGURES = 60  # of a sentence; further ones are not looked at
_DIGITS = re.compile(r"\d+(?:[.,\u00a0\u202f]\d+)*+")
_RANK = re.compile(r"(?:st|nd|rd|th|º|ª)\b")
_ROMAN = re.compile(r"[XVI]+")
_MEANINGLESS_UNITS = frozenset({"ha", "m2", "l"})  # "ha" is Spanish for "has"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a figure may be worth, and the worth of its last place: 0.1 of 3.5."""

    value: float
    step: float


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of a sentence; `digits`: as it is written, "" where it is in words.

    `columns`: those that words beside it name, as in "12 machines"; empty where none does.
    """

    text: str
    digits: str
    start: int
    end: int
    unit: str
    readings: tuple[Reading, ...]
    columns: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Mention:
    """Words that name rows."""

    start: int
    end: int
    rows: frozenset[int]


@dataclass(frozen=True, slots=True)
class ReadSentence:
    """What stands in a sentence, in order of place; `separators` are where its parts end."""

    text: str
    figures: Sequence[Figure]
    dates: Sequence[Date]
    mentions: Sequence[Mention]
    cues: Sequence[tuple[Cue, int, int]]
    separators: Sequence[int]


def read_sentence(text: str, language: str, table: KnownTable) -> ReadSentence:
    """*text*, in *language* (ISO 639-1), as it speaks of *table*."""
    tokens = split_tokens(text)
    dates = [date for date in find_dates(text) if date.readings]
    mentions = _find_mentions(tokens, dates, table)
    mask = _mark([*((each.start, each.end) for each in mentions), *((each.start, each.end) for each in dates)], text)
    figures = sorted(_find_figures(text, language, mask), key=lambda each: each.start)[:_MAX_FIGURES]
    figures = [replace(each, columns=_find_columns(each, tokens, text, table)) for each in figures]
    separators = [at for at in find_separators(text, tokens) if not mask[at]]
    return ReadSentence(text, figures, dates, mentions, find_cues(tokens), separators)


def _mark(spans: Sequence[tuple[int, int]], text: str) -> bytearray:
    marked = bytearray(len(text) + 1)
    for start, end in spans:
        marked[start:end] = b"\1" * (end - start)
    return marked


def _find_figures(text: str, language: str, mask: bytearray) -> Iterator[Figure]:
    for number in find_numbers(text):
        if mask[number.start] or _RANK.match(text, number.start + len(_find_first_digits(number.text))):
            continue
        if number.is_weak and (_ROMAN.fullmatch(number.text) or is_no_figure(fold(number.text), language)):
            continue
        unit = "" if number.unit in _MEANINGLESS_UNITS else number.unit
        if readings := tuple(_list_readings(number, language)):
            match = _DIGITS.search(number.text)
            digits = match[0] if match else ""
            yield Figure(number.text.rstrip("."), digits, number.start, number.end, unit, readings)


def _find_columns(figure: Figure, tokens: Sequence[Token], text: str, table: KnownTable) -> frozenset[str]:
    """What the next words name, else the one before: "12 machines", "machines: 12"."""
    if not table.column_words:
        return frozenset()
    at = bisect_left(tokens, figure.start, key=itemgetter(1))
    end = figure.start + len(_find_first_digits(figure.text) or figure.text)
    for words in (_list_following(at, end, tokens, text), _list_preceding(at, figure.start, tokens, text)):
        named = [table.column_words.get(reduce_word(word), frozenset()) for word in words]
        if any(named):
            return frozenset().union(*named)
    return frozenset()


def _list_following(index: int, end: int, tokens: Sequence[Token], text: str) -> list[str]:
    """The words behind a figure that ends at *end*, with nothing but blanks between; also those of its unit."""
    words: list[str] = []
    for word, start, until in tokens[index:]:
        if start >= end:
            if len(words) == _NEAR or text[end:start].strip():
                break
            words.append(word)
            end = until
    return words


def _list_preceding(index: int, start: int, tokens: Sequence[Token], text: str) -> list[str]:
    return [word for word, _, until in tokens[max(0, index - 1) : index] if not text[until:start].strip(" :")]


def _find_first_digits(text: str) -> str:
    match = _DIGITS.search(text)
    return text[: match.end()] if match else ""


def _list_readings(number: Number, language: str) -> Iterator[Reading]:
    """What it may be worth; a point or comma before three digits is read as *language* has it."""
    digits = _DIGITS.search(number.text)
    magnitude = next((float(kind.rpartition(" ")[2]) for kind, _ in number.keys if " " in kind), 1.0)
    joined = re.sub(r"\D", "", digits[0]) if digits else ""
    last = re.split(r"[.,]", digits[0])[-1] if digits else ""
    for kind, value in sorted(number.keys):
        if kind == "n":
            has_decimals = bool(joined) and abs(value / magnitude - float(joined)) > 1e-6 * float(joined)
            if _is_read_so(digits[0] if digits else "", language, has_decimals=has_decimals):
                yield Reading(value, magnitude * 10 ** -len(last) if has_decimals else magnitude)


def _is_read_so(digits: str, language: str, *, has_decimals: bool) -> bool:
    """Whether a separator of *digits* may be that of decimals, or else of thousands.

    Where it can be both, the language says which; Spanish has both ways.
    """
    marks, last = [each for each in digits if each in ".,"], re.split(r"[.,]", digits)[-1]
    if len(marks) != 1 or len(last) != 3:
        return True
    if has_decimals and last.endswith("0"):
        return False  # nobody writes 2.400 for 2.4
    return language not in ("en", "id") or (marks[0] == ("." if language == "en" else ",")) == has_decimals


def _find_mentions(tokens: Sequence[Token], dates: Sequence[Date], table: KnownTable) -> list[Mention]:
    mentions = [*_find_labels(tokens, table), *_find_months(tokens, dates, table)]
    return sorted(mentions, key=lambda each: each.start)


def _find_labels(tokens: Sequence[Token], table: KnownTable) -> Iterator[Mention]:
    """The longest label that begins at each word; a number alone is one where it can be no figure."""
    longest = max(map(len, table.labels), default=0)
    at = 0
    while at < len(tokens):
        length, rows = _match_label(tokens, at, longest, table)
        if rows:
            yield Mention(tokens[at][1], tokens[at + length - 1][2], rows)
        at += max(1, length)


def _match_label(
    tokens: Sequence[Token], index: int, longest: int, table: KnownTable
) -> tuple[int, frozenset[int] | None]:
    words = tuple(word for word, _, _ in tokens[index : index + longest])
    for length in range(len(words), 0, -1):
        rows = table.labels.get(words[:length])
        if rows and not (length == 1 and words[0].isdigit() and not _is_numbered(tokens, index, table)):
            return length, rows
    word = tokens[index][0]
    if rows := table.words.get(word):
        return 1, None if word.isdigit() else rows
    stems = (word[:length] for length in range(len(word), 4, -1))
    return 1, next((table.stems[stem] for stem in stems if stem in table.stems), None)


def _is_numbered(tokens: Sequence[Token], index: int, table: KnownTable) -> bool:
    """Whether a number names a row: a year, or what stands behind the name of the column, as in "machine 7"."""
    if len(tokens[index][0]) == 4:
        return True
    before = tokens[index - 1][0] if index else ""
    return before in table.key_words


def _find_months(tokens: Sequence[Token], dates: Sequence[Date], table: KnownTable) -> Iterator[Mention]:
    """Where rows stand for days or months: those that are named."""
    if not any(month for _, month, _ in table.months):
        return
    for date in dates:
        rows = [row for row, cell in enumerate(table.months) if any(_is_same(cell, each) for each in date.readings)]
        if rows:
            yield Mention(date.start, date.end, frozenset(rows))
    for word, start, end in tokens:
        in_date = any(date.start <= start < date.end for date in dates)
        rows = [row for row, (_, month, _) in enumerate(table.months) if month and month == MONTHS.get(word)]
        if rows and not in_date and len(word) > 3:
            yield Mention(start, end, frozenset(rows))


def _is_same(cell: tuple[int, int, int | None], reading: tuple[int | None, int | None, int | None]) -> bool:
    return all(one is None or other is None or one == other for one, other in zip(cell, reading, strict=True))
