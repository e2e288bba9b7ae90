"""`flask conflicts`: what documents say differently of the same thing."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import click
from flask.cli import with_appcontext

from cli.operator import json_option, read_as_operator, tenant_option, write_as_operator
from domain.conflict_views import describe_conflicts
from domain.conflicts import list_conflicts, set_dismissed
from domain.paging import Part

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
    open_session = write_as_operator if dismiss or reopen else read_as_operator
    with open_session(tenant) as (session, ctx):
        for chosen, dismissed in ((dismiss, True), (reopen, False)):
            for conflict_id in chosen:
                set_dismissed(session, ctx, conflict_id, dismissed=dismissed)
        found = list_conflicts(session, ctx, Part(limit), status=status)  # type: ignore[arg-type] # click has checked it
        rows = describe_conflicts(session, ctx, found.rows)
    if as_json:
        click.echo(json.dumps(rows, default=_write))
        return
    click.echo("\n\n".join(map(_format, rows)) or f"No {status} conflicts.")
    if found.total > len(rows):
        click.echo(f"\n{found.total - len(rows)} more: raise --limit.")


def _write(value: date | datetime) -> str:
    return value.isoformat()


def _format(row: Mapping[str, Any]) -> str:
    lines = [f"{row['id']}  {row['kind']}  found {row['found_at']:%Y-%m-%d}"]
    for side in row["statements"]:
        holds = f", {row['decided_by']} wins" if side["document_id"] == row["preferred_document_id"] else ""
        day = side["date"].isoformat() if side["date"] else "removed"
        lines.append(
            f"  {side['title']} ({side['document_id']}, {day}{holds})\n    {' '.join(side['sentence'].split())}"
        )
    return "\n".join(lines)
