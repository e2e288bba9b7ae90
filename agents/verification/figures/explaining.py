"""How a figure comes from the cells of a result: it is one of them, or follows from some."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from statistics import fmean
from typing import Literal

from agents.verification.figures.binding import Binding
from agents.verification.figures.reading import Figure, Reading
from agents.verification.figures.tables import KnownTable, NumberColumn
from agents.verification.figures.words import convert

How = Literal["cell", "sum", "mean", "largest", "smallest", "difference", "share", "times", "row_count", "given"]
Cells = tuple[tuple[int, str], ...]
"""Row, counted from 0, and name of the column."""

_MAX_COMPARED = 8  # rows that are named, two of which a difference may be of
_ROUNDED_TO = 0.1  # of the value: how far "about" reaches


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a figure is, and of which cells."""

    how: How
    cells: Cells = ()


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A value that the figure may be; `unit` None: of those of the column."""

    how: How
    value: float
    column: NumberColumn | None
    cells: Cells = ()
    is_share: bool = False


def explain(figure: Figure, binding: Binding, table: KnownTable) -> Explanation | None:
    """The first way in which *figure* follows from *table*; None where there is none."""
    for candidate in _list_candidates(figure, binding, table):
        if _has_value(figure, candidate, binding, table):
            return Explanation(candidate.how, candidate.cells)
    return None


def _list_candidates(figure: Figure, binding: Binding, table: KnownTable) -> Iterator[_Candidate]:
    for find in (_list_cells, _list_row_counts, _list_totals, _list_differences, _list_shares, _list_stated):
        yield from find(figure, binding, table)


def _list_cells(figure: Figure, binding: Binding, table: KnownTable) -> Iterator[_Candidate]:
    every = range(len(table.table.rows))
    for column in table.numbers:
        rows = [row for row in (every if binding.rows is None else sorted(binding.rows)) if row in every]
        if not _fits_cue(column, binding, len(every)):
            continue
        if binding.rows is None and len(every) > 1 and binding.cue in ("largest", "smallest", "sum"):
            continue
        for row in rows:
            value = column.values[row]
            if value is not None:
                cells = ((row, column.about.name),)
                yield _Candidate("cell", value, column, cells)
                if column.is_share and abs(value) <= 1:
                    yield _Candidate("cell", value * 100, column, cells, is_share=True)


def _fits_cue(column: NumberColumn, binding: Binding, row_count: int) -> bool:
    """Whether a cell of *column* may be what the words beside the figure call it: no sum is a mean."""
    function = column.about.function
    if binding.cue == "mean":
        return column.is_mean or function == "OTHER"
    if binding.cue == "sum":
        is_named = binding.rows is not None and binding.is_close
        return not column.is_mean and (function in ("SUM", "COUNT", "OTHER") or row_count == 1 or is_named)
    return True


def _list_row_counts(figure: Figure, binding: Binding, table: KnownTable) -> Iterator[_Candidate]:
    is_of_rows = not figure.unit or (figure.unit in ("year", "month", "week", "day") and table.is_of_times)
    if not is_of_rows or figure.columns or binding.cue == "mean":
        return  # beside the name of a column it counts what that says, not rows
    if not binding.is_close and not table.table.truncated:
        yield _Candidate("row_count", table.table.row_count, None)
    if not binding.is_close:
        yield _Candidate("row_count", len(table.table.rows), None)
    if binding.is_close and binding.rows is not None and table.table.is_whole and not _is_of_one_row_each(table):
        cells = tuple((row, table.table.columns[0].name) for row in sorted(binding.rows))
        yield _Candidate("row_count", len(binding.rows), None, cells)


def _is_of_one_row_each(table: KnownTable) -> bool:
    """Whether each row has names of its own alone, so that no name counts rows."""
    return all(len(rows) == 1 for rows in table.labels.values())


def _list_totals(figure: Figure, binding: Binding, table: KnownTable) -> Iterator[_Candidate]:
    """Totals of all rows, and of the rows that are named together."""
    if table.table.row_count < 2:
        return  # what is called a mean there was computed by the query
    is_alone = binding.is_close and len(binding.named) == 1
    for column in table.numbers:
        about = column.about
        for how, value in (
            ("sum", about.total),
            ("mean", about.mean),
            ("largest", about.largest),
            ("smallest", about.smallest),
        ):
            if value is not None and _is_called(how, binding) and not (is_alone and binding.cue not in ("sum", "mean")):
                yield _Candidate(how, value, column)  # type: ignore[arg-type] # each is a How
        for rows in _list_groups(binding):
            values = [value for row in rows if row < len(column.values) and (value := column.values[row]) is not None]
            cells = tuple((row, about.name) for row in rows)
            if len(values) > 1 and about.total is not None:
                for how, compute in (("sum", sum), ("mean", fmean)):
                    if _is_called(how, binding):
                        yield _Candidate(how, compute(values), column, cells)  # type: ignore[arg-type] # as above


def _is_called(how: str, binding: Binding) -> bool:
    """Whether the words beside the figure call it so; a sum needs no word for it."""
    if how == "sum":
        return binding.cue in ("sum", None) or ("sum" in binding.cues and "mean" not in binding.cues)
    return how in binding.cues if how in ("largest", "smallest") else binding.cue == how


def _list_groups(binding: Binding) -> Iterator[tuple[int, ...]]:
    """Rows that are taken together: those of one name, and all that are named."""
    every = frozenset().union(*binding.named) if binding.named else frozenset[int]()
    for rows in dict.fromkeys((binding.rows or frozenset(), every)):
        if len(rows) > 1:
            yield tuple(sorted(rows))


def _list_differences(figure: Figure, binding: Binding, table: KnownTable) -> Iterator[_Candidate]:
    if not binding.cues & {"difference", "times"}:
        return
    for one, other in _list_pairs(binding):
        for column in table.numbers:
            a, b = column.values[one], column.values[other]
            cells = ((one, column.about.name), (other, column.about.name))
            if a is not None and b is not None:
                if "difference" in binding.cues:
                    yield _Candidate("difference", a - b, column, cells)
                if "times" in binding.cues and b and not figure.unit:
                    yield _Candidate("times", a / b, None, cells)
    for column in table.numbers:
        if binding.rows is None and column.about.largest is not None and column.about.smallest is not None:
            yield _Candidate("difference", column.about.largest - column.about.smallest, column)


def _list_pairs(binding: Binding) -> Iterator[tuple[int, int]]:
    rows = sorted(frozenset().union(*binding.named))[:_MAX_COMPARED] if binding.named else []
    yield from permutations(rows, 2)


def _list_shares(figure: Figure, binding: Binding, table: KnownTable) -> Iterator[_Candidate]:
    """Percentages: of a row among all, and of the change from one row to another."""
    if figure.unit != "%":
        return
    groups = [rows for rows in (binding.rows, *_list_groups(binding)) if rows]
    every = [frozenset({row}) for row in range(len(table.table.rows))] if binding.rows is None else groups
    for column in table.numbers:
        for rows in every:
            values = [column.values[row] or 0.0 for row in sorted(rows) if row < len(column.values)]
            cells = tuple((row, column.about.name) for row in sorted(rows))
            if column.about.total:
                yield _Candidate("share", 100 * sum(values) / column.about.total, None, cells, is_share=True)
        for one, other in _list_pairs(binding):
            a, b = column.values[one], column.values[other]
            if a is not None and b:
                cells = ((one, column.about.name), (other, column.about.name))
                yield _Candidate("share", 100 * (a - b) / b, None, cells, is_share=True)
    if binding.rows is not None and table.table.is_whole and not _is_of_one_row_each(table):
        yield _Candidate("share", 100 * len(binding.rows) / table.table.row_count, None, is_share=True)


def _list_stated(figure: Figure, binding: Binding, table: KnownTable) -> Iterator[_Candidate]:
    """What the question or a condition says, such as "more than 150 hours", or a year."""
    for value in table.stated_numbers:
        is_year = value in range(1800, 2201)
        if is_year or binding.is_about or not binding.is_close:
            yield _Candidate("given", value, None, is_share=figure.unit == "%")


def _has_value(figure: Figure, candidate: _Candidate, binding: Binding, table: KnownTable) -> bool:
    factor = _find_factor(figure.unit, candidate, table)
    column = candidate.column
    if not factor or (column is not None and figure.columns and column.about.name not in figure.columns):
        return False
    value = abs(candidate.value * factor)
    if candidate.how == "cell" and figure.digits == f"{abs(candidate.value):.12g}":
        return factor == 1  # as the result has it, whatever a point means in the language
    for reading in figure.readings:
        if abs(reading.value - value) <= reading.step / 2 * (1 + 1e-9) and (
            candidate.how != "given" or reading.value == value
        ):
            return True
        if binding.is_about and abs(reading.value - value) <= min(_find_place(reading), _ROUNDED_TO * value):
            return True
    return False


def _find_factor(unit: str, candidate: _Candidate, table: KnownTable) -> float:
    """By what the value is multiplied to be of *unit*; 0 where it cannot be."""
    column = candidate.column
    if not unit or candidate.how in ("given", "row_count"):
        return 1.0
    if candidate.is_share or column is None:
        return float(candidate.is_share and unit == "%")
    units = column.units or table.question_units
    if unit in units or (unit == "%" and column.is_share and not column.units):
        return 1.0
    return next((factor for each in units if (factor := convert(each, unit))), 0.0)


def _find_place(reading: Reading) -> float:
    """The worth of its last digit that is not 0: 100 of 1,200."""
    place = reading.step
    for _ in range(15):
        if reading.value and abs(reading.value / (place * 10) - round(reading.value / (place * 10))) < 1e-9:
            place *= 10
    return place
