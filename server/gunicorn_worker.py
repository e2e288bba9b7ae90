"""How gunicorn runs the service: a worker that ends without losing a request, and gunicorn's own log as JSON."""

import asyncio
import importlib
import logging
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER
from types import FrameType
from typing import Any

import uvicorn
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped] # neither of these packages has types
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from uvicorn_worker import UvicornWorker  # type: ignore[import-untyped]

from server.asgi import make_uvicorn_options
from server.graceful import LAST_REQUESTS_S, GracefulServer
from server.reloading import reloading
from utils.logging_config import configure_logging

_ROOT = Path(__file__).resolve().parent.parent
_RETRY_S = 2.0
_BEAT_S = 1.0


class JsonLogger(Logger):  # type: ignore[misc]
    """gunicorn's logger; where its lines go, and in which form, is for `utils/logging_config.py` to say."""

    access_log_enabled = False  # `api/middleware.py` writes a line for each request

    def setup(self, cfg: Any) -> None:
        """Use *cfg*, at the start and after a reload. Its own log files and formats are not used."""
        self.cfg, self.loglevel = cfg, getattr(logging, cfg.loglevel.upper(), logging.INFO)
        configure_logging(logging.getLevelName(self.loglevel))


class ChatWorker(UvicornWorker):  # type: ignore[misc]
    """One process of the service."""

    def __init__(
        self, age: int, ppid: int, sockets: list[Any], app: Any, timeout: float, cfg: Any, log: JsonLogger
    ) -> None:
        options = make_uvicorn_options(
            graceful_timeout_s=cfg.graceful_timeout - LAST_REQUESTS_S, forwarded_allow_ips=cfg.forwarded_allow_ips
        )
        # uvicorn_worker would take gunicorn's, which is deprecated.
        self.CONFIG_KWARGS = {**options, "ssl_version": PROTOCOL_TLS_SERVER}
        super().__init__(age, ppid, sockets, app, timeout, cfg, log)
        for name in ("uvicorn.error", "uvicorn.access"):  # it has given them handlers of gunicorn's, which has none
            logging.getLogger(name).propagate = True

    def init_signals(self) -> None:
        """Set signal handlers; one of them logs what a worker that hangs is doing, which uvicorn's worker does not."""
        super().init_signals()
        signal.signal(signal.SIGABRT, self.handle_abort)

    def handle_abort(self, number: int, frame: FrameType | None) -> None:
        """gunicorn ends this worker, because nothing was heard of it for `timeout` seconds."""
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        frames = sys._current_frames()  # noqa: SLF001 - public and documented by Python
        stacks = {names.get(ident, str(ident)): traceback.format_stack(at) for ident, at in frames.items()}
        texts = {name: "".join(stack) for name, stack in stacks.items()}
        self.log.critical("The worker did not answer for %s s and ends.", self.cfg.timeout, extra={"stacks": texts})
        super().handle_abort(number, frame)

    def load_wsgi(self) -> None:
        """Import the service, all of it as it is on disk now: a reload brings new code. Settings are the master's."""
        settings = reloading.hand_over()
        _forget_own_modules()
        try:
            importlib.import_module("server.reloading").reloading.receive(settings)
            super().load_wsgi()
        except SystemExit:  # wsgi.py has said why
            self._give_up(Arbiter.APP_LOAD_ERROR)
        except Exception:
            self.log.exception("The service cannot be loaded.")
            self._give_up(Arbiter.APP_LOAD_ERROR)

    def run(self) -> None:
        """Serve until told to stop."""
        try:
            with asyncio.Runner(loop_factory=self.config.get_loop_factory()) as runner:
                runner.run(self.serve())
        except SystemExit as exc:
            if exc.code == Arbiter.WORKER_BOOT_ERROR:
                self._give_up(Arbiter.WORKER_BOOT_ERROR)
            raise

    def _give_up(self, code: int) -> None:
        """End for good, and gunicorn with it, if the service has never run; else let gunicorn try again."""
        if self.age <= self.cfg.workers:
            sys.exit(code)
        self.log.error("Worker %s could not start; the next try is in %s s.", self.pid, _RETRY_S)
        time.sleep(_RETRY_S)
        sys.exit(1)

    async def serve(self) -> None:
        """Serve within an event loop."""
        self.config.app = self.wsgi
        server = GracefulServer(self.config, self.wsgi.drain)
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, server.hurry)
        beating = asyncio.create_task(self._note_heartbeat(server))
        try:
            # Without gunicorn's wrapper, which complains when uvloop has closed what is in it.
            await server.serve(sockets=[listener.sock for listener in self.sockets])
        finally:
            beating.cancel()
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    async def _note_heartbeat(self, server: uvicorn.Server) -> None:
        # uvicorn does so only while it serves: a long start or stop would be taken for a hang.
        while True:
            self.notify()
            if os.getppid() != self.ppid and not server.should_exit:
                self.log.error("The master of worker %s was killed; stopping.", self.pid)
                server.should_exit = True
            await asyncio.sleep(_BEAT_S)


def _forget_own_modules() -> None:
    """Drop what gunicorn's master has imported of ours, so that a worker's code is of one moment.

    Packages stay, with the memory they share with the master.
    """
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and name not in ("__main__", "__config__") and _is_own(Path(file)):
            del sys.modules[name]


def _is_own(file: Path) -> bool:
    return file.is_relative_to(_ROOT) and "site-packages" not in file.parts
