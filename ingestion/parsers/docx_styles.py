"""Styles of Word documents: what a paragraph has from its style, and from those that is based on."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from ingestion.parsers.ooxml import attribute, descendants, find_child, find_value

HEADING = re.compile(r"heading (\d)", re.IGNORECASE)
TRUE = (None, "1", "true", "on")  # of a mark, which needs no value to hold
MAX_BASES = 10
MAX_DIGITS = 9  # of a number that is believed


@dataclass(frozen=True, slots=True)
class ListPlace:
    """The list and the level in it, counted from 0, that a paragraph or style names; "0" is no list at all."""

    list_id: str | None = None
    level: int | None = None


@dataclass(frozen=True, slots=True)
class Style:
    """A style as it is defined; what it is based on is another one."""

    style_id: str
    name: str
    based_on: str | None
    outline: int | None
    place: ListPlace


class Styles:
    """The styles of a document, by their ids; *root* is that of its part `styles`, None without one."""

    def __init__(self, root: etree._Element | None) -> None:
        self._styles: dict[str, Style] = {}
        self._default: str | None = None
        self._chains: dict[str | None, list[Style]] = {}
        for element in descendants(root, "style") if root is not None else ():
            style = _style(element)
            self._styles[style.style_id] = style
            if attribute(element, "type") == "paragraph" and attribute(element, "default") in TRUE[1:]:
                self._default = style.style_id

    def chain(self, style_id: str | None) -> list[Style]:
        """The style of a paragraph that names *style_id*, and those it is based on; None is the usual one."""
        if style_id not in self._chains:
            self._chains[style_id] = list(self._follow(style_id or self._default))
        return self._chains[style_id]

    def list_id(self, style_id: str) -> str | None:
        """The list that a style names by itself."""
        style = self._styles.get(style_id)
        return style.place.list_id if style else None

    def _follow(self, style_id: str | None) -> Iterator[Style]:
        for _ in range(MAX_BASES):
            style = self._styles.get(style_id or "")
            if style is None:
                return
            yield style
            style_id = style.based_on


def _style(element: etree._Element) -> Style:
    properties = find_child(element, "pPr")
    return Style(
        style_id=attribute(element, "styleId") or "",
        name=find_value(element, "name") or "",
        based_on=find_value(element, "basedOn"),
        outline=number(find_value(properties, "outlineLvl")),
        place=list_place(properties),
    )


def list_place(properties: etree._Element | None) -> ListPlace:
    """What the properties of a paragraph or a style say of the list it belongs to."""
    named = find_child(properties, "numPr")
    return ListPlace(find_value(named, "numId"), number(find_value(named, "ilvl")))


def heading_level(chain: list[Style], outline: str | None) -> int:
    """The heading's level, 0 for what is none: by its style or one of those it is based on, or its own outline."""
    for style in chain:
        match = HEADING.fullmatch(style.name)
        if match:
            return int(match[1])
        if style.outline is not None and style.outline < 9:
            return style.outline + 1
    own = number(outline)
    return own + 1 if own is not None and own < 9 else 0


def number(text: str | None) -> int | None:
    """The whole number in *text*; None where it holds none, or one that nobody means."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else None
