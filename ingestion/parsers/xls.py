"""Spreadsheets of Excel before 2007 ([MS-XLS]): a heading a sheet, a line a row, values as a reader sees them."""

import io
from collections.abc import Iterator
from typing import Any

import xlrd

from ingestion.parsers.parsed import LOCKED, Limits, ParsedDocument, TextBuilder, join_lines
from ingestion.parsers.tables import Row, add_sheet, format_value
from utils.errors import UnreadableDocument

MEDIA_TYPE = "application/vnd.ms-excel"
DAMAGED = "It is damaged: open it in Excel or LibreOffice, and save it as XLSX."


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The workbook; formulas by the results that were stored with them, comments below their sheet."""
    builder = TextBuilder(limits)
    for sheet in _open(data).sheets():
        builder.leave(1)
        add_sheet(builder, sheet.name, _iter_rows(sheet))
        for _, note in sorted(sheet.cell_note_map.items()):
            builder.block(join_lines(note.text))
    return builder.build(title=None, media_type=MEDIA_TYPE)


def _open(data: bytes) -> Any:
    try:
        # Ragged: else each row is filled up to the longest one, which may be as wide as a sheet can be.
        return xlrd.open_workbook(file_contents=data, formatting_info=True, ragged_rows=True, logfile=io.StringIO())
    except MemoryError:
        raise
    except Exception as exc:  # xlrd raises whatever it stumbles over
        raise UnreadableDocument(LOCKED if "encrypted" in str(exc) else DAMAGED) from exc


def _iter_rows(sheet: Any) -> Iterator[Row]:
    return ([_format(sheet.book, cell) for cell in sheet.row(number)] for number in range(sheet.nrows))


def _format(workbook: Any, cell: Any) -> str:
    if cell.ctype in (xlrd.XL_CELL_EMPTY, xlrd.XL_CELL_BLANK):
        return ""
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return str(xlrd.error_text_from_code.get(cell.value, ""))
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return format_value(bool(cell.value), None)
    number_format = _number_format(workbook, cell.xf_index)
    if cell.ctype == xlrd.XL_CELL_DATE:
        try:
            return format_value(xlrd.xldate_as_datetime(cell.value, workbook.datemode), number_format)
        except (ValueError, OverflowError):
            return format_value(cell.value, number_format)
    return format_value(cell.value, number_format)


def _number_format(workbook: Any, place: int | None) -> str | None:
    """The number format of a cell; None if the workbook names none."""
    formats = workbook.xf_list
    if place is None or not 0 <= place < len(formats):
        return None
    result = workbook.format_map.get(formats[place].format_key)
    return result.format_str if result is not None else None
