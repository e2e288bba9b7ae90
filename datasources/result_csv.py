"""Results of queries as CSV (RFC 4180), in UTF-8."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from utils.query_tables import Cell

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what programs for tables take for the begin of one
_NUMBER = re.compile(r"[+-][0-9 ().,:/-]*")


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """The names of the columns, then the rows. A text that a program for tables would compute begins with a quote."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(map(_make_plain, columns))
    writer.writerows([_make_plain(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def _make_plain(cell: Cell) -> Cell:
    # https://owasp.org/www-community/attacks/CSV_Injection
    is_formula = isinstance(cell, str) and cell.startswith(_FORMULA) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell
