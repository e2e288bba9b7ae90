"""Logs as one JSON object a line, each with the id of the request it was written for."""

import logging
import sys
from contextvars import ContextVar
from datetime import datetime
from typing import TextIO

from pythonjsonlogger.json import JsonFormatter

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request being served; a log line carries it without every function having to pass it on."""

_FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s"
_NAMES = {"asctime": "timestamp", "levelname": "level", "name": "logger"}
_CHATTY = ("httpx", "httpx2", "httpcore", "openai", "aiohttp.access", "alembic.runtime.migration", "uvicorn.access")


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """Send every log line of the process to *stream* (standard error) as JSON, replacing what was set up before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Formatter(_FIELDS, rename_fields=_NAMES))
    handler.addFilter(_add_request_id)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)


def _add_request_id(record: logging.LogRecord) -> bool:
    if not hasattr(record, "request_id"):
        record.request_id = request_id.get()
    return True


class _Formatter(JsonFormatter):
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Local time to the millisecond: ISO 8601 with the zone's offset."""
        return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
