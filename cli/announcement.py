"""What a command says first, on standard error: on which stores it acts, and where its settings are from."""

import os

import click

from bootstrap.installation import Entered
from config import ENV_FILE, Settings, list_variables, settings_file
from utils.addresses import hide_login


def describe_stores(settings: Settings) -> str:
    """The stores that *settings* name, without logins."""
    where = settings.data_dir
    redis = hide_login(settings.redis_address) if settings.redis_address else f"Redis in {where}"
    index = hide_login(settings.qdrant_url) if settings.qdrant_url else f"index in {where}"
    return f"{hide_login(settings.database_address)}, {redis}, {index}"


def describe_settings(entered: Entered | None) -> str:
    """Where the settings are from, and what of the shell is not heeded; a sentence or two."""
    file = settings_file()
    if entered is None:
        return f"Settings: {file} and the environment." if file.is_file() else "Settings: the environment."
    named = [file] if os.environ.get(ENV_FILE) else entered.unit.files
    told = f"Settings: {', '.join(map(str, [entered.unit.path, *named]))}; user {entered.unit.user}."
    ours = [name for name in entered.unheeded if name in list_variables()]
    return f"{told} Set in this shell and not heeded: {', '.join(ours)}." if ours else told


def announce(settings: Settings, entered: Entered | None) -> None:
    """Print both."""
    click.echo(f"Stores: {describe_stores(settings)}. {describe_settings(entered)}", err=True)
