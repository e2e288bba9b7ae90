"""`flask tenant`: what the operator sets for a tenant as a whole."""

import click
from flask.cli import AppGroup, with_appcontext

from bootstrap.agent import make_retention
from cli.operator import find_operator, get_settings, open_records
from domain.keys import get_tenant
from domain.transcript_retention import DAY_S, set_retention_days

tenant = AppGroup("tenant", help="Tenants: how long their conversations are kept in SQL.")


@tenant.command("retention")
@click.argument("name")
@click.option("--days", type=float, help="Days after its last use that a conversation is kept in SQL; 0: not at all.")
@click.option("--default", "is_default", is_flag=True, help="As TRANSCRIPT_RETENTION_DAYS says, again.")
@with_appcontext
def retention(name: str, days: float | None, is_default: bool) -> None:
    """Print, or set, for how long the tenant NAME keeps its conversations in SQL. Workers heed it within 10 s."""
    if days is not None and is_default:
        raise click.UsageError("Give --days or --default, not both.")
    with open_records() as database:
        ctx = find_operator(database, name)
        if days is not None or is_default:
            with database.open_write_session() as session:
                set_retention_days(session, ctx, days)
        with database.open_read_session() as session:
            row = get_tenant(session, ctx.tenant_id)
            keep_s, is_own = make_retention(get_settings()).find_keep_s(row), row.transcript_retention_days is not None
    days_text = f"{keep_s / DAY_S:g} {'day' if keep_s == DAY_S else 'days'}"
    text = f"kept for {days_text} after their last use" if keep_s else "not kept"
    click.echo(f"Conversations of {name} are {text} in SQL, as {'set for it' if is_own else 'the settings say'}.")
