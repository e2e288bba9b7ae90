"""KNOWLEDGE_DIR: the folder that is loaded at every start."""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from auth.principal import Principal
from domain.db import Database
from domain.document_files import DocumentFiles
from ingestion.pipeline import LoadSummary, has_own_documents, has_samples, load_paths, remove_samples
from ingestion.policy import ReadingPolicy
from ingestion.walk import OUTSIDE
from utils.errors import BadInput, ScannerUnavailable, StoreUnavailable
from utils.loops import lengthen, log_pause
from utils.processes import StartError

logger = logging.getLogger("bootstrap.knowledge")

Progress = Callable[[int, int, str], None]
_RETRY_S = 5.0
_POLL_S = 2.0


class _Stopped(Exception):
    """The service ends while documents are loaded."""


def check_knowledge(folder: Path | None) -> None:
    """Raises StartError if there is no such folder: a typing mistake must not look like an empty library."""
    if folder is not None and not folder.is_dir():
        raise StartError(f"KNOWLEDGE_DIR: there is no folder {folder}. Name one with documents, or unset it.")


async def load_knowledge(
    database: Database,
    ctx: Principal,
    folder: Path | None,
    *,
    samples: Path,
    keep_samples: bool = True,
    policy: ReadingPolicy,
    progress: Progress,
    document_files: DocumentFiles,
    data_dir: Path,
) -> LoadSummary | None:
    """Load what is new or changed in *folder*; the built-in samples go when it is another folder, or none.

    Without *keep_samples* they go as well where anybody has documents of their own. The summary is logged and given
    back; None when the folder holds no documents. It waits for a database or a malware scanner that is away. Cancelled,
    it ends after the document it is at; the next start goes on from there.
    """
    loading = _Loading(
        database=database,
        ctx=ctx,
        folder=folder,
        samples=samples,
        keep_samples=keep_samples,
        policy=policy,
        progress=progress,
        document_files=document_files,
        data_dir=data_dir,
    )
    try:
        summary = await _load_when_possible(loading)
    except BadInput as exc:
        logger.warning("KNOWLEDGE_DIR: %s", exc.detail)
        return None
    except Exception:  # what was loaded before still answers: a bad folder must not keep the service down
        logger.exception("KNOWLEDGE_DIR could not be loaded")
        return None
    if summary is not None:
        _log_summary(summary)
    return summary


async def _load_when_possible(loading: "_Loading") -> LoadSummary | None:
    logged = ""
    while True:
        try:
            return await loading.load_once()
        except (StoreUnavailable, ScannerUnavailable) as exc:
            if exc.detail != logged:
                logger.warning("%s KNOWLEDGE_DIR is loaded as soon as that is over.", exc.detail)
            logged = exc.detail
            await asyncio.sleep(_RETRY_S)


async def retire_samples(
    database: Database, ctx: Principal, document_files: DocumentFiles, *, every_s: float = _POLL_S
) -> None:
    """Remove the built-in samples as soon as anybody has documents of their own; return when there are none."""
    pause_s = every_s
    while True:
        try:
            if await asyncio.to_thread(_remove_needless_samples, database, ctx, document_files):
                return
            pause_s = every_s
        except Exception as exc:  # whatever broke, the rest of the work in the background must go on
            pause_s = lengthen(pause_s)
            log_pause("Removing the samples", exc, pause_s)
        await asyncio.sleep(pause_s)


def _remove_needless_samples(database: Database, ctx: Principal, document_files: DocumentFiles) -> bool:
    if not has_samples(database, ctx):
        return True
    if not has_own_documents(database):
        return False
    _remove_samples(database, ctx, document_files, "there are documents of your own now")
    return True


def _remove_samples(database: Database, ctx: Principal, document_files: DocumentFiles, why: str) -> None:
    if removed := remove_samples(database, ctx, document_files):
        logger.warning("Removed the %s sample documents: %s. KNOWLEDGE_DIR=samples keeps them.", removed, why)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loading:
    """What is loaded, from where and for whom; see `load_knowledge`."""

    database: Database
    ctx: Principal
    folder: Path | None
    samples: Path
    keep_samples: bool
    policy: ReadingPolicy
    progress: Progress
    document_files: DocumentFiles
    data_dir: Path

    async def load_once(self) -> LoadSummary | None:
        """Load in a thread; cancelled, it ends after the document it is at."""
        stopping = threading.Event()
        loading = asyncio.ensure_future(asyncio.to_thread(self._work, stopping))
        try:
            return await asyncio.shield(loading)
        except asyncio.CancelledError:
            stopping.set()
            with suppress(_Stopped):
                await loading
            raise

    def _work(self, stopping: threading.Event) -> LoadSummary | None:
        def note(done: int, total: int, name: str) -> None:
            if stopping.is_set():
                raise _Stopped
            self.progress(done, total, name)

        if why := self._explain_no_samples():
            _remove_samples(self.database, self.ctx, self.document_files, why)
        if self.folder is None or (why and self._is_of_samples()):
            return None
        return load_paths(
            self.database,
            self.ctx,
            [self.folder],
            policy=self.policy,
            samples_root=self.samples,
            data_dir=self.data_dir,
            progress=note,
            document_files=self.document_files,
        )

    def _is_of_samples(self) -> bool:
        return self.folder is not None and self.folder.resolve() == self.samples.resolve()

    def _explain_no_samples(self) -> str:
        if self.folder is None:
            return "this installation has stores of its own"
        if not self._is_of_samples():
            return "KNOWLEDGE_DIR names another folder"
        if not self.keep_samples and has_own_documents(self.database):
            return "there are documents of your own"
        return ""


def _log_summary(summary: LoadSummary) -> None:
    for name, reason in summary.failed:
        logger.warning("A document of KNOWLEDGE_DIR cannot be read", extra={"document": name, "reason": reason})
    for name, reason in summary.skipped:
        if reason == OUTSIDE:
            logger.warning("A file of KNOWLEDGE_DIR is skipped", extra={"document": name, "reason": reason})
    for name, reason in summary.unread:
        logger.warning("A document of KNOWLEDGE_DIR is read in part", extra={"document": name, "reason": reason})
    facts = {name: getattr(summary, name) for name in ("added", "changed", "unchanged", "chunks")}
    facts |= {"failed": len(summary.failed), "skipped": len(summary.skipped)}
    logger.info("KNOWLEDGE_DIR is loaded", extra={**facts, "seconds": summary.seconds})
