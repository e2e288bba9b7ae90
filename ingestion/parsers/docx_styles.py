"""Styles of Word documents: what a paragraph inherits from its style, and from those that it is based on."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from ingestion.parsers.ooxml import find_child, find_value, get_attribute, iter_descendants

HEADING = re.compile(r"heading (\d)", re.IGNORECASE)
TRUE = (None, "1", "true", "on")  # values of a switch, which may have none
MAX_BASES = 10
MAX_DIGITS = 9


@dataclass(frozen=True, slots=True)
class NumberingProperties:
    """A list and a level in it, counted from 0, as a paragraph or style names them ("numPr"); list "0" is none."""

    list_id: str | None = None
    level: int | None = None


@dataclass(frozen=True, slots=True)
class Style:
    """A style without what it inherits; *based_on* is the id of another style."""

    style_id: str
    name: str
    based_on: str | None
    outline: int | None
    numbering: NumberingProperties


class Styles:
    """The styles of a document, by their ids; *root* is that of its part `styles`, None without one."""

    def __init__(self, root: etree._Element | None) -> None:
        self._styles: dict[str, Style] = {}
        self._default: str | None = None
        self._chains: dict[str | None, list[Style]] = {}
        for element in iter_descendants(root, "style") if root is not None else ():
            style = _read_style(element)
            self._styles[style.style_id] = style
            if get_attribute(element, "type") == "paragraph" and get_attribute(element, "default") in TRUE[1:]:
                self._default = style.style_id

    def find_chain(self, style_id: str | None) -> list[Style]:
        """The style of a paragraph that names *style_id*, and those it is based on; None is the usual one."""
        if style_id not in self._chains:
            self._chains[style_id] = list(self._follow(style_id or self._default))
        return self._chains[style_id]

    def list_id(self, style_id: str) -> str | None:
        """The list that a style names by itself."""
        style = self._styles.get(style_id)
        return style.numbering.list_id if style else None

    def _follow(self, style_id: str | None) -> Iterator[Style]:
        for _ in range(MAX_BASES):
            style = self._styles.get(style_id or "")
            if style is None:
                return
            yield style
            style_id = style.based_on


def _read_style(element: etree._Element) -> Style:
    properties = find_child(element, "pPr")
    return Style(
        style_id=get_attribute(element, "styleId") or "",
        name=find_value(element, "name") or "",
        based_on=find_value(element, "basedOn"),
        outline=parse_number(find_value(properties, "outlineLvl")),
        numbering=read_numbering(properties),
    )


def read_numbering(properties: etree._Element | None) -> NumberingProperties:
    """The list and level that the properties of a paragraph or a style name."""
    child = find_child(properties, "numPr")
    return NumberingProperties(find_value(child, "numId"), parse_number(find_value(child, "ilvl")))


def find_heading_level(chain: list[Style], outline: str | None) -> int:
    """The heading's level, 0 for what is none: by its style or one of those it is based on, or its own outline."""
    for style in chain:
        match = HEADING.fullmatch(style.name)
        if match:
            return int(match[1])
        if style.outline is not None and style.outline < 9:
            return style.outline + 1
    own = parse_number(outline)
    return own + 1 if own is not None and own < 9 else 0


def parse_number(text: str | None) -> int | None:
    """The whole number in *text*; None where it is none, or longer than `MAX_DIGITS`."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else None
