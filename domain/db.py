"""The database: reached, brought to the newest tables, and used in short transactions."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep, RevisionStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Row, Select, text
from sqlalchemy.orm import Session, sessionmaker

from auth.principal import Principal
from domain.db_errors import translate_errors
from domain.engines import CONNECT_TIMEOUT_S
from domain.tenant_filters import BOUND_TENANT, EVERY_TENANT, SCOPE, TenantFilterMissing, require_tenant_filters
from utils.errors import StoreDamaged, StoreRefused, StoreUnavailable

logger = logging.getLogger(__name__)

MIGRATION_LOCK = 7_021_959  # any number, the same in every process: the key of PostgreSQL's advisory lock
MIGRATION_PATIENCE_S = 120  # with another process that migrates, or uses what has to be altered


class Database:
    """An engine with its sessions. `open_read_session` and `open_write_session` begin the two kinds of transaction.

    On SQLite a transaction that begins by reading and writes later fails at once, whatever the busy timeout, if another
    process wrote in between. So those that write take the write lock when they begin, and are alone. On PostgreSQL
    several write at once: who reads before it writes locks the rows, documents in the order of their ids.

    Everything here raises `StoreUnavailable` when the database is away, and `StoreRefused` when it cannot be used.
    """

    def __init__(self, engine: Engine, *, file: str | None = None) -> None:
        self.engine = engine
        self._file = file or (None if self.is_server else engine.url.database)
        self._damage: StoreDamaged | None = None
        self._readers = sessionmaker(_open_for_reading(engine), expire_on_commit=False)
        writing = engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")
        self._writers = sessionmaker(writing, expire_on_commit=False)
        for sessions in (self._readers, self._writers):
            require_tenant_filters(sessions)
        single = {"isolation_level": "AUTOCOMMIT"} if self.is_server else {"sqlite_begin": None}
        self._single = engine.execution_options(**single)
        self._being_checked = threading.Lock()

    @property
    def file(self) -> str | None:
        """That of an SQLite database."""
        return self._file

    @property
    def is_server(self) -> bool:
        """Whether it is a PostgreSQL server, which other hosts may use too."""
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def open_read_session(self) -> Iterator[Session]:
        """A session that sees one state of the database and changes nothing."""
        with self.watch_errors(), self._readers() as session:
            yield session

    @contextmanager
    def open_write_session(self) -> Iterator[Session]:
        """A session whose changes are committed at the end of the block, or undone if it raises."""
        with self.watch_errors(), self._writers.begin() as session:
            yield session

    def find(self, ctx: Principal, statement: Select[Any], **values: Any) -> Row[Any] | None:
        """The first row that *statement*, made once by `scoping.prepare`, finds of the caller's tenant.

        Without a session and a transaction it costs a ninth: for what every turn asks.
        """
        if statement.get_execution_options().get(SCOPE) != BOUND_TENANT:
            raise TenantFilterMissing("Make the statement by `prepare` of domain/scoping.py.")
        with self.watch_errors(), self._single.connect() as connection:
            return connection.execute(statement, {**values, "tenant_id": ctx.tenant_id}).first()

    def list_everywhere(self, statement: Select[Any]) -> Sequence[Row[Any]]:
        """What *statement*, made for all tenants by domain/scoping.py, finds; as cheap as `find`, for what is asked
        again and again, nearly always in vain."""
        if statement.get_execution_options().get(SCOPE) != EVERY_TENANT:
            raise TenantFilterMissing("Make the statement by `select_everywhere` of domain/scoping.py.")
        with self.watch_errors(), self._single.connect() as connection:
            return connection.execute(statement).all()

    @contextmanager
    def watch_errors(self) -> Iterator[None]:
        """Translate errors as `translate_errors` does; from then on `check` reports a damage, wherever it was met."""
        try:
            with translate_errors(self._file):
                yield
        except StoreDamaged as error:
            self._damage = error
            raise

    def check(self) -> None:
        """Ask whether the database can be used. Blocking; one question at a time, so that a hanging one is not joined.

        Raises:
            StoreUnavailable: it does not answer.
            StoreRefused: it answers, but not as needed; `detail` says what to do.
        """
        if self._damage:
            raise StoreDamaged(self._damage.detail)
        if not self._being_checked.acquire(timeout=CONNECT_TIMEOUT_S):
            raise StoreUnavailable("DATABASE_URI: the database server does not answer in time.")
        try:
            with self.watch_errors(), self.engine.connect() as connection:
                heads = self._refuse_newer_tables(connection)
                if self.is_server:
                    _refuse_where_nothing_can_be_written(connection, to_be_altered=heads != self._newest)
        finally:
            self._being_checked.release()

    def migrate(self) -> None:
        """Bring the tables to the newest migration; of several processes that start at once, one does it.

        Raises:
            StoreUnavailable: the database is away, or another process is in the way for too long.
            StoreRefused: it cannot be used, or its tables are of a newer version of the service than this one.
        """
        options = {"sqlite_begin": "BEGIN IMMEDIATE"}
        with self.watch_errors(), self.engine.connect().execution_options(**options) as connection:
            while self._migrate_once(connection):
                pass

    def _migrate_once(self, connection: Connection) -> bool:
        """Make one migration, if there is one to make: what it locks, others do not wait for through the next ones."""
        if self.is_server:
            _wait_for_other_migrations(connection)
        is_due = self._refuse_newer_tables(connection) != self._newest
        if is_due:
            self._upgrade_by_one(connection)
        connection.commit()
        return is_due

    def _upgrade_by_one(self, connection: Connection) -> None:
        """Migrate by one; Alembic's command `upgrade +1` would read the scripts of all migrations again each time."""
        config = _make_alembic_config()
        config.attributes["connection"] = connection

        def find_next(current: Any, _: MigrationContext) -> list[RevisionStep]:
            scripts = self._scripts.iterate_revisions("+1", current, implicit_base=True)
            return [MigrationStep.upgrade_from_script(self._scripts.revision_map, script) for script in scripts]

        with EnvironmentContext(config, self._scripts, fn=find_next, destination_rev="+1"):
            self._scripts.run_env()

    def check_tables(self) -> None:
        """Ask whether the tables are there, as this version needs them. Blocking.

        Raises:
            StoreUnavailable: the database does not answer, or its tables are still to be made or altered.
            StoreRefused: it answers, but not as needed.
        """
        self.check()
        migrations = self._find_migrations()
        if migrations != self._newest:
            state = "has tables of an earlier version" if migrations else "has no tables yet"
            raise StoreUnavailable(f"DATABASE_URI: the database {state}. The service makes them when it starts.")

    def describe_tables(self) -> str:
        """How far the tables are, in words; asked after a `check`, and raises as that does."""
        self.check()
        migrations = self._find_migrations()
        if not migrations:
            return "without tables yet, made at the first start"
        if migrations != self._newest:
            return f"of an earlier version, brought to {', '.join(sorted(self._newest))} at the next start"
        return f"at migration {', '.join(sorted(migrations))}, the newest"

    def _find_migrations(self) -> set[str]:
        with self.open_read_session() as session:
            session.execute(text("SELECT 1"))
            return set(MigrationContext.configure(session.connection()).get_current_heads())

    def close(self) -> None:
        """Let go of every connection."""
        self.engine.dispose()

    @cached_property
    def _scripts(self) -> ScriptDirectory:
        return ScriptDirectory.from_config(_make_alembic_config())

    @cached_property
    def _newest(self) -> set[str]:
        return set(self._scripts.get_heads())

    @cached_property
    def _revisions(self) -> set[str]:
        return {revision.revision for revision in self._scripts.walk_revisions()}

    def _refuse_newer_tables(self, connection: Connection) -> set[str]:
        """At which migrations the tables are; none while there are no tables."""
        result = set(MigrationContext.configure(connection).get_current_heads())
        if unknown := result - self._revisions:
            raise StoreRefused(
                f"DATABASE_URI: the database is at migration {', '.join(sorted(unknown))}, which this version does not "
                "know. It was used by a newer version: start that one, or restore a backup from before it."
            )
        return result


def _make_alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _open_for_reading(engine: Engine) -> Engine:
    if engine.dialect.name != "postgresql":
        return engine  # SQLite's transactions all see one state
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _refuse_where_nothing_can_be_written(connection: Connection, *, to_be_altered: bool) -> None:
    replica, schema, may_create = connection.execute(
        text(
            "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean, current_schema(), "
            "has_schema_privilege(current_schema(), 'CREATE')"
        )
    ).one()
    if replica:
        raise StoreRefused("DATABASE_URI: the database is read-only. Name the primary server, not a replica.")
    if to_be_altered and not may_create:
        name = schema or "public"
        raise StoreRefused(
            f"DATABASE_URI: its user may not make tables there: GRANT CREATE, USAGE ON SCHEMA {name} TO <user>."
        )


def _wait_for_other_migrations(connection: Connection) -> None:
    connection.execute(text(f"SET LOCAL lock_timeout = '{MIGRATION_PATIENCE_S}s'"))
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
