"""Writes a chart as Vega-Lite, with its data inside, and in words for those who do not see it.

https://vega.github.io/vega-lite/docs/spec.html. Fields have names of ours: those of columns could be read as paths.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasources.charts.columns import ChartColumn, read_columns
from datasources.charts.grammar import Chart, ChartRefused
from datasources.charts.words import TABLES
from datasources.results import Result
from utils.query_tables import Cell

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
MOST_BARS, MOST_POINTS = 50, 500
_LONGEST_TEXT, _MOST_TOLD, _FEW_BARS, _SHORT_LABEL = 60, 10, 8, 12
_WIDTH, _HEIGHT, _BAR = 560, 320, 24  # pixels
_TYPES = {"number": "quantitative", "time": "temporal", "category": "nominal"}
_NAMES: Mapping[str, Mapping[str, str]] = TABLES["names"]
_CLOCK = re.compile(r"[ T]\d\d:\d\d(:\d\d(\.\d+)?)?")


@dataclass(frozen=True, slots=True)
class DrawnChart:
    """A chart that can be drawn: its Vega-Lite `spec`, and what it shows in words."""

    spec: dict[str, Any]
    alt: str


def make_spec(chart: Chart, result: Result, language: str = "en") -> DrawnChart:
    """*chart* of *result*.

    Raises:
        ChartRefused: the result has no such column, or the column has nothing that can be drawn so.
    """
    by_name = {each.name: each for each in read_columns(result)}
    used = {"x": chart.x, "y": chart.y, **({"colour": chart.colour} if chart.colour else {})}
    for name in used.values():
        if name not in by_name:
            names = ", ".join(list(by_name)[:20])
            raise ChartRefused(f"The result has no column {name[:60]!r}. It has: {names}.")
    columns = {channel: by_name[name] for channel, name in used.items()}
    _check_figures(chart, columns)
    values = _list_values(chart, columns)
    alt = _describe(chart, columns, values, len(result.rows), language)
    spec = {
        "$schema": SCHEMA,
        "description": alt,
        **({"title": {"text": _shorten(chart.title, 2 * _LONGEST_TEXT), "anchor": "start"}} if chart.title else {}),
        "data": {"values": values},
        "mark": {"type": chart.mark, "tooltip": True, **({"point": True} if chart.mark == "line" else {})},
        **_lay_out(chart, columns, values),
    }
    return DrawnChart(spec, alt)


def _check_figures(chart: Chart, columns: Mapping[str, ChartColumn]) -> None:
    """The channel that has to hold figures does."""
    channel = "colour" if chart.mark == "rect" else "y"
    if channel not in columns:
        raise ChartRefused('A chart of rectangles needs a column of figures as "colour".')
    if chart.aggregate != "count" and columns[channel].kind != "number":
        raise ChartRefused(f"The column {columns[channel].name[:60]!r} has no figures to draw.")


def _list_values(chart: Chart, columns: Mapping[str, ChartColumn]) -> list[dict[str, Cell]]:
    rows = zip(*(each.cells for each in columns.values()), strict=True)
    most = MOST_BARS if chart.mark == "bar" and chart.aggregate == "none" else MOST_POINTS
    is_time = [each.kind == "time" for each in columns.values()]
    values = [dict(zip(columns, map(_prepare, row, is_time), strict=True)) for row in rows]
    return [each for each in values if each["x"] is not None and each["y"] is not None][:most]


def _lay_out(chart: Chart, columns: Mapping[str, ChartColumn], values: Sequence[Mapping[str, Cell]]) -> dict[str, Any]:
    """Encoding and size. Bars with many or long names lie on their side, so that the names can be read."""
    channels = {channel: _encode(chart, channel, column) for channel, column in columns.items()}
    places = len({str(each["x"]) for each in values})
    longest = max((len(str(each["x"])) for each in values), default=0)
    is_bar = chart.mark == "bar" and columns["x"].kind == "category"
    if is_bar and "colour" not in columns:
        channels["x"]["sort"] = "-y"
    size: dict[str, Any] = {"width": _WIDTH, "height": _HEIGHT}
    if columns["x"].kind == "category":
        channels["x"]["axis"] = {"labelAngle": 0 if places <= _FEW_BARS else -45}
    if is_bar and (places > _FEW_BARS or longest > _SHORT_LABEL):
        del channels["x"]["axis"]
        channels["x"], channels["y"] = channels["y"], channels["x"]
        if "sort" in channels["y"]:
            channels["y"]["sort"] = "-x"
        size["height"] = _BAR * max(places, 2)
    if "colour" in channels:
        channels["color"] = channels.pop("colour")
    return {"encoding": channels, **size}


def _encode(chart: Chart, channel: str, column: ChartColumn) -> dict[str, Any]:
    kind = _TYPES[column.kind]
    if column.kind == "time" and not any(isinstance(cell, str) for cell in column.cells):
        kind = "ordinal"  # years
    encoded: dict[str, Any] = {"field": channel, "type": kind, "title": _shorten(column.name, _LONGEST_TEXT)}
    if kind == "temporal":
        encoded["scale"] = {"type": "utc"}  # as it is written, wherever the reader is
    if kind == "quantitative" and channel != "colour" and all(isinstance(cell, int) for cell in column.cells):
        encoded["axis"] = {"tickMinStep": 1}
    if channel == ("colour" if chart.mark == "rect" else "y"):
        if chart.aggregate == "count":
            return {"aggregate": "count", "type": "quantitative", "title": "count"}
        if chart.aggregate != "none":
            title = _shorten(f"{chart.aggregate}: {column.name}", _LONGEST_TEXT)
            encoded |= {"aggregate": chart.aggregate, "title": title}
    return encoded


def _describe(
    chart: Chart, columns: Mapping[str, ChartColumn], values: Sequence[Mapping[str, Cell]], rows: int, language: str
) -> str:
    """What is to be seen, with the first values."""
    words = language if language in _NAMES else "en"
    figure = "colour" if chart.mark == "rect" else "y"
    measured = columns[figure].name if chart.aggregate == "none" else f"{chart.aggregate}: {columns[figure].name}"
    by = ", ".join(each.name for channel, each in columns.items() if channel != figure)
    parts = []
    for each in values[:_MOST_TOLD]:
        place = ", ".join(str(each[channel]) for channel in columns if channel != figure)
        parts.append(f"{place}: {_write(each[figure])}")
    if rows > len(parts):
        parts.append(_NAMES[words]["more"].format(rows - len(parts)))
    return f"{_NAMES[words][chart.mark]}: {measured} / {by}. {'; '.join(parts)}."


def _write(cell: Cell) -> str:
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)


def _prepare(cell: Cell, is_time: bool) -> Cell:
    """A cell as JSON has it; of a moment without a time zone, that it is to be read as it is."""
    if not isinstance(cell, str):
        return cell
    if is_time and _CLOCK.search(cell):
        return f"{cell.replace(' ', 'T')}Z" if _CLOCK.fullmatch(cell[10:]) else cell.replace(" ", "T")
    return _shorten(cell, _LONGEST_TEXT)


def _shorten(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
