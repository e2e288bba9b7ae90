"""`flask conflicts`: what documents say differently of the same thing."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import click
from flask.cli import with_appcontext

from auth.principal import DEFAULT_TENANT
from cli.operator import find_operator, json_option, open_records, tenant_option
from domain.conflict_views import describe_conflicts
from domain.conflicts import list_conflicts, set_dismissed
from domain.models import Conflict
from domain.paging import Part
from utils.printable import make_printable

_MOST = 10_000


@click.command("conflicts")
@tenant_option(help="Whose documents.")
@click.option("--status", type=click.Choice(["open", "dismissed", "gone"]), default="open", show_default=True)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, _MOST))
@click.option("--dismiss", multiple=True, metavar="ID", help="Show this one no more; may be repeated.")
@click.option("--reopen", multiple=True, metavar="ID", help="Show this one again; may be repeated.")
@json_option
@with_appcontext
def conflicts(
    tenant: str, status: str, limit: int, dismiss: tuple[str, ...], reopen: tuple[str, ...], as_json: bool
) -> None:
    """List where documents say different things of the same, with both sentences, those found last first.

    The running service compares documents some seconds after they are indexed. Of two the one of higher precedence
    holds, else the newer one: end the other with `valid_until`, replace it, or delete it.
    """
    changed = []
    with open_records(to_look=True) as database:
        ctx = find_operator(database, tenant)
        with database.open_write_session() if dismiss or reopen else database.open_read_session() as session:
            for chosen, dismissed in ((dismiss, True), (reopen, False)):
                changed += [set_dismissed(session, ctx, each, dismissed=dismissed) for each in chosen]
            conflicts = list_conflicts(session, ctx, Part(limit), status=status)  # type: ignore[arg-type] # click has checked it
            rows, lines = describe_conflicts(session, ctx, conflicts.rows), [_report(row, tenant) for row in changed]
    for line in lines:
        click.echo(make_printable(line), err=as_json)
    if as_json:
        click.echo(json.dumps(rows, default=_write))
        return
    click.echo("\n\n".join(map(_format, rows)) or f"No {status} conflicts.")
    if conflicts.total > len(rows):
        click.echo(f"\n{conflicts.total - len(rows)} more: raise --limit.")


def _report(row: Conflict, tenant: str) -> str:
    """What was done with a conflict, and how it is taken back."""
    of = "" if tenant == DEFAULT_TENANT else f" --tenant {tenant}"
    done, undo = ("Dismissed", "reopen") if row.dismissed_at else ("Open again", "dismiss")
    titles = f"“{row.one_title}” and “{row.other_title}”"
    return f"{done}: {row.conflict_id}, {row.kind} in {titles}. To undo: flask conflicts{of} --{undo} {row.conflict_id}"


def _write(value: date | datetime) -> str:
    return value.isoformat()


def _format(row: Mapping[str, Any]) -> str:
    lines = [f"{row['id']}  {row['kind']}  found {row['found_at']:%Y-%m-%d}"]
    for side in row["statements"]:
        holds = f", {row['decided_by']} wins" if side["document_id"] == row["preferred_document_id"] else ""
        day = side["date"].isoformat() if side["date"] else "removed"
        lines.append(make_printable(f"  {side['title']} ({side['document_id']}, {day}{holds})"))
        lines.append(make_printable(f"    {' '.join(side['sentence'].split())}"))
    return "\n".join(lines)
