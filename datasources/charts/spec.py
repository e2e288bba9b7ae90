"""Writes a chart as Vega-Lite, with its data inside, and in words for those who do not see it.

https://vega.github.io/vega-lite/docs/spec.html. Fields have names of ours: those of columns could be read as paths.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasources.charts.columns import ChartColumn, read_columns
from datasources.charts.grammar import Chart, ChartRefused
from datasources.charts.values import LONGEST_LABEL, ChartValues, list_values, make_label, make_labels
from datasources.charts.words import TABLES
from datasources.questions.refusals import format_refusal
from datasources.results import Result
from utils.formats import format_number
from utils.query_tables import Cell

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_MAX_TOLD, _FEW_BARS, _SHORT_LABEL = 10, 8, 12
_WIDTH, _HEIGHT, _BAR = 560, 320, 24  # pixels
_LARGEST = 1e300  # so that sums and axes stay below the largest number of JavaScript, 1.8e308
_INCOMPLETE = (
    "Only a part of the rows is known, so that their {} would be wrong. Ask the whole question so that the query "
    'computes it, such as the total for each kind, and leave "aggregate" out.'
)
_TYPES = {"number": "quantitative", "time": "temporal", "category": "nominal"}
_NAMES: Mapping[str, Mapping[str, str]] = TABLES["names"]


@dataclass(frozen=True, slots=True)
class DrawnChart:
    """A chart that can be drawn: its Vega-Lite `spec`, and what it shows in words."""

    spec: dict[str, Any]
    alt: str


def make_spec(chart: Chart, result: Result, language: str = "en") -> DrawnChart:
    """*chart* of *result*. Where it does not show all, its title says so.

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
    if chart.aggregate != "none" and result.truncated:
        raise ChartRefused(_INCOMPLETE.format(chart.aggregate))
    values = list_values(chart, columns)
    titles = _name_titles(chart, columns)
    alt = _describe(chart, titles, values, language)
    spec = {
        "$schema": SCHEMA,
        "description": alt,
        **_make_title(chart, _describe_cut(values, result, language)),
        "data": {"values": values.rows},
        "mark": {"type": chart.mark, "tooltip": True, **({"point": True} if chart.mark == "line" else {})},
        **_make_layout(chart, columns, titles, values.rows),
    }
    return DrawnChart(spec, alt)


def _check_figures(chart: Chart, columns: Mapping[str, ChartColumn]) -> None:
    """The channel that has to hold figures does, and none is too large."""
    channel = chart.figure_channel
    if channel not in columns:
        raise ChartRefused('A chart of rectangles needs a column of figures as "colour".')
    if chart.aggregate != "count" and columns[channel].kind != "number":
        raise ChartRefused(f"The column {columns[channel].name[:60]!r} has no figures to draw.")
    numbers = [cell for each in columns.values() if each.kind == "number" for cell in each.cells if cell is not None]
    if any(abs(float(each)) > _LARGEST for each in numbers):
        raise ChartRefused(format_refusal("large figure", "en"), "large figure")


def _name_titles(chart: Chart, columns: Mapping[str, ChartColumn]) -> dict[str, str]:
    """What stands at the axis of each channel."""
    names = {channel: column.name for channel, column in columns.items()}
    if chart.aggregate != "none":
        figure = chart.figure_channel
        names[figure] = "count" if chart.aggregate == "count" else f"{chart.aggregate}: {names[figure]}"
    labels = make_labels(names.values())
    return {channel: labels[name] for channel, name in names.items()}


def _make_title(chart: Chart, note: str) -> dict[str, Any]:
    lines = [each for each in (make_label(chart.title, 2 * LONGEST_LABEL), note) if each]
    if not lines:
        return {}
    below = {"subtitle": lines[1]} if len(lines) > 1 else {}
    return {"title": {"text": lines[0], **below, "anchor": "start"}}


def _describe_cut(values: ChartValues, result: Result, language: str) -> str:
    """That not all is shown, "" where all is."""
    if len(values.rows) == values.count and not result.truncated:
        return ""
    words = _NAMES.get(language, _NAMES["en"])["cut" if result.truncated else "first"]
    return words.format(*(format_number(each, language) for each in (len(values.rows), values.count)))


def _make_layout(
    chart: Chart, columns: Mapping[str, ChartColumn], titles: Mapping[str, str], rows: Sequence[Mapping[str, Cell]]
) -> dict[str, Any]:
    """Encoding and size. Bars with many or long names lie on their side, so that the names can be read."""
    channels = {
        channel: _encode(chart, channel, column, [row[channel] for row in rows]) | {"title": titles[channel]}
        for channel, column in columns.items()
    }
    places = len({str(each["x"]) for each in rows})
    longest = max((len(str(each["x"])) for each in rows), default=0)
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


def _encode(chart: Chart, channel: str, column: ChartColumn, cells: Sequence[Cell]) -> dict[str, Any]:
    kind = _TYPES[column.kind]
    if chart.aggregate == "count" and channel == chart.figure_channel:
        kind = "quantitative"
    elif column.kind == "time" and not any(isinstance(cell, str) for cell in column.cells):
        kind = "ordinal"  # years
    encoded: dict[str, Any] = {"field": channel, "type": kind}
    if kind == "temporal":
        encoded["scale"] = {"type": "utc"}  # as it is written, wherever the reader is
    if kind == "quantitative" and channel != "colour" and all(isinstance(cell, int) for cell in cells):
        encoded["axis"] = {"tickMinStep": 1}
    return encoded


def _describe(chart: Chart, titles: Mapping[str, str], values: ChartValues, language: str) -> str:
    """What is to be seen, with the first values."""
    words = _NAMES.get(language, _NAMES["en"])
    figure = chart.figure_channel
    places = [channel for channel in titles if channel != figure]
    parts = []
    for row in values.rows[:_MAX_TOLD]:
        place = ", ".join(str(row[channel]) for channel in places)
        parts.append(f"{place}: {_format_cell(row[figure])}")
    if values.count > len(parts):
        parts.append(words["more"].format(values.count - len(parts)))
    by = ", ".join(titles[channel] for channel in places)
    return f"{words[chart.mark]}: {titles[figure]} / {by}. {'; '.join(parts)}."


def _format_cell(cell: Cell) -> str:
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)
