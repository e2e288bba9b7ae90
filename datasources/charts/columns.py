"""What the columns of a result hold: figures, times, or kinds of things."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Literal

from datasources.charts.grammar import LONGEST_NAME
from datasources.results import Result
from utils.query_tables import Cell

Kind = Literal["number", "time", "category"]
_MOMENT = re.compile(r"\d{4}-\d\d(-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([+-]\d\d:?\d\d|Z)?)?)?")
_YEAR = re.compile(r"year|año|ano|tahun", re.IGNORECASE)
_FIRST_YEAR, _LAST_YEAR = 1500, 2500
_CLOCK = re.compile(r"[ T]\d\d:\d\d(:\d\d(\.\d+)?)?")
_LONGEST_NAME = LONGEST_NAME - 10  # with a number behind it


@dataclass(frozen=True)
class ChartColumn:
    """A column with its cells."""

    name: str
    cells: Sequence[Cell]

    @cached_property
    def kind(self) -> Kind:
        """What it holds; nothing at all counts as kinds of things."""
        values = [cell for cell in self.cells if cell is not None]
        if values and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in values):
            return "time" if self._has_years(values) else "number"
        is_time = bool(values) and all(isinstance(cell, str) and _MOMENT.fullmatch(cell) for cell in values)
        return "time" if is_time else "category"

    @cached_property
    def distinct(self) -> int:
        """How many different cells it has."""
        return len(set(map(str, self.cells)))

    def _has_years(self, values: Sequence[Cell]) -> bool:
        is_named = _YEAR.search(self.name) is not None
        return is_named and all(isinstance(cell, int) and _FIRST_YEAR < cell < _LAST_YEAR for cell in values)


def read_columns(result: Result) -> list[ChartColumn]:
    """The columns of *result*, in their order. Several of one name are numbered: one might be drawn against itself."""
    names = [name[:_LONGEST_NAME] or "?" for name in result.columns]
    uses = Counter(names)
    taken = {name for name in names if uses[name] == 1}
    columns = []
    for index, name in enumerate(names):
        numbered = (f"{name} ({number})" for number in count(index + 1))
        unique = name if uses[name] == 1 else next(each for each in numbered if each not in taken)
        taken.add(unique)
        columns.append(ChartColumn(unique, [row[index] for row in result.rows]))
    return columns


def make_moment(text: str) -> str:
    """A time as JSON has it; where it has no time zone, that it is to be read as it is."""
    if not _CLOCK.search(text):
        return text
    return f"{text.replace(' ', 'T')}Z" if _CLOCK.fullmatch(text[10:]) else text.replace(" ", "T")
