"""`flask populate-sample-db`: a database of invented machines, to try questions out."""

import click
from flask.cli import with_appcontext

from auth.principal import DEFAULT_BOT
from bootstrap.sample_data import populate_by_command
from cli.operator import find_operator, get_settings, open_records, tenant_option
from utils.printable import make_printable


@click.command("populate-sample-db")
@tenant_option(help="Whose data source it becomes.")
@click.option("--bot", "bot_id", default=DEFAULT_BOT, show_default=True, help="The bot that is to answer from it.")
@with_appcontext
def populate_sample_db(tenant: str, bot_id: str) -> None:
    """Make the sample database, with 15 machines due for maintenance this month, and let a bot answer from it.

    Again: the dates become those of today.
    """
    with open_records() as database:
        name = populate_by_command(get_settings(), database, find_operator(database, tenant), bot_id)
    text = f"Data source {name} is there. Ask the bot {bot_id}: How many machines are due for maintenance this month?"
    click.echo(make_printable(text))
