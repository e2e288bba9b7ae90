"""`flask data`: the data sources of a tenant, added, listed, tested, opened and removed."""

import asyncio
import json
import sys
from contextlib import closing
from typing import Any

import click
from flask.cli import AppGroup

from bootstrap.data_sources import DataSources, make_spec
from bootstrap.savers import make_keyring
from cli.allowed_tables import allow, deny, schema
from cli.operator import (
    existing_operator,
    json_option,
    read_as_operator,
    records,
    settings,
    tenant_option,
    write_as_operator,
)
from datasources.addresses import LONGEST_URI
from domain import data_sources
from domain.data_sources import MOST_SOURCES
from domain.models import DataSourceRow
from domain.paging import Part
from utils.printable import make_printable

_HEAD = ("NAME", "TYPE", "WHERE", "ALLOWED TABLES", "SCHEMA READ", "ID")
_LONGEST_NAME = 200
_tenant = tenant_option(help="Whose data source it is.")


@click.group("data", cls=AppGroup)
def data() -> None:
    """Databases that questions are put to: nothing of one may be read before `flask data allow` says so."""


for command in (schema, allow, deny):
    data.add_command(command)


@data.command("add")
@click.argument("name")
@_tenant
@click.option("--description", default="", help="What it holds.")
def add(name: str, tenant: str, description: str) -> None:
    """Add a data source. Its address is asked for, or the first line of the input.

    Such as postgresql://user:password@host:5432/database, or sqlite:///machines.db in the tenant's folder in
    DATA_SOURCE_DIR. Nothing is connected to yet: see `flask data test`.
    """
    if not 0 < len(name.strip()) <= _LONGEST_NAME:
        raise click.ClickException(f"A name has 1 to {_LONGEST_NAME} characters.")
    uri = _read_uri()
    with write_as_operator(tenant) as (session, ctx):
        spec = make_spec(settings(), ctx, uri, None)
        keys = make_keyring(settings())
        made = data_sources.create_source(session, ctx, name.strip(), description[:5000], spec, keys)
        click.echo(make_printable(f"Data source {made.name} added at {made.location}: {made.source_id}"))


@data.command("list")
@_tenant
@json_option
def list_all(tenant: str, as_json: bool) -> None:
    """List the data sources, oldest first."""
    with read_as_operator(tenant) as (session, ctx):
        rows = [_describe(each) for each in data_sources.list_sources(session, ctx, Part(MOST_SOURCES)).rows]
    click.echo(json.dumps(rows, ensure_ascii=False) if as_json else _format_table(rows))


@data.command("test")
@click.argument("name")
@_tenant
def test(name: str, tenant: str) -> None:
    """Connect to a data source, and say how it went."""
    with records(to_look=True) as database:
        ctx = existing_operator(database, tenant)
        with database.reading() as session:
            source_id = data_sources.find_source(session, ctx, name).source_id
        with closing(DataSources(settings(), database, make_keyring(settings()))) as sources:
            checked = asyncio.run(sources.check(ctx, source_id))
    for told in (checked.detail or "It can be read.", *checked.notes):
        click.echo(make_printable(told))
    if checked.detail:
        sys.exit(1)


@data.command("remove")
@click.argument("name")
@_tenant
def remove(name: str, tenant: str) -> None:
    """Forget a data source. The database itself stays as it is."""
    with write_as_operator(tenant) as (session, ctx):
        data_sources.remove_source(session, data_sources.find_source(session, ctx, name))
    click.echo(make_printable(f"Data source {name} is removed."))


def _read_uri() -> str:
    """The address that somebody types unseen, or sends; no argument, which others could read among the processes."""
    said = click.prompt("Address", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline(LONGEST_URI + 2)
    return str(said).strip()


def _describe(row: DataSourceRow) -> dict[str, Any]:
    read_at = row.schema_read_at
    return {
        "id": row.source_id,
        "name": row.name,
        "type": row.type,
        "location": row.location,
        "allowed_tables": len(row.allowed_tables),
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
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
