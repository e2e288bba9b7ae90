"""Wiring of job workers: records and files. They write nothing else; the index follows by itself."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bootstrap.permissions import make_permission_check
from bootstrap.savers import make_keyring
from bootstrap.stores import make_disk_space, open_originals
from config import Settings
from domain.db import Database
from domain.db_opening import open_database
from domain.document_files import DocumentFiles
from domain.jobs import is_any_open
from domain.permissions import PermissionCheck
from domain.quotas import UNLIMITED, Quotas
from ingestion.chunking import ChunkSizes
from ingestion.job_workers import JobWorkerPool
from ingestion.jobs import JobWorker, tidy
from ingestion.library import Library
from ingestion.malware import MalwareCheck
from ingestion.parsers.parsed import Limits
from ingestion.policy import ReadingPolicy
from ingestion.uploaded_tables import UploadedTables
from providers.scanner.clamd import Clamd
from utils.sandbox.sandbox import Sandbox

SMALL_WORKERS = 1  # beside those that the settings name: a small file does not wait while those read large ones
_PING_S = 1.5  # less than the monitor waits


@dataclass(frozen=True, slots=True)
class Ingesting:
    """The stores of one process that works on jobs."""

    database: Database
    document_files: DocumentFiles
    policy: ReadingPolicy
    quotas: Quotas
    permissions: PermissionCheck
    lease_s: float

    def make_worker(self, *, large_at_once: int | None = None, pool_pid: int | None = None) -> JobWorker:
        """A worker for one thread. See `JobWorker`."""
        return JobWorker(
            self.database,
            self.document_files,
            self.policy,
            quotas=self.quotas,
            permissions=self.permissions,
            lease_s=self.lease_s,
            large_at_once=large_at_once,
            pool_pid=pool_pid,
        )

    def make_pool(self, workers: int) -> JobWorkerPool:
        """So many workers in threads of this process, and one more for small files; none if *workers* is 0."""
        make = partial(self.make_worker, large_at_once=workers)
        open_jobs = partial(is_any_open, self.database)
        count = workers + SMALL_WORKERS if workers else 0
        return JobWorkerPool(make, self.tidy, is_any_open=open_jobs, count=count)

    def tidy(self) -> None:
        """Give the jobs of dead workers to others, and end those whose documents are in the index."""
        tidy(self.database)


def open_ingesting(settings: Settings) -> Ingesting:
    """The stores of a process of its own. Nothing is asked of them yet; the service makes the tables.

    Raises:
        StoreRefused: DATABASE_URI is no address of a database.
    """
    database = open_database(settings.database_address, pool_size=settings.db_pool_size)
    sandbox = Sandbox(required=settings.sandbox_required, prepares=True)  # it ends with this process
    return make_ingesting(
        settings, database, open_originals(settings, database), make_reading_policy(settings, sandbox)
    )


def make_ingesting(
    settings: Settings, database: Database, document_files: DocumentFiles, policy: ReadingPolicy
) -> Ingesting:
    """What work on jobs needs, with stores that are open."""
    return Ingesting(
        database,
        document_files,
        policy,
        make_quotas(settings),
        make_permission_check(settings),
        settings.ingestion_lease,
    )


def make_reading_policy(settings: Settings, sandbox: Sandbox) -> ReadingPolicy:
    """How files are read by these settings, whichever way they come in; nothing is connected yet."""
    scanner = Clamd(settings.clamd_address) if settings.clamd_address else None
    return ReadingPolicy(
        limits=Limits(size_bytes=settings.max_file_size, recognises=settings.ocr_enabled),
        sizes=make_chunk_sizes(settings),
        malware=MalwareCheck(scanner, is_required=settings.scanner_required),
        sandbox=sandbox,
    )


def make_scanner_check(settings: Settings) -> Callable[[], None] | None:
    """A check that raises ScannerUnavailable while the malware scanner is away; None where none is configured."""
    return Clamd(settings.clamd_address, timeout_s=_PING_S).ping if settings.clamd_address else None


def make_chunk_sizes(settings: Settings) -> ChunkSizes:
    """How documents are cut by these settings."""
    return ChunkSizes.scale(settings.chunk_tokens, settings.chunk_max_tokens)


def make_quotas(settings: Settings) -> Quotas:
    """What each tenant may have by these settings."""
    return Quotas(
        documents=settings.tenant_max_documents,
        size_bytes=settings.tenant_max_bytes,
        pages_per_day=settings.tenant_max_pages_per_day,
        queued_jobs=settings.tenant_max_queued_jobs,
    )


def open_uploaded_tables(
    settings: Settings, database: Database, policy: ReadingPolicy, quotas: Quotas
) -> UploadedTables:
    """What makes data sources of files."""
    folder, keys, disk = settings.uploaded_tables_folder, make_keyring(settings), make_disk_space(settings)
    return UploadedTables(folder, database, keys, policy, quotas=quotas, disk=disk)


def open_library(settings: Settings, database: Database) -> Library:
    """The library for an operator's command, which has no quotas."""
    return Library(database, open_originals(settings, database), UNLIMITED)
