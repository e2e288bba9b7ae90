"""Writes tables into an SQLite file that becomes a data source."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from datasources.schema import quote_name

_PAGE_BYTES = 4096


class TableFileFull(Exception):
    """The file would be larger than it may."""


class TableFileInvalid(Exception):
    """Rows are no rows of the table."""


class TableFile:
    """A new SQLite file with tables, all of which are columns and rows: no code, no views, no keys."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, name: str, columns: Sequence[tuple[str, str]], batches: Iterable[Sequence[Sequence[Any]]]) -> int:
        """A table with these names and types of columns, and its rows; how many.

        Raises:
            TableFileFull: there is no more room.
            TableFileInvalid: there is such a table already, or rows have other values than numbers and texts.
        """
        described = ", ".join(f"{quote_name(column)} {kind}" for column, kind in columns)
        count = 0
        try:
            self._connection.execute(f"CREATE TABLE {quote_name(name)} ({described})")
            insert = f"INSERT INTO {quote_name(name)} VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 # quoted
            for rows in batches:
                self._connection.executemany(insert, rows)
                count += len(rows)
        except (sqlite3.Error, OverflowError, ValueError) as exc:
            if getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise TableFileFull from exc
            raise TableFileInvalid(str(exc)) from exc
        return count

    def rename(self, name: str, other: str) -> None:
        """Call the table *name* by another name."""
        self._connection.execute(f"ALTER TABLE {quote_name(name)} RENAME TO {quote_name(other)}")


@contextmanager
def write_table_file(path: Path, max_bytes: int) -> Iterator[TableFile]:
    """A new file at *path*, of at most *max_bytes*; complete once the block is left."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # Until it is whole nobody reads it, and one that is not whole is removed.
        connection.executescript(
            f"PRAGMA page_size = {_PAGE_BYTES}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            f"PRAGMA max_page_count = {max(2, max_bytes // _PAGE_BYTES)}; BEGIN"
        )
        yield TableFile(connection)
        connection.execute("COMMIT")
