"""KNOWLEDGE_DIR: the folder that is loaded at every start."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from domain.db import Database
from ingestion.pipeline import LoadSummary, load_paths, remove_samples
from utils.context import TenantContext
from utils.errors import BadInput
from utils.processes import StartError

logger = logging.getLogger("bootstrap.knowledge")

Progress = Callable[[int, int, str], None]


def check_knowledge(folder: Path) -> None:
    """Raises StartError if there is no such folder: a typing mistake must not look like an empty library."""
    if not folder.is_dir():
        raise StartError(f"KNOWLEDGE_DIR: there is no folder {folder}. Name one with documents, or unset it.")


async def load_knowledge(
    database: Database, ctx: TenantContext, folder: Path, *, samples: Path, progress: Progress | None = None
) -> LoadSummary | None:
    """Load what is new or changed in *folder*; the built-in samples go when it is another folder.

    The summary is logged and given back; None when the folder holds no documents.
    """

    def work() -> LoadSummary:
        if folder.resolve() != samples.resolve():
            remove_samples(database, ctx)
        return load_paths(database, ctx, [folder], samples_root=samples, progress=progress)

    try:
        summary = await asyncio.to_thread(work)
    except BadInput as exc:
        logger.warning("KNOWLEDGE_DIR: %s", exc.detail)
        return None
    except Exception:  # what was loaded before still answers: a bad folder must not keep the service down
        logger.exception("KNOWLEDGE_DIR could not be loaded")
        return None
    for name, reason in summary.failed:
        logger.warning("A document of KNOWLEDGE_DIR cannot be read", extra={"document": name, "reason": reason})
    facts = {name: getattr(summary, name) for name in ("added", "changed", "unchanged", "chunks")}
    logger.info("KNOWLEDGE_DIR is loaded", extra={**facts, "failed": len(summary.failed), "seconds": summary.seconds})
    return summary
