"""KNOWLEDGE_DIR: the folder that is loaded at every start."""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from domain.db import Database
from domain.document_files import DocumentFiles
from ingestion.pipeline import LoadSummary, load_paths, remove_samples
from ingestion.policy import ReadingPolicy
from utils.context import TenantContext
from utils.errors import BadInput, ScannerUnavailable, StoreUnavailable
from utils.processes import StartError

logger = logging.getLogger("bootstrap.knowledge")

Progress = Callable[[int, int, str], None]
_RETRY_S = 5.0


class _Stopped(Exception):
    """The service ends while documents are loaded."""


def check_knowledge(folder: Path) -> None:
    """Raises StartError if there is no such folder: a typing mistake must not look like an empty library."""
    if not folder.is_dir():
        raise StartError(f"KNOWLEDGE_DIR: there is no folder {folder}. Name one with documents, or unset it.")


async def load_knowledge(
    database: Database,
    ctx: TenantContext,
    folder: Path,
    *,
    samples: Path,
    policy: ReadingPolicy,
    progress: Progress,
    document_files: DocumentFiles,
) -> LoadSummary | None:
    """Load what is new or changed in *folder*; the built-in samples go when it is another folder.

    The summary is logged and given back; None when the folder holds no documents. It waits for a database, or
    a malware scanner, that is away. Cancelled, it ends after the document it is at; the next start goes on from there.
    """
    loading = _Loading(
        database=database,
        ctx=ctx,
        folder=folder,
        samples=samples,
        policy=policy,
        progress=progress,
        document_files=document_files,
    )
    told = ""
    while True:
        try:
            summary = await loading.once()
        except (StoreUnavailable, ScannerUnavailable) as exc:
            if exc.detail != told:
                logger.warning("%s KNOWLEDGE_DIR is loaded as soon as it does.", exc.detail)
            told = exc.detail
            await asyncio.sleep(_RETRY_S)
        except BadInput as exc:
            logger.warning("KNOWLEDGE_DIR: %s", exc.detail)
            return None
        except Exception:  # what was loaded before still answers: a bad folder must not keep the service down
            logger.exception("KNOWLEDGE_DIR could not be loaded")
            return None
        else:
            _tell(summary)
            return summary


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loading:
    """What is loaded, from where and for whom; see `load_knowledge`."""

    database: Database
    ctx: TenantContext
    folder: Path
    samples: Path
    policy: ReadingPolicy
    progress: Progress
    document_files: DocumentFiles

    async def once(self) -> LoadSummary:
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

    def _work(self, stopping: threading.Event) -> LoadSummary:
        def note(done: int, total: int, name: str) -> None:
            if stopping.is_set():
                raise _Stopped
            self.progress(done, total, name)

        if self.folder.resolve() != self.samples.resolve():
            remove_samples(self.database, self.ctx, self.document_files)
        return load_paths(
            self.database,
            self.ctx,
            [self.folder],
            policy=self.policy,
            samples_root=self.samples,
            progress=note,
            document_files=self.document_files,
        )


def _tell(summary: LoadSummary) -> None:
    for name, reason in summary.failed:
        logger.warning("A document of KNOWLEDGE_DIR cannot be read", extra={"document": name, "reason": reason})
    for name, reason in summary.unread:
        logger.warning("A document of KNOWLEDGE_DIR is read in part", extra={"document": name, "reason": reason})
    facts = {name: getattr(summary, name) for name in ("added", "changed", "unchanged", "chunks")}
    logger.info("KNOWLEDGE_DIR is loaded", extra={**facts, "failed": len(summary.failed), "seconds": summary.seconds})
