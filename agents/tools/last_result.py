"""The result that a conversation was given last: questions about it are answered without another query."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from datasources.result_columns import shorten_cell
from datasources.results import Result
from utils.query_tables import Cell, QueryTable, dump_table, load_table

_MAX_ROWS, _MAX_BYTES = 200, 64_000


@dataclass(frozen=True, slots=True)
class LastResult:
    """`table` has the rows that are kept, `question` is what they answered, and `understood` what rules made of that.

    `stamp` is that of the data source, another one whenever something else may be read of it. `earlier`: the questions
    that `question` goes on from, where it does not stand alone.
    """

    question: str
    table: QueryTable
    source_id: str
    stamp: str
    understood: str = ""
    earlier: tuple[str, ...] = ()

    @property
    def result(self) -> Result:
        """The rows as a query gives them."""
        names = tuple(each.name for each in self.table.columns)
        return Result(self.table.sql, names, self.table.rows, not self.table.is_whole)

    def dump(self) -> dict[str, Any]:
        """It as JSON has it."""
        plain = {name: getattr(self, name) for name in ("question", "source_id", "stamp", "understood", "earlier")}
        return {**plain, "table": dump_table(self.table)}


def load_last(dumped: Mapping[str, Any] | None) -> LastResult | None:
    """What `KeptResult.dump` has made this of; None of nothing."""
    if not dumped:
        return None
    earlier = tuple(dumped.get("earlier", ()))
    return LastResult(**{**dumped, "table": load_table(dumped["table"]), "earlier": earlier})


def keep_rows(last: LastResult, rows: Sequence[Sequence[Cell]]) -> LastResult | None:
    """*last* with the first of *rows*, 200 at most; None where even these are too large, or there are none."""
    width = len(last.table.columns)
    cells = tuple(tuple(map(shorten_cell, row[:width])) for row in rows[:_MAX_ROWS])
    last = replace(last, table=replace(last.table, rows=cells))
    size = len(json.dumps(last.dump(), default=str).encode())
    return last if rows and size <= _MAX_BYTES else None
