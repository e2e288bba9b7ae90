"""The Celery app and its tasks.

The job table is the truth, and messages only wake: one says that there may be jobs, whoever gets it takes what is due
until nothing is. So a message that is lost, or comes twice, changes nothing. Beat sends one every second; those that
nobody had time for expire.
"""

import logging
import os
import ssl
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from celery import Celery
from celery.exceptions import CPendingDeprecationWarning
from celery.signals import celeryd_after_setup, worker_init

from bootstrap.ingesting import SMALL_WORKERS, Ingesting, open_ingesting
from config import Settings
from domain.db_opening import open_database, wait_for_tables
from ingestion.jobs import JobWorker
from utils.errors import StoreUnavailable
from utils.processes import StartError

logger = logging.getLogger("worker")

WAKE_S, TIDY_S = 1.0, 2.0
TASK_BUDGET_S = 300.0  # after which a task takes no further job; the longest one must fit into the rest
TIME_LIMIT_S = 1500
_EXPIRES_S = 10.0
ALIVE = Path(tempfile.gettempdir()) / "pustaka-worker.alive"  # for a health check: touched every TIDY_S
_VISIBILITY_S = 1800  # beyond it Redis gives a message to another worker, so it is more than a task may take
_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
INGEST, TIDY = "pustaka.ingest", "pustaka.tidy"


def make_app(settings: Settings) -> Celery:
    """A Celery app whose workers read documents; nothing is connected yet.

    Raises:
        StartError: there is no Redis that they could be woken by.
    """
    app = Celery("pustaka", broker=_make_broker_url(settings), set_as_current=False)
    app.conf.update(_make_configuration(settings))
    process = _Process(settings)

    @celeryd_after_setup.connect(weak=False)  # type: ignore[untyped-decorator]
    def ignore_advice(**_: object) -> None:
        # Tasks go on when the connection is lost: whoever has a job's lease sees to it, not the broker.
        warnings.simplefilter("ignore", CPendingDeprecationWarning)

    @worker_init.connect(weak=False)  # type: ignore[untyped-decorator]
    def prepare(sender: Any, **_: object) -> None:
        process.prepare(sender.concurrency)

    @app.task(name=INGEST)  # type: ignore[untyped-decorator] # Celery ships no types
    def ingest() -> None:
        process.ingest()

    @app.task(name=TIDY)  # type: ignore[untyped-decorator]
    def tidy() -> None:
        process.tidy()

    return app


@dataclass(slots=True)
class _Process:
    """What the tasks of one process share: made at the first task, so after the fork."""

    settings: Settings
    large_at_once: int = 1
    main_pid: int = field(default_factory=os.getpid)  # of all processes that work on tasks together
    _opened: Ingesting | None = None
    _logged: str = ""
    _workers: threading.local = field(default_factory=threading.local)
    _opening: threading.Lock = field(default_factory=threading.Lock)

    def prepare(self, concurrency: int) -> None:
        """Wait for the tables, before there are processes that would all ask for them."""
        self.large_at_once = max(1, concurrency - SMALL_WORKERS)
        with closing(open_database(self.settings.database_address)) as database:
            wait_for_tables(database)

    def ingest(self) -> None:
        """Work on what is due until nothing is, or the time is up."""
        began_s = time.monotonic()
        with self._log_outages():
            while time.monotonic() - began_s < TASK_BUDGET_S and self._get_worker().run_next():
                pass

    def tidy(self) -> None:
        """Give the jobs of dead workers to others, end those whose documents are in the index, and say that we live."""
        with self._log_outages():
            self._get_stores().tidy()
            ALIVE.touch()

    @contextmanager
    def _log_outages(self) -> Iterator[None]:
        """Log that the database is away when it goes and when it comes back, not every second."""
        try:
            yield
        except StoreUnavailable as exc:
            if exc.detail != self._logged:
                logger.warning("%s Documents wait until then.", exc.detail)
                self._logged = exc.detail
        else:
            if self._logged:
                logger.info("The database answers again.")
                self._logged = ""

    def _get_worker(self) -> JobWorker:
        worker: JobWorker | None = getattr(self._workers, "worker", None)
        if worker is None:
            worker = self._workers.worker = self._get_stores().make_worker(
                large_at_once=self.large_at_once, pool_pid=self.main_pid
            )
        return worker

    def _get_stores(self) -> Ingesting:
        with self._opening:
            if self._opened is None:
                self._opened = open_ingesting(self.settings)
            return self._opened


def _make_broker_url(settings: Settings) -> str:
    if settings.celery_broker_url:
        return settings.celery_broker_url.get_secret_value()
    address = settings.redis_address
    if address is None:
        raise StartError(
            "REDIS_URL: workers need a Redis to be woken by. Without one the service reads documents itself."
        )
    if address.startswith("unix://"):
        return "redis+socket://" + address.removeprefix("unix://")
    if address.startswith(("redis://", "rediss://")):
        return address
    raise StartError(
        "CELERY_BROKER_URL: set it to a single Redis; workers cannot be woken by a cluster or by Sentinels."
    )


def _make_tls_options(address: str) -> dict[str, Any] | None:
    """What its certificate is checked by, as the address says; None where there is none."""
    parts = urlsplit(address)
    if parts.scheme != "rediss":
        return None
    options = {name: value for name, value in parse_qsl(parts.query) if name in _TLS_OPTIONS}
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED, **options}


def _make_configuration(settings: Settings) -> dict[str, Any]:
    return {
        "broker_use_ssl": _make_tls_options(_make_broker_url(settings)),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # else a worker ends when Redis is away for an hour
        # A worker that is killed takes its message along: Redis gives it back within seconds instead of minutes.
        "broker_transport_options": {
            "visibility_timeout": _VISIBILITY_S,
            "unacked_restore_interval": 2,
            "unacked_restore_throttle": 1,
            "global_keyprefix": "pustaka:",
        },
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_time_limit": TIME_LIMIT_S,
        "task_ignore_result": True,
        "task_default_queue": "documents",
        "worker_prefetch_multiplier": 1,
        "worker_concurrency": (settings.ingestion_workers or 1) + SMALL_WORKERS,
        "worker_redirect_stdouts": False,
        "worker_hijack_root_logger": False,
        "worker_enable_remote_control": False,
        "beat_scheduler": "celery.beat:Scheduler",  # which keeps nothing: it writes no file
        "beat_max_loop_interval": WAKE_S,
        "beat_schedule": {
            name: {"task": name, "schedule": every_s, "options": {"expires": _EXPIRES_S}}
            for name, every_s in ((INGEST, WAKE_S), (TIDY, TIDY_S))
        },
    }
