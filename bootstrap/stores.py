"""The stores of an installation, embedded or production ones: only here is it known which."""

import asyncio
import logging
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from agents.runs.deletions import RunDeletions
from auth.principal import DEFAULT_TENANT
from bootstrap.valkey import ValkeyChild
from config import Settings
from domain.db import Database
from domain.db_opening import open_database, wait_for_database
from domain.document_files import DocumentFiles
from domain.file_store import FileStore
from domain.keys import ensure_tenant
from providers.files.folder import FolderFileStore
from retrieval.edge import EdgeIndex
from retrieval.index import PassageIndex
from utils.checkpointer import Connections
from utils.disk import DiskSpace
from utils.errors import ProblemError, StoreRefused, StoreUnavailable
from utils.loops import repeat
from utils.ports import VectorSpec
from utils.private_files import ensure_private_folder
from utils.processes import StartError

if TYPE_CHECKING:
    from retrieval.server import ServerIndex

logger = logging.getLogger("bootstrap.stores")

_PATIENCE_S = 30.0  # for a database that is started together with the service


async def open_conversations(stack: AsyncExitStack, settings: Settings, folder: Path) -> Connections:
    """Connections to the configured Redis, else to a Valkey of our own in *folder*; closed with *stack*.

    A Redis that does not answer is no reason not to start: conversations are held in memory until it does.

    Raises:
        StartError: what answers cannot be used, and waiting would not help.
    """
    connections = Connections(settings.redis_address or await _start_valkey(stack, folder))
    stack.push_async_callback(connections.aclose)
    try:
        warnings = await connections.check()
    except StoreRefused as exc:
        raise StartError(exc.detail) from exc
    except StoreUnavailable as exc:
        logger.error("%s Conversations are held in memory until it does.", exc.detail)
    else:
        for warning in warnings:
            logger.warning(warning)
    return connections


async def open_records(stack: AsyncExitStack, settings: Settings) -> Database:
    """The SQL database with the newest tables and the default tenant; closed with *stack*.

    Raises:
        StartError: it does not answer in time, or cannot be used.
    """
    try:
        database = open_database(settings.database_address, pool_size=settings.db_pool_size)
        stack.callback(database.close)
        await asyncio.to_thread(_prepare, database)
    except ProblemError as exc:
        raise StartError(exc.detail) from exc
    return database


async def open_passages(
    settings: Settings,
    folder: Path,
    spec: VectorSpec,
    number: int = 1,
    *,
    on_replaced: Callable[[], object] = lambda: None,
) -> PassageIndex:
    """Index *number* on the configured Qdrant, else in its engine in *folder*; the caller's to close.

    *on_replaced* hears, in whatever thread, that the one in *folder* was damaged and starts again.

    A server that does not answer is no reason not to start: the service is not ready until it does.

    Raises:
        StoreUnavailable: the embedded index cannot be opened.
        StoreRefused: the index cannot be used, and waiting would not help.
    """
    if settings.qdrant_url is None:
        at = index_folder(settings, folder, spec.model, number)
        disk = make_disk_space(settings)
        return await asyncio.to_thread(EdgeIndex.open, at, dimension=spec.dimension, disk=disk, on_replaced=on_replaced)
    server = make_server_index(settings, spec, number)
    try:
        await _prepare_server(server)
    except BaseException:
        await server.close()
        raise
    return server


def open_files(settings: Settings) -> FileStore:
    """Where the files of documents are kept: a folder in DATA_DIR.

    Raises:
        StartError: DATA_DIR is not a folder of this user's own.
    """
    return FolderFileStore(ensure_private_folder(settings.data_dir, variable="DATA_DIR") / "files")


def open_originals(settings: Settings, database: Database) -> DocumentFiles:
    """The files of documents, with their versions."""
    count, disk = settings.document_versions_kept, make_disk_space(settings)
    return DocumentFiles(database, open_files(settings), versions_kept=count, disk=disk)


def make_disk_space(settings: Settings) -> DiskSpace:
    """The disk that DATA_DIR is on."""
    return DiskSpace(settings.data_dir.absolute(), settings.disk_reserve_bytes)


def index_folder(settings: Settings, folder: Path, model: str, number: int = 1) -> Path:
    """Where in the data folder the embedded index *number*, for vectors of *model*, is."""
    name = f"{settings.qdrant_collection_name}-{re.sub(r'[^A-Za-z0-9._-]+', '-', model).strip('.-')}"
    return folder / "index" / (name if number == 1 else f"{name}-{number}")


def make_collection_name(settings: Settings, number: int) -> str:
    """The collection of index *number* on a Qdrant server."""
    return settings.qdrant_collection_name if number == 1 else f"{settings.qdrant_collection_name}-{number}"


def make_server_index(settings: Settings, spec: VectorSpec, number: int = 1) -> "ServerIndex":
    """Index *number* on the configured Qdrant server; nothing is asked of it yet."""
    # Imported here: its client takes a second of a start, of no use to the embedded index.
    from retrieval.server import ServerIndex

    key = settings.qdrant_api_key
    return ServerIndex(
        settings.qdrant_url or "",
        api_key=key.get_secret_value() if key else None,
        collection=make_collection_name(settings, number),
        dimension=spec.dimension,
        model=spec.model,
    )


async def _start_valkey(stack: AsyncExitStack, folder: Path) -> str:
    valkey = ValkeyChild(folder)
    await asyncio.to_thread(valkey.start)
    stack.push_async_callback(asyncio.to_thread, valkey.stop)
    keeping = asyncio.create_task(_keep_alive(valkey))
    stack.callback(keeping.cancel)
    return valkey.url


async def _keep_alive(valkey: ValkeyChild) -> None:
    """Start it again when it dies: what was written is in its append-only file."""

    async def revive() -> None:
        if not valkey.is_alive():
            logger.error("The embedded Valkey has ended by itself; it is started again.")
            await asyncio.to_thread(valkey.stop)
            await asyncio.to_thread(valkey.start)

    await repeat("Restarting the embedded Valkey", revive, get_poll_s=lambda: 1.0, longest_pause_s=1.0)


def _prepare(database: Database) -> None:
    wait_for_database(database, _PATIENCE_S)
    database.migrate()
    with database.open_write_session() as session:
        ensure_tenant(session, DEFAULT_TENANT)


async def _prepare_server(server: "ServerIndex") -> None:
    try:
        await server.prepare()
    except StoreRefused:
        raise
    except StoreUnavailable as exc:
        logger.error("%s The service is not ready until it does.", exc.detail)


def open_deletions(settings: Settings, connections: Connections) -> RunDeletions:
    """What deletes the runs of conversations, and remembers it as long as an answer is kept or a run held."""
    return RunDeletions(connections.asynchronous(), keep_s=max(settings.cache_ttl, settings.run_ttl))
