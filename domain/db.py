"""The database: opened, brought to the newest tables, and used in short transactions."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session, sessionmaker

from utils.errors import NotReady

BUSY_TIMEOUT_MS = 15_000
MIGRATION_LOCK = 7_021_959  # any number, the same in every process: the key of PostgreSQL's advisory lock


class Database:
    """An engine with its sessions. `reading` and `writing` are the two kinds of transaction.

    They differ on SQLite only: a transaction that begins by reading and writes later fails at once, whatever the busy
    timeout, if another process wrote in between. So those that write take the write lock when they begin.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._readers = sessionmaker(engine, expire_on_commit=False)
        writing = engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")
        self._writers = sessionmaker(writing, expire_on_commit=False)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the database and changes nothing."""
        with self._readers() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session whose changes are committed at the end of the block, or undone if it raises."""
        with self._writers.begin() as session:
            yield session

    def migrate(self) -> None:
        """Bring the tables to the newest migration; of several processes that start at once, one does it.

        Raises:
            NotReady: the tables are of a newer version of the service than this one.
        """
        scripts = ScriptDirectory.from_config(_alembic_config())
        with self.engine.connect().execution_options(sqlite_begin="BEGIN IMMEDIATE") as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            _refuse_newer_tables(connection, scripts)
            config = _alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()

    def close(self) -> None:
        """Let go of every connection."""
        self.engine.dispose()


def open_database(uri: str) -> Database:
    """The database at *uri*, `sqlite:///<path>` or `postgresql://…`; nothing is connected yet.

    Raises:
        NotReady: the driver for it is not installed.
    """
    url = make_url(uri.replace("postgres://", "postgresql://", 1))
    if url.get_backend_name() != "sqlite":
        return Database(_server_engine(url))
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return Database(engine)


def _server_engine(url: URL) -> Engine:
    try:
        return create_engine(url, pool_pre_ping=True)
    except ModuleNotFoundError as exc:
        raise NotReady(f"For a {url.get_backend_name()} database the package {exc.name} must be installed.") from exc


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver would begin transactions by its own rules, only before a change and not around DDL: we begin them.
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))


def _alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _refuse_newer_tables(connection: Connection, scripts: ScriptDirectory) -> None:
    known = {revision.revision for revision in scripts.walk_revisions()}
    unknown = set(MigrationContext.configure(connection).get_current_heads()) - known
    if unknown:
        raise NotReady(
            f"The database is at migration {', '.join(sorted(unknown))}, which this version does not know. "
            "It was used by a newer version: start that one, or restore a backup from before it."
        )
