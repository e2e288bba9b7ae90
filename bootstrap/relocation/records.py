"""The SQL tables: all of them, in one transaction of the target."""

from collections.abc import Callable, Iterator, Set
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, and_, func, insert, inspect, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session

from bootstrap.relocation.places import Place
from bootstrap.relocation.report import RECORDS, SAMPLES, Check, Look, Progress
from config import RECORDS_FILE, Settings
from domain.db import Database, open_database
from domain.indexes import list_indexes
from domain.indexing import all_tenants, mark_undone
from domain.models import Base, Document, IndexRow
from domain.slots import ALL_SLOTS
from utils.context import TenantContext
from utils.errors import Conflict, StoreRefused

_BATCH_ROWS = 500
# The columns, by table, that marking passages as not indexed changes.
_INDEXING = {"chunks": {"words_in", "vectors_in"}, "documents": {"state", "status", "updated_at", "words_in"}}

Row = RowMapping


def embedded_records(stack: AsyncExitStack, settings: Settings) -> Place[Database]:
    """The SQLite file in the data folder."""
    path = settings.data_dir / RECORDS_FILE
    way_out = f"move {path} away, with {path.name}-wal and {path.name}-shm beside it"
    return _place(stack, f"sqlite:///{path}", way_out, path.exists)


def configured_records(stack: AsyncExitStack, settings: Settings) -> Place[Database]:
    """The database of DATABASE_URI.

    Raises:
        StoreRefused: it is no address of a database.
    """
    return _place(stack, settings.database_address, "let DATABASE_URI name an empty database", lambda: True)


def _place(stack: AsyncExitStack, address: str, way_out: str, exists: Callable[[], bool]) -> Place[Database]:
    database = open_database(address)
    stack.callback(database.close)

    async def find() -> Database | None:
        if not exists():  # connecting makes a file
            return None
        database.check()
        return database

    async def make() -> Database:
        database.migrate()
        return database

    return Place(_shown(database.engine.url), way_out, find, make)


def _shown(url: URL) -> str:
    """An address without its secrets; a file's is its path, so that it is the same however it is written."""
    if url.get_backend_name() == "sqlite":
        return str(Path(url.database or "").absolute())
    return URL.create("postgresql", host=url.host, port=url.port, database=url.database).render_as_string()


class RecordsMove:
    """Every table of the models, parents first. *unindexed*: its passages are not moved and have to be indexed anew."""

    role = RECORDS

    def __init__(self, source: Place[Database], target: Place[Database]) -> None:
        self._places = source, target
        self.unindexed = False

    async def look(self) -> Look:
        """How many rows both sides have; nothing is changed."""
        source, target = self._places
        return Look(
            role=RECORDS,
            from_place=source.name,
            to_place=target.name,
            source=_counts(await source.find()),
            target=_counts(await target.find()),
            way_out=target.way_out,
        )

    async def prepare(self) -> None:
        """Bring both sides to the newest migration, as a start of the service would."""
        self._source, self._target = [await place.make() for place in self._places]

    async def copy(self, progress: Progress) -> None:
        """Copy everything, unless the target has it from an earlier attempt: it has all of it, or nothing."""
        if any(_counts(self._target).values()):
            return
        total = sum(_counts(self._source).values())
        done = 0
        with self._source.reading() as source, self._target.writing() as target:
            for table in _tables():
                for rows in _batches(source.connection(), table):
                    _insert(target, table, rows)
                    done += len(rows)
                    progress(RECORDS, done, total)
            if self.unindexed:
                _mark_unindexed(target)

    async def check(self) -> list[Check]:
        """Both sides compared: the number of rows, and some whole rows, of every table."""
        ignored = _INDEXING if self.unindexed else {}
        with self._source.reading() as source, self._target.reading() as target:
            sides = source.connection(), target.connection()
            return [_compare(*sides, table, ignored.get(table.name, set())) for table in _tables()]


async def tenants_of(*places: Place[Database]) -> list[TenantContext]:
    """The tenants that have documents in any of these, where there is a database and a table in it already."""
    found: dict[str, TenantContext] = {}
    for place in places:
        database = await place.find()
        if database is not None:
            found |= {ctx.tenant_id: ctx for ctx in _tenants(database)}
    return [found[tenant_id] for tenant_id in sorted(found)]


async def index_of(*places: Place[Database]) -> IndexRow | None:
    """The index that the first of these with any names; None where there was none yet.

    Raises:
        Conflict: there are several, and a move is not the time to choose.
    """
    for place in places:
        database = await place.find()
        rows = _indexes(database) if database is not None else []
        if len(rows) > 1:
            raise Conflict(
                "There are several indexes, `flask index status` lists them: let the service finish switching, then "
                "drop the others with `flask index drop` before you move."
            )
        if rows:
            return rows[0]
    return None


def _indexes(database: Database) -> list[IndexRow]:
    with database.reading() as session:
        there = inspect(session.connection()).has_table(IndexRow.__tablename__)
        rows = list_indexes(session) if there else []
        session.expunge_all()
        return rows


def _tenants(database: Database) -> list[TenantContext]:
    with database.reading() as session:
        return all_tenants(session) if inspect(session.connection()).has_table(Document.__tablename__) else []


def _tables() -> list[Table]:
    return Base.metadata.sorted_tables


def _counts(database: Database | None) -> dict[str, int]:
    """Rows by table, of the tables that are there."""
    if database is None:
        return {}
    with database.reading() as session:
        connection = session.connection()
        there = set(inspect(connection).get_table_names())
        return {table.name: _count(connection, table) for table in _tables() if table.name in there}


def _count(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _batches(connection: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    # Of a server the driver would otherwise fetch the whole table at once.
    rows = connection.execute(select(table), execution_options={"yield_per": _BATCH_ROWS}).mappings()
    for part in rows.partitions(_BATCH_ROWS):
        yield [dict(row) for row in part]


def _insert(session: Session, table: Table, rows: list[dict[str, Any]]) -> None:
    try:
        session.execute(insert(table), rows)
    except (DataError, IntegrityError) as exc:  # SQLite takes longer texts than it was told
        raise StoreRefused(
            f"DATABASE_URI: a row of {table.name} does not fit there ({type(exc.orig).__name__}); none was written."
        ) from exc


def _mark_unindexed(session: Session) -> None:
    for ctx in all_tenants(session):
        mark_undone(session, ctx, ALL_SLOTS)


def _compare(source: Connection, target: Connection, table: Table, ignored: Set[str]) -> Check:
    samples = _sample(source, table)
    twins = [_twin(target, table, row) for row in samples]
    differing = [
        _told(table, row, twin) for row, twin in zip(samples, twins, strict=True) if not _same(row, twin, ignored)
    ]
    return Check(RECORDS, table.name, _count(source, table), _count(target, table), len(samples), tuple(differing))


def _sample(connection: Connection, table: Table) -> list[Row]:
    return list(connection.execute(select(table).order_by(func.random()).limit(SAMPLES)).mappings())


def _twin(connection: Connection, table: Table, row: Row) -> Row | None:
    key = and_(*(column == row[column.name] for column in table.primary_key))
    return connection.execute(select(table).where(key)).mappings().first()


def _same(row: Row, twin: Row | None, ignored: Set[str]) -> bool:
    return twin is not None and all(twin[name] == value for name, value in row.items() if name not in ignored)


def _told(table: Table, row: Row, twin: Row | None) -> str:
    key = " ".join(str(row[column.name]) for column in table.primary_key)
    return f"{table.name} {key} {'differs' if twin else 'is not in the target'}"
