"""Around every request: its id in and out, one log line, and headers that keep browsers careful."""

import logging
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from uuid import uuid4

from flask import Flask, Response, request
from flask.globals import request_ctx

from api.access import PRINCIPAL
from api.cors import register_cors
from api.hosts import register_hosts
from api.turns import RUN_HEADER
from server.admission import is_probe
from server.security_headers import CAREFUL
from utils.log_ids import hash_id
from utils.logging_config import log_facts, request_id
from utils.validation import REQUEST_ID

logger = logging.getLogger("app")

_HEADERS = {name: (name.lower(), value) for name, value in CAREFUL.items()}
_BEGAN = "pustaka.began"
_NOBODY = {"tenant_id": None, "key_id": None}
_RETRY_AFTER_S = 5  # where what refused says nothing else


def register_middleware(app: Flask, *, cors_origins: Sequence[str], trusted_hosts: Sequence[str]) -> None:
    """Set up ids, logs, headers, CORS, and which Host headers are believed."""
    app.before_request(_begin)
    register_hosts(app, trusted_hosts)
    app.after_request(_make_finish(_make_path_hasher(app)))
    register_cors(app, cors_origins)


def _begin() -> None:
    value = request.headers.get("X-Request-Id", "")
    request_id.set(value if REQUEST_ID.fullmatch(value) else str(uuid4()))
    log_facts.set({})
    request.environ[_BEGAN] = time.perf_counter()


def _make_finish(hash_path: Callable[[str], str]) -> Callable[[Response], Response]:
    def finish(response: Response) -> Response:
        this_id = request_id.get() or ""
        response.headers["X-Request-Id"] = this_id
        present = {name.lower() for name, _ in response.headers}
        for name, (lower, value) in _HEADERS.items():
            if lower not in present:
                response.headers.add(name, value)
        if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            response.headers.setdefault("Retry-After", str(_RETRY_AFTER_S))
        current = request_ctx.request  # each look through the proxy costs as much as what is looked at
        began_s = current.environ.get(_BEGAN, time.perf_counter())
        path = hash_path(current.path)
        facts: dict[str, object] = {"method": current.method, "path": path, "status": response.status_code}
        facts |= {"request_id": this_id, "client": current.remote_addr or "", **current.environ.get(PRINCIPAL, _NOBODY)}
        if run_id := response.headers.get(RUN_HEADER):
            facts["run_id"] = run_id

        @response.call_on_close
        def log() -> None:
            # At the close, so that a stream's line says how long it ran.
            duration_ms = round((time.perf_counter() - began_s) * 1000, 2)
            # Probes would bury everything else.
            level = logging.DEBUG if is_probe(path) else logging.INFO
            logger.log(level, "Request completed", extra={**facts, "duration_ms": duration_ms})

        return response

    return finish


def _make_path_hasher(app: Flask) -> Callable[[str], str]:
    """A function that keeps of a path the words that stand in the rules of *app*, and hashes every other segment.

    What callers write into a path is mostly ids.
    """
    words: set[str] = set()

    def hash_path(path: str) -> str:
        if not words:  # at the first request: by then all rules are there
            rules = (segment for rule in app.url_map.iter_rules() for segment in rule.rule.split("/"))
            words.update(segment for segment in rules if "<" not in segment)
        return "/".join([segment if segment in words else hash_id(segment) for segment in path.split("/")])

    return hash_path
