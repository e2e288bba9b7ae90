"""The result of a query as a language model is shown it: of one row a line, in which each figure is named."""

from collections.abc import Iterator
from dataclasses import replace

from utils.query_tables import Cell, QueryColumn, QueryTable


def describe_head(table: QueryTable, max_rows: int) -> list[str]:
    """The first *max_rows* rows of *table*, and what holds for all of them."""
    return list(describe_table(replace(table, rows=table.rows[:max_rows])))


def describe_table(table: QueryTable) -> Iterator[str]:
    """All rows that *table* has, what holds for all that there are, and the query."""
    yield f"The result of a query to the data source {table.source_name}."
    for row in table.rows:
        cells = zip(table.columns, row, strict=True)
        yield "; ".join(f"{column.name}: {_write_cell(cell)}" for column, cell in cells) + "."
    if not table.row_count:
        yield "There are no such rows."
    if not table.is_whole:
        more = "more than " if table.truncated else ""
        yield f"These are the first {len(table.rows)} of {more}{table.row_count} rows."
    if table.row_count > 1:
        yield from _describe_totals(table)
    yield f"Query: {' '.join(table.sql.split())}"


def _describe_totals(table: QueryTable) -> Iterator[str]:
    for column in table.columns:
        totals = _list_totals(column)
        if totals:
            yield f"Over all {table.row_count} rows, {column.name}: {', '.join(totals)}."


def _list_totals(column: QueryColumn) -> list[str]:
    totals = (
        ("sum", column.total), ("mean", column.mean), ("smallest", column.smallest), ("largest", column.largest),
    )  # fmt: skip
    return [f"{name} {value:.10g}" for name, value in totals if value is not None]


def _write_cell(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:.12g}"
    return "nothing" if cell is None else str(cell)
