"""A migrated database with two tenants, for every test about records."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from sqlalchemy import make_url, text

from auth.operators import make_operator_for
from auth.principal import Principal
from domain.db import Database
from domain.db_opening import open_database
from domain.documents import ChunkText, DocumentContent
from domain.keys import ensure_tenant
from ingestion.chunking import ChunkSizes

ACME = make_operator_for("acme", "test")
GLOBEX = make_operator_for("globex", "test")


def two_tenants(uri: str) -> Database:
    """The empty database at *uri*, brought to the newest migration, with the tenants of `ACME` and `GLOBEX`.

    A file of SQLite that is missing is copied from one that was migrated before, by this process.
    """
    url = make_url(uri)
    if url.drivername != "sqlite" or Path(str(url.database)).exists():
        return _migrate(uri)
    shutil.copyfile(_migrated_file(), str(url.database))
    return open_database(uri)


@cache
def _migrated_file() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="pustaka-records-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _migrate(f"sqlite:///{folder / 'records.db'}").close()
    return folder / "records.db"


def _migrate(uri: str) -> Database:
    database = open_database(uri)
    database.migrate()
    with database.open_write_session() as session:
        for ctx in (ACME, GLOBEX):
            ensure_tenant(session, ctx.tenant_id)
    return database


def content(*texts: str, source: str = "handbook/leave.md") -> DocumentContent:
    """A document that says *texts*, a chunk each."""
    return DocumentContent(
        source=source,
        title="Leave",
        url=None,
        language="en",
        media_type="text/markdown",
        size_bytes=sum(map(len, texts)),
        content_hash=f"{abs(hash(texts)):064x}",
        parser_version="1",
        chunking_version=ChunkSizes().chunking_version,
        chunks=[ChunkText(text, 0, len(text), "Leave", None, "en") for text in texts],
    )


def refuse(database: Database, table: str, ctx: Principal) -> None:
    """From now on *database*, which is SQLite, takes no new row of the tenant in *table*."""
    when = f"BEFORE INSERT ON {table} WHEN new.tenant_id = '{ctx.tenant_id}'"
    with database.open_write_session() as session:
        session.execute(text(f"CREATE TRIGGER refuse {when} BEGIN SELECT RAISE(ABORT, 'refused'); END"))


def address(database: Database) -> str:
    """Its URL with the password, for another process."""
    return database.engine.url.render_as_string(hide_password=False)
