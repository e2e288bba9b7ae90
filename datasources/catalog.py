"""The schema of a data source as it is stored, and what its tenant says of its tables: which may be read, and how."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from datasources.access import DEFAULT_SCHEMA, Access, TableAccess, TableName
from datasources.functions import Dialect
from datasources.row_filters import check_row_filter
from datasources.schema import Column, ForeignKey, Schema, Table

_MAX_STORED_SAMPLES = 20_000  # of all columns: beyond it none is kept, so that a schema has a few megabytes at most


@dataclass(frozen=True, slots=True)
class OpenTable:
    """A table with the columns that may be read; `key` is how people name it, `entry` what its tenant says of it."""

    key: str
    table: Table
    entry: Mapping[str, Any]


def make_key(name: TableName, dialect: Dialect) -> str:
    """How people name a table: without the schema where it is the usual one, `"a.b"` where its name has a dot."""
    schema, table = (f'"{each}"' if "." in each or '"' in each else each for each in name)
    return table if name[0] == DEFAULT_SCHEMA[dialect] else f"{schema}.{table}"


def dump_schema(schema: Schema) -> dict[str, Any]:
    """*schema* as JSON has it."""
    has_samples = sum(len(each.samples) for table in schema.tables for each in table.columns) <= _MAX_STORED_SAMPLES
    dumped = asdict(schema)
    if not has_samples:
        for table in dumped["tables"]:
            for column in table["columns"]:
                column["samples"] = ()
    return dumped


def load_schema(dumped: Mapping[str, Any]) -> Schema:
    """The schema that `dump_schema` has made this of, through JSON."""
    return Schema(tuple(_load_table(each) for each in dumped["tables"]), dumped["complete"])


def check_table(table: Table, entry: Mapping[str, Any], dialect: Dialect) -> None:
    """Return if *entry* can be said of the table: of columns that it has, with a row filter that can be used.

    Raises:
        QueryRefused: the filter cannot be used.
        KeyError: there is no such column.
    """
    columns = [each.name for each in table.columns]
    for name in entry.get("allowed_columns") or ():
        if name not in columns:
            raise KeyError(name)
    if entry.get("row_filter"):
        check_row_filter(entry["row_filter"], dialect, columns)


def make_access(allowed_tables: Mapping[str, Any], schema: Schema, dialect: Dialect) -> Access:
    """What may be read: of the *allowed_tables* those that are there, with the columns that they have now."""
    access: dict[TableName, TableAccess] = {}
    for table in schema.tables:
        entry = allowed_tables.get(make_key(table.name, dialect))
        columns = tuple(each.name for each in table.columns if entry and each.name in entry["allowed_columns"])
        if entry and columns:
            access[table.name] = TableAccess(columns, entry["row_filter"])
    return access


def list_open_tables(
    schema: Schema, allowed_tables: Mapping[str, Any], access: Access, dialect: Dialect
) -> list[OpenTable]:
    """The tables that *access* opens, in the order of the schema."""
    open_tables = []
    for table in schema.tables:
        if table.name in access:
            key, opened = make_key(table.name, dialect), access[table.name].columns
            columns = tuple(each for each in table.columns if each.name in opened)
            open_tables.append(OpenTable(key, replace(table, columns=columns), allowed_tables[key]))
    return open_tables


def _load_table(dumped: Mapping[str, Any]) -> Table:
    columns = tuple(Column(**{**each, "samples": tuple(each["samples"])}) for each in dumped["columns"])
    keys = tuple(
        ForeignKey(tuple(each["columns"]), _load_name(each["other_table"]), tuple(each["other_columns"]))
        for each in dumped["foreign_keys"]
    )
    primary_key = tuple(dumped["primary_key"])
    return Table(_load_name(dumped["name"]), columns, primary_key, keys, dumped["sampled_rows"])


def _load_name(dumped: Any) -> TableName:
    schema, name = dumped
    return schema, name
