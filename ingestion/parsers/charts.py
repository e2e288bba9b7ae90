"""Charts of Office documents: the figures they show, which are kept beside the drawing (ECMA-376 part 1, 21.2)."""

from collections.abc import Iterator

from lxml import etree

from ingestion.parsers.ooxml import get_attribute, get_local_name, iter_children, iter_descendants, join_text
from ingestion.parsers.parsed import TextBuilder
from ingestion.parsers.tables import Row, add_table

MAX_POINTS = 10_000


def add_chart(builder: TextBuilder, chart: etree._Element) -> None:
    """The chart whose part has the root *chart*: its title, and a row a category."""
    title = next(
        (child for descendant in iter_descendants(chart, "chart") for child in iter_children(descendant)), None
    )
    if title is not None and get_local_name(title) == "title":
        builder.block(join_text(title))
    add_table(builder, _iter_rows(chart))


def _iter_rows(chart: etree._Element) -> Iterator[Row]:
    series = list(iter_descendants(chart, "ser"))
    columns = [_points(one, "val", "yVal") for one in series]
    categories = next((points for one in series if (points := _points(one, "cat", "xVal"))), {})
    if not any(columns):
        return
    yield ["", *(" ".join(_points(one, "tx").values()) for one in series)]
    places = sorted({place for column in columns for place in column})[:MAX_POINTS]
    yield from ([categories.get(place, ""), *(column.get(place, "") for column in columns)] for place in places)


def _points(series: etree._Element, *names: str) -> dict[int, str]:
    """The values kept for a part of a series, by their place."""
    result = {}
    for holder in iter_children(series):
        if get_local_name(holder) in names:
            for point in iter_descendants(holder, "pt"):
                value = next(iter_descendants(point, "v"), None)
                place = get_attribute(point, "idx") or ""
                if value is not None and place.isdigit():
                    result[int(place)] = _format_value(value.text or "")
    return result


def _format_value(value: str) -> str:
    """A value as it was typed: what is kept is often a fraction with its binary error."""
    try:
        return f"{float(value):.12g}" if "." in value else value
    except ValueError:
        return value
