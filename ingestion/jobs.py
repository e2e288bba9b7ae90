"""A worker: takes jobs from the table, one at a time, and brings each document through its stages.

Each stage ends with one transaction that writes its result and the next stage together. So a worker that is killed
leaves either the one or the other, whoever comes next goes on at that stage, and doing a stage twice changes nothing.
"""

import logging
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import uuid4
from zlib import crc32

from sqlalchemy.orm import Session

from auth.principal import Principal
from auth.scopes import Scope
from domain import crawl_leases, jobs
from domain.db import Database
from domain.document_files import DocumentFiles
from domain.documents import DocumentContent, replace_document
from domain.job_leases import LEASE_S, Failure, LeaseLost
from domain.jobs import ClaimedJob
from domain.models import Document, JobStage
from domain.permissions import PermissionCheck
from domain.quotas import Quotas, count_pages, find_next_day, require_pages
from ingestion.job_failures import record_error
from ingestion.job_lease import JobLease, make_log_facts
from ingestion.parsers.recognition import Recognition
from ingestion.parsers.sandbox import PageProgress
from ingestion.policy import ReadingPolicy
from utils.errors import (
    InfectedFile,
    QuotaExceeded,
)

logger = logging.getLogger(__name__)

OLDEST_EVERY = 4  # each such job of a tenant is the one that has waited longest, however small the others are
SLICE_S = 10.0  # half a second of it goes by before the first page is read


class JobWorker:
    """Works on one job at a time, in one thread, and reads files by *policy*. `stop` is for other threads.

    Each time that it takes a job up it asks by *permissions* whether whoever asked for it still may.

    Pages that are pictures are recognised for *slice_s* seconds at a time, between which other documents have a turn.
    Of the workers of process *pool_pid*, its own unless given, at most *large_at_once* have a job that is not small.
    """

    def __init__(
        self,
        database: Database,
        document_files: DocumentFiles,
        policy: ReadingPolicy,
        *,
        quotas: Quotas,
        permissions: PermissionCheck,
        lease_s: float = LEASE_S,
        slice_s: float = SLICE_S,
        large_at_once: int | None = None,
        pool_pid: int | None = None,
    ) -> None:
        self._database, self._document_files, self._lease_s, self._slice_s = database, document_files, lease_s, slice_s
        self._quotas, self._permissions = quotas, permissions
        self._large_at_once = large_at_once
        self._pool = _name_pool(pool_pid or os.getpid())
        self._name = f"{self._pool}{uuid4().hex[:12]}"
        self._claims: Counter[str] = Counter()
        self._parser = policy.open_parser()
        self._reader = policy.make_reader(self._parser)
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Let go of the job at hand, which another worker goes on with, and take no other."""
        self._stopping.set()
        self._parser.interrupt()

    def run_next(self) -> bool:
        """Work on one job of each tenant, that with the smallest first; False where none was due.

        Tenants are looked for again after each job: who comes meanwhile does not wait for the next round.

        Raises:
            StoreUnavailable: the database is away, or there is no room on the disk.
        """
        served, busy = set[str](), False
        while not self._stopping.is_set():
            with self._database.open_read_session() as session:
                tenants = jobs.list_tenants_with_due(session)
                if tenants and self._must_be_small(session):  # not asked of an idle service, twice a second
                    tenants = jobs.list_tenants_with_due(session, small_only=True)
            ctx = next((each for each in tenants if each.tenant_id not in served), None)
            if ctx is None:
                break
            self._document_files.check_room()
            served.add(ctx.tenant_id)
            busy = self._run_one(ctx) or busy
        return busy

    def _run_one(self, ctx: Principal) -> bool:
        claimed = self._claim(ctx)
        if claimed is None:
            return False
        with JobLease(self._database, ctx, claimed, self._lease_s, on_lost=self._parser.interrupt) as lease:
            try:
                self._do_stage(ctx, claimed, lease)
            except Exception as exc:  # whatever a document does, the worker must go on with others
                self._record_failure(ctx, claimed, lease, exc)
        if lease.is_lost:  # the parser was interrupted, maybe between two files: the next one must not suffer for it
            self._parser.close()
        return True

    def _claim(self, ctx: Principal) -> ClaimedJob | None:
        is_oldest_due = self._claims[ctx.tenant_id] % OLDEST_EVERY == OLDEST_EVERY - 1
        with self._database.open_write_session() as session:
            self._postpone_beyond_quota(session, ctx)
            claimed = jobs.claim(
                session,
                ctx,
                worker=self._name,
                lease_s=self._lease_s,
                oldest_first=is_oldest_due,
                small_only=self._must_be_small(session),
            )
        self._claims[ctx.tenant_id] += claimed is not None
        return claimed

    def _must_be_small(self, session: Session) -> bool:
        """Whether the other workers have all large jobs that may be under way, so that this one is for small ones."""
        return self._large_at_once is not None and jobs.count_large_of(session, self._pool) >= self._large_at_once

    def _postpone_beyond_quota(self, session: Session, ctx: Principal) -> None:
        try:
            require_pages(session, ctx, self._quotas)
        except QuotaExceeded as exc:
            jobs.postpone_reading(
                session, ctx, Failure(exc.detail, "It is read then by itself."), until=find_next_day()
            )

    def _do_stage(self, ctx: Principal, claimed: ClaimedJob, lease: JobLease) -> None:
        """Do the stage that the job is at."""
        with self._database.open_read_session() as session:
            self._permissions.check(session, claimed.requester, Scope.DOCUMENTS_WRITE)
        data = self._document_files.read_file(ctx, claimed.content_hash)
        if claimed.stage == JobStage.READING:
            content = self._reader.read(data, claimed.file_name, claimed.file_name)
            awaits = self._reader.awaits_recognition(content.details)
            self._store(ctx, claimed, content, JobStage.RECOGNISING if awaits else JobStage.INDEXING)
        elif claimed.stage == JobStage.RECOGNISING:
            self._recognise(ctx, claimed, data, lease)

    def _recognise(self, ctx: Principal, claimed: ClaimedJob, data: bytes, lease: JobLease) -> None:
        """Recognise pages for a while, and then let others go first: a scan may have a thousand, of seconds each."""
        with self._database.open_read_session() as session:
            stored = jobs.get_recognised(session, ctx, claimed)
        so_far = Recognition.from_json(stored) if stored else None
        progress = self._watch_progress(lease)
        done = self._reader.read_pages(data, claimed.file_name, so_far, progress=progress, slice_s=self._slice_s)
        if not done.remaining:
            content = self._reader.read_with(data, claimed.file_name, claimed.file_name, done)
            self._store(ctx, claimed, content, JobStage.INDEXING)
            return
        with self._database.open_write_session() as session:
            jobs.lock_claimed_document(session, ctx, claimed)
            jobs.yield_to_others(session, ctx, claimed, recognised=done.to_json(), progress=done.progress)

    def _watch_progress(self, lease: JobLease) -> PageProgress:
        """Tells how far the pages are, and ends the work on them when it is another worker's."""

        def note(done: int, pages: int) -> None:
            lease.progress = done / max(1, pages)
            if lease.is_lost or self._stopping.is_set():
                raise LeaseLost

        return note

    def _store(self, ctx: Principal, claimed: ClaimedJob, content: DocumentContent, stage: JobStage) -> None:
        """Write what was read and the stage that follows. Of a scan there is nothing to be found yet."""
        files = [content.extracted] if content.chunks else []
        with self._document_files.open_write_session(ctx, *files) as (session, _):
            document = jobs.lock_claimed_document(session, ctx, claimed)
            if content.chunks:
                document = replace_document(session, ctx, document.origin, _keep_given_names(document, content))
            if claimed.stage == JobStage.READING:
                count_pages(session, ctx, content)
            jobs.advance(session, ctx, claimed, stage)
            has_former_version = document.version > 1
        if content.chunks and has_former_version:
            self._document_files.delete_expired(ctx, replaced=[claimed.document_id])

    def _record_failure(self, ctx: Principal, claimed: ClaimedJob, lease: JobLease, exc: Exception) -> None:
        """Write down what became of a job that did not come to its end."""
        lease.close()
        # Afterwards: whoever has the job now has to find the file.
        if self._write_failure(ctx, claimed, exc) and isinstance(exc, InfectedFile):
            logger.warning(
                "An uploaded file contains malware.", extra=make_log_facts(ctx, claimed) | {"malware": exc.signature}
            )
            self._document_files.quarantine(ctx, claimed.content_hash)

    def _write_failure(self, ctx: Principal, claimed: ClaimedJob, exc: Exception) -> bool:
        """Whether the job was ours to fail, and neither cancelled nor given to another worker."""
        with self._database.open_write_session() as session:
            try:
                if jobs.end_cancelled(session, ctx, claimed):
                    return False
                jobs.lock_claimed_document(session, ctx, claimed)
                if self._stopping.is_set():
                    jobs.hand_back(session, ctx, claimed)
                    return False
                record_error(session, ctx, claimed, exc)
            except LeaseLost:
                logger.info(
                    "Lost job lease: another worker has the job, or it was deleted", extra=make_log_facts(ctx, claimed)
                )
                return False
        return True


def _name_pool(pid: int) -> str:
    """How the names of a process's workers begin; with a checksum, since hosts of a cluster have similar names."""
    host = socket.gethostname()
    return f"{host[:20]}-{crc32(host.encode()):08x}-{pid}-"


def tidy(database: Database) -> None:
    """Give the jobs of dead workers to others, and end those whose documents are in the index. Blocking.

    Raises:
        StoreUnavailable: the database is away.
    """
    _tidy_each(database, jobs.list_tenants_to_tidy, jobs.tidy)
    tidy_crawls(database)


def tidy_crawls(database: Database) -> None:
    """Give on the crawls of workers that are dead. Blocking.

    Raises:
        StoreUnavailable: the database is away.
    """
    _tidy_each(database, crawl_leases.list_tenants_to_tidy, crawl_leases.tidy)


def _tidy_each(
    database: Database,
    list_tenants: Callable[[Session], Sequence[Principal]],
    tidy_one: Callable[[Session, Principal], object],
) -> None:
    with database.open_read_session() as session:
        tenants = list_tenants(session)
    for ctx in tenants:
        with database.open_write_session() as session:
            tidy_one(session, ctx)


def _keep_given_names(document: Document, content: DocumentContent) -> DocumentContent:
    """*content* under the name and the title that it was uploaded with."""
    return replace(content, source=document.source, title=document.given_title or content.title)
