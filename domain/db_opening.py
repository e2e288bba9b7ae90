"""Opens a database, waits until it can be used, and looks for damage."""

import logging
import sqlite3
import time
from pathlib import Path

from sqlalchemy import create_engine

from domain.db import Database
from domain.db_errors import describe_damage
from domain.engines import open_engine
from utils.errors import StoreDamaged, StoreRefused, StoreUnavailable

logger = logging.getLogger("domain.db")
_ASK_AGAIN_S = 0.5


def open_database(uri: str, *, pool_size: int = 20) -> Database:
    """The database at *uri*, `sqlite:///<path>` or `postgresql://…`; nothing is connected yet.

    *pool_size*: connections to a server at most.

    Raises:
        StoreRefused: it is no address of a database that is supported.
    """
    return Database(open_engine(uri, pool_size=pool_size))


def open_read_only(file: Path) -> Database:
    """The SQLite database in *file*, of which nothing is changed."""
    # A database that nobody uses has no log of changes beside it. Then it is read as it stands: otherwise SQLite would
    # make that log, and a lock, only to look.
    untouched = "" if Path(f"{file}-wal").exists() else "&immutable=1"
    address = f"{file.absolute().as_uri()}?mode=ro{untouched}"
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True))
    return Database(engine, file=str(file.absolute()))


def look_for_damage(database: Database, limit_s: float) -> bool:
    """Whether all of an SQLite database was looked through within *limit_s*, and is whole. Blocking.

    Raises:
        StoreDamaged: it is damaged.
    """
    deadline = time.monotonic() + limit_s
    with database.watch_errors(), database.engine.connect() as connection:
        driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment] # of SQLite
        driver.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
        try:
            result = driver.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorname == "SQLITE_INTERRUPT":
                return False
            raise
    if result != "ok":
        raise StoreDamaged(describe_damage(database.file))
    return True


def wait_for_database(database: Database, patience_s: float) -> None:
    """Return once the database can be used; for starts at which it comes up later than we do. Blocking.

    Raises:
        StoreUnavailable: it did not answer within *patience_s*.
        StoreRefused: it cannot be used, and waiting would not help.
    """
    deadline, logged = time.monotonic() + patience_s, ""
    while True:
        try:
            database.check()
        except StoreRefused:
            raise
        except StoreUnavailable as exc:
            if time.monotonic() >= deadline:
                raise
            if exc.detail != logged:
                logger.warning("%s Waiting for it, %.0f s at most.", exc.detail, deadline - time.monotonic())
                logged = exc.detail
        else:
            return
        time.sleep(_ASK_AGAIN_S)


def wait_for_tables(database: Database) -> None:
    """Return once the service has made the tables; says once what is waited for. Blocking.

    Waits also for what is refused: a folder that the service makes, or rights that an operator gives.
    """
    logged = ""
    while True:
        try:
            database.check_tables()
        except StoreUnavailable as exc:
            if exc.detail != logged:
                logger.warning("%s Waiting until it can be used.", exc.detail)
                logged = exc.detail
        else:
            if logged:
                logger.info("The database can be used now.")
            return
        time.sleep(2 * _ASK_AGAIN_S)
