"""Databases of tenants: found in SQL, connected to and read, each in a thread of a pool."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from auth.principal import Principal
from datasources.catalog import dump_schema, load_schema
from datasources.errors import QueryFailed, SourceUnavailable
from datasources.schema import Schema, SchemaLimits
from datasources.source import DataSource
from datasources.stopping import Stop
from domain.data_source_secrets import decrypt_schema, store_schema
from domain.data_sources import get_source
from domain.db import Database
from domain.models import DataSourceRow
from utils.checkpointer.cipher import Keyring
from utils.errors import Conflict, SourceFailed

T = TypeVar("T")
_THREADS = 4  # a database that hangs takes one until its time is over


@dataclass(frozen=True, slots=True)
class SourceCheck:
    """How a data source was connected to: `detail` is why it was not, `notes` are what should be better about it."""

    duration_ms: float
    notes: tuple[str, ...] = ()
    detail: str = ""


class OpenedSources:
    """*keys* are what schemas are encrypted under, *open_source* gives the database of a row."""

    def __init__(
        self, database: Database, keys: Keyring | None, open_source: Callable[[DataSourceRow], DataSource]
    ) -> None:
        self._database, self._keys, self._open_source = database, keys, open_source
        self._threads = ThreadPoolExecutor(_THREADS, "data-sources")

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def check(self, ctx: Principal, source_id: str) -> SourceCheck:
        """Connect to it. Whoever leaves ends it.

        Raises:
            NotFound: the tenant has none of this id.
            NotReady: its address cannot be decrypted.
        """

        def check(stop: Stop) -> SourceCheck:
            (source, _), began_s = self._open(ctx, source_id), time.perf_counter()
            try:
                notes, detail = tuple(source.check(stop)), ""
            except (SourceUnavailable, QueryFailed) as exc:
                notes, detail = (), str(exc)
            return SourceCheck(round((time.perf_counter() - began_s) * 1000, 1), notes, detail)

        return await self._run(check)

    async def read_schema(self, ctx: Principal, source_id: str) -> None:
        """Read what it holds, and store that. Whoever leaves ends it.

        Raises:
            NotFound: the tenant has none of this id.
            NotReady: its address cannot be decrypted.
            SourceFailed: it cannot be read.
            Conflict: it was changed while it was read.
        """

        def read(stop: Stop) -> None:
            source, version = self._open(ctx, source_id)
            try:
                schema = source.read_schema(SchemaLimits(), stop)
            except (SourceUnavailable, QueryFailed) as exc:
                raise SourceFailed(str(exc)) from exc
            self._store(ctx, source_id, version, schema)

        await self._run(read)

    async def _run(self, work: Callable[[Stop], T]) -> T:
        stop = Stop()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, stop)
        except asyncio.CancelledError:
            # In a thread: to cancel a query is to connect to its server.
            await asyncio.shield(asyncio.to_thread(stop.stop))
            raise

    def _open(self, ctx: Principal, source_id: str) -> tuple[DataSource, int]:
        """The database, and the version of what says where it is."""
        with self._database.open_read_session() as session:
            row = get_source(session, ctx, source_id)
            return self._open_source(row), row.version

    def _store(self, ctx: Principal, source_id: str, version: int, schema: Schema) -> None:
        with self._database.open_write_session() as session:
            row = get_source(session, ctx, source_id, lock=True)
            if row.version != version:
                raise Conflict("The data source was changed while its schema was read: read it again.")
            store_schema(row, dump_schema(schema), self._keys)


def load_source_schema(row: DataSourceRow, keys: Keyring | None) -> Schema | None:
    """What is stored of what the data source holds; None where it was not read yet.

    Raises:
        NotReady: it cannot be decrypted.
    """
    stored = decrypt_schema(row, keys)
    return load_schema(stored) if stored else None
