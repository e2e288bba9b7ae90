"""The SQL tables: all of them, in one transaction of the target."""

from collections.abc import Iterator, Sequence, Set
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, and_, func, insert, inspect, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session

from auth.principal import Principal
from bootstrap.relocation.report import RECORDS, SAMPLES, Progress, StoreComparison, StoreCounts
from bootstrap.relocation.stores import Open, Store, check_path, count_both, return_true
from config import RECORDS_FILE, Settings
from domain.db import Database
from domain.db_opening import open_database
from domain.index_marks import mark_undone
from domain.indexes import list_indexes
from domain.indexing import list_tenants_with_documents
from domain.models import Base, Document, IndexRow
from domain.slots import ALL_SLOTS
from utils.errors import Conflict, StoreRefused

_BATCH_ROWS = 500
# The columns, by table, that marking passages as not indexed changes.
_SHOWN_AS = {"conversations": "transcripts"}  # beside the conversations in Redis
_INDEXING = {"chunks": {"words_in", "vectors_in"}, "documents": {"state", "status", "updated_at", "words_in"}}

Records = Store[Database]


def open_both_records(stack: AsyncExitStack, settings: Settings) -> tuple[Records, Records]:
    """The SQLite file in the data folder and the database of DATABASE_URI; closed with *stack*.

    Raises:
        StoreRefused: DATABASE_URI is no address of a database.
    """
    path = settings.data_dir / RECORDS_FILE
    remedy = f"move {path} away, with {path.name}-wal and {path.name}-shm beside it"
    return (
        _open(stack, f"sqlite:///{path}", remedy, check_path(path)),  # connecting makes a file
        _open(stack, settings.database_address, "let DATABASE_URI name an empty database", return_true),
    )


def _open(stack: AsyncExitStack, address: str, remedy: str, exists: Open[bool]) -> Records:
    database = open_database(address)
    stack.callback(database.close)

    async def check() -> Database:
        database.check()
        return database

    return Store(_describe(database.engine.url), remedy, check, exists)


def _describe(url: URL) -> str:
    """An address without its secrets; a file's is its path, so that it is the same however it is written."""
    if url.get_backend_name() == "sqlite":
        return str(Path(url.database or "").absolute())
    return URL.create("postgresql", host=url.host, port=url.port, database=url.database).render_as_string()


class RecordsMove:
    """Every table of the models, parents first. *unindexed*: its passages are not moved: they have to be indexed."""

    def __init__(self, source: Records, target: Records) -> None:
        self._stores = source, target
        self.unindexed = False

    async def count(self) -> StoreCounts:
        """How many rows both sides have; nothing is changed."""
        source, target = self._stores
        counts = _count_tables(await source.find()), _count_tables(await target.find())
        return count_both(RECORDS, self._stores, *counts)

    async def prepare(self) -> None:
        """Bring both sides to the newest migration, as a start of the service would."""
        self._source, self._target = [await store.open() for store in self._stores]
        self._source.migrate()
        self._target.migrate()

    async def copy(self, progress: Progress) -> None:
        """Copy everything, unless the target has it from an earlier attempt: it has all of it, or nothing."""
        if any(_count_tables(self._target).values()):
            return
        total, done = sum(_count_tables(self._source).values()), 0
        with self._source.open_read_session() as source, self._target.open_write_session() as target:
            for table in Base.metadata.sorted_tables:
                for rows in _read_batches(source.connection(), table):
                    _insert(target, table, rows)
                    done += len(rows)
                    progress(RECORDS, done, total)
            if self.unindexed:
                for ctx in list_tenants_with_documents(target):
                    mark_undone(target, ctx, ALL_SLOTS)

    async def compare(self) -> list[StoreComparison]:
        """Both sides compared: the number of rows, and some whole rows, of every table."""
        ignored = _INDEXING if self.unindexed else {}
        with self._source.open_read_session() as source, self._target.open_read_session() as target:
            sides = source.connection(), target.connection()
            tables = Base.metadata.sorted_tables
            return [_compare(*sides, table, ignored.get(table.name, set())) for table in tables]


async def find_tenants(records: Sequence[Records]) -> list[Principal]:
    """The tenants that have documents in any of these, where there is a database and a table in it already."""
    found: dict[str, Principal] = {}
    for store in records:
        if database := await store.find():
            with database.open_read_session() as session:
                tenants = list_tenants_with_documents(session) if _has_table(session, Document) else []
                found |= {ctx.tenant_id: ctx for ctx in tenants}
    return [found[tenant_id] for tenant_id in sorted(found)]


async def find_index(records: Sequence[Records]) -> IndexRow | None:
    """The index that the first of these with any names; None where there was none yet.

    Raises:
        Conflict: there are several, and a move is not the time to choose.
    """
    for store in records:
        if database := await store.find():
            with database.open_read_session() as session:
                rows = list_indexes(session) if _has_table(session, IndexRow) else []
                session.expunge_all()
            if len(rows) > 1:
                raise Conflict(
                    "There are several indexes, `flask index status` lists them: let the service finish switching, "
                    "then drop the others with `flask index drop` before you move."
                )
            if rows:
                return rows[0]
    return None


def _has_table(session: Session, model: type[Base]) -> bool:
    return inspect(session.connection()).has_table(model.__tablename__)


def _count_tables(database: Database | None) -> dict[str, int]:
    """Rows by table, of the tables that are there."""
    if database is None:
        return {}
    with database.open_read_session() as session:
        connection = session.connection()
        names = set(inspect(connection).get_table_names())
        return {table.name: _count(connection, table) for table in Base.metadata.sorted_tables if table.name in names}


def _count(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _read_batches(connection: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    # Of a server the driver would otherwise fetch the whole table at once.
    rows = connection.execute(select(table), execution_options={"yield_per": _BATCH_ROWS}).mappings()
    return ([dict(row) for row in part] for part in rows.partitions(_BATCH_ROWS))


def _insert(session: Session, table: Table, rows: list[dict[str, Any]]) -> None:
    try:
        session.execute(insert(table), rows)
    except (DataError, IntegrityError) as exc:  # SQLite takes longer texts than it was told
        raise StoreRefused(
            f"DATABASE_URI: a row of {table.name} does not fit there ({type(exc.orig).__name__}); none was written."
        ) from exc


def _compare(source: Connection, target: Connection, table: Table, ignored: Set[str]) -> StoreComparison:
    samples = list(source.execute(select(table).order_by(func.random()).limit(SAMPLES)).mappings())
    differing = [text for row in samples if (text := _find_difference(target, table, row, ignored))]
    counts = _count(source, table), _count(target, table)
    return StoreComparison(RECORDS, _SHOWN_AS.get(table.name, table.name), *counts, len(samples), tuple(differing))


def _find_difference(target: Connection, table: Table, row: RowMapping, ignored: Set[str]) -> str:
    """What is wrong with the row of the same key in *target*, "" where nothing is."""
    keys = table.primary_key.columns
    twin = target.execute(select(table).where(and_(*(key == row[key.name] for key in keys)))).mappings().first()
    name = f"{table.name} {' '.join(str(row[key.name]) for key in keys)}"
    if twin is None:
        return f"{name} is not in the target"
    is_same = all(twin[column] == value for column, value in row.items() if column not in ignored)
    return "" if is_same else f"{name} differs"
