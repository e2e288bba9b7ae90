"""Redis and the SQL database: asked whether they can be used as they are; nothing is written to them."""

import os
import sqlite3
import subprocess
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

import domain.migrations
from bootstrap.checks.finding import Finding, Level, failure, ok, skipped
from bootstrap.checks.refusals import noting, told
from bootstrap.checks.running import Check, waiting_for
from bootstrap.checks.settings import Installation
from bootstrap.valkey import find_valkey
from config import Settings
from domain.db import Database, open_database
from utils.checkpointer import Connections
from utils.processes import StartError

_START_REDIS = "Start it, or correct REDIS_URL (REDIS_HOST and REDIS_PORT); unset it for an embedded one."
_START_DATABASE = "Start it, or correct DATABASE_URI; unset it for a SQLite database in DATA_DIR."


def checks(installation: Installation) -> list[Check]:
    """The checks of this group."""
    return [
        Check("Redis", waiting_for(lambda: _redis(installation))),
        Check("Database", lambda: _database(installation)),
    ]


async def _redis(installation: Installation) -> list[Finding]:
    address = installation.settings.redis_address
    if why := installation.why_not("redis_"):
        return [skipped("Redis", why)]
    if address is None:
        return [_embedded_redis()]
    if why := installation.why_not_ask():
        return [skipped("Redis", why)]
    try:
        connections = Connections(address)
    except ValueError as exc:  # none of its words are the address's
        return [failure("Redis", f"REDIS_URL is no address of a Redis: {exc}.", "Correct it.")]
    findings: list[Finding] = []
    with noting(findings, "Redis", _START_REDIS):
        try:
            warnings = await connections.check()
        finally:
            await connections.aclose()
        findings.append(ok("Redis", f"{connections.address} answers"))
        findings += [told("Redis", text, "See the server's configuration.", Level.WARNING) for text in warnings]
    return findings


def _embedded_redis() -> Finding:
    instead = "Set REDIS_URL to a Redis or Valkey server."
    try:
        binary = str(find_valkey())
        told = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=True)  # noqa: S603 - our own program
    except (StartError, OSError, subprocess.SubprocessError) as exc:
        found = f"The Valkey that comes with the service does not run here ({type(exc).__name__})."
        return failure("Redis", found, instead)
    words = told.stdout.split()
    version = next((word.removeprefix("v=") for word in words if word.startswith("v=")), "of an unknown version")
    return ok("Redis", f"embedded: Valkey {version}, started with the service")


def _database(installation: Installation) -> list[Finding]:
    if why := installation.why_not("database_uri", "data_dir", "db_pool_size"):
        return [skipped("Database", why)]
    findings: list[Finding] = []
    with noting(findings, "Database", _START_DATABASE):
        file = _sqlite_file(installation.settings)
        if file is not None:
            findings.append(_sqlite(file))
        elif installation.offline:
            findings.append(skipped("Database", installation.why_not_ask()))
        else:
            findings.append(_server(installation.settings))
    return findings


def _sqlite_file(settings: Settings) -> Path | None:
    """The file of a SQLite database, None for a server."""
    address = settings.database_address
    if not address.startswith("sqlite:"):
        return None
    return Path(make_url(address).database or ":memory:")


def _sqlite(file: Path) -> Finding:
    if not file.exists():
        return ok("Database", f"SQLite: {file} is made at the first start")
    if not os.access(file, os.R_OK | os.W_OK):
        return failure("Database", f"{file} cannot be read and written by this user.", "Let this user own it.")
    # A database that nobody uses has no log of changes beside it. Then it is read as it stands: otherwise SQLite would
    # make that log, and a lock, only to look.
    untouched = "" if Path(f"{file}-wal").exists() else "&immutable=1"
    address = f"{file.absolute().as_uri()}?mode=ro{untouched}"
    database = Database(create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True)))
    return _looked_at(database, f"SQLite: {file}")


def _server(settings: Settings) -> Finding:
    database = open_database(settings.database_address, pool_size=1)
    url = database.engine.url
    return _looked_at(database, f"PostgreSQL at {url.host or 'its socket'}:{url.port or 5432}, database {url.database}")


def _looked_at(database: Database, what: str) -> Finding:
    """Raises StoreUnavailable or StoreRefused as `Database.check` does."""
    try:
        database.check()
        with database.reading() as session:
            session.execute(text("SELECT 1"))
            heads = set(MigrationContext.configure(session.connection()).get_current_heads())
    finally:
        database.close()
    newest = set(ScriptDirectory(str(Path(domain.migrations.__file__).parent)).get_heads())
    if not heads:
        return ok("Database", f"{what}; without tables yet, made at the first start")
    if heads != newest:
        told = f"of an earlier version, brought to {', '.join(sorted(newest))} at the next start"
        return ok("Database", f"{what}; {told}")
    return ok("Database", f"{what}; at migration {', '.join(sorted(heads))}, the newest")
