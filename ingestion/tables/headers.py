"""Where a table begins on a sheet: below a title, with names of columns in one row or in two."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ingestion.tables.columns import TRUTHS, write_text
from ingestion.tables.dates import read_date
from ingestion.tables.numbers import read_number
from ingestion.tables.shapes import RawCell, Row

HEAD_ROWS = 200  # that are looked at
_LONGEST_NAME = 200
_FULL = 0.6  # of the cells that rows usually have: a row with fewer is a title or a remark
_YEARS = range(1900, 2101)
_TOTALS = frozenset(
    {
        *("total", "totals", "sum", "subtotal", "jumlah", "gesamt", "summe", "suma", "somme", "totale"),
        *("grand total", "total general", "gran total", "total keseluruhan"),
    }
)
Spans = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Head:
    """The names of columns, "" for those without one, and in which row the first values stand."""

    names: tuple[str, ...]
    first_row: int


def find_head(rows: Sequence[Row], spans: dict[int, Spans]) -> Head | None:
    """The head of the table that begins in *rows*, the first of a sheet; None where they are all empty."""
    counts = [sum(not is_empty(cell) for cell in row) for row in rows]
    if not any(counts):
        return None
    usual = _find_usual_count(counts)
    start = next(index for index, count in enumerate(counts) if count >= min(usual, max(1, round(usual * _FULL))))
    groups: list[str] = []
    following = start + 1
    if spans.get(start) and following < len(rows) and counts[following] > 1 and is_head(rows[following]):
        groups = _spread(rows[start], spans[start])
        start = following
    elif start and spans.get(start - 1) and counts[start - 1] > 1:
        groups = _spread(rows[start - 1], spans[start - 1])
    if not is_head(rows[start]):
        return Head((), start)
    names = [_write_name(cell) for cell in rows[start]]
    return Head(tuple(_join_names(names, groups)), start + 1)


def is_empty(cell: RawCell) -> bool:
    """Whether nothing stands in it."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def is_total(row: Row) -> bool:
    """Whether it sums up the rows above it."""
    first = next((cell for cell in row if not is_empty(cell)), None)
    if not isinstance(first, str) or first.strip(" :").casefold() not in _TOTALS:
        return False
    return any(isinstance(cell, int | float) or (isinstance(cell, str) and _has_digit(cell)) for cell in row)


def _find_usual_count(counts: Sequence[int]) -> int:
    """How many cells most rows have, among those with several if there are any."""
    several = Counter(count for count in counts if count > 1)
    return max(several, key=lambda count: (several[count] * count, count)) if several else 1


def is_head(row: Row) -> bool:
    """Whether all cells are names, or years beside at least one name."""
    filled = [cell for cell in row if not is_empty(cell)]
    values = [cell for cell in filled if _is_value(cell)]
    return len(values) < len(filled) and all(_is_year(cell) for cell in values)


def _is_value(cell: RawCell) -> bool:
    if not isinstance(cell, str):
        return True
    text = cell.strip()
    is_truth = len(text) > 1 and text.casefold() in TRUTHS  # columns may be called x and y
    return is_truth or read_number(text) is not None or read_date(text) is not None


def _is_year(cell: RawCell) -> bool:
    text = write_text(cell).strip()
    return text.isdecimal() and int(text[:9]) in _YEARS


def _write_name(cell: RawCell) -> str:
    return " ".join(write_text(cell).split())[:_LONGEST_NAME]


def _spread(row: Row, spans: Spans) -> list[str]:
    """The names of groups of columns, each over all that it spans."""
    result = [""] * max([len(row), *(last + 1 for _, last in spans)])
    for first, last in spans:
        if first < len(row) and last - first < len(result):
            result[first : last + 1] = [_write_name(row[first])] * (last + 1 - first)
    return result


def _join_names(names: list[str], groups: list[str]) -> list[str]:
    wide = [*names, *[""] * (len(groups) - len(names))]
    above = [*groups, *[""] * (len(wide) - len(groups))]
    # A title over the whole table says nothing about a column.
    above = [""] * len(wide) if len({each for each in above if each}) == 1 and all(above) else above
    return [" ".join(filter(None, (group, name))) for group, name in zip(above, wide, strict=True)]


def _has_digit(text: str) -> bool:
    return any(each.isdigit() for each in text)
