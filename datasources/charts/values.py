"""The rows that a chart draws: computed of all rows before any is left out, and with names that do no harm."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from statistics import fmean
from typing import Any

from datasources.charts.columns import ChartColumn, make_moment
from datasources.charts.grammar import Aggregate, Chart
from utils.printable import drop_controls
from utils.query_tables import Cell

MAX_BARS, MAX_POINTS, LONGEST_LABEL = 50, 500, 60
# What every object of JavaScript has. Vega looks groups up by their names in plain objects, so that a group called
# `__proto__` or `constructor` is no list there, and its error ends the whole page. Such names are put in quotes.
_OBJECT_MEMBERS = {
    *("__proto__", "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__", "constructor"),
    *("hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString", "toString", "valueOf"),
}


@dataclass(frozen=True, slots=True)
class ChartValues:
    """The first `rows`, by channel, of as many as `count`."""

    rows: Sequence[Mapping[str, Cell]]
    count: int


def list_values(chart: Chart, columns: Mapping[str, ChartColumn]) -> ChartValues:
    """What *chart* draws of *columns*, by channel; what has no place or no figure is left out."""
    drawn = {channel: _label_cells(column) for channel, column in columns.items()}
    rows = [dict(zip(drawn, cells, strict=True)) for cells in zip(*drawn.values(), strict=True)]
    figure = chart.figure_channel
    rows = [row for row in rows if all(row[channel] is not None for channel in ("x", "y", figure))]
    if chart.aggregate != "none":
        rows = list(_compute(rows, figure, chart.aggregate))
    most = MAX_BARS if chart.mark == "bar" else MAX_POINTS
    return ChartValues(rows[:most], len(rows))


def make_labels(texts: Iterable[str]) -> dict[str, str]:
    """Each of *texts* as a chart shows it: short, harmless, and no two alike."""
    labels: dict[str, str] = {}
    taken, uses = set[str](), Counter[str]()
    for text in dict.fromkeys(texts):
        short = label = make_label(text)
        while label in taken:
            uses[short] += 1
            label = f"{short} ({uses[short] + 1})"
        taken.add(label)
        labels[text] = label
    return labels


def make_label(text: str, most: int = LONGEST_LABEL) -> str:
    """*text* on one line of at most *most* characters, without what changes how others are shown."""
    words = " ".join(drop_controls(text).split())
    short = words if len(words) <= most else f"{words[: most - 1]}…"
    return f"“{short}”" if short in _OBJECT_MEMBERS else short


def _label_cells(column: ChartColumn) -> list[Cell]:
    if column.kind == "time":
        return [make_moment(cell) if isinstance(cell, str) else cell for cell in column.cells]
    labels = make_labels(cell for cell in column.cells if isinstance(cell, str))
    return [labels[cell] if isinstance(cell, str) else cell for cell in column.cells]


def _compute(rows: Iterable[Mapping[str, Cell]], figure: str, aggregate: Aggregate) -> Iterable[dict[str, Cell]]:
    """A row of each place, in the order in which they first come."""
    groups: dict[tuple[Cell, ...], list[dict[str, Cell]]] = {}
    for row in rows:
        place = tuple(cell for channel, cell in row.items() if channel != figure)
        groups.setdefault(place, []).append(dict(row))
    for group in groups.values():
        yield {**group[0], figure: _COMPUTED[aggregate]([row[figure] for row in group])}


def _add(numbers: Sequence[float]) -> float:
    return sum(numbers) if all(isinstance(each, int) for each in numbers) else fsum(numbers)


_COMPUTED: Mapping[Aggregate, Callable[[Sequence[Any]], float]] = {
    "count": len, "sum": _add, "mean": fmean, "min": min, "max": max,
}  # fmt: skip
