"""How a job ends that an error stopped: failed, waiting, or tried again, by the kind of error."""

import logging

from sqlalchemy.orm import Session

from auth.principal import Principal
from domain import jobs
from domain.job_leases import Failure
from domain.jobs import ClaimedJob
from domain.quotas import add_pages
from ingestion.job_lease import make_log_facts
from utils.errors import (
    Forbidden,
    InfectedFile,
    NotEnoughSpace,
    NotFound,
    ScannerUnavailable,
    StoreUnavailable,
    UnreadableDocument,
)

logger = logging.getLogger("ingestion.jobs")

_UPLOAD_AGAIN = "Correct the file and upload it again, with the same external id if it has one."
_UPLOAD_CLEAN = "Look for malware on the computer that it came from, and upload a clean file."
_ANOTHER_KEY = "Process it again, or upload it again, with a key that may write documents."
_WAITS_FOR_SCANNER = "It is read as soon as the malware scanner answers."
_WAITS_FOR_ROOM = "It is read as soon as there is room on the disk."
_SCANNER_PAUSE_S = _SPACE_PAUSE_S = 15.0
_FILE_MISSING = Failure("Its file is not in the store of files any more.", "Upload it again.")
_TRY_LATER = "It is retried automatically. If it still fails, check that the stores can be reached, then try again."
_INTERNAL_ERROR = Failure(
    "Something went wrong on our side while it was read.", "Try again; if it stays so, the log of the worker says why."
)


def record_error(session: Session, ctx: Principal, claimed: ClaimedJob, exc: Exception) -> None:
    """Let the job fail, wait or be tried again, by the kind of error."""
    if isinstance(exc, ScannerUnavailable):
        jobs.wait(session, ctx, claimed, Failure(exc.detail, _WAITS_FOR_SCANNER), pause_s=_SCANNER_PAUSE_S)
    elif isinstance(exc, NotEnoughSpace):
        jobs.wait(session, ctx, claimed, Failure(exc.detail, _WAITS_FOR_ROOM), pause_s=_SPACE_PAUSE_S)
    elif isinstance(exc, InfectedFile):
        jobs.fail(session, ctx, claimed, Failure(f"{exc.detail} The file is in quarantine.", _UPLOAD_CLEAN))
    elif isinstance(exc, UnreadableDocument):
        add_pages(session, ctx, 1)  # it took as much work as one that could be read
        jobs.fail(session, ctx, claimed, Failure(exc.detail, _UPLOAD_AGAIN))
    elif isinstance(exc, Forbidden):
        jobs.fail(session, ctx, claimed, Failure(exc.detail, _ANOTHER_KEY))
    elif isinstance(exc, NotFound):
        jobs.fail(session, ctx, claimed, _FILE_MISSING)
    elif isinstance(exc, StoreUnavailable):
        jobs.retry_later(session, ctx, claimed, Failure(exc.detail, _TRY_LATER))
    else:
        logger.error("A job failed unexpectedly.", exc_info=exc, extra=make_log_facts(ctx, claimed))
        jobs.retry_later(session, ctx, claimed, _INTERNAL_ERROR)
