"""Errors of the database in our words: what they mean for the service, and what to do.

The driver's own words are kept as the cause, for the log; they may name the host and the user, so they are never shown.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from utils.errors import NotEnoughSpace, StoreDamaged, StoreRefused, StoreUnavailable

logger = logging.getLogger(__name__)

Known = tuple[re.Pattern[str], type[StoreUnavailable], str]  # the driver's words, our error, and its detail
_Written = list[tuple[str, type[StoreUnavailable], str]]

# A connection that fails has no SQLSTATE in libpq, only words; first match wins.
_WHEN_CONNECTING: _Written = [
    (
        "starting up|shutting down|recovery mode|not yet accepting connections",
        StoreUnavailable,
        "the database server is starting or stopping.",
    ),
    (
        "too many (clients|connections)|remaining connection slots",
        StoreUnavailable,
        "the database server has no connection left for us: lower DB_POOL_SIZE or WORKERS, or raise its "
        "max_connections.",
    ),
    (
        "invalid response to SSL negotiation|unsupported frontend protocol|expected authentication request",
        StoreRefused,
        "what answers there is not a PostgreSQL server. Check host and port.",
    ),
    (
        "authentication failed|no password supplied|no pg_hba.conf|not permitted to log in|"
        "role .{0,200} does not exist",
        StoreRefused,
        "the database server refuses this user or password. Check both, and write characters such as @ : / # % in them "
        "percent-encoded, @ as %40.",
    ),
    (
        "database .{0,200} (does not exist|is not currently accepting)",
        StoreRefused,
        "the server has no such database. Check its name, or create it: CREATE DATABASE <name> ENCODING 'UTF8'.",
    ),
    (
        "permission denied for database",
        StoreRefused,
        "this user may not connect to this database: GRANT CONNECT ON DATABASE <name> TO <user>.",
    ),
    (
        r"socket .{0,300} failed: permission denied",
        StoreRefused,
        "this user may not enter the folder of the server's socket. Check the folder's rights, and those above it.",
    ),
    (
        "resolve host|translate host name",
        StoreUnavailable,
        "its host name is not known. Check it, and that this machine's name service works.",
    ),
    (
        "refused|no such file or directory|network is unreachable|no route to host",
        StoreUnavailable,
        "no database server listens there. Start it, or check host and port.",
    ),
    (
        "server closed the connection|connection has been closed|SSL SYSCALL|reset by peer",
        StoreUnavailable,
        "the server closed the connection. If it is PostgreSQL, its own log says why.",
    ),
    (
        "SSL|certificate",
        StoreRefused,
        "the encrypted connection cannot be made. Check sslmode and the certificates on both sides.",
    ),
    (
        "invalid (port|connection option|.{0,200} value|integer)|unsupported startup parameter",
        StoreRefused,
        "a part of the address, or an option after its ?, is not valid.",
    ),
    ("timeout expired|timed out", StoreUnavailable, "the database server does not answer in time."),
]
# SQLSTATE, by its first characters: https://www.postgresql.org/docs/current/errcodes-appendix.html
_WHEN_ANSWERED: _Written = [
    (
        "^42501",
        StoreRefused,
        "its user lacks a right there: GRANT CREATE, USAGE ON SCHEMA public TO <user>, and let it own its tables.",
    ),
    ("^25006", StoreRefused, "the database is read-only. Name the primary server, not a replica."),
    ("^42P01", StoreRefused, "the tables are not there. Start the service again: it makes them."),
    ("^42703", StoreRefused, "the tables are of another version. Start the service again: it brings them up to date."),
    ("^53100", NotEnoughSpace, "the database server's disk is full."),
    ("^55P03", StoreUnavailable, "another process holds a lock for too long. Check whether a migration is running."),
    ("^57014", StoreUnavailable, "the database server takes too long: it is overloaded, or a lock is held."),
    ("^40", StoreUnavailable, "two changes were in each other's way. Try again."),
]
DISK_FAILS = "reading from or writing to the disk failed."
_AWAY = ("08", "53", "57", "58")  # connection, resources, operator, system
# https://www.sqlite.org/rescode.html
_BY_SQLITE: _Written = [
    (
        "^SQLITE_CANTOPEN",
        StoreRefused,
        "the database file cannot be opened: its folder must exist and may be written.",
    ),
    ("^SQLITE_(READONLY|PERM|AUTH)", StoreRefused, "the database file cannot be written. Check who owns it."),
    ("^SQLITE_(BUSY|LOCKED)", StoreUnavailable, "another process has been writing to the database for too long."),
    (
        "^SQLITE_ERROR: no such (table|column)",
        StoreRefused,
        "its tables are not those of this version. Start the service again: it brings them up to date.",
    ),
    ("^SQLITE_FULL", NotEnoughSpace, "the disk is full."),
    ("^SQLITE_IOERR", StoreUnavailable, DISK_FAILS),
]
_DAMAGED = re.compile("^SQLITE_(NOTADB|CORRUPT)")
_CONNECTING, _ANSWERED, _SQLITE = (
    [(re.compile(pattern, re.IGNORECASE), kind, detail) for pattern, kind, detail in written]
    for written in (_WHEN_CONNECTING, _WHEN_ANSWERED, _BY_SQLITE)
)


@contextmanager
def translate_errors(file: str | None = None) -> Iterator[None]:
    """Turn what SQLAlchemy raises in the block into our own errors, where the store is at fault and not the statement.

    *file* is that of an SQLite database.

    Raises:
        StoreDamaged: the file is no SQLite database, or is damaged.
        StoreUnavailable: the database is away or overloaded.
        StoreRefused: it answers, but not as needed.
    """
    try:
        yield
    except exc.SQLAlchemyError as error:
        refusal = _translate(error, file)
        if refusal is None:
            raise
        raise refusal from error


def describe_damage(file: str | None) -> str:
    """What is to be done about a damaged SQLite database in *file*, in words."""
    return (
        f"{file or 'The database file'} is no SQLite database, or is damaged. "
        "Stop the service, put it aside and restore a backup of it."
    )


def _translate(error: exc.SQLAlchemyError, file: str | None) -> StoreUnavailable | None:
    if isinstance(error, exc.TimeoutError):
        return StoreUnavailable("DB_POOL_SIZE: all connections to the database are in use. Try again, or raise it.")
    if not isinstance(error, exc.DBAPIError):
        return None
    name = getattr(error.orig, "sqlite_errorname", None)
    if name is not None and _DAMAGED.search(name):
        return StoreDamaged(describe_damage(file))
    if name is not None:
        return _find_refusal(_SQLITE, f"{name}: {error.orig}", "DATABASE_URI, DATA_DIR")
    return _translate_server_error(error)


def _translate_server_error(error: exc.DBAPIError) -> StoreUnavailable | None:
    state = getattr(error.orig, "sqlstate", None) or ""
    if error.connection_invalidated or state[:2] in _AWAY:
        return _find_refusal(_ANSWERED, state) or StoreUnavailable("DATABASE_URI: the database server does not answer.")
    if state:
        return _find_refusal(_ANSWERED, state)
    if error.statement is not None:
        return None
    refusal = _find_refusal(_CONNECTING, str(error.orig))
    if refusal is None:  # such as in another language
        logger.warning("The database server cannot be used: %s", error.orig)
    return refusal or StoreUnavailable("DATABASE_URI: the connection to the database server failed; the log says why.")


def _find_refusal(rules: list[Known], words: str, variable: str = "DATABASE_URI") -> StoreUnavailable | None:
    for pattern, kind, detail in rules:
        if pattern.search(words):
            return kind(f"{variable}: {detail}")
    return None
