"""What may be read of a database: tables, columns, and of their rows those that a filter lets through."""

from collections.abc import Mapping
from dataclasses import dataclass

from datasources.functions import Dialect

TableName = tuple[str, str]
"""Schema and table, as the database writes them: ("main", "machines") on SQLite."""


@dataclass(frozen=True, slots=True)
class TableAccess:
    """What of a table may be read.

    `columns`: those that queries see, as the database writes them, one or more. `row_filter`: a condition in SQL on any
    column of the table, in which `{user.NAME}` stands for an attribute of whoever asks; "" lets every row through.
    """

    columns: tuple[str, ...]
    row_filter: str = ""


Access = Mapping[TableName, TableAccess]
"""The tables that may be read, and no others."""
Attributes = Mapping[str, str]
"""What is known of whoever asks, for row filters: {"region": "north"}."""
DEFAULT_SCHEMA: dict[Dialect, str] = {"sqlite": "main", "postgres": "public", "mysql": "main"}
