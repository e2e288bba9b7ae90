"""Tables of a PDF that are drawn with lines, by pdfplumber; what is in their cells is read by PDFium."""

import io
from collections.abc import Iterator
from contextlib import closing, suppress

import pdfplumber
from pdfminer.psexceptions import PSException
from pdfplumber.utils.exceptions import PdfminerException
from pypdfium2 import PdfDocument, PdfiumError, PdfTextPage

from ingestion.parsers.parsed import join_lines
from ingestion.parsers.pdf_page import Box, Page, read_text

MAX_PAGES = 60  # looked at for tables: pdfplumber takes some tenths of a second for each
MAX_LINES = 400  # of text on such a page
MIN_FILLED = 0.3  # of a table's cells: forms and drawings have emptier ones
MIN_TEXT_SHARE = 0.95  # of the letters in its place
EDGE = 0.5  # points
# What pdfminer raises on damaged files; the text is read all the same. MemoryError is left out on purpose.
BROKEN = (
    *(ArithmeticError, AttributeError, AssertionError, LookupError, OSError, RuntimeError, TypeError, ValueError),
    *(PSException, PdfminerException, PdfiumError),
)


def add_tables(data: bytes, document: PdfDocument, pages: list[Page]) -> None:
    """Find the tables of the first ruled pages, and note them there."""
    ruled = [number for number, page in enumerate(pages) if page.is_ruled and 1 < len(page.lines) <= MAX_LINES]
    if not ruled:
        return
    try:
        plumbed = pdfplumber.open(io.BytesIO(data), pages=[number + 1 for number in ruled[:MAX_PAGES]])
    except BROKEN:
        return
    with closing(plumbed):
        for number, plumber_page in zip(ruled, plumbed.pages, strict=False):
            with suppress(*BROKEN):
                tables = _iter_tables(plumber_page, document, number)
                pages[number].tables = [table for table in tables if _covers_text(table, pages[number])]
            plumber_page.close()


def _covers_text(table: tuple[Box, list[str]], page: Page) -> bool:
    """Whether the cells hold all the text that stands in the table's place: lines may be missing from a drawing."""
    box, rows = table
    count = sum(_count_letters(line.text) for line in page.lines if box.holds(line.box))
    return sum(map(_count_letters, rows)) >= MIN_TEXT_SHARE * count


def _count_letters(text: str) -> int:
    return sum(character.isalnum() for character in text)


def _iter_tables(
    plumber_page: pdfplumber.page.Page, document: PdfDocument, number: int
) -> Iterator[tuple[Box, list[str]]]:
    if plumber_page.rotation:
        return
    page = document[number]
    textpage = page.get_textpage()
    with closing(page), closing(textpage):
        height = float(plumber_page.mediabox[3])
        for table in plumber_page.find_tables():
            rows = [[_read_cell(textpage, cell, height) for cell in row.cells] for row in table.rows]
            filled = sum(bool(text) for row in rows for text in row)
            if len(rows) > 1 and len(rows[0]) > 1 and filled >= MIN_FILLED * len(rows) * len(rows[0]):
                yield _convert_box(table.bbox, height), [_format_row(row) for row in rows if any(row)]


def _format_row(cells: list[str | None]) -> str:
    return " | ".join(text for text in cells if text is not None)


def _read_cell(textpage: PdfTextPage, cell: tuple[float, float, float, float] | None, height: float) -> str | None:
    """A cell's text; None where a neighbouring cell spans its place."""
    return None if cell is None else join_lines(read_text(textpage, _convert_box(cell, height)))


def _convert_box(sides: tuple[float, float, float, float], height: float) -> Box:
    """pdfplumber counts from the top, PDFium from the bottom."""
    left, top, right, bottom = sides
    return Box(left + EDGE, height - bottom + EDGE, right - EDGE, height - top - EDGE)
