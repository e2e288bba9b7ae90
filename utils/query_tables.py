"""What a query to a database gave, as an answer may rest on it: the rows that were shown, and what holds for all."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class QueryColumn:
    """A column of a result.

    `words`: names and descriptions of what it was computed from. `function`: by what, such as SUM; "" where it stands
    in a table so; "OTHER" by anything else. Over all rows: `total`, `mean`, `smallest`, `largest`; None without figures
    or where not all rows are known.
    """

    name: str
    words: str = ""
    function: str = ""
    total: float | None = None
    mean: float | None = None
    smallest: float | None = None
    largest: float | None = None


@dataclass(frozen=True, slots=True)
class QueryTable:
    """The first `rows` of `row_count`; `truncated`: the database has more than were counted.

    `given`: what the question and the conditions of the query say, which an answer may repeat.
    """

    source_name: str
    sql: str
    columns: tuple[QueryColumn, ...]
    rows: tuple[tuple[Cell, ...], ...]
    row_count: int
    truncated: bool = False
    given: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether `rows` are all that there are."""
        return len(self.rows) == self.row_count and not self.truncated


def dump_table(table: QueryTable) -> dict[str, Any]:
    """*table* as JSON has it."""
    return asdict(table)


def load_table(dumped: Mapping[str, Any]) -> QueryTable:
    """The table that `dump_table` has made this of, through JSON."""
    fields = {
        **dumped,
        "columns": tuple(QueryColumn(**each) for each in dumped["columns"]),
        "rows": tuple(tuple(row) for row in dumped["rows"]),
        "given": tuple(dumped["given"]),
    }
    return QueryTable(**fields)
