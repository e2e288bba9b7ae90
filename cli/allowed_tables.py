"""`flask data schema`, `allow`, `deny`: what a data source holds, and what of it may be read."""

import asyncio
import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import click
from flask.cli import with_appcontext

from agents.opened_sources import load_source_schema
from auth.principal import DEFAULT_TENANT
from bootstrap.savers import make_keyring
from bootstrap.source_opening import open_data_sources
from cli.operator import find_operator, get_settings, json_option, open_records, tenant_option, write_as_operator
from cli.tables import align_columns
from cli.text_param import TextParam
from datasources.allowed_tables import merge_tables
from datasources.catalog import make_key
from datasources.functions import DIALECTS
from datasources.schema import Schema
from datasources.text_fields import MAX_SYNONYMS, SYNONYM, TEXT
from domain import data_sources
from domain.models import DataSourceRow
from utils.printable import make_printable

_tenant = tenant_option(help="Whose data source it is.")
_HEAD = ("TABLE", "MAY BE READ", "COLUMNS")


@click.command("schema")
@with_appcontext
@click.argument("name")
@_tenant
@json_option
def schema(name: str, tenant: str, as_json: bool) -> None:
    """Read what a data source holds now, and list its tables with what of them may be read."""
    with open_records(to_look=False) as database:
        ctx = find_operator(database, tenant)
        with database.open_read_session() as session:
            source_id = data_sources.find_source(session, ctx, name).source_id
        with closing(open_data_sources(get_settings(), database, make_keyring(get_settings()))) as sources:
            asyncio.run(sources.read_schema(ctx, source_id))
        with database.open_read_session() as session:
            rows = _describe(data_sources.get_source(session, ctx, source_id))
    click.echo(json.dumps(rows, ensure_ascii=False) if as_json else _format_table(rows))


@click.command("allow")
@with_appcontext
@click.argument("name")
@click.argument("table")
@_tenant
@click.option("--column", "columns", multiple=True, help="A column that may be read; left out: as before, or all.")
@click.option(
    "--filter",
    "row_filter",
    type=TextParam(TEXT),
    help='Which rows may be read, such as "region = {user.tenant}"; "": all.',
)
@click.option("--description", type=TextParam(TEXT), help="What its rows are.")
@click.option(
    "--synonym", "synonyms", type=TextParam(SYNONYM), multiple=True, help="What people call it, in any language."
)
@click.option("--name-column", help='The column that people know its rows by; "": none in particular.')
def allow(
    name: str,
    table: str,
    tenant: str,
    columns: Sequence[str],
    row_filter: str | None,
    description: str | None,
    synonyms: Sequence[str],
    name_column: str | None,
) -> None:
    """Let a table be read. What is not said stays as it was."""
    if len(synonyms) > MAX_SYNONYMS:
        raise click.ClickException(f"At most {MAX_SYNONYMS} synonyms.")

    options: dict[str, Any] = {
        "description": description,
        "synonyms": list(synonyms) or None,
        "row_filter": row_filter,
        "allowed_columns": {each: {} for each in columns} or None,
    }
    sent = {key: value for key, value in options.items() if value is not None}
    if name_column is not None:
        sent["name_column"] = name_column or None
    opened = _change(tenant, name, table, sent)[table]
    text = f"May be read of {table} in {name}: {', '.join(opened['allowed_columns'])}"
    click.echo(make_printable(f"{text}, where {opened['row_filter']}" if opened["row_filter"] else text))


@click.command("deny")
@with_appcontext
@click.argument("name")
@click.argument("table")
@_tenant
def deny(name: str, table: str, tenant: str) -> None:
    """Let a table be read no more."""
    _change(tenant, name, table, None)
    click.echo(make_printable(f"Nothing may be read of {table} in {name}."))


def describe_closed(
    name: str, table: str, columns: Sequence[str], entry: Mapping[str, Any] | None, tenant: str
) -> list[str]:
    """Which *columns* of *table* may not be read, and what opens them; nothing where all may. *entry*: of the table."""
    closed = [each for each in columns if entry is None or each not in entry["allowed_columns"]]
    if not closed:
        return []
    options = [] if entry is None else [option for each in columns for option in ("--column", each)]
    where = [] if tenant == DEFAULT_TENANT else ["--tenant", tenant]
    command = shlex.join(["flask", "data", "allow", name, table, *options, *where])
    what = "Nothing of it may be read" if len(closed) == len(columns) else f"May not be read: {', '.join(closed)}"
    return [f"{what}. To open all: {command}"]


def _change(tenant: str, name: str, table: str, sent: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Say *sent* of *table*, see `merge_tables`; what is said of all tables then."""
    with write_as_operator(tenant) as (session, ctx):
        row = data_sources.find_source(session, ctx, name, lock=True)
        tables = merge_tables(row.allowed_tables, {table: sent}, _load(row), DIALECTS[row.type])
        data_sources.change_source(session, row, allowed_tables=tables)
    return tables


def _load(row: DataSourceRow) -> Schema | None:
    return load_source_schema(row, make_keyring(get_settings()))


def _describe(row: DataSourceRow) -> list[dict[str, Any]]:
    result, dialect = _load(row), DIALECTS[row.type]
    return [
        {
            "table": (key := make_key(table.name, dialect)),
            "columns": [each.name for each in table.columns],
            "allowed_columns": list(row.allowed_tables.get(key, {}).get("allowed_columns", ())),
        }
        for table in (result.tables if result else ())
    ]


def _format_table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "It has no tables that this login may read."
    lines = [_HEAD]
    for row in rows:
        count = f"{len(row['allowed_columns'])} of {len(row['columns'])}" if row["allowed_columns"] else "no"
        lines.append((make_printable(row["table"]), count, make_printable(", ".join(row["columns"]))))
    return "\n".join(align_columns(lines))
