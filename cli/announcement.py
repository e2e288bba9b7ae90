"""What a command says first, on standard error: on which stores it acts, and where its settings are from."""

import os

import click

from bootstrap.checks.settings import list_ignored, list_settings_files
from bootstrap.installation import ENV_FILE, UnitSettings
from config import Settings, settings_file
from utils.addresses import hide_login


def describe_stores(settings: Settings) -> str:
    """The stores that *settings* name, without logins."""
    where = settings.data_dir
    variable = "REDIS_URL" if settings.redis_url else "REDIS_HOST"
    redis = hide_login(settings.redis_address, variable) if settings.redis_address else f"Redis in {where}"
    index = hide_login(settings.qdrant_url, "QDRANT_URL") if settings.qdrant_url else f"index in {where}"
    return f"{hide_login(settings.database_address, 'DATABASE_URI')}, {redis}, {index}"


def describe_settings(entered: UnitSettings | None) -> str:
    """Where the settings are from, and what of the shell is ignored; a sentence or two."""
    if entered is None:
        file = settings_file()
        if os.environ.get(ENV_FILE):
            return f"Settings: {file}."
        return f"Settings: {file} and the environment." if file.is_file() else "Settings: the environment."
    files = ", ".join(map(str, [entered.unit.path, *list_settings_files(entered)]))
    ignored = list_ignored(entered)
    stray = f" Set in this shell, but ignored: {', '.join(ignored)}." if ignored else ""
    return f"Settings: {files}; user {entered.unit.user}.{stray}"


def announce(settings: Settings, entered: UnitSettings | None) -> None:
    """Print both."""
    click.echo(f"Stores: {describe_stores(settings)}. {describe_settings(entered)}", err=True)
