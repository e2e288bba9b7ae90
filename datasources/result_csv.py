"""Results of queries as CSV (RFC 4180), in UTF-8."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from utils.query_tables import Cell

# What programs for tables take for the begin of a formula, unless it is a number; also within a text, as they may part
# cells by another mark than the comma.
_PARTING = r"[;|\t\r\n]"
_FORMULA = re.compile(rf'^(?=[\t\r])|(^|{_PARTING}"*)(?=[=@]|[+-](?![0-9 ().,:/-]*(?:$|{_PARTING})))')


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """The names of the columns, then the rows. A text that a program for tables would compute begins with a quote."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(map(_make_plain, columns))
    writer.writerows([_make_plain(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def _make_plain(cell: Cell) -> Cell:
    # https://owasp.org/www-community/attacks/CSV_Injection
    return _FORMULA.sub(r"\1'", cell) if isinstance(cell, str) else cell
