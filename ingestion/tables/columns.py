"""The type of a column by its values: looked at first, all of them, and converted then."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from ingestion.tables.dates import DAY_FIRST, DateFacts, read_date, write_moment
from ingestion.tables.numbers import NumberFacts, read_number
from ingestion.tables.shapes import Kind, RawCell, Value

_TRUE = "true yes y ya sí si verdadero benar wahr oui vrai sim verdadeiro"
_FALSE = "false no n tidak falso salah falsch nein non faux não nao"
TRUTHS = {**dict.fromkeys(_TRUE.split(), 1), **dict.fromkeys(_FALSE.split(), 0)}
# What stands for nothing in a column of numbers or dates; in one of texts it is left.
_NO_VALUES = "- – — -- . .. ? n/a na n.a. null none nil nan (null) s/d"
_NOTHING = frozenset(_NO_VALUES.split())
_ERROR_VALUES = "#N/A #DIV/0! #REF! #VALUE! #NAME? #NUM! #NULL! #SPILL! #CALC!"
_ERRORS = frozenset(_ERROR_VALUES.split())
_LARGEST = 2**63 - 1
_ENOUGH = 20  # values that fit before one that does not is worth a note


@dataclass(slots=True)
class ColumnFacts:
    """What is known of a column after `look` has seen all of its values."""

    count: int = 0
    numbers: NumberFacts | None = field(default_factory=NumberFacts)
    dates: DateFacts | None = field(default_factory=DateFacts)
    are_truths: bool = True
    is_whole: bool = True
    has_clock: bool = False
    number_count: int = 0
    misfit: str = ""  # the value for which a column of numbers became one of texts

    def look(self, values: Iterable[RawCell]) -> None:
        """Take values of the column in; the same one need not come twice."""
        for value in values:
            if value is None or value == "":
                continue
            if isinstance(value, datetime):
                self._look_at_moment(value)
            elif not isinstance(value, str):
                self._look_at_number(value)
            elif is_plain(value):  # as most are
                self._look_at_number(int(value))
            else:
                self._look_at_text(value)

    def _look_at_number(self, value: int | float) -> None:
        self.count += 1
        self.dates, self.are_truths = None, False
        self.is_whole = self.is_whole and isinstance(value, int) and abs(value) <= _LARGEST
        if self.numbers is not None:
            self.numbers.units.add("")
            self._keep_numbers(len(self.numbers.units) == 1, str(value))

    def _look_at_moment(self, value: datetime) -> None:
        self.count += 1
        self.has_clock = self.has_clock or value.time() != datetime.min.time()
        self.are_truths = False
        self._keep_numbers(False, value.isoformat(" "))

    def _look_at_text(self, value: str) -> None:
        text = value.strip()
        lower = text.casefold()
        if not text or text in _ERRORS or lower in _NOTHING:
            return
        self.count += 1
        self.are_truths = self.are_truths and lower in TRUTHS
        if self.numbers is not None:
            written = read_number(text)
            is_fitting = written is not None and self.numbers.add(written)
            self._keep_numbers(is_fitting, text)
        if self.dates is not None:
            date = read_date(text)
            if date is None or not self.dates.add(date):
                self.dates = None

    def _keep_numbers(self, is_fitting: bool, value: str) -> None:
        if self.numbers is None:
            return
        if is_fitting:
            self.number_count += 1
        else:
            self.misfit = value if self.number_count >= _ENOUGH else ""
            self.numbers = None


@dataclass(frozen=True, slots=True)
class Converter:
    """Makes values of a column those of its `kind`; `mark` is its decimal mark, `order` what stands first in dates."""

    kind: Kind
    mark: str = "."
    order: str = DAY_FIRST
    max_characters: int = 10_000

    def convert(self, values: Sequence[RawCell]) -> list[Value]:
        """The values in the same order."""
        # Most columns have few different values, and a number is not its own text.
        cache: dict[object, Value] = {}
        converted: list[Value] = []
        for value in values:
            key = value if type(value) is str else (type(value), value)
            if key not in cache:
                cache[key] = self._convert(value)
            converted.append(cache[key])
        return converted

    def _convert(self, value: RawCell) -> Value:
        if value is None:
            return None
        if self.kind == "TEXT":
            return write_text(value)[: self.max_characters] or None
        if isinstance(value, str) and self.kind in ("INTEGER", "REAL") and is_plain(value):
            return int(value) if self.kind == "INTEGER" else float(value)
        text = value.strip() if isinstance(value, str) else ""
        if isinstance(value, str) and (not text or text in _ERRORS or text.casefold() in _NOTHING):
            return None
        if self.kind == "BOOLEAN":
            return TRUTHS[text.casefold()]
        if self.kind in ("DATE", "DATETIME"):
            moment = value if isinstance(value, datetime) else self._read_moment(text)
            return write_moment(moment, has_time=self.kind == "DATETIME")
        if isinstance(value, datetime):
            raise ValueError("A date is no number.")
        number = self._read_number(text) if isinstance(value, str) else value
        return float(number) if self.kind == "REAL" else int(number)

    def _read_number(self, text: str) -> int | float:
        if self.kind == "REAL" and self.mark == ".":
            with suppress(ValueError):  # it is written with a unit, or with separators
                return float(text)
        written = read_number(text)
        if written is None:
            raise ValueError("It is no number.")
        return written.to_number(self.mark)

    def _read_moment(self, text: str) -> datetime:
        written = read_date(text)
        if written is None:
            raise ValueError("It is no date.")
        return written.moments[self.order]


def is_plain(text: str) -> bool:
    """Whether it is a whole number, written with digits alone, and no code."""
    return text.isdecimal() and text.isascii() and len(text) < 18 and (text[0] != "0" or text == "0")


def choose_converter(facts: ColumnFacts, usual_mark: str, usual_order: str, max_characters: int) -> Converter:
    """How a column with these facts is read, where its values leave open what the file's others say."""
    if facts.count == 0:
        return Converter("TEXT", max_characters=max_characters)
    if facts.are_truths:
        return Converter("BOOLEAN")
    if facts.dates is not None:
        has_time = facts.dates.has_time or facts.has_clock
        return Converter("DATETIME" if has_time else "DATE", order=facts.dates.choose_order(usual_order))
    if facts.numbers is not None:
        mark = facts.numbers.choose_mark(usual_mark)
        is_whole = facts.is_whole and mark not in facts.numbers.fractions
        return Converter("INTEGER" if is_whole else "REAL", mark=mark)
    return Converter("TEXT", max_characters=max_characters)


def write_text(value: RawCell) -> str:
    """*value* as a text that people would write."""
    if isinstance(value, datetime):
        return write_moment(value, has_time=value.time() != datetime.min.time())
    return f"{value:.15g}" if isinstance(value, float) else "" if value is None else str(value)
