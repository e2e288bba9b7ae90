"""Redis, the SQL database and the malware scanner: asked whether they can be used as they are; nothing is written."""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from bootstrap.checks.settings import Installation
from bootstrap.valkey import find_valkey
from domain.db import Database
from domain.db_opening import look_for_damage, open_database, open_read_only
from domain.engines import parse_address
from providers.scanner.clamd import Clamd
from utils.checkpointer import Connections
from utils.errors import ScannerUnavailable
from utils.findings import Finding, Level, failure, ok, skipped, split_message
from utils.processes import StartError

_SCAN_TIMEOUT_S = 8.0
# Longer than the service's own: the other checks, which run beside this one, take the processor.
_REDIS_CONNECT_S, _REDIS_TIMEOUT_S = 4.0, 8.0
_LOOK_THROUGH_S = 8.0


async def check_redis(installation: Installation) -> AsyncIterator[Finding]:
    """Whether Redis answers and is set up as conversations need it."""
    address = installation.settings.redis_address
    if address is None:
        yield _check_embedded_redis()
        return
    try:
        connections = Connections(address, connect_timeout_s=_REDIS_CONNECT_S, timeout_s=_REDIS_TIMEOUT_S)
    except ValueError as exc:  # none of its words are the address's
        yield failure("Redis", f"REDIS_URL is no address of a Redis: {exc}.", "Correct it.")
        return
    try:
        warnings = await connections.check()
    finally:
        await connections.aclose()
    yield ok("Redis", f"{connections.address} answers")
    for text in warnings:
        yield split_message("Redis", text, "See the server's configuration.", Level.WARNING)


def _check_embedded_redis() -> Finding:
    try:
        command = [str(find_valkey()), "--version"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603 - our own program
    except (StartError, OSError, subprocess.SubprocessError) as exc:
        text = f"The Valkey that comes with the service does not run here ({type(exc).__name__})."
        return failure("Redis", text, "Set REDIS_URL to a Redis or Valkey server.")
    versions = (word.removeprefix("v=") for word in done.stdout.split() if word.startswith("v="))
    return ok("Redis", f"embedded: Valkey {next(versions, 'of an unknown version')}, started with the service")


def check_database(installation: Installation) -> Iterator[Finding]:
    """Whether the SQL database can be used, and how far its tables are."""
    url = parse_address(installation.settings.database_address)
    if url.get_backend_name() != "sqlite":
        server = f"PostgreSQL at {url.host or 'its socket'}:{url.port or 5432}, database {url.database}"
        yield _check_tables(open_database(installation.settings.database_address, pool_size=1), server)
        return
    file = Path(url.database or ":memory:")
    if not file.exists():
        yield ok("Database", f"SQLite: {file} is made at the first start")
    elif not os.access(file, os.R_OK | os.W_OK):
        yield failure("Database", f"{file} cannot be read and written by this user.", "Let this user own it.")
    else:
        yield _check_tables(open_read_only(file), f"SQLite: {file}")
        yield from _check_file(open_read_only(file))


def _check_tables(database: Database, where: str) -> Finding:
    """Raises StoreUnavailable or StoreRefused as `Database.check` does."""
    try:
        return ok("Database", f"{where}; {database.describe_tables()}")
    finally:
        database.close()


def _check_file(database: Database) -> Iterator[Finding]:
    """Raises StoreRefused where the file is damaged."""
    try:
        if not look_for_damage(database, _LOOK_THROUGH_S):
            yield skipped("Database", f"not looked through whole, which takes more than {_LOOK_THROUGH_S:.0f} s")
    finally:
        database.close()


def check_scanner(installation: Installation) -> Iterator[Finding]:
    """Whether the malware scanner answers."""
    name, address = "Malware scanner", installation.settings.clamd_address
    if address is None:
        yield skipped(name, "off, since CLAMD_ADDRESS is not set: files are not scanned")
        return
    try:
        Clamd(address, timeout_s=_SCAN_TIMEOUT_S).ping()
        yield ok(name, f"clamd at {address}")
    except ScannerUnavailable as exc:
        level = Level.FAILURE if installation.settings.scanner_required else Level.WARNING
        yield split_message(name, exc.detail, "Start clamd, or correct CLAMD_ADDRESS.", level)
