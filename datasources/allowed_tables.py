"""What is said of the tables of a data source: which may be read, held to what it has."""

from collections.abc import Mapping
from typing import Any

from datasources.catalog import check_table, make_key
from datasources.errors import QueryRefused
from datasources.functions import Dialect
from datasources.schema import Schema
from utils.errors import Conflict
from utils.validation import refuse_field

MOST_TABLES = 500
_NOT_READ = (
    "Its tables are not known yet: read them first, by POST to its address with /schema, or by `flask data schema`."
)


def merge_tables(
    known: Mapping[str, Any], sent: Mapping[str, Mapping[str, Any] | None], schema: Schema | None, dialect: Dialect
) -> dict[str, Any]:
    """What is said of the tables after *sent*, in which None closes one; `allowed_columns` None opens all of now.

    Raises:
        BadInput: there is no such table or column, or the row filter cannot be used.
        Conflict: what there is has not been read yet.
    """
    tables = {name: said for name, said in known.items() if name not in sent}
    wanted = {name: said for name, said in sent.items() if said is not None}
    if len(tables) + len(wanted) > MOST_TABLES:
        raise refuse_field(f"At most {MOST_TABLES} tables of a data source may be read.", "allowed_tables")
    if not wanted:
        return tables
    if schema is None:
        raise Conflict(_NOT_READ)
    found = {make_key(table.name, dialect): table for table in schema.tables}
    for name, said in wanted.items():
        if name not in found:
            raise refuse_field(
                f"It has no table {name[:60]!r}; its schema lists those that it has.", f"allowed_tables.{name}"
            )
        columns = said["allowed_columns"]
        if columns is None:
            columns = {each.name: {"description": "", "synonyms": []} for each in found[name].columns}
        tables[name] = {**said, "allowed_columns": columns}
        try:
            check_table(found[name], tables[name], dialect)
        except KeyError as exc:
            where = f"allowed_tables.{name}.allowed_columns.{exc.args[0]}"
            raise refuse_field(f"The table has no column {exc.args[0][:60]!r}.", where) from None
        except QueryRefused as exc:
            raise refuse_field(str(exc), f"allowed_tables.{name}.row_filter") from None
        if said.get("name_column") not in (None, *tables[name]["allowed_columns"]):
            where = f"allowed_tables.{name}.name_column"
            raise refuse_field("It is none of the columns that may be read.", where)
    return tables
