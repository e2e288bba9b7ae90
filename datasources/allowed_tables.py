"""What is said of the tables of a data source: which may be read, held to what it has."""

from collections.abc import Mapping
from typing import Any

from datasources.catalog import check_table, make_key
from datasources.errors import QueryRefused
from datasources.functions import Dialect
from datasources.schema import Schema, Table
from utils.errors import Conflict
from utils.validation import refuse_field

MAX_TABLES = 500
_NEW_COLUMN: Mapping[str, Any] = {"description": "", "synonyms": []}
_NEW_TABLE: Mapping[str, Any] = {**_NEW_COLUMN, "row_filter": "", "name_column": None}
_NOT_READ = (
    "Its tables are not known yet: read them first, by POST to its address with /schema, or by `flask data schema`."
)


def merge_tables(
    former: Mapping[str, Any], sent: Mapping[str, Mapping[str, Any] | None], schema: Schema | None, dialect: Dialect
) -> dict[str, Any]:
    """What is said of the tables after *sent*, in which None closes one. What is left out of a table or column stays,
    None clears it; `allowed_columns` None opens all of now, as does a new table without them.

    Raises:
        BadInput: there is no such table or column, or the row filter cannot be used.
        Conflict: what there is has not been read yet.
    """
    tables = {name: entry for name, entry in former.items() if name not in sent}
    changes = {name: entry for name, entry in sent.items() if entry is not None}
    if len(tables) + len(changes) > MAX_TABLES:
        raise refuse_field(f"At most {MAX_TABLES} tables of a data source may be read.", "allowed_tables")
    if not changes:
        return tables
    if schema is None:
        raise Conflict(_NOT_READ)
    found = {make_key(table.name, dialect): table for table in schema.tables}
    for name, entry in changes.items():
        if name not in found:
            raise refuse_field(
                f"It has no table {name[:60]!r}; its schema lists those that it has.", f"allowed_tables.{name}"
            )
        _check_sent(name, found[name], entry, dialect)
        tables[name] = _merge_table(former.get(name, {}), entry, found[name])
        if tables[name]["name_column"] not in (None, *tables[name]["allowed_columns"]):
            where = f"allowed_tables.{name}.name_column"
            raise refuse_field("It is none of the columns that may be read: name one of them, or none.", where)
    return tables


def _check_sent(name: str, table: Table, sent: Mapping[str, Any], dialect: Dialect) -> None:
    """What stays is not looked at: a column that is gone meanwhile hinders no change of others."""
    try:
        check_table(table, sent, dialect)
    except KeyError as exc:
        where = f"allowed_tables.{name}.allowed_columns.{exc.args[0]}"
        raise refuse_field(f"The table has no column {exc.args[0][:60]!r}.", where) from None
    except QueryRefused as exc:
        raise refuse_field(str(exc), f"allowed_tables.{name}.row_filter") from None


def _merge_table(former: Mapping[str, Any], sent: Mapping[str, Any], table: Table) -> dict[str, Any]:
    columns = former.get("allowed_columns")
    if columns is None or "allowed_columns" in sent:
        chosen = sent.get("allowed_columns") or {each.name: {} for each in table.columns}
        before = columns or {}
        columns = {name: _merge(_NEW_COLUMN, before.get(name, {}), entry) for name, entry in chosen.items()}
    return {**_merge(_NEW_TABLE, former, sent), "allowed_columns": columns}


def _merge(new: Mapping[str, Any], former: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """*sent* on top of *former*; what either does not say, or clears, is as in *new*."""
    merged = {**new, **former, **sent}
    return {key: value if merged[key] is None else merged[key] for key, value in new.items()}
