"""Samples of values as whoever asks may see them."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from datasources.access import Access, Attributes
from datasources.catalog import OpenTable
from datasources.errors import QueryFailed, QueryRefused
from datasources.questions.draft import quote_name
from datasources.results import QueryLimits
from datasources.schema import add_samples
from datasources.source import DataSource
from datasources.stopping import Stop

_LIMITS = QueryLimits(rows=100, size_bytes=500_000, seconds=2)


def hide_filtered_samples(tables: Sequence[OpenTable], access: Access) -> list[OpenTable]:
    """*tables*, those with a row filter without samples: they were read without it."""
    return [_drop_samples(each) if access[each.table.name].row_filter else each for each in tables]


def read_filtered_samples(
    tables: Sequence[OpenTable], source: DataSource, access: Access, user: Attributes, stop: Stop
) -> list[OpenTable]:
    """*tables*, those with a row filter with samples of what it lets through.

    Raises:
        SourceUnavailable: the database cannot be used.
    """
    return [
        _read_samples(each, source, access, user, stop) if access[each.table.name].row_filter else each
        for each in tables
    ]


def _read_samples(opened: OpenTable, source: DataSource, access: Access, user: Attributes, stop: Stop) -> OpenTable:
    names = [each.name for each in opened.table.columns]
    columns = ", ".join(map(quote_name, names))
    with suppress(QueryFailed, QueryRefused):  # then it is shown without samples
        samples = source.run(f"SELECT {columns} FROM {quote_name(*opened.table.name)}", access, user, _LIMITS, stop)  # noqa: S608 # quoted
        return replace(opened, table=add_samples(opened.table, samples.rows, names))
    return opened


def _drop_samples(opened: OpenTable) -> OpenTable:
    columns = tuple(replace(each, samples=(), distinct_count=None) for each in opened.table.columns)
    return replace(opened, table=replace(opened.table, columns=columns))
