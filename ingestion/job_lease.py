"""The lease of a worker on its job: renewed from a thread of its own, for as long as the work takes."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from auth.principal import Principal
from domain.db import Database
from domain.job_leases import LeasedJob, LeaseLost, renew
from utils.errors import StoreUnavailable

logger = logging.getLogger("ingestion.jobs")

_BEATS = 4  # renewals in the time that a lease lasts


class JobLease:
    """Keeps a job ours while it is worked on, from a thread of its own, and tells how far it is.

    *on_lost* is called from that thread when the job is another worker's, or is to be cancelled.
    """

    def __init__(
        self, database: Database, ctx: Principal, claimed: LeasedJob, lease_s: float, *, on_lost: Callable[[], None]
    ) -> None:
        self.progress = 0.0
        self._database, self._ctx, self._claimed, self._lease_s, self._on_lost = (
            database,
            ctx,
            claimed,
            lease_s,
            on_lost,
        )
        self.is_lost = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew_periodically, name="job-lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Renew it no more."""
        self._over.set()
        self._thread.join()

    def _renew_periodically(self) -> None:
        while not self._over.wait(self._lease_s / _BEATS):
            try:
                with self._database.open_write_session() as session:
                    renew(session, self._ctx, self._claimed, progress=self.progress, lease_s=self._lease_s)
            except LeaseLost:
                self.is_lost = True
                self._on_lost()
                return
            except StoreUnavailable as exc:
                logger.warning(
                    "%s A job may go to another worker.", exc.detail, extra=make_log_facts(self._ctx, self._claimed)
                )


def make_log_facts(ctx: Principal, claimed: LeasedJob) -> dict[str, object]:
    """What log lines about a job name."""
    return {"tenant_id": ctx.tenant_id, **claimed.make_log_facts()}
