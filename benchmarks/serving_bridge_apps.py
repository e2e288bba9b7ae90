"""The servers that `benchmarks/serving_bridge.py` measures, one process each: the same routes on Starlette and Flask.

python -m benchmarks.serving_bridge_apps bridge --port 8100
"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any, cast

import uvicorn
from flask import Flask, Response, g, jsonify, request
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from agents.bots import BotConfig
from api.access import requires
from api.auth import Authenticator
from api.json_provider import OrjsonProvider
from api.limits import RateLimits
from api.middleware import register_middleware
from api.problems import register_problems
from api.services import ApiServices, attach_services
from api.visitor_tokens import VisitorSigner
from auth.credentials import make_key_principal
from auth.principal import Principal
from auth.scopes import ALL_SCOPES, Scope
from bootstrap.bots import StoredBots
from domain.db_opening import open_database
from server.admission import Admission, AdmissionLimits
from server.asgi import FlaskAsgi, make_uvicorn_options
from server.streaming import AsyncStream
from utils.logging_config import configure_logging
from utils.processes import switch_threads_often, tune_collector

API_KEY = "benchmark-key-of-this-run-only"
ANSWER = {"answer": "x" * 200, "sources": ["a", "b"], "n": 1}
SLOW_S, BLOCKING_S = 2.0, 0.2
TOKENS, TOKEN_EVERY_S = 100, 0.05
IDLE_S = 30.0
_TOKEN = b'event: token\ndata: {"type": "token", "text": "word "}\n\n'

_seen: ContextVar[str] = ContextVar("seen")


class Closings:
    """When streams were closed, by the clock that all processes of a machine share."""

    def __init__(self) -> None:
        self.at_s: list[float] = []

    async def idle(self) -> AsyncIterator[bytes]:
        """One chunk, then nothing for long."""
        try:
            yield _TOKEN
            await asyncio.sleep(IDLE_S)
        finally:
            self.at_s.append(time.monotonic())


async def tokens() -> AsyncIterator[bytes]:
    """An answer as a model gives it."""
    for _ in range(TOKENS):
        yield _TOKEN
        await asyncio.sleep(TOKEN_EVERY_S)


def starlette_app() -> Starlette:
    """The floor."""
    closings = Closings()

    async def plain(request: Request) -> JSONResponse:
        return JSONResponse(ANSWER)

    async def slow(request: Request) -> JSONResponse:
        await asyncio.sleep(SLOW_S)
        return JSONResponse(ANSWER)

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(tokens(), media_type="text/event-stream")

    async def idle(request: Request) -> StreamingResponse:
        return StreamingResponse(closings.idle(), media_type="text/event-stream")

    async def closed(request: Request) -> JSONResponse:
        return JSONResponse(closings.at_s)

    views = (plain, slow, stream, idle, closed)
    return Starlette(routes=[Route(f"/{view.__name__}", view) for view in views])


def flask_app() -> Flask:
    """The same on Flask, with routes that tell what a request finds of others."""
    app, closings = Flask("bench"), Closings()
    app.json = OrjsonProvider(app)  # as in the service

    @app.get("/plain")
    async def plain() -> Response:
        return jsonify(ANSWER)

    @app.get("/slow")
    async def slow() -> Response:
        await asyncio.sleep(SLOW_S)
        return jsonify(ANSWER)

    @app.get("/blocking")
    def blocking() -> Response:
        time.sleep(BLOCKING_S)
        return jsonify(ANSWER)

    @app.get("/stream")
    async def stream() -> Response:
        return AsyncStream(tokens(), mimetype="text/event-stream")

    @app.get("/idle")
    async def idle() -> Response:
        return AsyncStream(closings.idle(), mimetype="text/event-stream")

    @app.get("/closed")
    async def closed() -> Response:
        return jsonify(closings.at_s)

    @app.get("/leaks")
    async def leaks() -> Response:
        return jsonify(await _leaks())

    return app


async def _leaks() -> list[str]:
    """What this request finds that is another's; it leaves something for the next."""
    token, found = request.headers["X-Token"], [*vars(g._get_current_object())]
    if (seen := _seen.get("")) != "":
        found.append(seen)
    g.token = token
    _seen.set(token)
    await asyncio.sleep(0)
    if (g.token, _seen.get(), request.headers["X-Token"]) != (token, token, token):
        found.append("mixed up")
    return [token, *found]


def add_edge(app: Flask, admission: Admission, redis_url: str | None) -> None:
    """The parts of the service's own edge: ids, log line, headers and CORS; a route with key and rate limit."""
    register_problems(app)
    register_middleware(app, cors_origins=["*"], trusted_hosts=())
    database = open_database("sqlite://")
    keys = {API_KEY: make_key_principal("default", "bench", scopes=ALL_SCOPES)}
    used = SimpleNamespace(
        admission=admission,
        authenticator=Authenticator(keys, database, VisitorSigner(b""), StoredBots(database, BotConfig())),
        rate_limits=RateLimits(redis_url, limit=1_000_000, reason="") if redis_url else None,
    )
    attach_services(app, cast(ApiServices, used))

    @requires(Scope.CHAT_WRITE)
    async def guarded(ctx: Principal) -> Response:
        return jsonify(ANSWER)

    app.add_url_rule("/guarded", view_func=guarded)


def main() -> None:
    """Serve one of them until a signal."""
    parser = argparse.ArgumentParser(description="A server to be measured.")
    parser.add_argument("name", choices=["starlette", "starlette-tuned", "bridge", "edge"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--redis-url")
    args = parser.parse_args()
    configure_logging("INFO")
    if args.name != "starlette":  # which is as anyone runs it
        tune_collector()  # as the service does
        switch_threads_often()
    common: dict[str, Any] = {"host": "127.0.0.1", "port": args.port, "log_config": None, "access_log": False}
    if args.name.startswith("starlette"):
        uvicorn.run(starlette_app(), **common)
        return
    app, admission = flask_app(), Admission(AdmissionLimits())
    if args.name == "edge":
        add_edge(app, admission, args.redis_url)
    uvicorn.run(FlaskAsgi(app, admission=admission), **(make_uvicorn_options() | common))


if __name__ == "__main__":
    main()
