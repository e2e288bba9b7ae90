"""`flask ratings`: what people thought of answers, as a question set for `flask eval`."""

import sys
from collections.abc import Iterable

import click
from flask.cli import with_appcontext

from bootstrap.savers import make_keyring
from cli.operator import find_operator, get_settings, open_records, tenant_option
from cli.state_encryption import Outcomes, format_failures
from domain.models import AnswerRating
from domain.rating_texts import RatingUnreadable, decrypt_texts
from domain.ratings import delete_ratings_of_runs, list_ratings
from evaluation.from_ratings import make_question_set


@click.command("ratings")
@tenant_option(help="Whose.")
@click.option("--good", is_flag=True, help="Also of answers rated good: they must go on citing the same documents.")
@click.option("--forget", is_flag=True, help="Remove all of the tenant's ratings once they are printed.")
@with_appcontext
def ratings(tenant: str, good: bool, forget: bool) -> None:
    """Print the answers rated bad as a question set in YAML; those that cannot be measured yet, as comments.

    Those whose key is not configured are told, and not forgotten.
    """
    with open_records(to_look=True) as database:
        ctx = find_operator(database, tenant)
        with database.open_read_session() as session:
            found, unread = _read(list_ratings(session, ctx).rows)
        text, complete, incomplete = make_question_set(found, with_good=good)
        click.echo(text, nl=False)
        sys.stdout.flush()  # not to forget what could not be written
        if forget:
            with database.open_write_session() as session:
                delete_ratings_of_runs(session, ctx, [row.run_id for row in found])
    click.echo(f"{complete} questions, {incomplete} to be completed.", err=True)
    if not unread.complete:
        raise click.ClickException(format_failures(unread))


def _read(rows: Iterable[AnswerRating]) -> tuple[list[AnswerRating], Outcomes]:
    """The ratings that can be read, and a message about each of the others."""
    keys = make_keyring(get_settings())
    result, unread = [], Outcomes()
    for row in rows:
        try:
            result.append(decrypt_texts(row, keys))
        except RatingUnreadable as error:
            unread.unreadable[error.reason].append(error.key)
    return result, unread
