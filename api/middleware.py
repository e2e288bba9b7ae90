"""Around every request: its id in and out, one log line, and headers that keep browsers careful."""

import logging
import time
from collections.abc import Callable
from typing import cast
from uuid import uuid4

from flask import Flask, Response, request
from flask.globals import request_ctx
from flask_cors import CORS

from utils.logging_config import request_id
from utils.validation import REQUEST_ID

logger = logging.getLogger("app")

_CAREFUL = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
_HEADERS = {name: (name.lower(), value) for name, value in _CAREFUL.items()}
_RATE_HEADERS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_REQUEST_HEADERS = ["Authorization", "Content-Type", "X-API-Key", "X-Conversation-Id", "X-Request-Id"]
_REQUEST_HEADERS += ["Idempotency-Key", "Last-Event-ID"]
_RESPONSE_HEADERS = ["X-Request-Id", "X-Conversation-Id", "X-Run-Id", "Idempotency-Replayed", "Retry-After"]
_RESPONSE_HEADERS += _RATE_HEADERS
_QUIET = frozenset({"/health", "/ready"})  # probes every few seconds would bury everything else
_BEGAN = "pustaka.began"
_ORIGINS, _LONGEST_ORIGIN = 256, 255  # that are remembered: clients may make up any


def register_middleware(app: Flask, *, cors_origins: list[str]) -> None:
    """Set up ids, logs, headers and CORS."""
    app.before_request(_begin)
    app.after_request(_finish)
    CORS(
        app,
        origins=cors_origins,
        allow_headers=_REQUEST_HEADERS,
        expose_headers=_RESPONSE_HEADERS,
        max_age=600,
    )
    hooks = app.after_request_funcs[None]
    hooks[-1] = _remembering(cast(Callable[[Response], Response], hooks[-1]))


def _remembering(add_cors: Callable[[Response], Response]) -> Callable[[Response], Response]:
    """*add_cors* with a memory: but for preflights, the headers it adds hang on the Origin alone."""
    known: dict[str, list[tuple[str, str]]] = {}

    def add(response: Response) -> Response:
        asked, origin = request.headers, request.headers.get("Origin", "")
        if (
            request.method == "OPTIONS"
            or len(origin) > _LONGEST_ORIGIN
            or "Access-Control-Request-Private-Network" in asked
            or "Access-Control-Allow-Origin" in response.headers
        ):
            return add_cors(response)
        if origin not in known:
            if len(known) >= _ORIGINS:
                known.clear()
            added = add_cors(Response(content_type="")).headers
            known[origin] = [(name, value) for name, value in added if name != "Content-Type"]
        for name, value in known[origin]:
            response.headers.add(name, value)
        return response

    return add


def _begin() -> None:
    given = request.headers.get("X-Request-Id", "")
    request_id.set(given if REQUEST_ID.fullmatch(given) else str(uuid4()))
    request.environ[_BEGAN] = time.perf_counter()


def _finish(response: Response) -> Response:
    this_id = request_id.get() or ""
    response.headers["X-Request-Id"] = this_id
    present = {name.lower() for name, _ in response.headers}
    for name, (lower, value) in _HEADERS.items():
        if lower not in present:
            response.headers.add(name, value)
    asked = request_ctx.request  # each look through the proxy costs as much as what is looked at
    began_s = asked.environ.get(_BEGAN, time.perf_counter())
    facts = {"method": asked.method, "path": asked.path, "status": response.status_code, "request_id": this_id}
    facts["client"] = asked.remote_addr or ""

    @response.call_on_close
    def log() -> None:
        # At the close, so that a stream's line says how long it ran.
        duration_ms = round((time.perf_counter() - began_s) * 1000, 2)
        level = logging.DEBUG if facts["path"] in _QUIET else logging.INFO
        logger.log(level, "Request completed", extra={**facts, "duration_ms": duration_ms})

    return response
