"""Spans of time that a question names, in English, Spanish and Indonesian: this month, next week, March 2026."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from utils.facts.words import MONTHS

Unit = Literal["day", "week", "month", "year"]
UNITS = {"month": "MONTH", "mes": "MONTH", "bulan": "MONTH", "year": "YEAR", "ano": "YEAR", "tahun": "YEAR"}
_LONGEST = 4  # words
_SPANS: dict[tuple[Unit, int], str] = {
    ("day", -1): "yesterday, ayer, kemarin",
    ("day", 0): "today, hoy, hari ini",
    ("day", 1): "tomorrow, manana, besok",
    ("week", -1): "last week, semana pasada, la semana anterior, minggu lalu, pekan lalu",
    ("week", 0): "this week, esta semana, minggu ini, pekan ini",
    ("week", 1): "next week, proxima semana, semana que viene, semana proxima, minggu depan, pekan depan",
    ("month", -1): "last month, mes pasado, mes anterior, bulan lalu",
    ("month", 0): "this month, current month, este mes, mes actual, bulan ini",
    ("month", 1): "next month, proximo mes, mes que viene, mes proximo, mes siguiente, bulan depan",
    ("year", -1): "last year, ano pasado, ano anterior, tahun lalu",
    ("year", 0): "this year, current year, este ano, ano actual, tahun ini",
    ("year", 1): "next year, proximo ano, ano que viene, ano proximo, tahun depan",
}
_PERIODS = {tuple(phrase.split()): span for span, phrases in _SPANS.items() for phrase in phrases.split(", ")}
_SHORT_MONTHS = frozenset(("mei",))  # of the others with three letters none is a month alone: may, mar, dec
_BEFORE_MONTH = frozenset(("in", "of", "during", "en", "de", "mes", "bulan", "pada", "selama", "month"))
_BEFORE_YEAR = frozenset(("of", "de", "del", "tahun"))
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
    if at < len(words) and (found := _read_year(words, at)):
        return Span("month", month=month, year=found[0].year), at + 1 - place
    return Span("month", month=month), 1


def _add_months(first: date, months: int) -> date:
    years, month = divmod(first.month - 1 + months, 12)
    return date(first.year + years, month + 1, 1)
