"""XLSX as sheets of values: formulas by their results, dates and shares by their formats, merged cells said again.

Not by openpyxl, which takes four times as long and, reading piece by piece, tells nothing of merged and hidden cells.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import IO

from lxml import etree
from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format, is_timedelta_format
from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900, from_excel

from ingestion.parsers.archive import Archive
from ingestion.parsers.ooxml import (
    find_main_part,
    find_related,
    get_attribute,
    iter_children,
    iter_descendants,
    list_relations,
)
from ingestion.parsers.parsed import UNWANTED, Limits
from ingestion.tables.shapes import RawCell, Sheet, TableLimits
from utils.errors import TooLarge

_PLACE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_RANGE = re.compile(r"([A-Z]{1,3})([0-9]{1,7}):([A-Z]{1,3})([0-9]{1,7})")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_MAX_MERGED, _MAX_STRINGS, _MAX_ROWS = 50_000, 5_000_000, 1_048_576
_WIDEST = 1_000  # columns that are looked at
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, etree.LxmlError, NotImplementedError)
_NO_RESULTS = (
    "It has formulas without results, which are empty here: open it in a spreadsheet program, and save it again."
)
_HIDDEN_ROWS = "Rows that are hidden in the file are read."
_HIDDEN_COLUMNS = "Columns that are hidden in the file are read, but not opened to questions."


@dataclass(slots=True)
class _Workbook:
    """What all sheets share: their strings, and by the number of a style whether it shows dates or shares."""

    archive: Archive
    strings: Sequence[str]
    styles: Sequence[str]
    epoch: datetime
    left_cells: int


@dataclass(slots=True)
class _SheetParts:
    """A sheet while it is read."""

    rows: list[list[RawCell]] = field(default_factory=list)
    spans: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    hidden_columns: set[int] = field(default_factory=set)
    has_hidden_rows: bool = False
    lacks_results: bool = False


def read_sheets(data: bytes, limits: TableLimits) -> list[Sheet]:
    """The sheets with cells, in their order.

    Raises:
        UnreadableDocument: it is damaged or locked.
        TooLarge: it has too much in it.
    """
    archive = Archive.from_bytes(data, Limits(unpacked_bytes=limits.unpacked_bytes), "XLSX")
    with _translate_damage(archive):
        main = find_main_part(archive)
        root = archive.read_xml(main)
        is_mac = any(get_attribute(each, "date1904") in ("1", "true") for each in iter_descendants(root, "workbookPr"))
        epoch = CALENDAR_MAC_1904 if is_mac else CALENDAR_WINDOWS_1900
        workbook = _Workbook(archive, _read_strings(archive, main), _read_styles(archive, main), epoch, limits.cells)
        targets = {each.relation_id: each for each in list_relations(archive, main)}
        sheets = []
        for listed in iter_descendants(root, "sheets"):
            for entry in iter_children(listed):
                relation = targets.get(get_attribute(entry, "id") or "")
                if relation is not None and relation.kind == "worksheet":
                    name, is_hidden = (
                        get_attribute(entry, "name") or "",
                        "idden" in (get_attribute(entry, "state") or ""),
                    )
                    sheets.append(_read_sheet(workbook, relation.target, name, is_hidden))
        return sheets


@contextmanager
def _translate_damage(archive: Archive) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as exc:
        raise archive.make_damage_error() from exc


def _read_strings(archive: Archive, main: str) -> list[str]:
    """The shared strings, without the readings of Japanese words that stand beside them."""
    part = next((each.target for each in list_relations(archive, main) if each.kind == "sharedStrings"), None)
    strings: list[str] = []
    if part is None or part not in archive:
        return strings
    with closing(archive.open(part)) as file:
        for entry in _iterate(file, "si"):
            strings.append(_join_text(entry))
            if len(strings) > _MAX_STRINGS:
                raise TooLarge(f"It has more than {_MAX_STRINGS:,} different texts: split it.")
    return strings


def _iterate(file: IO[bytes], *names: str) -> Iterator[etree._Element]:
    """The elements of these names, each once it is whole; what stands before it is forgotten."""
    tags = [f"{{*}}{name}" for name in names]
    for _, element in etree.iterparse(file, tag=tags, resolve_entities=False, no_network=True, remove_comments=True):
        yield element
        element.clear(keep_tail=False)
        parent = element.getparent()
        while parent is not None and element.getprevious() is not None:
            del parent[0]


def _join_text(entry: etree._Element) -> str:
    texts = []
    for each in entry.iter("{*}t"):
        parent = each.getparent()
        if each.text and not (parent is not None and etree.QName(parent).localname == "rPh"):
            texts.append(each.text)
    text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), "".join(texts))
    return text if text.isprintable() and text.isascii() else UNWANTED.sub("", text)


def _read_styles(archive: Archive, main: str) -> list[str]:
    """By the number of a style, what it shows: "date", "duration", "percent", or "" for all else."""
    root = next(find_related(archive, main, "styles"), None)
    if root is None:
        return []
    formats: dict[int, str] = dict(BUILTIN_FORMATS)
    for each in iter_descendants(root, "numFmt"):
        formats[int(each.get("numFmtId", "0"))] = each.get("formatCode", "")
    return [
        _classify(formats.get(int(style.get("numFmtId", "0")), ""))
        for listed in iter_children(root)
        if etree.QName(listed).localname == "cellXfs"
        for style in iter_children(listed)
    ]


def _classify(number_format: str) -> str:
    if is_date_format(number_format):
        return "duration" if is_timedelta_format(number_format) else "date"
    return "percent" if "%" in number_format else ""


def _read_sheet(workbook: _Workbook, part: str, name: str, is_hidden: bool) -> Sheet:
    parts, merged = _SheetParts(), list[tuple[int, int, int, int]]()
    with closing(workbook.archive.open(part)) as file:
        for element in _iterate(file, "col", "row", "mergeCell"):
            kind = etree.QName(element).localname
            if kind == "row":
                _read_row(workbook, parts, element)
            elif kind == "mergeCell" and len(merged) < _MAX_MERGED:
                if match := _RANGE.fullmatch(element.get("ref", "")):
                    merged.append(
                        (_parse_column(match[1]), int(match[2]) - 1, _parse_column(match[3]), int(match[4]) - 1)
                    )
            elif kind == "col" and element.get("hidden") in ("1", "true"):
                last = min(int(element.get("max", "0")), _WIDEST)
                parts.hidden_columns.update(range(int(element.get("min", "1")) - 1, last))
    for area in merged:
        _repeat_merged(parts, area)
    rows = parts.rows
    used = max((len(row) for row in rows), default=0)
    notes = [_NO_RESULTS] if parts.lacks_results else []
    notes += [_HIDDEN_ROWS] if parts.has_hidden_rows else []
    notes += [_HIDDEN_COLUMNS] if any(at < used for at in parts.hidden_columns) else []
    return Sheet(
        name,
        lambda: iter(rows),
        parts.spans,
        frozenset(parts.hidden_columns),
        is_hidden,
        notes=tuple(notes),
    )


def _read_row(workbook: _Workbook, parts: _SheetParts, element: etree._Element) -> None:
    cells: list[RawCell] = []
    for cell in element:
        place = _PLACE.fullmatch(cell.get("r", ""))
        at = _parse_column(place[1]) if place else len(cells)
        if at >= _WIDEST:
            break
        value = _read_cell(workbook, parts, cell)
        if value is not None:
            cells += [None] * (at - len(cells))
            cells.append(value)
    workbook.left_cells -= len(cells)
    if workbook.left_cells < 0:
        raise TooLarge("It has too many cells: leave columns or sheets out, or send fewer rows.")
    missing = int(element.get("r") or len(parts.rows) + 1) - 1 - len(parts.rows)
    if not cells or not 0 <= missing <= _MAX_ROWS - len(parts.rows):  # rows with nothing but a format are no rows
        return
    parts.rows += [[] for _ in range(missing)]
    parts.rows.append(cells)
    parts.has_hidden_rows |= element.get("hidden") in ("1", "true")


def _read_cell(workbook: _Workbook, parts: _SheetParts, cell: etree._Element) -> RawCell:
    kind, text, has_formula = cell.get("t", "n"), None, False
    for child in cell:
        name = etree.QName(child).localname
        if name == "v":
            text = child.text
        elif name == "is":
            return _join_text(child) or None
        elif name == "f":
            has_formula = True
    if text is None or text == "":
        parts.lacks_results |= has_formula and kind != "str"
        return None
    if kind == "s":
        at = int(text)
        return workbook.strings[at] or None if 0 <= at < len(workbook.strings) else None
    if kind == "b":
        return "TRUE" if text in ("1", "true") else "FALSE"
    if kind != "n":  # "str" of a formula, "e" of an error, "d" of an ISO date
        return UNWANTED.sub("", text)
    return _read_number(workbook, text, cell.get("s"))


def _read_number(workbook: _Workbook, text: str, style: str | None) -> RawCell:
    value: int | float = int(text) if text.lstrip("-").isdecimal() and len(text) < 19 else float(text)
    at = int(style) if style else 0
    kind = workbook.styles[at] if 0 <= at < len(workbook.styles) else ""
    if kind == "percent":
        return f"{value * 100:.15g}%"
    if kind:
        try:
            moment = from_excel(value, workbook.epoch, timedelta=kind == "duration")
        except (ValueError, OverflowError):
            return value
        if isinstance(moment, datetime):
            # Excel keeps days as fractions: what is meant as 10:00:00 comes as 9:59:59.999997.
            return (moment + timedelta(milliseconds=500)).replace(microsecond=0)
        return moment.isoformat("seconds") if isinstance(moment, time) else str(moment)
    return value


def _repeat_merged(parts: _SheetParts, area: tuple[int, int, int, int]) -> None:
    """Say a text again in the rows below it that it spans. A number stays alone, for it would be added up."""
    first, top, last, bottom = area
    if top >= len(parts.rows):
        return
    if last > first and last < _WIDEST:
        parts.spans.setdefault(top, []).append((first, last))
    value = parts.rows[top][first] if first < len(parts.rows[top]) else None
    if value is None or isinstance(value, int | float):
        return
    for row in parts.rows[top + 1 : bottom + 1]:
        row += [None] * (first + 1 - len(row))
        row[first] = value


def _parse_column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1
