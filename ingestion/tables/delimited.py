"""CSV and its like as a sheet of texts."""

import csv
import re
from collections.abc import Iterator

from ingestion.parsers.delimited import find_delimiter
from ingestion.parsers.encoding import UNKNOWN_ENCODING, decode, is_declared_by_itself
from ingestion.parsers.garbled import is_garbled
from ingestion.parsers.parsed import UNWANTED
from ingestion.tables.shapes import Row, Sheet
from utils.errors import TooLarge, UnreadableDocument

_SAID = re.compile(r"sep=(.)\n", re.IGNORECASE)  # for Excel, which heeds it
_LONGEST_CELL, _MAX_LINES = 100_000, 1_000
_LONG_CELL = f"A cell in it has more than {_LONGEST_CELL:,} characters: shorten it, or leave the column out."
_UNCLOSED = "Its rows cannot be told apart: a quotation mark in it may not be closed. Save it as CSV again."


def read_sheets(data: bytes) -> list[Sheet]:
    """The one sheet in it.

    Raises:
        UnreadableDocument: its encoding is unknown, or, where rows are read, they cannot be told apart.
        TooLarge: where rows are read, a cell is too long.
    """
    text = decode(data).replace("\0", "")
    if not is_declared_by_itself(data) and is_garbled(text[:_LONGEST_CELL]):
        raise UnreadableDocument(UNKNOWN_ENCODING)
    declared = _SAID.match(text)
    delimiter = declared[1] if declared else find_delimiter(text)
    start = declared.end() if declared else 0
    csv.field_size_limit(_LONGEST_CELL)

    def read() -> Iterator[Row]:
        rows, line = csv.reader(_cut_into_lines(text, start), delimiter=delimiter), 0
        try:
            for row in rows:
                if max(map(len, row), default=0) > _MAX_LINES and any(cell.count("\n") > _MAX_LINES for cell in row):
                    raise UnreadableDocument(_UNCLOSED)
                line = rows.line_num
                yield [cell if cell.isascii() and cell.isprintable() else UNWANTED.sub("", cell) for cell in row]
        except csv.Error as exc:
            if rows.line_num == line + 1:  # nothing in a line of its own can be wrong but this
                raise TooLarge(_LONG_CELL) from exc
            raise UnreadableDocument(_UNCLOSED) from exc

    return [Sheet("", read, decimal="," if delimiter == ";" else ".")]


def _cut_into_lines(text: str, start: int) -> Iterator[str]:
    """Not by StringIO, which would hold all of it a second time, in four bytes a character."""
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end
