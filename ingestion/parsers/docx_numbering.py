"""Numbers that Word gives to headings and list items: no paragraph holds them (ECMA-376 part 1, 17.9).

A paragraph names a list ("num") and a level in it. The list takes its levels from a definition ("abstractNum"), which
several lists share together with the counting, and may set other starts and levels.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lxml import etree

from ingestion.parsers.docx_styles import TRUE, NumberingProperties, Style, Styles, parse_number
from ingestion.parsers.ooxml import find_child, find_value, get_attribute, get_local_name, iter_children

BULLET = "- "
LEVELS = 9  # of a list (17.9.6)
SEPARATORS = {"nothing": "", "space": " ", None: " ", "tab": " "}
MAX_LABEL_CHARACTERS = 200
LETTERS = 26
MAX_LETTERS = 780  # Word goes no further: 30 times the same letter
MAX_ROMAN = 3_999
ROMAN = {
    "M": 1000, "CM": 900, "D": 500, "CD": 400, "C": 100, "XC": 90, "L": 50, "XL": 40, "X": 10, "IX": 9, "V": 5,
    "IV": 4, "I": 1,
}  # fmt: skip
_LEVEL_NUMBER = re.compile(r"%([1-9])")


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
    """The part that lists share; with *style_link* the levels are those of the list that this style names."""

    levels: Mapping[int, _Level]
    style_link: str | None


@dataclass(frozen=True, slots=True)
class _List:
    definition: str
    levels: Mapping[int, _Level]
    starts: Mapping[int, int]  # by level, where this list begins to count again


class Numbering:
    """Counts the paragraphs of a document in their order; *root* is that of its part `numbering`, None without one."""

    def __init__(self, root: etree._Element | None, styles: Styles) -> None:
        parts = list(iter_children(root)) if root is not None else []
        named = {
            get_attribute(part, "abstractNumId") or "": part for part in parts if get_local_name(part) == "abstractNum"
        }
        # Read once: thousands of lists may share one.
        definitions = {
            name: _Definition(_read_levels(part), find_value(part, "numStyleLink")) for name, part in named.items()
        }
        lists = {get_attribute(part, "numId") or "": part for part in parts if get_local_name(part) == "num"}
        self._lists = {name: _read_list(element, lists, definitions, styles) for name, element in lists.items()}
        self._counts: dict[str, dict[int, int]] = {}
        self._started: set[tuple[str, int]] = set()

    def label(self, own: NumberingProperties, chain: Sequence[Style]) -> str:
        """The number or bullet of the next paragraph with the space after it; "" for one that is in no list.

        *own* is what the paragraph itself says, *chain* its style and those that this is based on.
        """
        found = [own, *(style.numbering for style in chain)]
        list_id = next((each.list_id for each in found if each.list_id is not None), "0")
        if list_id == "0":
            return ""
        its_list = self._lists.get(list_id)
        if its_list is None or (depth := _find_depth(its_list, own, chain)) not in its_list.levels:
            return BULLET
        return _format_label(its_list, depth, self._count(list_id, its_list, depth))

    def _count(self, list_id: str, its_list: _List, depth: int) -> Mapping[int, int]:
        """The present numbers of all levels, after the paragraph on level *depth* was counted."""
        counts = self._counts.setdefault(its_list.definition, {})
        if (list_id, depth) not in self._started:
            self._started.add((list_id, depth))
            if depth in its_list.starts:
                counts.pop(depth, None)
        counts[depth] = counts[depth] + 1 if depth in counts else _get_start(its_list, depth)
        for above in range(depth):  # a level that was skipped begins, too
            counts.setdefault(above, _get_start(its_list, above))
        for deeper in [one for one in counts if one > depth and _is_restarted(its_list, one, depth)]:
            del counts[deeper]
        return counts


def _read_list(
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
    for override in iter_children(element):
        depth = parse_number(get_attribute(override, "ilvl"))
        if get_local_name(override) == "lvlOverride" and depth is not None:
            levels |= _read_levels(override)
            start = parse_number(find_value(override, "startOverride"))
            if start is not None:
                starts[depth] = start
    return _List(name, levels, starts)


def _read_levels(parent: etree._Element) -> dict[int, _Level]:
    levels = (element for element in iter_children(parent) if get_local_name(element) == "lvl")
    depths = ((parse_number(get_attribute(element, "ilvl")), element) for element in levels)
    return {depth: _read_level(element) for depth, element in depths if depth is not None and depth < LEVELS}


def _read_level(element: etree._Element) -> _Level:
    return _Level(
        start=parse_number(find_value(element, "start")) or 0,
        number_format=find_value(element, "numFmt") or "decimal",
        text=(find_value(element, "lvlText") or "")[:MAX_LABEL_CHARACTERS],
        restarts_after=parse_number(find_value(element, "lvlRestart")),
        style_id=find_value(element, "pStyle"),
        is_legal=_is_on(element, "isLgl"),
        separator=SEPARATORS.get(find_value(element, "suff"), " "),
        is_hidden=_is_on(find_child(element, "rPr"), "vanish"),
    )


def _is_on(element: etree._Element | None, name: str) -> bool:
    return find_child(element, name) is not None and find_value(element, name) in TRUE


def _find_depth(its_list: _List, own: NumberingProperties, chain: Sequence[Style]) -> int:
    """The level of a paragraph: what it says itself, else the level that names its style, else what its style says."""
    if own.level is not None:
        return own.level
    by_style = {level.style_id: depth for depth, level in its_list.levels.items() if level.style_id}
    linked = (by_style[style.style_id] for style in chain if style.style_id in by_style)
    named = (style.numbering.level for style in chain if style.numbering.level is not None)
    return next(linked, next(named, 0))


def _get_start(its_list: _List, depth: int) -> int:
    return its_list.starts.get(depth, its_list.levels[depth].start) if depth in its_list.levels else 0


def _is_restarted(its_list: _List, deeper: int, depth: int) -> bool:
    """Whether level *deeper* counts again after a paragraph on level *depth*, which is above it."""
    after = its_list.levels[deeper].restarts_after if deeper in its_list.levels else None
    return after is None or after > deeper or depth < after


def _format_label(its_list: _List, depth: int, counts: Mapping[int, int]) -> str:
    level = its_list.levels[depth]
    if level.is_hidden:
        return ""
    if level.number_format == "bullet" and not any(character.isalnum() for character in level.text[1:]):
        return BULLET

    def replace(match: re.Match[str]) -> str:
        above = int(match[1]) - 1
        if above not in its_list.levels:
            return ""
        number_format = its_list.levels[above].number_format
        count = counts.get(above, _get_start(its_list, above))
        return format_number(count, "decimal" if level.is_legal and number_format != "none" else number_format)

    text = _LEVEL_NUMBER.sub(replace, level.text)
    return text.strip() + level.separator if level.separator and text.strip() else text


def format_number(count: int, number_format: str) -> str:
    """*count* as Word writes it; in digits where the format is words, or another script."""
    if number_format in ("none", "bullet"):
        return ""
    if number_format == "decimalZero":
        return f"{count:02}"
    if number_format == "ordinal":
        return f"{count}{_get_ordinal_ending(count)}"
    if number_format.endswith("Roman") and 0 < count <= MAX_ROMAN:
        return _adapt_case(_format_roman(count), number_format)
    if number_format.endswith("Letter") and 0 < count <= MAX_LETTERS:
        times, letter = divmod(count - 1, LETTERS)
        return _adapt_case(chr(ord("A") + letter) * (times + 1), number_format)
    return str(count)


def _adapt_case(text: str, number_format: str) -> str:
    return text if number_format.startswith("upper") else text.lower()


def _format_roman(count: int) -> str:
    written = ""
    for sign, value in ROMAN.items():
        times, count = divmod(count, value)
        written += sign * times
    return written


def _get_ordinal_ending(count: int) -> str:
    """The ending of an English ordinal: the document's language is not known here."""
    return "th" if count % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
