"""Chooses a chart by rules: from what a result holds, and the kind of chart that was asked for."""

from collections.abc import Sequence

from datasources.charts.columns import ChartColumn, read_columns
from datasources.charts.grammar import Chart, ChartRefused, Mark
from datasources.questions.refusals import format_refusal
from datasources.results import Result

_MIN_ROWS, _MAX_COLOURS = 2, 12


def choose_chart(result: Result, *, mark: Mark | None = None, title: str = "") -> Chart:
    """The chart of *result*: times with figures become a line, kinds of things bars, two figures points.

    *mark* is what was asked for; it is followed where the columns allow it.

    Raises:
        ChartRefused: nothing in it can be drawn.
    """
    columns = read_columns(result)
    numbers = [each for each in columns if each.kind == "number"]
    times = [each for each in columns if each.kind == "time"]
    categories = [each for each in columns if each.kind == "category"]
    if not numbers:
        raise _refuse("no figure")
    if len(result.rows) < _MIN_ROWS:
        raise _refuse("one figure")
    if (not times and not categories) or (mark == "point" and len(numbers) > 1):
        return _choose_points(numbers, categories, title)
    x = (times or categories)[0]
    others = [each for each in categories if each is not x and 1 < each.distinct <= _MAX_COLOURS]
    colour = others[0].name if others else None
    if mark == "rect" and colour:
        return Chart(mark="rect", x=x.name, y=colour, colour=numbers[0].name, title=title)
    chosen = mark if mark not in (None, "rect") else "line" if times else "bar"
    if _repeats(x, others[:1]):
        chosen = "point"  # bars on one another would tell a sum that nobody asked for
    return Chart(mark=chosen, x=x.name, y=numbers[0].name, colour=colour, title=title)


def _choose_points(numbers: Sequence[ChartColumn], categories: Sequence[ChartColumn], title: str) -> Chart:
    if len(numbers) == 1:
        raise _refuse("one figure")
    colour = next((each.name for each in categories if each.distinct <= _MAX_COLOURS), None)
    return Chart(mark="point", x=numbers[0].name, y=numbers[1].name, colour=colour, title=title)


def _refuse(reason: str) -> ChartRefused:
    return ChartRefused(format_refusal(reason, "en"), reason)


def _repeats(x: ChartColumn, others: Sequence[ChartColumn]) -> bool:
    """Whether several rows would stand at one place."""
    places = list(zip(x.cells, *(each.cells for each in others), strict=True))
    return len(set(places)) < len(places)
