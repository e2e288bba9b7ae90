"""Spans of time that a question names, in English, Spanish and Indonesian: this month, next week, March 2026."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from datasources.questions.words import invert
from utils.data_files import load_json
from utils.facts.words import MONTHS

Unit = Literal["day", "week", "month", "year"]
_TABLES: dict[str, Any] = load_json("datasources.questions", "times.json")
UNITS = invert(_TABLES["units"])
_LONGEST = 4  # words
_PERIODS: dict[tuple[str, ...], tuple[Unit, int]] = {
    tuple(phrase.split()): (unit, int(offset))
    for unit, spans in _TABLES["spans"].items()
    for offset, phrases in spans.items()
    for phrase in phrases.split(", ")
}
_SHORT_MONTHS = frozenset(_TABLES["short_months"].split())  # of three letters no other is a month alone: may, mar, dec
_BEFORE_MONTH = frozenset(_TABLES["before_month"].split())
_BEFORE_YEAR = frozenset(_TABLES["before_year"].split())
_FIRST_YEAR, _LAST_YEAR = 1800, 2200


@dataclass(frozen=True, slots=True)
class Span:
    """A unit of time, so many of them from now; or a month, of this year where `year` is None; or a year."""

    unit: Unit
    offset: int = 0
    month: int | None = None
    year: int | None = None

    def find_days(self, today: date) -> tuple[date, date]:
        """Its first day, and the first one after it."""
        if self.month is not None:
            first = date(self.year or today.year, self.month, 1)
            return first, _add_months(first, 1)
        if self.unit in ("day", "week"):
            length = timedelta(days=1 if self.unit == "day" else 7)
            begin = today if self.unit == "day" else today - timedelta(days=today.weekday())
            return begin + self.offset * length, begin + (self.offset + 1) * length
        if self.unit == "month":
            first = _add_months(today.replace(day=1), self.offset)
            return first, _add_months(first, 1)
        year = self.year or today.year + self.offset
        return date(year, 1, 1), date(year + 1, 1, 1)


def read_span(words: Sequence[str], place: int) -> tuple[Span, int] | None:
    """The span of time that is named there, and how many words name it."""
    for length in range(min(_LONGEST, len(words) - place), 0, -1):
        if span := _PERIODS.get(tuple(words[place : place + length])):
            return Span(*span), length
    if words[place] in UNITS and place + 1 < len(words):
        named = _read_month(words, place + 1) if UNITS[words[place]] == "MONTH" else _read_year(words, place + 1)
        return (named[0], named[1] + 1) if named else None
    return _read_month(words, place)


def _read_year(words: Sequence[str], place: int) -> tuple[Span, int] | None:
    word = words[place]
    return (Span("year", year=int(word)), 1) if word.isdigit() and _FIRST_YEAR < int(word) < _LAST_YEAR else None


def _read_month(words: Sequence[str], place: int) -> tuple[Span, int] | None:
    word, before = words[place], words[place - 1] if place else ""
    month = MONTHS.get(word)
    if month is None or (len(word) <= 3 and word not in _SHORT_MONTHS and before not in _BEFORE_MONTH):
        return None
    at = place + 1
    if at < len(words) and words[at] in _BEFORE_YEAR:
        at += 1
    if at < len(words) and (year := _read_year(words, at)):
        return Span("month", month=month, year=year[0].year), at + 1 - place
    return Span("month", month=month), 1


def _add_months(first: date, months: int) -> date:
    years, month = divmod(first.month - 1 + months, 12)
    return date(first.year + years, month + 1, 1)
