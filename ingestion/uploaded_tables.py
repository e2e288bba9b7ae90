"""Files that become data sources: their tables are read in the sandbox and written into an SQLite file of ours."""

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.orm import Session

from auth.principal import Principal
from datasources.catalog import dump_schema, load_schema
from datasources.schema import Schema, SchemaLimits
from datasources.sqlite import SqliteSource
from datasources.stopping import Stop
from datasources.table_file import TableFile, TableFileFull, TableFileInvalid, write_table_file
from domain.data_source_secrets import decrypt_schema, store_schema
from domain.data_sources import (
    UPLOAD,
    SourceSpec,
    change_source,
    create_source,
    get_source,
    list_uploaded,
)
from domain.db import Database
from domain.models import DataSourceRow
from domain.quotas import Quotas, find_room_bytes, get_usage, lock_usage
from ingestion.policy import ReadingPolicy
from ingestion.tables.names import make_unique
from ingestion.tables.reading import Batches, TableReader
from ingestion.tables.shapes import TableLimits
from ingestion.uploaded_files import (
    WrittenTable,
    choose_final_path,
    delete_on_failure,
    find_uploaded_file,
    iter_files,
    make_allowed_tables,
)
from utils.checkpointer.cipher import Keyring
from utils.concurrency import ConcurrencyLimit
from utils.disk import DiskSpace
from utils.errors import Conflict, NotReady, TooLarge, UnreadableDocument
from utils.private_files import UNFINISHED

logger = logging.getLogger(__name__)

MAX_FILES, MAX_TABLES = 20, 100
_MAX_BYTES = 500_000_000  # of the SQLite file
_AT_ONCE, _MAX_WAITING = 2, 18
_LONGEST_LOCATION = 200
_ORPHAN_S = 3_600.0  # longer than any upload takes
_BUSY = "Many files with tables are being read already. Try again in a moment."
_OTHER_KIND = "It is a database, not files that were uploaded: change its address, or add another data source."


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file of an upload, which is read when its turn comes."""

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class UploadedSource:
    """A data source, and what was read of its files."""

    source_id: str
    tables: tuple[WrittenTable, ...]


@dataclass(frozen=True, slots=True)
class _Written:
    path: Path
    tables: tuple[WrittenTable, ...]
    schema: Schema
    location: str


class UploadedTables:
    """Makes data sources of files. Blocking, for threads; `turns` are to be taken around each call in a service.

    Their tables are kept in *folder*, which is on *disk*, in a folder for each tenant.
    """

    def __init__(
        self,
        folder: Path,
        database: Database,
        keys: Keyring | None,
        policy: ReadingPolicy,
        *,
        quotas: Quotas,
        disk: DiskSpace,
    ) -> None:
        self._folder, self._database, self._keys, self._policy = folder, database, keys, policy
        self._quotas, self._disk = quotas, disk
        self.turns = ConcurrencyLimit(_AT_ONCE, may_wait=_MAX_WAITING, refusal=_BUSY)

    def create(self, ctx: Principal, name: str, description: str, files: Sequence[SentFile]) -> UploadedSource:
        """A data source with the tables of *files*, which are opened to questions, but for what is hidden in a file.

        Raises:
            Conflict: there is one of this name.
            UnreadableDocument, TooLarge: a file cannot be read, or is beyond a limit; the text names it.
            QuotaExceeded: the tenant may keep no more.
            NotReady, ScannerUnavailable, NotEnoughSpace: not now.
        """
        self._remove_orphans(ctx)
        with (
            self._write(ctx, files) as written,
            delete_on_failure(choose_final_path(written.path)) as final,
            self._database.open_write_session() as session,
        ):
            spec = SourceSpec(UPLOAD, f"upload:///{final.name}", written.location)
            row = create_source(session, ctx, name, description, spec, self._keys, make_allowed_tables(written.tables))
            self._place(session, ctx, written.path, final)
            store_schema(row, dump_schema(written.schema), self._keys)
            source_id = row.source_id
        return UploadedSource(source_id, written.tables)

    def replace(self, ctx: Principal, source_id: str, files: Sequence[SentFile]) -> UploadedSource:
        """Put the tables of *files* in the place of those that it has; what is said of tables and columns stays.

        Raises:
            NotFound: the tenant has no such data source.
            Conflict: it is none that was uploaded.
            As `create`.
        """
        with self._database.open_read_session() as session:
            only_name = self._find_only_name(get_source(session, ctx, source_id))
        with (
            self._write(ctx, files, only_name) as written,
            delete_on_failure(choose_final_path(written.path)) as final,
            self._database.open_write_session() as session,
        ):
            lock_usage(session, ctx)
            row = get_source(session, ctx, source_id, lock=True)
            former = find_uploaded_file(self._folder, row, self._keys)
            self._place(session, ctx, written.path, final, former)
            spec = SourceSpec(UPLOAD, f"upload:///{final.name}", written.location)
            change_source(session, row, spec=spec, keys=self._keys)
            store_schema(row, dump_schema(written.schema), self._keys)
        former.unlink(missing_ok=True)  # a query under way has it open
        return UploadedSource(source_id, written.tables)

    def _find_only_name(self, row: DataSourceRow) -> str | None:
        """The name of its table if it has one alone: then the next one is called so too, whatever its file is."""
        if row.type != UPLOAD:
            raise Conflict(_OTHER_KIND)
        stored = decrypt_schema(row, self._keys)
        tables = load_schema(stored).tables if stored else ()
        return tables[0].name[1] if len(tables) == 1 else None

    @contextmanager
    def _write(self, ctx: Principal, files: Sequence[SentFile], only_name: str | None = None) -> Iterator[_Written]:
        """An SQLite file with the tables of *files*, which is removed at the end unless it was placed elsewhere."""
        if not files:
            raise UnreadableDocument("There is no file in it: send each in a part called files.")
        if len(files) > MAX_FILES:
            raise TooLarge(f"A data source is made of at most {MAX_FILES} files.")
        folder = self._folder / ctx.tenant_id
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._database.open_read_session() as session:
            max_bytes = min(_MAX_BYTES, find_room_bytes(self._quotas, self._count_bytes(session, ctx)))
        path = folder / f"{UNFINISHED}{secrets.token_hex(8)}"
        try:
            with write_table_file(path, max_bytes) as file:
                tables = self._write_files(file, files)
                if only_name and len(tables) == 1 and tables[0].table.name != only_name:
                    file.rename(tables[0].table.name, only_name)
                    tables = [replace(tables[0], table=replace(tables[0].table, name=only_name))]
            path.chmod(0o600)
            schema = SqliteSource(path).read_schema(SchemaLimits(), Stop())
            names = ", ".join(each.name for each in files)
            yield _Written(path, tuple(tables), schema, names[:_LONGEST_LOCATION])
        except TableFileFull as exc:
            text = f"Its tables would take more than {max_bytes / 1e6:,.0f} MB: leave columns out, or send fewer rows."
            raise TooLarge(text) from exc
        except TableFileInvalid as exc:
            logger.warning("Tables of an upload could not be written: %s", exc)
            raise UnreadableDocument("Damaged or unsupported file: save or export it again.") from exc
        finally:
            path.unlink(missing_ok=True)

    def _write_files(self, file: TableFile, files: Sequence[SentFile]) -> list[WrittenTable]:
        limits = TableLimits(size_bytes=self._policy.limits.size_bytes)
        reader = TableReader(self._policy.sandbox, self._policy.malware, limits, time.monotonic() + limits.timeout_s)
        written_tables: list[WrittenTable] = []
        names: set[str] = set()
        for sent in files:
            with closing(reader.read(sent.read(), sent.name)) as tables:
                for table, rows in tables:
                    own = replace(table, name=make_unique(table.name, names))
                    columns = [(each.name, each.kind) for each in own.columns]
                    count = file.add(own.name, columns, self._limit_to_free_space(rows))
                    written_tables.append(WrittenTable(sent.name, own, count))
                    if len(written_tables) > MAX_TABLES:
                        raise TooLarge(f"A data source has at most {MAX_TABLES} tables of files: send fewer.")
        return written_tables

    def _limit_to_free_space(self, batches: Batches) -> Batches:
        for batch in batches:
            self._disk.check_documents()
            yield batch

    def _place(
        self, session: Session, ctx: Principal, unfinished: Path, final: Path, former: Path | None = None
    ) -> None:
        """Give the whole file its name, which takes the place of *former*. After `lock_usage`: of many uploads at once
        each sees what the others keep.

        Raises:
            QuotaExceeded: the tenant may keep no more.
        """
        used_bytes = self._count_bytes(session, ctx)
        if former is not None and former.exists():
            used_bytes -= former.stat().st_size
        find_room_bytes(self._quotas, used_bytes, needed_bytes=unfinished.stat().st_size)
        unfinished.rename(final)

    def _count_bytes(self, session: Session, ctx: Principal) -> int:
        """The bytes of documents and of tables of files."""
        tables = iter_files(self._folder / ctx.tenant_id, "*.db")
        return get_usage(session, ctx).size_bytes + sum(found.st_size for _, found in tables)

    def _remove_orphans(self, ctx: Principal) -> None:
        """Remove what processes have left that were killed between the two steps of an upload or a deletion."""
        folder = self._folder / ctx.tenant_id
        try:
            with self._database.open_read_session() as session:
                used = {find_uploaded_file(self._folder, row, self._keys) for row in list_uploaded(session, ctx)}
        except NotReady:  # nobody can tell what is used
            return
        for path, found in iter_files(folder, "*"):
            if path not in used and found.st_mtime < time.time() - _ORPHAN_S:
                path.unlink(missing_ok=True)
