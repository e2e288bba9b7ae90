"""Spreadsheets: a heading a sheet, a line a row, values as a reader sees them."""

import datetime
import io
from collections.abc import Iterator
from contextlib import closing

from openpyxl import load_workbook
from openpyxl.worksheet._read_only import ReadOnlyWorksheet

from ingestion.parsers.archive import Archive
from ingestion.parsers.parsed import Limits, ParsedDocument, TextBuilder
from ingestion.parsers.tables import Row, add_sheet

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MAX_EMPTY_ROWS = 10_000  # in a row: some sheets have a million with nothing but a format
MAX_COLUMNS = 1_000


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The workbook; formulas by the results that were stored with them."""
    archive = Archive.of(data, limits, "XLSX")
    archive.check_parts(".xml", ".rels")
    try:
        workbook = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    except MemoryError:
        raise
    except Exception as exc:  # openpyxl raises whatever it stumbles over
        raise archive.damaged() from exc
    builder = TextBuilder(limits)
    with closing(workbook):
        for sheet in workbook.worksheets:
            if isinstance(sheet, ReadOnlyWorksheet):
                sheet.reset_dimensions()  # what a sheet says of its own size may be anything
                add_sheet(builder, sheet.title, _rows(sheet))
        title = workbook.properties.title
    return builder.build(title=title, media_type=MEDIA_TYPE)


def _rows(sheet: ReadOnlyWorksheet) -> Iterator[Row]:
    empty = 0
    for row in sheet.iter_rows(max_col=MAX_COLUMNS):
        texts = [_shown(cell.value, cell.number_format) for cell in row]
        empty = 0 if any(texts) else empty + 1
        if empty > MAX_EMPTY_ROWS:
            return
        yield texts


def _shown(value: object, number_format: str | None) -> str:
    """A value as text: dates without a time that says nothing, whole numbers without a fraction, shares in percent."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ", "minutes")
    if isinstance(value, float):
        return _percent(value) if "%" in (number_format or "") else f"{value:.15g}"
    return str(value)


def _percent(value: float) -> str:
    return f"{round(value * 100, 6):g}%"
