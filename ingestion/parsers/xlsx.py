"""Spreadsheets: a heading a sheet, a line a row, values as a reader sees them."""

import io
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

from openpyxl import load_workbook

from ingestion.parsers.archive import Archive
from ingestion.parsers.figures import add_figures
from ingestion.parsers.ooxml import (
    find_main_part,
    find_related,
    get_attribute,
    iter_children,
    iter_descendants,
    join_text,
    list_relations,
)
from ingestion.parsers.parsed import Limits, ParsedDocument, TextBuilder, join_lines
from ingestion.parsers.tables import Row, add_sheet, format_value
from utils.errors import UnreadableDocument

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MAX_EMPTY_ROWS = 10_000  # in a row: some sheets have a million with nothing but a format
THREADED = "Comment:"  # Excel writes advice for its older versions, this word, then the comment
MAX_COLUMNS = 1_000


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The workbook; formulas by the results that were stored with them."""
    archive = Archive.from_bytes(data, limits, "XLSX")
    archive.check_parts(".xml", ".rels")
    try:
        workbook = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    except MemoryError:
        raise
    except Exception as exc:  # openpyxl raises whatever it stumbles over
        raise archive.make_damage_error() from exc
    builder = TextBuilder(limits)
    with closing(workbook):
        sheets = {sheet.title: sheet for sheet in workbook.worksheets}  # those that are no chart alone
        for name, part in _list_sheets(archive):
            sheet = sheets.get(name)
            builder.leave(1)
            if sheet is not None:
                sheet.reset_dimensions()  # what a sheet says of its own size may be anything
                add_sheet(builder, name, _iter_rows(sheet, builder))
            else:
                builder.add_heading(1, name)
            _add_drawings(builder, archive, part)
            _add_comments(builder, archive, part)
        title = workbook.properties.title
    return builder.build(title=title, media_type=MEDIA_TYPE)


def _list_sheets(archive: Archive) -> list[tuple[str, str]]:
    """The names of all sheets, those with a chart alone among them, and their parts."""
    part = find_main_part(archive)
    targets = {relation.relation_id: relation.target for relation in list_relations(archive, part)}
    sheets = [sheet for listed in iter_descendants(archive.read_xml(part), "sheets") for sheet in iter_children(listed)]
    return [(get_attribute(sheet, "name") or "", targets.get(get_attribute(sheet, "id") or "", "")) for sheet in sheets]


def _add_drawings(builder: TextBuilder, archive: Archive, part: str) -> None:
    """What is drawn on a sheet: text boxes, charts and diagrams."""
    for relation in list_relations(archive, part):
        if relation.kind == "drawing":
            _add_boxes(builder, archive, relation.target)
            add_figures(builder, archive, relation.target)


def _add_comments(builder: TextBuilder, archive: Archive, part: str) -> None:
    for comments in find_related(archive, part, "comments"):
        for comment in iter_descendants(comments, "comment"):
            builder.block(join_lines(join_text(comment).rpartition(THREADED)[2]))


def _add_boxes(builder: TextBuilder, archive: Archive, drawing: str) -> None:
    """The texts of boxes and shapes; none of a drawing that is damaged."""
    with suppress(UnreadableDocument):
        for box in iter_descendants(archive.read_xml(drawing), "txBody"):
            builder.add_lines(join_lines(join_text(paragraph)) for paragraph in iter_descendants(box, "p"))


def _iter_rows(sheet: Any, builder: TextBuilder) -> Iterator[Row]:
    empty, is_wide, name = 0, False, sheet.title
    for row in sheet.iter_rows():  # without a width each row is as long as what is in it
        texts = [format_value(cell.value, cell.number_format) for cell in row[:MAX_COLUMNS]]
        is_wide = is_wide or any(cell.value is not None for cell in row[MAX_COLUMNS:])
        empty = 0 if any(texts) else empty + 1
        if empty > MAX_EMPTY_ROWS:
            text = f"What stands below {MAX_EMPTY_ROWS:,} empty rows of the sheet {name} is not read, if anything does"
            builder.note(f"{text}: remove the empty rows.")
            break
        yield texts
    if is_wide:
        text = f"Columns of the sheet {name} beyond the {MAX_COLUMNS:,}th are not read"
        builder.note(f"{text}: put them into another sheet.")
