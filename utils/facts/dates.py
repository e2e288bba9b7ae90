"""Dates by value, in the ways English, Spanish and Indonesian write them, and days of the week with their ranges."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

from utils.facts.folding import fold
from utils.facts.words import MONTHS, WEEKDAYS

_MONTH = "(?:" + "|".join(sorted(MONTHS, key=len, reverse=True)) + r")\b\.?"
_DAY_MONTH = re.compile(
    rf"\b(\d{{1,2}})(?:st|nd|rd|th|º|er)?[ -]+(?:of |de )?({_MONTH})(?:,? (?:de |del |of )?(\d{{4}})\b)?"
)
_MONTH_DAY = re.compile(rf"\b({_MONTH}) (\d{{1,2}})(?:st|nd|rd|th)?\b(?!\.\d|:\d)(?:,? (?:of )?(\d{{4}})\b)?")
_MONTH_YEAR = re.compile(rf"\b({_MONTH}),? (?:de |del |of |tahun )?(\d{{4}})\b")
_NUMERIC = re.compile(
    r"(?<![\d/.-])(?:(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})|(\d{1,2})([-/.])(\d{1,2})\5(\d{4}))(?![\d/])"
)
_WEEKDAY = re.compile(r"\b(" + "|".join(sorted(WEEKDAYS, key=len, reverse=True)) + r")\b")
_RANGE = re.compile(r"(?:-|to|until|through|al?|hasta|hingga|sampai|s\.?d\.?)(?:\s*+el)?")


@dataclass(frozen=True, slots=True)
class Date:
    """A date in a text, what is not said of it None; one in digits alone may be read in two ways.

    *weekdays* counts from Monday, 0, and is all there is for a day of the week.
    """

    readings: tuple[tuple[int | None, int | None, int | None], ...]  # year, month, day
    start: int
    end: int
    text: str
    weekdays: frozenset[int] = frozenset()


class KnownDates:
    """The dates of a text, for many others to be looked for among them."""

    def __init__(self, dates: Iterable[Date]) -> None:
        each = list(dates)
        self._weekdays = {date.weekdays for date in each}
        self._readings = {
            reading
            for date in each
            for year, month, day in date.readings
            for reading in product((year, None), (month, None), (day, None))
        }

    def say(self, date: Date) -> bool:
        """Whether one of them says all that *date* says."""
        if date.weekdays:
            return any(date.weekdays <= each for each in self._weekdays)
        return not self._readings.isdisjoint(date.readings)


def find_dates(text: str) -> list[Date]:
    """The dates in *text*, in order of place; none overlaps another."""
    low = fold(text)
    if len(low) != len(text):
        low = text.casefold() if len(text.casefold()) == len(text) else text
    dates: list[Date] = []
    if _has_digit(low):
        for date in (*_find_spelled(low, text), *_find_numeric(low, text)):
            at = bisect_left(dates, date.start, key=_start)
            overlaps = (at > 0 and dates[at - 1].end > date.start) or (at < len(dates) and dates[at].start < date.end)
            if not overlaps:
                dates.insert(at, date)
    return sorted([*dates, *_find_weekdays(low, text)], key=_start)


def _start(date: Date) -> int:
    return date.start


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))


def _find_spelled(low: str, text: str) -> Iterator[Date]:
    for match in _DAY_MONTH.finditer(low):
        yield from _make_dates(match, text, match[3], match[2], match[1])
    for match in _MONTH_DAY.finditer(low):
        yield from _make_dates(match, text, match[3], match[1], match[2])
    for match in _MONTH_YEAR.finditer(low):
        yield from _make_dates(match, text, match[2], match[1], None)


def _make_dates(match: re.Match[str], text: str, year: str | None, month: str, day: str | None) -> Iterator[Date]:
    if day is None or 1 <= int(day) <= 31:
        reading = (int(year) if year else None, MONTHS[month.rstrip(".")], int(day) if day else None)
        yield Date((reading,), match.start(), match.end(), text[match.start() : match.end()])


def _find_numeric(low: str, text: str) -> Iterator[Date]:
    for match in _NUMERIC.finditer(low):
        if match[1]:
            candidates = [(int(match[1]), int(match[2]), int(match[3]))]
        else:
            first, second, year = int(match[4]), int(match[6]), int(match[7])
            candidates = [(year, second, first), (year, first, second)]
        readings = tuple(each for each in candidates if 1 <= each[1] <= 12 and 1 <= each[2] <= 31)
        if readings:
            yield Date(readings, match.start(), match.end(), text[match.start() : match.end()])


def _find_weekdays(low: str, text: str) -> Iterator[Date]:
    matches = list(_WEEKDAY.finditer(low))
    for index, day in enumerate(matches):
        days = {WEEKDAYS[day[1]]}
        following = matches[index + 1] if index + 1 < len(matches) else None
        if following and _RANGE.fullmatch(low[day.end() : following.start()].strip()):
            first, last = WEEKDAYS[day[1]], WEEKDAYS[following[1]]
            days = {(first + step) % 7 for step in range((last - first) % 7 + 1)}
        yield Date((), day.start(), day.end(), text[day.start() : day.end()], frozenset(days))
