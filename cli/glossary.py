"""`flask data propose-glossary`: what a language model proposes to say of the tables of a data source."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from flask.cli import with_appcontext

from agents.opened_sources import load_source_schema
from auth.principal import Principal
from bootstrap.glossary_proposals import open_proposer
from bootstrap.savers import make_keyring
from cli.operator import find_operator, get_settings, json_option, open_records, tenant_option
from datasources.allowed_tables import merge_tables
from datasources.catalog import OpenTable, list_open_tables, make_access
from datasources.functions import DIALECTS
from datasources.glossary import Proposal, merge_proposal
from datasources.schema import Schema
from domain import data_sources
from domain.db import Database
from domain.models import DataSourceRow
from utils.errors import Conflict, ProviderError
from utils.printable import make_printable


@click.command("propose-glossary")
@with_appcontext
@click.argument("name")
@tenant_option(help="Whose data source it is.")
@click.option("--table", "tables", multiple=True, help="Look at this table; left out: at all that may be read.")
@click.option("--accept", "is_accepted", is_flag=True, help="Store what is proposed; else it is shown alone.")
@json_option
def propose_glossary(name: str, tenant: str, tables: Sequence[str], is_accepted: bool, as_json: bool) -> None:
    """Have the language model propose synonyms, descriptions, and the columns that rows are known by.

    It is shown names, types and three samples of each column that may be read, and nothing else. What people have said
    stays, and what may be read, too.
    """
    with open_records() as database:
        ctx = find_operator(database, tenant)
        with database.open_read_session() as session:
            source_id = data_sources.find_source(session, ctx, name).source_id
        proposal = asyncio.run(_propose(database, ctx, source_id, tables))
        proposed = _merge(database, ctx, source_id, proposal, is_accepted=is_accepted)
    for note in proposal.notes:
        click.echo(make_printable(note), err=True)
    if as_json:
        click.echo(json.dumps(proposed, ensure_ascii=False))
        return
    for line in (line for key, entry in proposed.items() for line in _describe(key, entry)):
        click.echo(make_printable(line))
    click.echo(_summarize(len(proposed), is_accepted=is_accepted))


async def _propose(database: Database, ctx: Principal, source_id: str, tables: Sequence[str]) -> Proposal:
    """What is proposed for all of *tables*, none for those that there are; part by part, of which standard error
    tells. Where the model fails at a later one, what was proposed before."""
    result, names = Proposal(), list(tables) or None
    count = 0
    async with open_proposer(get_settings(), database) as proposer:
        while names is None or names:
            try:
                part = await proposer.propose(ctx, source_id, names)
            except ProviderError as exc:
                if not result.tables:
                    raise
                result.note(f"{exc.detail} {len(names or ())} tables are left: run this again.")
                break
            result.add(part.proposal)
            count, names = count + part.table_count, part.remaining
            click.echo(f"{count} of {count + len(names)} tables", err=True)
    return result


def _merge(
    database: Database, ctx: Principal, source_id: str, proposal: Proposal, *, is_accepted: bool
) -> Mapping[str, Any]:
    """What is said of tables with *proposal*, of those that it changes; stored where that is wanted."""
    keys = make_keyring(get_settings())
    with database.open_write_session() as session:
        row = data_sources.get_source(session, ctx, source_id, lock=True)
        schema, dialect = load_source_schema(row, keys), DIALECTS[row.type]
        if schema is None:
            raise Conflict("The data source was changed meanwhile: read its schema, and run this again.")
        proposed = merge_proposal(proposal, _list_tables(row, schema))
        if is_accepted:
            tables = merge_tables(row.allowed_tables, proposed, schema, dialect)
            data_sources.change_source(session, row, allowed_tables=tables)
    return proposed


def _list_tables(row: DataSourceRow, schema: Schema) -> list[OpenTable]:
    dialect = DIALECTS[row.type]
    access = make_access(row.allowed_tables, schema, dialect)
    return list_open_tables(schema, row.allowed_tables, access, dialect)


def _describe(key: str, entry: Mapping[str, Any]) -> Iterator[str]:
    yield _describe_one(key, entry)
    if entry.get("name_column"):
        yield f"  rows are known by {entry['name_column']}"
    for name, column in entry["allowed_columns"].items():
        if column["description"] or column["synonyms"]:
            yield f"  {_describe_one(name, column)}"


def _describe_one(name: str, entry: Mapping[str, Any]) -> str:
    synonyms = f" ({', '.join(entry['synonyms'])})" if entry["synonyms"] else ""
    return f"{name}: {entry['description'] or '–'}{synonyms}"


def _summarize(count: int, *, is_accepted: bool) -> str:
    if not count:
        return "Nothing new is proposed."
    tables = f"{count} table{'' if count == 1 else 's'}"
    return f"Stored for {tables}." if is_accepted else f"Proposed for {tables}; --accept stores it."
