"""`pustaka`: the commands of `flask`, and those about the service itself: `run`, `reload`, `validate`."""

import os
import sys
from pathlib import Path

import click
from flask import Flask
from flask.cli import FlaskGroup

from bootstrap.data_folder import is_in_use
from bootstrap.installation import NotAllowed, enter_installation
from cli.announcement import describe_settings
from cli.operator import warn_about_shell
from config import SAMPLES, SettingsError, load_settings
from server.reloading import NOT_RELOADED, Note, NotUnderGunicorn, ask_for_reload
from utils.processes import StartError

ROOT = SAMPLES.parent
_RELOAD_LIMIT_S = 90.0  # a reload that is under way may take GRACEFUL_TIMEOUT


def _create_app() -> Flask:
    from app import create_app  # it stands above this package

    return create_app()


commands = FlaskGroup(
    name="pustaka",
    create_app=_create_app,
    add_default_commands=False,
    load_dotenv=False,  # settings are read where all of them are
    set_debug_flag=False,
    help="Operate an installation of Pustaka, with its own settings and as its user.",
    epilog="`pustaka validate` looks at everything that an installation needs; `pustaka validate --help` tells how.",
)
# `flask --app` would name another app, and `--env-file` would make an environment of the file.
commands.params = [option for option in commands.params if option.name == "help"]


@commands.command("run", with_appcontext=False)
def run() -> None:
    """Start the service in the foreground: as its unit does, else the API and the chat page in one process."""
    try:
        entered = enter_installation(ROOT)
        warn_about_shell(entered)
    except NotAllowed as error:
        raise click.ClickException(str(error)) from error
    click.echo(describe_settings(entered), err=True)
    command = list(entered.unit.command) if entered else [sys.executable, str(ROOT / "app.py")]
    if entered:
        os.chdir(ROOT)  # the unit's WorkingDirectory
    os.execv(command[0], command)  # noqa: S606 - our own program


@commands.command("reload", with_appcontext=False)
def reload() -> None:
    """Let the running service take up changed settings, and say what changed and what waits for a restart."""
    try:
        entered = enter_installation(ROOT)
        warn_about_shell(entered)
        click.echo(describe_settings(entered), err=True)
        note = _reload(load_settings().data_dir)
    except SettingsError as error:
        raise click.ClickException(f"{NOT_RELOADED}: {error}") from error
    except (NotAllowed, StartError) as error:
        raise click.ClickException(str(error)) from error
    if note.refused:
        raise click.ClickException(note.describe())
    click.echo(note.describe())


def _reload(folder: Path) -> Note:
    try:
        return ask_for_reload(folder, _RELOAD_LIMIT_S)
    except NotUnderGunicorn as error:
        if is_in_use(folder):
            message = f"The service on {folder} runs in the foreground, not under gunicorn: restart it."
            raise StartError(message) from error
        raise
