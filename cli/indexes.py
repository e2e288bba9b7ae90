"""`flask index`: the indexes of an installation, looked at, switched between, compared with the records, moved."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup

from bootstrap.index_orders import carry_out
from cli.index_status import IndexStatus, read_indexes
from cli.operator import find_operator, get_settings, json_option, open_records, tenant_option
from domain.indexes import drop_index, find_former_index, get_index, switch_to
from domain.models import IndexState
from ingestion.chunking import ChunkSizes
from utils.processes import StartError

index = AppGroup("index", help="The indexes: status, switch, rollback, drop, scan, export, import.")

_number = click.argument("number", type=int)
_tenant = tenant_option(help="Whose documents.")
_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@index.command("status")
@json_option
def status(as_json: bool) -> None:
    """List the indexes: which serves, its model, what it holds, how far one that is being built has come."""
    with open_records(to_look=True) as database:
        result = read_indexes(get_settings(), database)
    click.echo(json.dumps([each.as_json() for each in result]) if as_json else "\n".join(_format(result)))


@index.command("switch")
@_number
@click.option("--force", is_flag=True, help="Switch also to an incomplete index, or one that failed its check.")
def switch(number: int, force: bool) -> None:
    """Let index NUMBER answer the questions, in every process within seconds."""
    with open_records() as database, database.open_write_session() as session:
        row = get_index(session, number)
        if row.state in (IndexState.BUILDING, IndexState.REFUSED) and not force:
            reason = row.note or "It is being built, and will be switched to by itself when it is whole."
            raise click.ClickException(f"{reason} --force switches all the same.")
        switch_to(session, number, note="Switched to by an operator.")
    click.echo(f"Index {number} serves.")


@index.command("rollback")
def rollback() -> None:
    """Go back to the index that served before, in every process within seconds."""
    with open_records() as database, database.open_write_session() as session:
        row = switch_to(session, find_former_index(session).number, note="Gone back to by an operator.")
        click.echo(f"Index {row.number}, made with {row.model}, serves again, whatever EMBEDDING_… and CHUNK_… say.")


@index.command("drop")
@_number
def drop(number: int) -> None:
    """Remove index NUMBER for good; the running service does it, or the next start."""
    with open_records() as database, database.open_write_session() as session:
        drop_index(session, number)
    click.echo(f"Index {number} is removed within a minute by the running service, or by the next start.")


@index.command("scan")
@click.option("--repair", is_flag=True, help="Remove what is left over, and put in again what is missing.")
@json_option
def scan(repair: bool, as_json: bool) -> None:
    """Compare the indexes with the records, passage by passage. Exit code 1 if they differ and were not mended."""
    outcome = _carry_out("scan", {"repair": repair})
    result: dict[str, dict[str, int]] = outcome["indexes"]
    files: dict[str, int] = outcome["files"]
    lines = [_format_differences(number, result[number]) for number in result]
    if any(files.values()):
        lines.append(f"files: {files['unknown']} of no document, {files['missing']} missing")
    click.echo(json.dumps(outcome) if as_json else "\n".join(lines))
    if not repair and any(any(counts.values()) for counts in (files, *result.values())):
        sys.exit(1)


@index.command("export")
@_file
@_tenant
@json_option
def export(file: Path, tenant: str, as_json: bool) -> None:
    """Write a tenant's documents, with their vectors, to FILE."""
    with open_records() as database:
        find_operator(database, tenant)
    _move("export", file, tenant, as_json, "{documents} documents, {chunks} chunks, {vectors} vectors of {model}")


@index.command("import")
@_file
@_tenant
@json_option
def import_(file: Path, tenant: str, as_json: bool) -> None:
    """Add the documents in FILE to a tenant's; vectors are used where the embedding model is the same."""
    with open_records() as database:
        find_operator(database, tenant)
    outcome = "{added} added, {changed} changed, {unchanged} unchanged; {reused} vectors from the file, "
    _move("import", file, tenant, as_json, outcome + "{to_embed} to be computed by the running service")


def _move(kind: str, file: Path, tenant: str, as_json: bool, outcome: str) -> None:
    """Export or import *file*, and print what came of it: as JSON, or *outcome* with its figures filled in."""
    figures = _carry_out(kind, {"tenant": tenant, "path": str(file.absolute())})
    click.echo(json.dumps(figures) if as_json else outcome.format(**figures))


def _carry_out(kind: str, arguments: dict[str, object]) -> dict[str, Any]:
    with open_records() as database:
        try:
            return asyncio.run(carry_out(get_settings(), database, kind, arguments))
        except StartError as error:
            raise click.ClickException(str(error)) from error


def _format(index_statuses: list[IndexStatus]) -> Iterator[str]:
    if not index_statuses:
        yield "There is no index yet: the first start makes it."
    for each in index_statuses:
        share = each.vectors / each.passages if each.passages else 1.0
        model = f"{each.model} ({each.dimension} numbers) at {each.place}, {each.lexical_version}"
        sizes = ChunkSizes.parse(each.chunking_version)
        yield f"{each.number}  {each.state:<9} {model}, passages of {sizes.target} tokens, {sizes.most} at most"
        yield (
            f"   {each.words} of {each.passages} passages, {each.vectors} vectors ({share:.0%}), "
            f"{each.size_bytes / 1e6:.1f} MB{'' if each.is_measured else ' or so'}"
        )
        if each.note:
            yield f"   {each.note}"


def _format_differences(number: str, counts: dict[str, int]) -> str:
    if not any(counts.values()):
        return f"index {number}: complete, nothing left over"
    return (
        f"index {number}: {counts['unknown']} passages of unknown documents, {counts['stale']} of former versions, "
        f"{counts['missing']} missing, {counts['vectors']} without their vector"
    )
