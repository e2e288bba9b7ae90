"""Numbers by value: 1,200 is 1200 and 1.200, "8 pm" is 20:00, "two" is 2, "1.5 million" is 1,500,000.

A comma or point before three digits may separate thousands or decimals, depending on who writes; such a number has both
values, and two numbers agree when they have one in common.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from utils.facts.folding import fold
from utils.facts.words import MAGNITUDES, SPELLED, UNITS, WEAK

Key = tuple[str, float]

_NUMBER = re.compile(
    r"(?<![\w.,])(?P<currency>(?:us|s)?\$|€|£|¥|rp\.? ?|idr ?|usd ?|eur ?|gbp ?)?"
    r"(?P<digits>\d+(?:[.,:\u00a0\u202f]\d+)*)(?P<ordinal>st|nd|rd|th|[ºª])?(?P<tail>s\b|-(?=[^\W\d]))?(?!\d)",
    re.IGNORECASE,
)
_AFTER = re.compile(r"(?<!\s)\s*+-?+\s*+(%|°\s?[cf]\b|km²|m²|[€£$¥]|[^\W\d_]+\.?(?:[^\W\d_]\.?)?)", re.IGNORECASE)
_CLOCK = re.compile(r"([01]?\d|2[0-4])[:.]([0-5]\d)")
_HALF_DAY = re.compile(r"(?<!\s)\s*+([ap])\.?\s?m\b\.?", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")
_ROMAN = re.compile(r"\b(?=[XVI]{2,})X{0,3}(?:IX|IV|V?I{0,3})\b")
_TEENS, _TENS, _HUNDREDS = ("belas",), ("puluh",), ("hundred", "ratus")
_ROMAN_DIGITS = {"I": 1, "V": 5, "X": 10}
_CURRENCIES = {"$": "USD", "us$": "USD", "s$": "SGD", "usd": "USD", "€": "EUR", "eur": "EUR", "£": "GBP", "gbp": "GBP",
               "¥": "JPY", "rp": "IDR", "idr": "IDR"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a text: what it may mean, its unit ("" where none is known), and where it stands.

    *is_weak*: a word such as "one" that often counts nothing.
    """

    keys: frozenset[Key]
    unit: str
    start: int
    end: int
    text: str
    is_weak: bool = False


class KnownNumbers:
    """The numbers of a text, for many others to be looked for among them."""

    def __init__(self, numbers: Iterable[Number]) -> None:
        self._units: dict[Key, set[str]] = {}
        for number in numbers:
            for key in number.keys:
                self._units.setdefault(key, set()).add(number.unit)

    def agree(self, number: Number) -> bool:
        """Whether one of them may mean the same as *number*; units count where both have one."""
        result = (self._units[key] for key in number.keys if key in self._units)
        return any(not number.unit or "" in units or number.unit in units for units in result)


def find_numbers(text: str) -> list[Number]:
    """The numbers in *text*, in digits first, then in words."""
    numbers = list(_find_in_digits(text)) if any(map(str.isdigit, text)) else []
    return [*numbers, *_find_in_words(text)]


def _find_in_digits(text: str) -> Iterator[Number]:
    for match in _NUMBER.finditer(text):
        digits = match["digits"]
        end = match.end("digits")
        currency = _CURRENCIES.get((match["currency"] or "").strip(" .").casefold(), "")
        magnitude, unit, after = _read_unit(text, match.end())
        keys = frozenset(_list_meanings(digits, magnitude) | _list_times(digits, text[end : end + 8], unit))
        yield Number(
            keys, currency or unit, match.start(), max(after, match.end()), text[match.start() : after].strip()
        )


def _read_unit(text: str, index: int) -> tuple[float, str, int]:
    """The magnitude and the unit of a number that ends at *index*, and where they end."""
    magnitude, end = 1.0, index
    for _ in range(3):  # "2 mil millones de euros", "5 per cent"
        match = _AFTER.match(text, end)
        word = fold(match[1]).rstrip(".") if match else ""
        if match and word in MAGNITUDES:
            magnitude *= MAGNITUDES[word]
        elif match and word in ("per", "por") and fold(text[match.end() : match.end() + 7]).strip()[:4] in _PERCENT:
            return magnitude, "%", match.end()
        elif not (match and word in ("de", "of", "square") and magnitude > 1):
            return (magnitude, UNITS[word], match.end()) if match and word in UNITS else (magnitude, "", end)
        end = match.end()
    return magnitude, "", end


_PERCENT = ("cent", "cien")


def _list_meanings(digits: str, magnitude: float) -> set[Key]:
    # As it is written it always agrees, whatever it may mean.
    return {(f"{digits} {magnitude}", 0.0), *(("n", value * magnitude) for value in _list_values(digits))}


def _list_values(digits: str) -> set[float]:
    """What *digits* with their separators may be worth."""
    bare = re.sub("[\u00a0\u202f]", "", digits)
    marks = {char for char in bare if char in ".,"}
    if ":" in bare:
        return {float(bare.split(":")[0])} if bare.endswith(":00") else set()
    if not marks:
        return {float(bare)}
    groups = re.split(r"[.,]", bare)
    by_thousands = len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:])
    values = set()
    if by_thousands and len(marks) == 1:
        values.add(float("".join(groups)))
    if len(groups) == 2 or len(marks) == 2:
        values.add(float("".join(groups[:-1]) + "." + groups[-1]))
    return values or {float("".join(groups))}


def _list_times(digits: str, after: str, unit: str) -> set[Key]:
    """The minute of the day that is meant, where a clock time may be."""
    clock, half = _CLOCK.fullmatch(digits), _HALF_DAY.match(after)
    if clock is None and not (half and digits.isdecimal() and int(digits) <= 12):
        return set()
    hour, minute = (int(clock[1]), int(clock[2])) if clock else (int(digits), 0)
    if half is None and "." in digits and unit:
        return set()
    if half is not None:
        hour = hour % 12 + (12 if half[1].casefold() == "p" else 0)
    return {("t", float(hour * 60 + minute))}


def _find_in_words(text: str) -> Iterator[Number]:
    if not SPELLED.keys().isdisjoint(_WORD.findall(fold(text))):
        yield from _find_spelled_numbers(text)
    for match in _ROMAN.finditer(text):
        yield Number(frozenset({("n", _parse_roman(match[0]))}), "", match.start(), match.end(), match[0], is_weak=True)


def _find_spelled_numbers(text: str) -> Iterator[Number]:
    run: list[re.Match[str]] = []
    value = _Value()
    for match in _WORD.finditer(text):
        word = fold(match[0])
        grown = value.add(word) if run and _is_beside(text, run[-1].end(), match.start()) else None
        if grown is not None:
            value = grown
            run.append(match)
            continue
        if run and word in ("and", "y") and value.whole >= 20:
            continue  # "two hundred and five"
        if run:
            yield _parse_spelled(text, value.whole, run[0].start(), run[-1])
        begun = _Value().add(word) if word in SPELLED else None
        value, run = (begun, [match]) if begun is not None else (_Value(), [])
    if run:
        yield _parse_spelled(text, value.whole, run[0].start(), run[-1])


def _is_beside(text: str, end: int, start: int) -> bool:
    return text[end:start].strip(" -").casefold() in ("", "and", "y")


@dataclass(frozen=True, slots=True)
class _Value:
    """A number in words as far as it was read: thousands and more, what is below them, the last part of that."""

    above: float = 0.0
    below: float = 0.0
    last: float = 0.0
    limit: float = float("inf")  # what the next word of thousands has to be less than

    @property
    def whole(self) -> float:
        """What it is worth."""
        return self.above + self.below

    def add(self, word: str) -> "_Value | None":
        """With one more *word*; None where that does not go on with it."""
        worth = SPELLED.get(word, MAGNITUDES.get(word))
        if word in _TEENS and 1 < self.last < 10:
            return replace(self, below=self.below + 10, last=self.last + 10)
        if worth is None:
            return None
        if worth >= 1000:
            return self._multiply(worth) if self.whole else _Value(worth, limit=worth)
        if word in _TENS and 1 < self.last < 10:
            return self._grow_last(10)
        if word in _HUNDREDS and 0 < self.last < 100:
            return self._grow_last(100)
        is_first = not self.below and worth < self.limit and (worth > 0 or not self.above)
        below_hundreds = self.last >= 100 and worth < 100
        below_tens = 20 <= self.last < 100 and self.last % 10 == 0 and 0 < worth < 10
        return replace(self, below=self.below + worth, last=worth) if is_first or below_hundreds or below_tens else None

    def _multiply(self, worth: float) -> "_Value | None":
        """By a word of thousands: "two thousand", "dos mil millones"."""
        if self.below and worth < self.limit:
            return _Value(self.above + self.below * worth, limit=worth)
        if not self.below and worth > self.limit:
            return _Value(self.above * worth, limit=self.limit)
        return None

    def _grow_last(self, by: int) -> "_Value":
        return replace(self, below=self.below + self.last * (by - 1), last=self.last * by)


def _parse_spelled(text: str, value: float, start: int, last: re.Match[str]) -> Number:
    magnitude, unit, after = _read_unit(text, last.end())
    is_weak = start == last.start() and fold(last[0]) in WEAK
    end = max(last.end(), after)
    return Number(frozenset({("n", value * magnitude)}), unit, start, end, text[start:end].strip(), is_weak)


def _parse_roman(digits: str) -> float:
    worth = [_ROMAN_DIGITS[digit] for digit in digits]
    return float(sum(-v if any(w > v for w in worth[i + 1 : i + 2]) else v for i, v in enumerate(worth)))
