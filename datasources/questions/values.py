"""The values by which a question may name rows, read from the database as far as the asker may see them."""

from collections.abc import Iterator, Sequence

from datasources.access import Access, Attributes
from datasources.questions.draft import quote_name
from datasources.questions.vocabulary import ColumnName, Vocabulary
from datasources.results import QueryLimits
from datasources.source import DataSource
from datasources.stopping import Stop

_MAX_VALUES, _MAX_COLUMNS, _AT_ONCE = 1_000, 60, 10
_LIMITS = QueryLimits(rows=_MAX_VALUES * _AT_ONCE, size_bytes=4_000_000, seconds=5)


def add_stored_values(vocabulary: Vocabulary, source: DataSource, access: Access, user: Attributes, stop: Stop) -> None:
    """Let questions name what stands in columns of text: 1,000 values of each, of 60 columns at most.

    Raises:
        QueryRefused: a row filter needs what is not known of the user.
        QueryFailed: the database refused it, or it took too long.
        SourceUnavailable: the database cannot be used.
    """
    for columns in _list_columns(vocabulary):
        sql = " UNION ALL ".join(_write_query(vocabulary, *each) for each in enumerate(columns))
        for number, value in source.run(sql, access, user, _LIMITS, stop).rows:
            column = columns[int(str(number))]
            vocabulary.add_values(column.table, [column.column], [[value]])


def _list_columns(vocabulary: Vocabulary) -> Iterator[Sequence[ColumnName]]:
    """The columns of text, a few at a time."""
    names = [ColumnName(table.name, each.name) for table in vocabulary.tables.values() for each in table.columns]
    texts = [each for each in names if vocabulary.is_text(each)][:_MAX_COLUMNS]
    for first in range(0, len(texts), _AT_ONCE):
        yield texts[first : first + _AT_ONCE]


def _write_query(vocabulary: Vocabulary, number: int, column: ColumnName) -> str:
    cell = quote_name(column.table[1], column.column)
    if vocabulary.find_column(column.table, column.column).type.startswith("enum("):
        cell = f"CAST({cell} AS TEXT)"  # else no union takes it beside texts
    values = f"SELECT DISTINCT {cell} AS value FROM {quote_name(*column.table)} LIMIT {_MAX_VALUES}"  # noqa: S608
    return f"SELECT {number} AS place, values_{number}.value FROM ({values}) AS values_{number}"  # noqa: S608 # quoted
