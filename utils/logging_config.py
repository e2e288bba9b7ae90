"""Logs as one JSON object a line, each with the ids of what it was written for, none with a secret."""

import fcntl
import io
import json
import logging
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from datetime import datetime
from types import MappingProxyType, TracebackType
from typing import Any, TextIO

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from utils.masking import make_loggable

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request being served; a log line carries it without every function having to pass it on."""
log_facts: ContextVar[Mapping[str, str]] = ContextVar("log_facts", default=MappingProxyType({}))
"""Further fields of log lines, about the work being done: `tenant_id`, `key_id`, `visitor_id`, `run_id`."""

_FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s"
_NAMES = {"asctime": "timestamp", "levelname": "level", "name": "logger"}
_CHATTY = ("httpx", "httpx2", "httpcore", "openai", "aiohttp.access", "alembic.runtime", "uvicorn.access")
# Servers give these handlers of their own, whose lines are not JSON.
_SERVERS = ("gunicorn.error", "gunicorn.access", "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


def configure_logging(level: str) -> None:
    """Send every log line of the process to standard error as JSON, replacing what was set up before.

    Warnings and what nobody caught, in any thread, become log lines too.
    """
    handler = _LineHandler(_unwrap(sys.stderr))
    handler.setFormatter(_Formatter(_FIELDS, rename_fields=_NAMES, reserved_attrs=[*RESERVED_ATTRS, "color_message"]))
    handler.addFilter(_add_ids)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _SERVERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_uncaught_in_thread


def log_prints() -> None:
    """Turn what is printed from now on into log lines, by whatever library; for servers, whose output is their log."""
    sys.stdout = _LoggingStream("stdout", logging.INFO, _unwrap(sys.stdout))
    sys.stderr = _LoggingStream("stderr", logging.WARNING, _unwrap(sys.stderr))


def _add_ids(record: logging.LogRecord) -> bool:
    for name, value in {"request_id": request_id.get(), **log_facts.get()}.items():
        if not hasattr(record, name):
            setattr(record, name, value)
    return True


class _Formatter(JsonFormatter):
    def format(self, record: logging.LogRecord) -> str:
        """The line, even if the call that logged it had wrong arguments."""
        try:
            return super().format(record)
        except Exception as exc:
            line = {
                "timestamp": self.formatTime(record),
                "level": record.levelname,
                "logger": record.name,
                "message": f"{record.msg!r} % {record.args!r}",
                "request_id": getattr(record, "request_id", None),
                "logging_error": f"{type(exc).__name__}: {exc}",
            }
            return json.dumps(make_loggable(line))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Local time to the millisecond: ISO 8601 with the zone's offset."""
        return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """The record without secrets, also in its message and traceback."""
        cleaned: dict[str, Any] = make_loggable(log_data)
        return cleaned


class _LineHandler(logging.Handler):
    """Writes whole lines, also where several processes write into one pipe."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write it; a log that cannot be written must not stop the service."""
        line = self.format(record) + "\n"
        with suppress(OSError, ValueError):  # the disk is full, or nobody reads any more
            if (descriptor := _get_descriptor(self._stream)) is None:
                self._stream.write(line)
                self._stream.flush()
            else:
                _write_whole(descriptor, line.encode("utf-8", "backslashreplace"))


def _get_descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, AttributeError):  # not a file: a test's
        return None


def _write_whole(descriptor: int, line: bytes) -> None:
    # A pipe takes 4096 bytes at once (PIPE_BUF), a line with a traceback is longer. The lock is the kernel's, by
    # process, on the pipe itself (2 µs); one that a killed process held is free again.
    with suppress(OSError):  # a system that locks files only
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
    try:
        while line:
            line = line[os.write(descriptor, line) :]
    finally:
        with suppress(OSError):
            fcntl.lockf(descriptor, fcntl.LOCK_UN)


class _LoggingStream(io.TextIOBase):
    """Replaces a standard stream, whose lines it logs; `beneath` is that stream, for those who need its file."""

    encoding = "utf-8"

    def __init__(self, name: str, level: int, beneath: TextIO) -> None:
        self.beneath = beneath
        self._logger, self._level = logging.getLogger(name), level
        self._started = threading.local()

    def write(self, text: str) -> int:
        """Log the whole lines; the rest waits for its end."""
        *lines, rest = (getattr(self._started, "text", "") + text).split("\n")
        self._started.text = rest
        if message := "\n".join(lines).strip("\r\n"):
            self._logger.log(self._level, message)
        return len(text)

    def fileno(self) -> int:
        """The file of the stream itself: children and the fault handler write there."""
        return self.beneath.fileno()

    def isatty(self) -> bool:
        """No colours in a log."""
        return False


def _unwrap(stream: TextIO) -> TextIO:
    # By its attribute: the class may be from a former import of this module.
    return getattr(stream, "beneath", stream)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        logging.getLogger("uncaught").critical("%s: %s", kind.__name__, error, exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        where = args.thread.name if args.thread else "a thread"
        exc_info = (args.exc_type, args.exc_value, args.exc_traceback)
        logging.getLogger("uncaught").critical("In %s: %s", where, args.exc_value, exc_info=exc_info)


def _log_unraisable(args: "sys.UnraisableHookArgs") -> None:
    if args.exc_value is not None:
        text = args.err_msg or "Exception ignored in"
        exc_info = (args.exc_type, args.exc_value, args.exc_traceback)
        logging.getLogger("uncaught").error("%s: %r", text, args.object, exc_info=exc_info)
