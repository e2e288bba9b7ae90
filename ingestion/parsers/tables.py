"""Tables that are documents of their own: sheets and delimited text."""

import datetime
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, islice

from ingestion.parsers.parsed import Limits, TextBuilder, join_lines

Row = Sequence[str]
# A longer table is cut into several passages. Its first row becomes a heading, so that each of them says the columns.
LONG_ROWS = 12
LONG_CHARACTERS = 800
MAX_HEADER_CHARACTERS = 200
MAX_SPAN = 1_000  # columns or rows, as in HTML
COLUMNS_LEVEL = 9  # of that heading: below all others


def add_sheet(builder: TextBuilder, name: str, rows: Iterable[Row]) -> None:
    """A sheet below its name as a heading; empty rows and columns part its tables. An empty sheet is passed over."""
    is_first = True
    for has_text, group in groupby(rows, key=lambda row: any(cell.strip() for cell in row)):
        for table in _split_side_by_side(_take_rows(group, builder.limits)) if has_text else ():
            if is_first:
                builder.add_heading(1, name)
            add_table(builder, table)
            is_first = False


def add_table(builder: TextBuilder, rows: Iterable[Row]) -> None:
    """The rows as one block, a line each; a long table below a heading that names its columns."""
    lines = (line for row in rows if (line := _format_line(row)))
    first = list(islice(lines, LONG_ROWS + 1))
    is_long = len(first) > LONG_ROWS or sum(len(line) for line in first) > LONG_CHARACTERS
    builder.leave(COLUMNS_LEVEL)
    if is_long and _is_header(first[0]):
        builder.add_heading(COLUMNS_LEVEL, first.pop(0))
    builder.add_lines(chain(first, lines))


class SpanningCells:
    """Cells that span several rows, said again in each of them: a row that is found alone must make sense."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[str, int]] = {}  # by column: the text, and in how many more rows

    def make_row(self, cells: Iterable[tuple[str, int, int]]) -> Row:
        """The next row of cells, each with its text, how many columns it spans and how many rows."""
        texts: list[str] = []
        column, below = 0, dict[int, tuple[str, int]]()
        for text, columns, rows in cells:
            column = self._repeat_spanning(texts, column, below)
            texts.append(text)
            if rows > 1:
                below[column] = (text, rows - 1)
            column += max(1, min(columns, MAX_SPAN))
        self._repeat_spanning(texts, column, below)
        self._open = below
        return texts

    def _repeat_spanning(self, texts: list[str], column: int, below: dict[int, tuple[str, int]]) -> int:
        """Say what spans from above at *column* and right behind it; the column after that."""
        while column in self._open:
            text, rows = self._open.pop(column)
            texts.append(text)
            if rows > 1:
                below[column] = (text, rows - 1)
            column += 1
        return column


def format_value(value: object, number_format: str | None) -> str:
    """A value as text: dates without a time that says nothing, whole numbers without a fraction, shares in percent."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ", "minutes")
    if isinstance(value, float):
        return _format_percent(value) if "%" in (number_format or "") else f"{value:.15g}"
    return str(value)


def _take_rows(rows: Iterable[Row], limits: Limits) -> list[Row]:
    result, length = [], 0
    for row in rows:
        result.append(row)
        length += sum(len(cell) for cell in row)
        limits.check_length(length)
    return result


def _split_side_by_side(rows: list[Row]) -> Iterator[list[Row]]:
    """Tables with an empty column between them; one without its empty columns, where a part would have but one."""
    used = sorted({column for row in rows for column, cell in enumerate(row) if cell.strip()})
    runs = [[column for _, column in run] for _, run in groupby(enumerate(used), key=lambda entry: entry[1] - entry[0])]
    for columns in runs if all(len(run) > 1 for run in runs) else [used]:
        yield [[row[column] if column < len(row) else "" for column in columns] for row in rows]


def _format_line(row: Row) -> str:
    """The row's cells; empty ones at its end are left out."""
    return " | ".join(join_lines(cell) for cell in row).rstrip(" |")


def _is_header(line: str) -> bool:
    """Whether a row looks like the names of columns: several short words, none of them a number."""
    cells = [cell.strip() for cell in line.split(" | ")]
    return (
        len(cells) > 1
        and len(line) <= MAX_HEADER_CHARACTERS
        and all(any(character.isalpha() for character in cell) for cell in cells)
    )


def _format_percent(value: float) -> str:
    return f"{round(value * 100, 6):g}%"
