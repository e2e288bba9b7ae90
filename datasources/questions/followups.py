"""Questions about a result that was just given: "which of these is the oldest?", "and the second one?", "sum them up".

They are answered from its rows, and the database is not asked again. As with other questions, each word has to be
explained, here by the columns and cells of the result, and by a word for what is done with them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from operator import ge, gt, le, lt
from statistics import fmean
from typing import Literal

from datasources.questions.followup_parts import DAY, End, FollowupParts, Function, read_parts
from datasources.questions.words import detect_question_language, split_question
from utils.query_tables import Cell, QueryTable

_MAX_WORDS, _FEW_WORDS = 30, 8
_OF_DAYS = frozenset(("earliest", "latest"))
_SIGNS: Mapping[str, Callable[[float, float], bool]] = {">": gt, "<": lt, ">=": ge, "<=": le}
_WORK: Mapping[Function, Callable[[Sequence[float]], float]] = {"SUM": fsum, "AVG": fmean, "MAX": max, "MIN": min}


@dataclass(frozen=True, slots=True)
class Followup:
    """What is asked of a result: some of its `rows`, which may be at one `end` of the column at `column`; or a figure
    of that column over `over` rows."""

    rows: tuple[int, ...] = ()
    function: Function | None = None
    column: int | None = None
    value: float = 0.0
    over: int = 0
    end: End | None = None


def read_followup(question: str, table: QueryTable, previous: str) -> Followup | None:
    """What *question* asks of *table*, which answered *previous*; None where it is about something else."""
    words = split_question(question, detect_question_language(question, previous))
    if not 0 < len(words) <= _MAX_WORDS or not table.rows:
        return None
    parts = read_parts(words, table, previous)
    if parts.unknown or not parts.asks or (not parts.points and (parts.names_things or len(words) > _FEW_WORDS)):
        return None
    return _apply_parts(parts, table)


def names_things(question: str, table: QueryTable, previous: str) -> bool:
    """Whether it names a column of *table*, or something of the question *previous* that this answered."""
    parts = read_parts(split_question(question, detect_question_language(question, previous)), table, previous)
    return bool(parts.columns) or parts.names_things


def _apply_parts(parts: FollowupParts, table: QueryTable) -> Followup | None:
    """What the parts come to; None where they do not fit the result."""
    is_one_figure = len(table.rows) == 1 and all(each.function for each in table.columns)
    if is_one_figure and parts.function != "SUM":  # a figure is none of what it counts
        return None
    rows = [index for index in range(len(table.rows)) if all(index in each for each in parts.values)]
    if parts.comparison is not None:
        column = _choose_column(parts, table, "figure")
        if column is None or not table.is_whole:
            return None
        rows = [index for index in rows if _fits_comparison(table.rows[index][column], *parts.comparison)]
        if not rows:  # other rows may be meant, of the same condition with another number
            return None
        if not parts.asks_more:
            return Followup(tuple(rows))
    if parts.takes_first and parts.number and parts.end is None:
        return Followup(tuple(rows[: parts.number]))
    if parts.place in (0, -1) and any(_find_kind(table, index) == "day" for index in parts.columns):
        parts.end, parts.place = ("latest" if parts.place else "earliest"), None  # "due last"
    if parts.place is not None:
        is_there = -len(rows) <= parts.place < len(rows) and (parts.place >= 0 or table.is_whole)
        return Followup((rows[parts.place],)) if is_there else None
    if not table.is_whole:  # what holds for all rows is not known
        return None
    if parts.function is not None:
        return _compute(parts, table, rows)
    if parts.end is not None or parts.sorts:
        return _order(parts, table, rows)
    if parts.counts:
        is_of_column = bool(parts.columns) and parts.comparison is None and not parts.points  # "how many customers?"
        if is_of_column or any(each.function for each in table.columns):  # rows of figures are not what is counted
            return None
        return Followup(function="COUNT", value=len(rows), over=len(rows))
    return Followup(tuple(rows)) if rows else None


def _fits_comparison(cell: Cell, sign: str, number: float) -> bool:
    if not _is_figure(cell):
        return False
    return _SIGNS[sign](float(str(cell)), number)


def _compute(parts: FollowupParts, table: QueryTable, rows: Sequence[int]) -> Followup | None:
    column = _choose_column(parts, table, "figure")
    if column is None and parts.counts and parts.function == "SUM":  # "berapa totalnya?" of rows without figures
        return Followup(function="COUNT", value=len(rows), over=len(rows)) if not parts.columns else None
    if column is None or parts.function is None:
        return None
    cells = [table.rows[at][column] for at in rows]
    figures = [float(cell) for cell in cells if isinstance(cell, int | float)]
    if not figures:
        return None
    is_summed = table.columns[column].function in ("AVG", "MIN", "MAX")
    if parts.function in ("SUM", "AVG") and is_summed:  # a sum of means is nothing
        return None
    return Followup((), parts.function, column, _WORK[parts.function](figures), len(figures))


def _order(parts: FollowupParts, table: QueryTable, rows: Sequence[int]) -> Followup | None:
    """The rows at one end of a column, or all in its order."""
    column = _choose_column(parts, table, "any" if parts.end is None else "day" if parts.end in _OF_DAYS else "figure")
    if column is None:
        return None
    filled = [at for at in rows if table.rows[at][column] is not None]
    ordered = sorted(
        filled, key=lambda at: _make_sort_key(table.rows[at][column]), reverse=parts.end in ("latest", "most")
    )
    if parts.end is None or parts.number:
        return Followup(tuple(ordered[: parts.number or len(ordered)]))
    best = [at for at in ordered if table.rows[at][column] == table.rows[ordered[0]][column]]
    is_day = _find_kind(table, column) == "day"
    end: End = parts.end if not is_day or parts.end in _OF_DAYS else "latest" if parts.end == "most" else "earliest"
    return Followup(tuple(best), column=column, end=end)


def _choose_column(parts: FollowupParts, table: QueryTable, kind: Literal["day", "figure", "any"]) -> int | None:
    """The column that is named, else the only one of this kind."""
    named = list(dict.fromkeys(parts.columns))
    if len(named) > 1:
        return None
    if named and kind == "figure" and _find_kind(table, named[0]) == "day" and parts.end:
        return named[0]  # the highest date is the latest
    if named:
        return named[0] if kind == "any" or _find_kind(table, named[0]) == kind else None
    fitting = [index for index in range(len(table.columns)) if _find_kind(table, index) == kind]
    return fitting[0] if len(fitting) == 1 else None


def _find_kind(table: QueryTable, column: int) -> Literal["day", "figure", "any"]:
    cells = [row[column] for row in table.rows if row[column] is not None]
    if cells and all(isinstance(cell, str) and DAY.fullmatch(cell) for cell in cells):
        return "day"
    is_number_of_row = table.columns[column].name.casefold() == "id" or table.columns[column].name.endswith("_id")
    return "figure" if cells and not is_number_of_row and all(map(_is_figure, cells)) else "any"


def _is_figure(cell: Cell) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _make_sort_key(cell: Cell) -> tuple[bool, float, str]:
    return (False, float(cell), "") if isinstance(cell, int | float) else (True, 0.0, str(cell).casefold())
