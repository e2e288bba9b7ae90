"""From DATABASE_URI to an engine: which database it is, and how patient we are with it."""

from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from utils.errors import StoreRefused

BUSY_TIMEOUT_MS = 15_000
CONNECT_TIMEOUT_S = 5
POOL_TIMEOUT_S = 5.0  # how long a request waits for one of DB_POOL_SIZE connections
RECYCLE_S = 1_800  # routers and firewalls forget connections that were idle for hours
STATEMENT_TIMEOUT_MS = 30_000
IDLE_TRANSACTION_TIMEOUT_MS = 120_000  # what a process that hangs may keep locked
OLDEST_SERVER = 12

_HOW = "Write it as postgresql://user:password@host:5432/database, with @ : / # % in the password percent-encoded."
_CONNECTION: dict[str, Any] = {
    "application_name": "pustaka",
    "connect_timeout": CONNECT_TIMEOUT_S,
    # A host that vanished is noticed after half a minute instead of hours, by either side.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
# Set in the session, not by the `options` of the connection: PgBouncer refuses those.
_SESSION: dict[str, int] = {
    "statement_timeout": STATEMENT_TIMEOUT_MS,
    "idle_in_transaction_session_timeout": IDLE_TRANSACTION_TIMEOUT_MS,
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
}


def open_engine(uri: str, *, pool_size: int) -> Engine:
    """An engine for *uri*; nothing is connected yet.

    Raises:
        StoreRefused: it is no address of a database that is supported.
    """
    url = parse_address(uri)
    backend = url.get_backend_name()
    if backend == "sqlite":
        return _open_sqlite(url.set(drivername="sqlite"))
    if backend in ("postgres", "postgresql"):
        return _open_postgres(_mask_query(url), pool_size)
    raise StoreRefused(f"DATABASE_URI: {backend} is not supported. {_HOW} Unset it for a database in DATA_DIR.")


def parse_address(uri: str) -> URL:
    """The parts of *uri*.

    Raises:
        StoreRefused: it is no address of a database.
    """
    # What the parser complains of may be a part of the password: nothing of it goes on.
    with suppress(ArgumentError, ValueError):
        url = make_url(uri.strip())
        if "@" not in (url.host or ""):  # the rest of a password that holds one
            return url
    raise StoreRefused(f"DATABASE_URI: this is not the address of a database. {_HOW}")


def _mask_query(url: URL) -> URL:
    """libpq takes `?password=` too, which SQLAlchemy would show wherever it shows the URL."""
    password = url.query.get("password")
    url = url.set(drivername="postgresql+psycopg").difference_update_query(["password"])
    return url.set(password=password) if isinstance(password, str) else url


def _open_sqlite(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000}, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver would begin transactions by its own rules, only before a change and not around DDL: we begin them.
    connection.isolation_level = None
    # secure_delete: what is deleted is overwritten, not only left in free pages.
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    if begin := connection.get_execution_options().get("sqlite_begin", "BEGIN"):
        connection.exec_driver_sql(begin)


def _open_postgres(url: URL, pool_size: int) -> Engine:
    try:
        engine = create_engine(
            url,
            connect_args={name: value for name, value in _CONNECTION.items() if name not in url.query},
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_S,
            pool_recycle=RECYCLE_S,
            pool_pre_ping=True,
            hide_parameters=True,  # in errors and logs: they are documents and hashes of keys
        )
    except ImportError as exc:
        raise StoreRefused("DATABASE_URI: for PostgreSQL the package psycopg[binary] must be installed.") from exc
    # Before SQLAlchemy's own first questions, which do not understand every server.
    event.listen(engine.pool, "connect", _prepare_postgres, insert=True)
    return engine


def _prepare_postgres(connection: Any, _record: object) -> None:
    version = connection.info.server_version // 10_000
    if version < OLDEST_SERVER:
        raise StoreRefused(f"DATABASE_URI: this is PostgreSQL {version}; {OLDEST_SERVER} or newer is needed.")
    if connection.info.parameter_status("server_encoding") != "UTF8":
        raise StoreRefused("DATABASE_URI: this database cannot hold every language. Create it with ENCODING 'UTF8'.")
    connection.autocommit = True  # a setting made in a transaction is undone with it
    connection.execute("; ".join(f"SET {name} = {value}" for name, value in _SESSION.items())).close()
    connection.autocommit = False
