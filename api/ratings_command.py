"""`flask ratings`: what people thought of answers, as a question set for `flask eval`.

The app provides `extensions["open_database"]`, which gives the `Database`.
"""

import sys

import click
from flask.cli import with_appcontext

from api.operator import operator, records
from domain.ratings import forget_all, list_ratings
from evaluation.from_ratings import question_set
from utils.context import DEFAULT_TENANT


@click.command("ratings")
@click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose.")
@click.option("--good", is_flag=True, help="Also of answers rated good: they must go on citing the same documents.")
@click.option("--forget", is_flag=True, help="Remove all of the tenant's ratings once they are printed.")
@with_appcontext
def ratings(tenant: str, good: bool, forget: bool) -> None:
    """Print the answers rated bad as a question set in YAML; those that cannot be measured yet, as comments."""
    with records() as database:
        ctx = operator(database, tenant)
        with database.reading() as session:
            rows, _ = list_ratings(session, ctx)
            text, complete, left = question_set(rows, with_good=good)
            session.expunge_all()
        click.echo(text, nl=False)
        sys.stdout.flush()  # not to forget what could not be written
        if forget:
            with database.writing() as session:
                forget_all(session, ctx, [row.run_id for row in rows])
    click.echo(f"{complete} questions, {left} to be completed.", err=True)
