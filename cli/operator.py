"""What the operator's commands share: settings, database, the context of a tenant, and options."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import ENOSPC
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import click
from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from auth.operators import make_operator
from auth.principal import DEFAULT_TENANT, Principal
from bootstrap.installation import NotAllowed, UnitSettings, enter_installation, remove_shell_settings
from bootstrap.stores import make_disk_space
from cli.announcement import announce
from config import SAMPLES, Settings, SettingsError, load_settings
from domain.db import Database
from domain.db_errors import DISK_FAILS
from domain.db_opening import open_database as open_database_at
from domain.keys import ensure_tenant, get_tenant
from utils.errors import NotEnoughSpace, NotFound, ProblemError
from utils.printable import make_printable
from utils.processes import StartError

_App = TypeVar("_App", bound=Flask)
tenant_option = partial(click.option, "--tenant", default=DEFAULT_TENANT, show_default=True)
json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
_SETTINGS, _OPEN_DATABASE, _ENTERED = "settings", "open_database", "entered"  # in Flask's `extensions`


def configure(app: Flask, settings: Settings, open_database: Callable[[], Database]) -> None:
    """Give *app* what its commands work with."""
    app.extensions |= {_SETTINGS: settings, _OPEN_DATABASE: open_database}


def make_command_app(create_app: Callable[[Settings], _App]) -> _App:
    """The app of the installation that a command is typed in, whose user this process becomes.

    Raises:
        SystemExit: a value cannot be used, or this user may not act on it; standard error says why.
    """
    try:
        entered = enter_installation(SAMPLES.parent)
        warn_about_shell(entered)
        app = create_app(load_settings())
    except (NotAllowed, SettingsError) as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(1) from error  # of an exception, Flask shows a traceback where it lists commands
    app.extensions[_ENTERED] = entered
    return app


def warn_about_shell(entered: UnitSettings | None) -> None:
    """Let a command that acts as no unit read the file that PUSTAKA_ENV_FILE names alone; say what is ignored."""
    if entered is None and (stray := remove_shell_settings()):
        click.echo(stray, err=True)


def announce_stores() -> None:
    """Say once on which stores this command acts; nothing where a program gave the app its settings."""
    if _ENTERED in current_app.extensions:
        announce(get_settings(), current_app.extensions.pop(_ENTERED))


def get_settings() -> Settings:
    """The settings of the present app; commands run without a service."""
    return cast(Settings, current_app.extensions[_SETTINGS])


def open_database() -> Database:
    """The database that the settings name; the caller closes it."""
    announce_stores()
    return cast("Callable[[], Database]", current_app.extensions[_OPEN_DATABASE])()


@contextmanager
def open_records(*, to_look: bool = False) -> Iterator[Database]:
    """The database, closed at the end; refusals become one line and exit code 1.

    Only *to_look*, none is made where there is none: an empty one in memory stands for it, and standard error says so.
    """
    try:
        database = open_database()
        if to_look and _is_missing(database):
            message = f"There is no database yet: the first start of the service, or `load`, makes {database.file}."
            click.echo(make_printable(message), err=True)
            database = open_database_at("sqlite://")
        try:
            database.migrate()
            yield database
        finally:
            database.close()
    except ProblemError as error:
        raise click.ClickException(make_printable(_explain(error))) from error
    except StartError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        if error.errno == ENOSPC:
            raise click.ClickException(_describe_space()) from error
        where = f"{error.filename}: " if error.filename else ""
        raise click.ClickException(f"{where}{error.strerror or type(error).__name__}.") from error
    except SQLAlchemyError as error:
        # Without the driver's words: they may hold the address, and with it the password.
        raise click.ClickException(f"DATABASE_URI, DATA_DIR: the database failed ({type(error).__name__}).") from error


def _explain(error: ProblemError) -> str:
    """What a refusal says; where it is for want of room on the disk, with the folder and how much there is."""
    disk_fails = error.detail.endswith(DISK_FAILS) and make_disk_space(get_settings()).measure_state() != "ok"
    return _describe_space() if disk_fails or isinstance(error, NotEnoughSpace) else error.detail


def _describe_space() -> str:
    return f"Not enough disk space: {make_disk_space(get_settings()).describe()} Make room, and try again."


def _is_missing(database: Database) -> bool:
    return bool(database.file) and database.file != ":memory:" and not Path(str(database.file)).exists()


def format_count(number: int, noun: str) -> str:
    """*number* of things whose name takes an s in the plural: `1 document`, `2 documents`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def find_operator(database: Database, tenant: str) -> Principal:
    """A context of *tenant*; the default one is made with the first command, any other has to be there.

    Raises:
        NotFound: there is none.
    """
    if tenant == DEFAULT_TENANT:
        return make_tenant(database, tenant)
    with database.open_read_session() as session:
        try:
            return make_operator(get_tenant(session, tenant).tenant_id)
        except NotFound as exc:
            message = f"There is no tenant {tenant!r}. `flask api-key create NAME` makes one, with its first key."
            raise NotFound(message) from exc


def make_tenant(database: Database, tenant: str) -> Principal:
    """A context of *tenant*, which is made if it is new."""
    with database.open_write_session() as session:
        return make_operator(ensure_tenant(session, tenant).tenant_id)


@contextmanager
def read_as_operator(tenant: str) -> Iterator[tuple[Session, Principal]]:
    """A session that reads, and a context of *tenant*, which has to be there; no database is made."""
    with open_records(to_look=True) as database:
        ctx = find_operator(database, tenant)
        with database.open_read_session() as session:
            yield session, ctx


@contextmanager
def write_as_operator(tenant: str) -> Iterator[tuple[Session, Principal]]:
    """A session that writes, and a context of *tenant*, which has to be there; committed at the end."""
    with open_records() as database:
        ctx = find_operator(database, tenant)
        with database.open_write_session() as session:
            yield session, ctx
