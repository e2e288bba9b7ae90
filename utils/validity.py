"""When a document holds, and which of two takes precedence: what its metadata says, else its own front matter."""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple, TypeVar

VALID_FROM, VALID_UNTIL, PRECEDENCE = "valid_from", "valid_until", "precedence"
T = TypeVar("T")
_PLAIN_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?")
MAX_PRECEDENCE = 1_000_000
Validity = Literal["valid", "expired", "not_yet_valid"]


@dataclass(frozen=True, slots=True)
class Period:
    """The days on which a document holds, both included, None without a limit; of two the higher *precedence* wins."""

    valid_from: date | None = None
    valid_until: date | None = None
    precedence: float = 0

    def validity(self, day: date) -> Validity:
        """Whether it holds on *day*."""
        if self.valid_until is not None and self.valid_until < day:
            return "expired"
        return "not_yet_valid" if self.valid_from is not None and day < self.valid_from else "valid"


def today() -> date:
    """The day it is where the service runs (the variable TZ)."""
    return date.today()


def read_period(*sources: Mapping[str, object]) -> Period:
    """What the first of *sources* says that says anything; what is no day or no number says nothing."""
    days = {name: _find_first(read_day, sources, name) for name in (VALID_FROM, VALID_UNTIL)}
    return Period(days[VALID_FROM], days[VALID_UNTIL], _find_first(_read_precedence, sources, PRECEDENCE) or 0)


def check_period(metadata: Mapping[str, object]) -> None:
    """Return if what *metadata* says of this can be read.

    Raises:
        ValueError: it cannot; the message says how to write it.
    """
    for name in (VALID_FROM, VALID_UNTIL):
        if metadata.get(name) is not None and read_day(metadata[name]) is None:
            raise ValueError(f"{name} has to be a day such as 2026-12-31, or null")
    if metadata.get(PRECEDENCE) is not None and _read_precedence(metadata[PRECEDENCE]) is None:
        raise ValueError(f"precedence has to be a number from -{MAX_PRECEDENCE:,} to {MAX_PRECEDENCE:,}, or null")
    period = read_period(metadata)
    if period.valid_from and period.valid_until and period.valid_until < period.valid_from:
        raise ValueError("valid_until is before valid_from")


def read_day(value: object) -> date | None:
    """The day that *value* names as `2026-12-31`, None where it names none."""
    if isinstance(value, str) and len(value) == len("2026-12-31") and value[4] == value[7] == "-":
        with suppress(ValueError):
            return date.fromisoformat(value)
    return None


def _read_precedence(value: object) -> float | None:
    if isinstance(value, str):  # of front matter
        value = float(value) if _PLAIN_NUMBER.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_PRECEDENCE:
        return None
    return int(value) if value == int(value) else value


def _find_first(read: Callable[[object], T | None], sources: Iterable[Mapping[str, object]], name: str) -> T | None:
    return next((first for source in sources if (first := read(source.get(name))) is not None), None)


DecidedBy = Literal["precedence", "date"]
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_NO_WORD = re.compile(r"[\W_]+")


class Standing(NamedTuple):
    """What of two documents one is preferred by: its precedence, its day such as 2026-12-31, and its title."""

    precedence: float
    day: str | None
    title: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """The place of the one that holds, 0 or 1, and why; None for neither."""

    preferred: Literal[0, 1] | None
    decided_by: DecidedBy | None


def choose(one: Standing, other: Standing) -> Choice:
    """That of higher precedence, else the later edition of the same title, else the newer one.

    A document that dates itself into the future is not newer for it: such a day decides nothing, nor does an edition of
    a year after the next one.
    """
    if one.precedence != other.precedence:
        return Choice(0 if one.precedence > other.precedence else 1, "precedence")
    (series, years), (other_series, other_years) = split_edition(one.title), split_edition(other.title)
    if max(years | other_years, default=0) > today().year + 1:
        years = frozenset()
    if years and other_years and series == other_series and max(years) != max(other_years):
        return Choice(0 if max(years) > max(other_years) else 1, "date")
    if one.day is None or other.day is None or one.day == other.day or max(one.day, other.day) > today().isoformat():
        return Choice(None, None)
    return Choice(0 if one.day > other.day else 1, "date")


def split_edition(title: str) -> tuple[str, frozenset[int]]:
    """What a title has in common with those of other years, and its years: "Fees 2026" is "fees", {2026}."""
    years = frozenset(map(int, _YEAR.findall(title)))
    return _NO_WORD.sub(" ", _YEAR.sub(" ", title)).strip().casefold(), years
