"""What a database holds: tables, columns, keys, and samples of values."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from datasources.access import TableName
from utils.query_tables import Cell

_LONGEST_SAMPLE, _MAX_SAMPLES = 80, 5


@dataclass(frozen=True, slots=True)
class SchemaLimits:
    """The limits of reading a schema. What is beyond them is left out, and `Schema.complete` is false."""

    tables: int = 500
    columns: int = 200  # of a table
    sampled_rows: int = 1_000  # of a table
    seconds: float = 30.0

    def cut(self, tables: Sequence["Table"]) -> tuple[list["Table"], bool]:
        """*tables* and their columns as far as there may be so many, and whether that is all."""
        cut = [replace(each, columns=each.columns[: self.columns]) for each in tables[: self.tables]]
        return cut, cut == list(tables)


@dataclass(frozen=True, slots=True)
class Column:
    """`distinct_count` is that of the rows that were sampled; None where none were."""

    name: str
    type: str  # as the database calls it; "" where it has none
    is_nullable: bool = True
    samples: tuple[Cell, ...] = ()
    distinct_count: int | None = None


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """That the values of some columns are those of others, of the same order."""

    columns: tuple[str, ...]
    other_table: TableName
    other_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """`sampled_rows` is how many were looked at; None where there was no time for it, or no permission."""

    name: TableName
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    sampled_rows: int | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """`complete`: whether the limits left nothing out."""

    tables: tuple[Table, ...]
    complete: bool


def quote_name(name: str) -> str:
    """A name as SQLite and MySQL take it."""
    return "`" + name.replace("`", "``") + "`"


def add_samples(table: Table, rows: Sequence[Sequence[Any]], sampled: Iterable[str]) -> Table:
    """*table* with the most frequent values of its *sampled* columns, which *rows* hold in this order."""
    values = {name: [row[place] for row in rows if row[place] is not None] for place, name in enumerate(sampled)}
    columns = tuple(_add_samples(each, values[each.name]) if each.name in values else each for each in table.columns)
    return replace(table, columns=columns, sampled_rows=len(rows))


def _add_samples(column: Column, values: list[Any]) -> Column:
    counted = Counter(str(each)[:_LONGEST_SAMPLE] for each in values)
    frequent = tuple(value for value, _ in counted.most_common(_MAX_SAMPLES))
    return replace(column, samples=frequent, distinct_count=len(counted))
