"""Diagrams of Office documents (SmartArt): their texts, as the list that they are made from (ECMA-376 part 1, 21.4)."""

from collections.abc import Iterator, Mapping, Sequence

from lxml import etree

from ingestion.parsers.ooxml import get_attribute, get_local_name, iter_children, join_text
from ingestion.parsers.parsed import TextBuilder, join_lines

SHOWN = (None, "node", "asst", "doc")  # kinds of points with a text of the author's; programs make the others of them
OF_LIST = (None, "parOf")  # kinds of connections that make the list
MAX_DEPTH = 20


def add_diagram(builder: TextBuilder, model: etree._Element) -> None:
    """The diagram of which *model* is the data, as a list that is nested as the diagram is."""
    points = {get_attribute(point, "modelId") or "": point for point in _find_all(model, "pt")}
    below = _sort_points(model, points)
    nested = {point for listed in below.values() for point in listed}
    builder.add_lines(line for root in points if root not in nested for line in _format_lines(root, points, below))


def _sort_points(model: etree._Element, points: Mapping[str, etree._Element]) -> Mapping[str, Sequence[str]]:
    """The points below each point, in their order."""
    result: dict[str, list[tuple[int, str]]] = {}
    for connection in _find_all(model, "cxn"):
        above, point = get_attribute(connection, "srcId") or "", get_attribute(connection, "destId") or ""
        if get_attribute(connection, "type") in OF_LIST and above in points and point in points:
            place = get_attribute(connection, "srcOrd") or ""
            result.setdefault(above, []).append((int(place) if place.isascii() and place.isdigit() else 0, point))
    return {above: [point for _, point in sorted(listed)] for above, listed in result.items()}


def _format_lines(root: str, points: Mapping[str, etree._Element], below: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """A line a point, those below another one indented. Each comes once, even if the file connects them in a circle."""
    waiting, written = [(root, 0)], set[str]()
    while waiting:
        name, depth = waiting.pop()
        if name in written or get_attribute(points[name], "type") not in SHOWN:
            continue
        written.add(name)
        text = join_lines(" ".join(map(join_text, points[name].iter("{*}p"))))
        if text:
            yield f"{'  ' * min(depth, MAX_DEPTH)}- {text}"
        waiting += [(inner, depth + bool(text)) for inner in reversed(below.get(name, ()))]


def _find_all(model: etree._Element, name: str) -> Iterator[etree._Element]:
    """The points or connections of a model, which are listed in a part of their own."""
    return (item for listed in iter_children(model) for item in iter_children(listed) if get_local_name(item) == name)
