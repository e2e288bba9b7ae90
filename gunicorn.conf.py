"""How gunicorn serves Pustaka: `gunicorn` in this folder, or `gunicorn -c …/gunicorn.conf.py` from anywhere.

SIGHUP starts new workers with the settings and the code as they are then, and lets the old ones finish; SIGTERM stops.
For changed packages, a changed `config.py` or worker class, and what `server/reloading.py` names: restart.
"""

import gc
import importlib
import logging
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

if (_root := str(Path(__file__).resolve().parent)) not in sys.path:
    sys.path.insert(0, _root)  # started from elsewhere

from config import Settings, SettingsError
from server.asgi import KEEP_ALIVE_S
from server.reloading import reloading
from utils.capacity import Machine, count_affordable_workers
from utils.logging_config import configure_logging, log_prints
from utils.private_files import keep_files_private
from utils.processes import StartError, hide_from_others
from utils.tls_files import check_tls_files

_log = logging.getLogger("gunicorn.error")

# What a worker takes, measured with three on shared stores and the embedding model that comes along, after 200
# turns: private memory and Pss of smaps_rollup in MB, and how long a further worker takes to start.
#
#                                       private   Pss       private at its start   start    master, private
#   nothing imported before the fork    261-266   270-281   182                    3.2 s    22
#   packages imported before it         202-223   234-255   119                    0.6 s    50
#   the whole application (preload_app) 148-259   186-298   65                     0.3 s    60
#
# During a reload old and new ones are there side by side: 220 + 120.
_WORKER_BYTES = 340 * 1024 * 1024

# Imported once by the master. Not among them: what starts threads or is an engine of its own, which a fork would copy
# in the middle of its work (numpy's BLAS, gRPC within qdrant_client, the embedding model), and nothing of ours, so that
# SIGHUP brings new code. With preload_app it would not: gunicorn keeps the application it has loaded.
_PACKAGES = (
    "alembic",
    "flask_openapi3",
    "langchain_core.messages",
    "langchain_openai",
    "langgraph.graph",
    "limits",
    "pydantic_settings",
    "redis.asyncio",
    "sqlalchemy.orm",
)


@cache  # after a reload, workers of our own would count as memory that is used
def _affordable() -> int:
    machine = Machine()
    cpus, free_bytes = machine.count_cpus(), machine.measure_free_memory()
    count = count_affordable_workers(cpus=cpus, free_bytes=free_bytes, each_bytes=_WORKER_BYTES)
    _log.info("%s workers: %.3g CPUs, %s MB of free memory.", count, cpus, free_bytes and free_bytes >> 20)
    return count


def _plan() -> tuple[Settings, int]:
    """The settings, and how many workers they allow.

    Raises:
        SettingsError: a value cannot be used.
        StartError: several workers are asked for, where a store has room for one; or HTTPS cannot be served.
    """
    settings = reloading.read()
    if settings.tls_files:
        check_tls_files(*settings.tls_files)
    if not settings.is_embedded:
        return settings, settings.workers or _affordable()
    _refuse_several(settings, settings.workers or 1)
    return settings, 1


def _refuse_several(settings: Settings, count: int) -> None:
    if count > 1:
        missing = [
            "REDIS_URL" if settings.redis_address is None else "",
            "QDRANT_URL" if settings.qdrant_url is None else "",
        ]
        names = " and ".join(name for name in missing if name)
        raise StartError(
            f"{count} workers are asked for, but a store that runs inside the service has room for one: "
            f"set {names}, or WORKERS=1 (WEB_CONCURRENCY=1)."
        )


keep_files_private()
hide_from_others()
configure_logging("INFO")
try:
    _settings, workers = _plan()
except (SettingsError, StartError) as _refusal:
    _log.critical("%s", _refusal)
    sys.exit(1)

wsgi_app = "wsgi:application"
worker_class = "server.gunicorn_worker.ChatWorker"
logger_class = "server.gunicorn_worker.JsonLogger"
loglevel = _settings.log_level.lower()
proc_name = "pustaka"

bind = f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
if _settings.tls_files:  # each new worker reads them again: a reload takes up a renewed certificate
    certfile, keyfile = map(str, _settings.tls_files)
forwarded_allow_ips = ",".join(_settings.forwarded_allow_ips)
keepalive = KEEP_ALIVE_S

timeout = 120  # without a sign of life; an answer may take longer
graceful_timeout = _settings.graceful_timeout
# Whatever a library may leak ends with its worker: 1 KB a request would come to 100 MB, for which _WORKER_BYTES leaves
# room. At 65 requests a second, which is all that one worker can do in turns, it lives for 13 to 26 minutes, and the
# 3 s of a new one's start are under 0.5 % of its time (with 1000 requests: 15 s, and 20 %). The jitter, as large as the
# number, spreads the starts of workers that began together. One that is alone would leave nobody to serve meanwhile.
max_requests = 0 if workers == 1 else 50_000
max_requests_jitter = 50_000

# The heart-beat file: on a disk, its writes can stall a worker until it is taken for dead.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - no name of ours in it
control_socket_disable = True  # a way in that nobody asked for, served by a thread that every later fork would copy

preload_app = False  # see _PACKAGES


def on_starting(server: Any) -> None:
    """Before the first worker."""
    log_prints()
    _share_packages()
    try:
        reloading.begin(_settings)
    except (StartError, OSError) as exc:
        _log.critical("%s", exc)
        sys.exit(1)
    if _settings.is_embedded:
        _log.info("One worker: a store runs inside the service. REDIS_URL and QDRANT_URL make room for more.")


def when_ready(server: Any) -> None:
    """The socket listens; let a reload look at the settings before it gives up what works."""
    reload = server.handle_hup

    def reload_if_sound() -> None:
        try:
            _plan()
        except (SettingsError, StartError) as exc:
            reloading.refuse(str(exc))
            _log.error("%s", reloading.note.describe())
        else:
            reload()

    server.handle_hup = reload_if_sound


def nworkers_changed(server: Any, new: int, old: int | None) -> None:
    """Tell the workers how many they are; by the settings, `--workers`, or SIGTTIN and SIGTTOU."""
    try:
        if _settings.is_embedded:
            _refuse_several(_settings, new)
    except StartError as exc:
        _log.critical("%s", exc)
        if old is None:
            sys.exit(1)
        server.num_workers = 1
    else:
        reloading.workers = new


def on_reload(server: Any) -> None:
    """After the settings were read again, before the new workers."""
    reloading.finish(_settings)
    level = logging.WARNING if reloading.note.needs_restart else logging.INFO
    _log.log(level, "%s Workers that take over: %s.", reloading.note.describe(), server.num_workers)


def post_worker_init(worker: Any) -> None:
    """In a worker, after its code was loaded."""
    _log.info("Worker %s has loaded the application.", worker.pid)


def child_exit(server: Any, worker: Any) -> None:
    """A worker has ended."""
    _log.info("Worker %s has ended.", worker.pid)


def on_exit(server: Any) -> None:
    """All workers have ended."""
    _log.info("Stopped.")


def _share_packages() -> None:
    for name in _PACKAGES:
        if name != "langchain_openai" or _settings.chat_endpoint is not None:  # of no use without one
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # else the collector of each worker writes into, and so copies, the pages it shares
