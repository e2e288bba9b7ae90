"""What the operator's commands begin with: the database, and a context of the tenant they are about."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy.exc import SQLAlchemyError

from api.services import open_database
from domain.db import Database
from domain.keys import ensure_tenant
from utils.context import TenantContext
from utils.errors import ProblemError
from utils.processes import StartError


@contextmanager
def records() -> Iterator[Database]:
    """The database, closed at the end; refusals become one line and exit code 1."""
    try:
        database = open_database()
        try:
            database.migrate()
            yield database
        finally:
            database.close()
    except ProblemError as error:
        raise click.ClickException(error.detail) from error
    except StartError as error:
        raise click.ClickException(str(error)) from error
    except (SQLAlchemyError, OSError) as error:
        # Without the driver's words: they may hold the address, and with it the password.
        raise click.ClickException(f"DATABASE_URI, DATA_DIR: the database failed ({type(error).__name__}).") from error


def counted(number: int, noun: str) -> str:
    """*number* of things whose name takes an s in the plural: `1 document`, `2 documents`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def operator(database: Database, tenant: str) -> TenantContext:
    """A context of *tenant*, which is made if it is new."""
    with database.writing() as session:
        return TenantContext.for_operator(ensure_tenant(session, tenant).tenant_id)
