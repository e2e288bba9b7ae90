"""What a query gave, in the types of JSON, and the limits that it is held to."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from utils.printable import make_printable
from utils.query_tables import Cell

_LONGEST_CELL = 10_000  # characters
_LARGEST_EXACT = 2**53  # beyond it, readers of JSON round whole numbers
_ROUNDED = Decimal("0.0001")  # means of PostgreSQL's have 16 digits and more, of which nobody reads the last ones


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """The limits of one query: rows and bytes of its result, and seconds until it is cancelled."""

    rows: int = 1_000
    size_bytes: int = 2_000_000
    seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Result:
    """Rows in the query's order. `truncated`: there were more, or longer texts, than the limits allow.

    `more`: the rows after them that were read for a file.
    """

    sql: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    truncated: bool
    more: tuple[tuple[Cell, ...], ...] = ()


def split(result: Result, limits: QueryLimits) -> Result:
    """*result* with the rows that the limits allow; the others are `more`."""
    left_bytes = limits.size_bytes
    for place, row in enumerate(result.rows):
        left_bytes -= _measure(row)
        if place >= limits.rows or left_bytes < 0:
            return replace(result, rows=result.rows[:place], truncated=True, more=result.rows[place:])
    return result


def collect(
    sql: str, columns: Sequence[str], fetch: Callable[[int], Iterable[Sequence[Any]]], limits: QueryLimits
) -> Result:
    """The result, as far as the limits allow; *fetch* gives the next rows, as many as asked for or fewer."""
    names = tuple(map(make_printable, columns))  # a query chooses them
    rows: list[tuple[Cell, ...]] = []
    left_bytes, cut = limits.size_bytes, False
    while batch := list(fetch(min(100, limits.rows + 1 - len(rows)))):
        for values in batch:
            row = tuple(map(_convert, values))
            left_bytes -= _measure(row)
            if len(rows) >= limits.rows or left_bytes < 0:
                return Result(sql, names, tuple(rows), True)
            cut = cut or any(isinstance(each, str) and len(each) > _LONGEST_CELL for each in row)
            rows.append(tuple(each[:_LONGEST_CELL] if isinstance(each, str) else each for each in row))
    return Result(sql, names, tuple(rows), cut)


def _measure(row: Iterable[Cell]) -> int:
    return sum(len(each) if isinstance(each, str) else 8 for each in row)


def _convert(value: Any) -> Cell:
    """*value* as JSON has it: numbers that it would round so that it shows, and all without a type there, become
    texts."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_EXACT else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        is_rounded_little = value.is_finite() and abs(Decimal(repr(float(value))) - value) < _ROUNDED
        return float(value) if is_rounded_little else str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, bytes | memoryview):
        return f"({len(value)} bytes)"
    if isinstance(value, timedelta):
        return str(value)
    return str(value).encode("utf-8", "replace").decode()
