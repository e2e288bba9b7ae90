"""Numbers that Word gives to headings and list items: they stand in no paragraph (ECMA-376 part 1, 17.9).

A paragraph names a list ("num") and a level in it. The list takes its levels from a definition ("abstractNum"), which
several lists share together with the counting, and may set other starts and levels.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lxml import etree

from ingestion.parsers.docx_styles import TRUE, ListPlace, Style, Styles, number
from ingestion.parsers.ooxml import attribute, children, find_child, find_value, local

BULLET = "-"
LEVELS = 9  # of a list (17.9.6): all above one are counted with it
SEPARATORS = {"nothing": "", "space": " ", None: " ", "tab": " "}
MAX_LABEL_CHARACTERS = 200
LETTERS = 26
MAX_LETTERS = 780  # Word goes no further: 30 times the same letter
MAX_ROMAN = 3_999
ROMAN = {
    "M": 1000, "CM": 900, "D": 500, "CD": 400, "C": 100, "XC": 90, "L": 50, "XL": 40, "X": 10, "IX": 9, "V": 5,
    "IV": 4, "I": 1,
}  # fmt: skip
_PLACE = re.compile(r"%([1-9])")


@dataclass(frozen=True, slots=True)
class _Level:
    start: int
    number_format: str
    text: str  # "%1.%2": a percent sign with a level, counted from 1, stands for its number
    restarts_after: int | None  # a level, counted from 1; 0 for never, None for whichever is above
    style_id: str | None  # of paragraphs that stand on this level by their style alone
    is_legal: bool  # "IV.2" is written as "4.2"
    separator: str
    is_hidden: bool


@dataclass(frozen=True, slots=True)
class _Definition:
    """What lists share; *style_link*: the levels are those of the list that this style names."""

    levels: Mapping[int, _Level]
    style_link: str | None


@dataclass(frozen=True, slots=True)
class _List:
    definition: str
    levels: Mapping[int, _Level]
    starts: Mapping[int, int]  # by level: where this list begins, whatever was counted before


class Numbering:
    """Counts the paragraphs of a document in their order; *root* is that of its part `numbering`, None without one."""

    def __init__(self, root: etree._Element | None, styles: Styles) -> None:
        parts = list(children(root)) if root is not None else []
        named = {attribute(part, "abstractNumId") or "": part for part in parts if local(part) == "abstractNum"}
        # Read once: thousands of lists may share one.
        definitions = {
            name: _Definition(_levels(part), find_value(part, "numStyleLink")) for name, part in named.items()
        }
        lists = {attribute(part, "numId") or "": part for part in parts if local(part) == "num"}
        self._lists = {name: _list(element, lists, definitions, styles) for name, element in lists.items()}
        self._counts: dict[str, dict[int, int]] = {}
        self._begun: set[tuple[str, int]] = set()

    def label(self, own: ListPlace, chain: Sequence[Style]) -> str | None:
        """What Word writes before the next paragraph, with the blank behind it; None for one that is in no list.

        *own* is the place that the paragraph itself names, *chain* its style and those that is based on.
        """
        places = [own, *(style.place for style in chain)]
        list_id = next((place.list_id for place in places if place.list_id is not None), None)
        if list_id is None or list_id == "0":
            return None
        its_list = self._lists.get(list_id)
        if its_list is None:
            return f"{BULLET} "
        depth = _depth(its_list, own, chain)
        if depth not in its_list.levels:
            return f"{BULLET} "
        counts = self._count(list_id, its_list, depth)
        return _write(its_list, depth, counts)

    def _count(self, list_id: str, its_list: _List, depth: int) -> Mapping[int, int]:
        """The numbers of all levels that count now, with that of the paragraph on level *depth*."""
        counts = self._counts.setdefault(its_list.definition, {})
        if (list_id, depth) not in self._begun:
            self._begun.add((list_id, depth))
            if depth in its_list.starts:
                counts.pop(depth, None)
        counts[depth] = counts[depth] + 1 if depth in counts else _start(its_list, depth)
        for above in range(depth):  # one that was passed over counts as begun
            counts.setdefault(above, _start(its_list, above))
        for deeper in [one for one in counts if one > depth and _restarts(its_list, one, depth)]:
            del counts[deeper]
        return counts


def _list(
    element: etree._Element,
    lists: Mapping[str, etree._Element],
    definitions: Mapping[str, _Definition],
    styles: Styles,
) -> _List:
    name = find_value(element, "abstractNumId") or ""
    definition = definitions.get(name)
    if definition is not None and definition.style_link is not None:
        name = find_value(lists.get(styles.list_id(definition.style_link) or ""), "abstractNumId") or ""
        definition = definitions.get(name)
    levels = dict(definition.levels) if definition is not None else {}
    starts = {}
    for override in children(element):
        depth = number(attribute(override, "ilvl"))
        if local(override) == "lvlOverride" and depth is not None:
            levels |= _levels(override)
            start = number(find_value(override, "startOverride"))
            if start is not None:
                starts[depth] = start
    return _List(name, levels, starts)


def _levels(holder: etree._Element) -> dict[int, _Level]:
    found = (element for element in children(holder) if local(element) == "lvl")
    depths = ((number(attribute(element, "ilvl")), element) for element in found)
    return {depth: _level(element) for depth, element in depths if depth is not None and depth < LEVELS}


def _level(element: etree._Element) -> _Level:
    return _Level(
        start=number(find_value(element, "start")) or 0,
        number_format=find_value(element, "numFmt") or "decimal",
        text=(find_value(element, "lvlText") or "")[:MAX_LABEL_CHARACTERS],
        restarts_after=number(find_value(element, "lvlRestart")),
        style_id=find_value(element, "pStyle"),
        is_legal=_is_marked(element, "isLgl"),
        separator=SEPARATORS.get(find_value(element, "suff"), " "),
        is_hidden=_is_marked(find_child(element, "rPr"), "vanish"),
    )


def _is_marked(element: etree._Element | None, name: str) -> bool:
    return find_child(element, name) is not None and find_value(element, name) in TRUE


def _depth(its_list: _List, own: ListPlace, chain: Sequence[Style]) -> int:
    """The level of a paragraph: its own, that which its style stands for, or that which its style names."""
    if own.level is not None:
        return own.level
    by_style = {level.style_id: depth for depth, level in its_list.levels.items() if level.style_id}
    linked = (by_style[style.style_id] for style in chain if style.style_id in by_style)
    named = (style.place.level for style in chain if style.place.level is not None)
    return next(linked, next(named, 0))


def _start(its_list: _List, depth: int) -> int:
    return its_list.starts.get(depth, its_list.levels[depth].start) if depth in its_list.levels else 0


def _restarts(its_list: _List, deeper: int, depth: int) -> bool:
    """Whether level *deeper* begins anew after a paragraph on level *depth*, which is above it."""
    after = its_list.levels[deeper].restarts_after if deeper in its_list.levels else None
    return after is None or after > deeper or depth < after


def _write(its_list: _List, depth: int, counts: Mapping[int, int]) -> str:
    level = its_list.levels[depth]
    if level.is_hidden:
        return ""
    if level.number_format == "bullet" and not any(character.isalnum() for character in level.text[1:]):
        return f"{BULLET} "

    def place(match: re.Match[str]) -> str:
        above = int(match[1]) - 1
        if above not in its_list.levels:
            return ""
        number_format = its_list.levels[above].number_format
        count = counts.get(above, _start(its_list, above))
        return format_number(count, "decimal" if level.is_legal and number_format != "none" else number_format)

    text = _PLACE.sub(place, level.text)
    return text.strip() + level.separator if level.separator and text.strip() else text


def format_number(count: int, number_format: str) -> str:
    """*count* as Word writes it; in digits where the format is that of another script, or in words."""
    if number_format in ("none", "bullet"):
        return ""
    if number_format == "decimalZero":
        return f"{count:02}"
    if number_format == "ordinal":
        return f"{count}{_ordinal_ending(count)}"
    if number_format.endswith("Roman") and 0 < count <= MAX_ROMAN:
        return _cased(_roman(count), number_format)
    if number_format.endswith("Letter") and 0 < count <= MAX_LETTERS:
        times, letter = divmod(count - 1, LETTERS)
        return _cased(chr(ord("A") + letter) * (times + 1), number_format)
    return str(count)


def _cased(text: str, number_format: str) -> str:
    return text if number_format.startswith("upper") else text.lower()


def _roman(count: int) -> str:
    written = ""
    for sign, value in ROMAN.items():
        times, count = divmod(count, value)
        written += sign * times
    return written


def _ordinal_ending(count: int) -> str:
    """As in English, whatever the document's language: that is not known here."""
    return "th" if count % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
