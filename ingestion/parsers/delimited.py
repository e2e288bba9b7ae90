"""CSV and its like: rows of cells, whatever parts them."""

import csv
import io
from collections import Counter
from collections.abc import Iterator

from ingestion.parsers.encoding import decode
from ingestion.parsers.parsed import Limits, ParsedDocument, TextBuilder
from ingestion.parsers.tables import Row, add_table
from utils.errors import UnreadableDocument

DELIMITERS = ",;\t|"
SAMPLE_LINES = 100


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The rows as they are, also where some have more cells than others."""
    text = decode(data).replace("\0", "")
    limits.check_length(len(text))
    csv.field_size_limit(limits.characters)
    builder = TextBuilder(limits)
    try:
        add_table(builder, _iter_rows(text, find_delimiter(text)))
    except csv.Error as exc:
        raise UnreadableDocument(f"Its rows cannot be told apart ({exc}): save it as CSV again.") from exc
    return builder.build(title=None, media_type="text/csv")


def _iter_rows(text: str, delimiter: str) -> Iterator[Row]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)


def find_delimiter(text: str) -> str:
    """The delimiter with which most rows have the same number of cells; of several, the one that gives more cells."""
    sample = "\n".join(text.split("\n", SAMPLE_LINES)[:SAMPLE_LINES])
    return max(DELIMITERS, key=lambda delimiter: _fit(sample, delimiter))


def _fit(sample: str, delimiter: str) -> float:
    """Rows of the usual width, times that width less one, which is 0 where the delimiter does not occur."""
    try:
        widths = Counter(len(row) for row in _iter_rows(sample, delimiter) if row)
    except csv.Error:
        return -1.0
    width, rows = max(widths.items(), key=lambda item: (item[0] - 1) * item[1], default=(1, 0))
    return (width > 1) * (rows + width / 1_000)
