"""The rows and files of uploaded data sources: found, opened to questions, and deleted."""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from sqlalchemy.orm import Session

from domain.data_source_secrets import decrypt_uri
from domain.data_sources import (
    UPLOAD,
    remove_source,
)
from domain.db import Database
from domain.models import DataSourceRow
from ingestion.tables.shapes import ColumnRead, TableRead
from utils.checkpointer.cipher import Keyring
from utils.errors import NotReady

_LONGEST_SYNONYM = 80


@dataclass(frozen=True, slots=True)
class WrittenTable:
    """A table as it is kept, and of which file it was read."""

    file: str
    table: TableRead
    row_count: int


def iter_files(folder: Path, pattern: str) -> Iterator[tuple[Path, os.stat_result]]:
    """The files in *folder* but for those that another upload places or deletes meanwhile."""
    for path in folder.glob(pattern):
        with suppress(FileNotFoundError):
            yield path, path.stat()


def find_uploaded_file(folder: Path, row: DataSourceRow, keys: Keyring | None) -> Path:
    """The SQLite file with the tables of an uploaded data source, *folder* being that of all tenants.

    Raises:
        NotReady: its address cannot be decrypted.
    """
    return folder / row.tenant_id / PurePath(decrypt_uri(row, keys)).name


def delete_source(
    database: Database, folder: Path, keys: Keyring | None, find_row: Callable[[Session], DataSourceRow]
) -> None:
    """Forget the data source that *find_row* finds, and delete the file with its tables; a database stays as it is.

    Where its address cannot be decrypted any more, the file is left for the next upload of the tenant to remove.
    """
    file: Path | None = None
    with database.open_write_session() as session:
        row = find_row(session)
        if row.type == UPLOAD:
            with suppress(NotReady):
                file = find_uploaded_file(folder, row, keys)
        remove_source(session, row)
    if file is not None:
        file.unlink(missing_ok=True)


def choose_final_path(unfinished: Path) -> Path:
    """The name by which the whole file is found."""
    return unfinished.with_name(f"{secrets.token_hex(16)}.db")


@contextmanager
def delete_on_failure(path: Path) -> Iterator[Path]:
    """*path*, for rows that name it, which are written in the block; without them it goes again."""
    try:
        yield path
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def make_allowed_tables(tables: Sequence[WrittenTable]) -> dict[str, Mapping[str, Any]]:
    """What may be read of them, as `allowed_tables` has it: all but what is hidden in the file.

    What people call them there are synonyms of the names that they have here.
    """
    opened: dict[str, Mapping[str, Any]] = {}
    for written in tables:
        columns = {each.name: _describe_column(each) for each in written.table.columns if not each.is_hidden}
        if columns and not written.table.is_hidden:
            called = written.table.sheet or PurePath(written.file).stem
            opened[written.table.name] = {
                "description": "",
                "synonyms": _list_synonyms(called, written.table.name),
                "row_filter": "",
                "allowed_columns": columns,
            }
    return opened


def _describe_column(column: ColumnRead) -> dict[str, Any]:
    return {"description": column.description, "synonyms": _list_synonyms(column.header, column.name)}


def _list_synonyms(called: str, name: str) -> list[str]:
    text = " ".join(called.split())[:_LONGEST_SYNONYM].strip()
    return [text] if text and text.casefold().replace(" ", "_") != name else []
