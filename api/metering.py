"""Counts requests, where metrics are on: by route, method and class of status."""

import time
from typing import TYPE_CHECKING

from flask import Flask, Response, request

from api.problems import PROBLEM
from api.services import services
from server.admission import Admission
from server.streaming import AsyncStream
from server.sync_pool import get_sync_pool, has_pool
from utils.telemetry.catalogue import POOL_BUSY, POOL_QUEUE, PROBLEMS, REQUESTS, REQUESTS_ACTIVE, STREAMS, TURNS_WAITING

if TYPE_CHECKING:  # it imports prometheus_client
    from utils.telemetry.instruments import Instruments
    from utils.telemetry.sampling import Look, Sampler

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})  # a client may send any word
_BEGAN, _STATUS, _STREAMS = "pustaka.metered.began", "pustaka.metered.status", "pustaka.metered.streams"


def register_metering(app: Flask) -> None:
    """Set it up; before other hooks, so that what they refuse is counted."""
    app.before_request_funcs.setdefault(None, []).insert(0, _begin)
    app.after_request(_note)
    app.teardown_request(_end)  # it runs also when the client left, and for streams at their end


def sample_requests(app: Flask, admission: Admission) -> "Look":
    """The sampler's look at what waits, or is at work, beside the event loop."""

    def look(sampler: "Sampler") -> None:
        if has_pool(app):
            sampler.instruments.put(POOL_BUSY, get_sync_pool(app).busy)
            sampler.instruments.put(POOL_QUEUE, get_sync_pool(app).waiting)
        sampler.instruments.put(TURNS_WAITING, admission.waiting_turns)

    return look


def _begin() -> None:
    request.environ[_BEGAN] = time.perf_counter()
    _get_instruments().add(REQUESTS_ACTIVE, 1)


def _note(response: Response) -> Response:
    request.environ[_STATUS] = f"{response.status_code // 100}xx"
    if isinstance(response, AsyncStream):
        request.environ[_STREAMS] = True
        _get_instruments().add(STREAMS, 1)
    return response


def _end(error: BaseException | None) -> None:
    facts = request.environ
    if (began_s := facts.pop(_BEGAN, None)) is None:
        return
    instruments = _get_instruments()
    instruments.add(REQUESTS_ACTIVE, -1)
    if facts.pop(_STREAMS, False):
        instruments.add(STREAMS, -1)
    route = request.url_rule.rule if request.url_rule else "unknown"
    method = request.method if request.method in _METHODS else "other"
    status = facts.get(_STATUS, "disconnected")
    if slug := facts.get(PROBLEM):
        instruments.count(PROBLEMS, slug)
    instruments.observe(REQUESTS, time.perf_counter() - began_s, route, method, status)


def _get_instruments() -> "Instruments":
    sampler = services().telemetry.sampler
    assert sampler is not None  # noqa: S101 - these hooks are registered where metrics are on
    return sampler.instruments
