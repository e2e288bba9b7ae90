"""`flask data`: the data sources of a tenant, added, listed, tested, opened and removed."""

import asyncio
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup

from bootstrap.ingesting import make_reading_policy, open_uploaded_tables
from bootstrap.savers import make_keyring
from bootstrap.source_opening import make_spec, open_data_sources
from cli.allowed_tables import allow, deny, describe_closed, schema
from cli.glossary import propose_glossary
from cli.operator import (
    find_operator,
    get_settings,
    json_option,
    open_records,
    read_as_operator,
    tenant_option,
    write_as_operator,
)
from cli.tables import align_columns
from cli.text_param import TextParam
from datasources.addresses import LONGEST_URI
from datasources.text_fields import NAME, TEXT
from domain import data_sources
from domain.data_sources import MAX_SOURCES
from domain.models import DataSourceRow
from domain.paging import Part
from domain.quotas import UNLIMITED
from ingestion.uploaded_files import delete_source
from ingestion.uploaded_tables import SentFile
from utils.printable import make_printable
from utils.sandbox.sandbox import Sandbox

_HEAD = ("NAME", "TYPE", "WHERE", "ALLOWED TABLES", "SCHEMA READ", "ID")
_tenant = tenant_option(help="Whose data source it is.")


@click.group("data", cls=AppGroup)
def data() -> None:
    """Databases and files with tables that questions are put to: of a database nothing may be read before `flask data
    allow` says so."""


for command in (schema, allow, deny, propose_glossary):
    data.add_command(command)


@data.command("add")
@click.argument("name", type=TextParam(NAME))
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_tenant
@click.option("--description", type=TextParam(TEXT), default="", help="What it holds.")
@click.option("--replace", "replaces", is_flag=True, help="Put the files in the place of those that NAME was made of.")
def add(name: str, files: tuple[Path, ...], tenant: str, description: str, replaces: bool) -> None:
    """Add a data source, of FILES (CSV, TSV, XLSX, Parquet), or a database.

    Of files each table can be asked for at once. The address of a database is asked for, or the first line of the
    input, such as postgresql://user:password@host:5432/database, mysql://user:password@host:3306/database, or
    sqlite:///machines.db in the tenant's folder in DATA_SOURCE_DIR. Nothing is connected to yet: see `flask data test`.
    """
    if files:
        _add_files(name, files, tenant, description, replaces)
        return
    if replaces:
        raise click.UsageError("--replace takes files.")
    uri = _read_uri()
    with write_as_operator(tenant) as (session, ctx):
        spec = make_spec(get_settings(), ctx, uri, None)
        row = data_sources.create_source(session, ctx, name, description, spec, make_keyring(get_settings()))
        click.echo(make_printable(f"Data source {row.name} added at {row.location}: {row.source_id}"))


def _add_files(name: str, files: tuple[Path, ...], tenant: str, description: str, replaces: bool) -> None:
    sent = [SentFile(file.name, file.read_bytes) for file in files]
    with open_records() as database, Sandbox(required=get_settings().sandbox_required) as sandbox:
        policy = make_reading_policy(get_settings(), sandbox)
        tables = open_uploaded_tables(get_settings(), database, policy, UNLIMITED)
        if replaces:
            ctx = find_operator(database, tenant)
            with database.open_read_session() as session:
                source_id = data_sources.find_source(session, ctx, name).source_id
            upload = tables.replace(ctx, source_id, sent)
        else:
            upload = tables.create(find_operator(database, tenant), name, description, sent)
        with database.open_read_session() as session:
            opened = data_sources.get_source(session, find_operator(database, tenant), upload.source_id).allowed_tables
    click.echo(make_printable(f"Data source {name}: {upload.source_id}"))
    for each in upload.tables:
        text = f"{each.table.name}: {each.row_count:,} rows of {each.file}, {len(each.table.columns)} columns"
        columns, entry = [column.name for column in each.table.columns], opened.get(each.table.name)
        closed = describe_closed(name, each.table.name, columns, entry, tenant)
        for line in (text, *(f"  {note}" for note in (*each.table.notes, *closed))):
            click.echo(make_printable(line))


@data.command("list")
@_tenant
@json_option
def list_all(tenant: str, as_json: bool) -> None:
    """List the data sources, oldest first."""
    with read_as_operator(tenant) as (session, ctx):
        rows = [_describe(each) for each in data_sources.list_sources(session, ctx, Part(MAX_SOURCES)).rows]
    click.echo(json.dumps(rows, ensure_ascii=False) if as_json else _format_table(rows))


@data.command("test")
@click.argument("name")
@_tenant
def test(name: str, tenant: str) -> None:
    """Connect to a data source, and say how it went."""
    with open_records(to_look=True) as database:
        ctx = find_operator(database, tenant)
        with database.open_read_session() as session:
            source_id = data_sources.find_source(session, ctx, name).source_id
        with closing(open_data_sources(get_settings(), database, make_keyring(get_settings()))) as sources:
            checked = asyncio.run(sources.check(ctx, source_id))
    for line in (checked.detail or "It can be read.", *checked.notes):
        click.echo(make_printable(line))
    if checked.detail:
        sys.exit(1)


@data.command("open")
@click.argument("name")
@_tenant
def open_to_visitors(name: str, tenant: str) -> None:
    """Let whoever may talk to a bot ask a data source: visitors of the chat page, and keys for one bot."""
    _set_open(name, tenant, True)
    click.echo(make_printable(f"Data source {name} answers visitors."))


@data.command("close")
@click.argument("name")
@_tenant
def close_to_visitors(name: str, tenant: str) -> None:
    """Let a data source answer only keys with the scope data-sources:read."""
    _set_open(name, tenant, False)
    click.echo(make_printable(f"Data source {name} does not answer visitors."))


@data.command("remove")
@click.argument("name")
@_tenant
def remove(name: str, tenant: str) -> None:
    """Forget a data source. A database itself stays as it is; what was made of files is deleted."""
    with open_records() as database:
        ctx, folder, keys = (
            find_operator(database, tenant),
            get_settings().uploaded_tables_folder,
            make_keyring(get_settings()),
        )
        delete_source(database, folder, keys, lambda session: data_sources.find_source(session, ctx, name, lock=True))
    click.echo(make_printable(f"Data source {name} is removed."))


def _set_open(name: str, tenant: str, is_open: bool) -> None:
    with write_as_operator(tenant) as (session, ctx):
        row = data_sources.find_source(session, ctx, name, lock=True)
        data_sources.change_source(session, row, open_to_visitors=is_open)


def _read_uri() -> str:
    """The address that somebody types unseen, or sends; no argument, which others could read among the processes."""
    text = click.prompt("Address", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline(LONGEST_URI + 2)
    return str(text).strip()


def _describe(row: DataSourceRow) -> dict[str, Any]:
    read_at = row.schema_read_at
    return {
        "id": row.source_id,
        "name": row.name,
        "type": row.type,
        "location": row.location,
        "allowed_tables": len(row.allowed_tables),
        "open_to_visitors": row.open_to_visitors,
        "schema_read_at": read_at.isoformat() if read_at else None,
    }


def _format_table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "No data sources."
    lines = [_HEAD]
    for row in rows:
        name, location = make_printable(row["name"]), make_printable(row["location"])
        read_at = (row["schema_read_at"] or "never")[:16]
        lines.append((name, row["type"], location, str(row["allowed_tables"]), read_at, row["id"]))
    return "\n".join(align_columns(lines))
