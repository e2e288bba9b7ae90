"""Parquet as tables: its columns say their types themselves."""

import json
import math
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.parsers.parsed import UNWANTED
from ingestion.tables.dates import write_moment
from ingestion.tables.names import make_names
from ingestion.tables.shapes import ColumnRead, Kind, TableLimits, TableRead, Value
from utils.errors import TooLarge, UnreadableDocument

_BATCH_ROWS = 2_000
_LARGEST = 2**63 - 1
_IMPOSSIBLE = "Times outside of the years 1 to 9999 are left empty."
_DAMAGED = "It is damaged, or no Parquet file: write it again."


def prepare() -> None:
    """Take memory from the system: pyarrow's own pools reserve more of the address space than a process may have."""
    pa.set_memory_pool(pa.system_memory_pool())
    pa.set_cpu_count(1)


def read_table(data: bytes, name: str, limits: TableLimits) -> tuple[TableRead, Iterator[list[list[Value]]]]:
    """The table in it, called *name*, and its rows in batches.

    Raises:
        UnreadableDocument: it is damaged, or has no rows.
        TooLarge: it has too many rows, columns or cells.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
    except (pa.ArrowException, OSError) as exc:
        raise UnreadableDocument(_DAMAGED) from exc
    schema, count = file.schema_arrow, file.metadata.num_rows
    if not len(schema) or not count:
        raise UnreadableDocument("There are no rows in it.")
    if count > limits.rows:
        raise TooLarge(f"It has more than {limits.rows:,} rows: split it, or send the sums of its rows.")
    if len(schema) > limits.columns:
        raise TooLarge(f"It has more than {limits.columns} columns: leave some out.")
    if count * len(schema) > limits.cells:
        raise TooLarge(f"It has more than {limits.cells:,} cells: leave columns out, or send fewer rows.")
    names = make_names(schema.names, "column")
    columns = tuple(
        ColumnRead(own, field.name, _choose_kind(field.type)) for own, field in zip(names, schema, strict=True)
    )
    notes = (_IMPOSSIBLE,) if _has_impossible_times(file.metadata) else ()
    return TableRead(make_names([name], "table")[0], "", columns, notes=notes), _read_rows(file, limits)


def _has_impossible_times(metadata: Any) -> bool:
    """Whether the file says that a time in it is none that Python has."""
    try:
        for group in range(metadata.num_row_groups):
            for column in range(metadata.num_columns):
                if statistics := metadata.row_group(group).column(column).statistics:
                    _ = statistics.has_min_max and (statistics.min, statistics.max)
    except (OverflowError, ValueError):
        return True
    return False


def _choose_kind(kind: Any) -> Kind:
    types = pa.types
    if types.is_boolean(kind):
        return "BOOLEAN"
    if types.is_integer(kind):
        return "INTEGER"
    if types.is_floating(kind) or types.is_decimal(kind):
        return "REAL"
    if types.is_date(kind):
        return "DATE"
    return "DATETIME" if types.is_timestamp(kind) else "TEXT"


def _read_rows(file: Any, limits: TableLimits) -> Iterator[list[list[Value]]]:
    try:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
            by_column = [
                [_convert(value, limits.cell_characters) for value in _list_values(_round_to_microseconds(each))]
                for each in batch.columns
            ]
            yield [list(row) for row in zip(*by_column, strict=True)]
    except (pa.ArrowException, OSError) as exc:
        raise UnreadableDocument(_DAMAGED) from exc


def _round_to_microseconds(column: Any) -> Any:
    """Python has none: pyarrow would look for pandas."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        return column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return column


def _list_values(column: Any) -> list[Any]:
    """The values of *column*, None for times that Python does not have."""
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):
        return [_read_value(each) for each in column]


def _read_value(cell: Any) -> Any:
    try:
        return cell.as_py()
    except (OverflowError, ValueError):
        return None


def _convert(value: Any, max_characters: int) -> Value:
    if value is None:
        return None
    if isinstance(value, str):
        return UNWANTED.sub("", value[:max_characters]) or None
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST else float(value)
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, datetime):
        try:
            return write_moment(value, has_time=True)
        except OverflowError:  # in UTC it is
            return None
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"({len(value)} bytes)"
    return json.dumps(value, ensure_ascii=False, default=str)[:max_characters]
