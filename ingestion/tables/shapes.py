"""What is read of a file with tables, and the limits of that."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Kind = Literal["INTEGER", "REAL", "BOOLEAN", "DATE", "DATETIME", "TEXT"]
"""The type of a column, as SQLite has it. Dates are ISO texts, truth values 1 and 0."""
RawCell = str | int | float | datetime | None
Value = str | int | float | None
Row = Sequence[RawCell]


@dataclass(frozen=True, slots=True)
class TableLimits:
    """Limits beyond which a file is refused."""

    size_bytes: int = 50_000_000
    unpacked_bytes: int = 600_000_000  # of the XML of a workbook, which is read piece by piece
    rows: int = 1_000_000  # of a table
    cells: int = 10_000_000  # of a file
    columns: int = 200  # of a table: as many as are read of the schema of a data source
    tables: int = 50  # of a file
    cell_characters: int = 10_000
    memory_bytes: int = 1_000_000_000
    timeout_s: float = 120.0  # for all files of an upload


@dataclass(frozen=True, slots=True)
class ColumnRead:
    """A column: its `header` as it stands in the file, "" where it has none, and what is said of it to askers."""

    name: str
    header: str
    kind: Kind
    description: str = ""
    is_hidden: bool = False


@dataclass(frozen=True, slots=True)
class TableRead:
    """A table, before its rows. `sheet` is where it stands in its file, "" in files that have no sheets."""

    name: str
    sheet: str
    columns: tuple[ColumnRead, ...]
    is_hidden: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows as they stand in a file. *read* gives them from the first one on, each time it is called.

    `spans` are horizontally merged cells, by row: first and last column. `decimal` is the mark that the file uses most
    likely, where its numbers do not tell.
    """

    name: str
    read: Callable[[], Iterator[Row]]
    spans: Mapping[int, Sequence[tuple[int, int]]] = field(default_factory=dict)
    hidden_columns: frozenset[int] = frozenset()
    is_hidden: bool = False
    decimal: str = "."
    notes: tuple[str, ...] = ()
