"""The ASGI bridge on a live server: where things run, what requests see of each other, and the server's life."""

import asyncio
import contextlib
import contextvars
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any

import httpx
import pytest
from flask import Flask, Response, current_app, g, jsonify, request
from flask.views import MethodView
from flask_openapi3 import OpenAPI
from pydantic import BaseModel
from werkzeug.middleware.proxy_fix import ProxyFix

from server.asgi import FlaskAsgi, make_uvicorn_options
from server.streaming import AsyncStream
from tests.server.live_server import Connection, Journal, get, serving

# The claim is made for 10,000 (ASGI_REQUESTS=10000); in every run fewer have to do.
REQUESTS = int(os.environ.get("ASGI_REQUESTS", "2000"))
BATCH = 10  # pipelined at a time

inherited: contextvars.ContextVar[str] = contextvars.ContextVar("inherited")


class Greeting(BaseModel):
    name: str


def where() -> dict[str, str]:
    """The thread and the loop a view runs in."""
    loop = asyncio._get_running_loop()
    return {"thread": threading.current_thread().name, "loop": "none" if loop is None else str(id(loop))}


def made_sync(view: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator as Flask's extensions write them."""

    @wraps(view)
    def wrapper(**args: Any) -> Any:
        response = current_app.make_response(current_app.ensure_sync(view)(**args))
        response.headers["X-Decorated"] = "yes"
        return response

    return wrapper


def make_places() -> Flask:
    app = OpenAPI("places", doc_ui=False)

    @app.get("/coroutine")
    async def coroutine() -> Any:
        return where()

    @app.get("/sync")
    def sync() -> Any:
        inherited.set(inherited.get("") + " view")
        return where()

    @app.get("/decorated")
    @made_sync
    async def decorated() -> Any:
        await asyncio.sleep(0)
        return where() | {"path": request.path}

    @app.post("/greet")
    async def greet(body: Greeting) -> Any:
        return where() | {"hello": body.name}

    class Coroutines(MethodView):
        async def get(self) -> Any:
            return where()

    app.add_url_rule("/class", view_func=Coroutines.as_view("class"))

    @app.before_request
    async def before() -> None:
        inherited.set("hook")

    @app.after_request
    def after(response: Response) -> Response:
        response.headers["X-Inherited"] = inherited.get()
        return response

    return app


@pytest.fixture(scope="module")
def places() -> Iterator[httpx.Client]:
    with serving(FlaskAsgi(make_places())) as live, httpx.Client(base_url=live.url) as http:
        yield http


def test_coroutine_views_run_on_the_servers_loop(places: httpx.Client) -> None:
    seen = places.get("/coroutine").json()
    assert seen["loop"] != "none"
    assert places.post("/greet", json={"name": "x"}).json() == seen | {"hello": "x"}


def test_sync_views_run_in_a_pool(places: httpx.Client) -> None:
    seen = places.get("/sync").json()
    assert seen["loop"] == "none"
    assert seen["thread"].startswith("sync-view")


def test_a_pools_thread_shares_the_requests_context_variables(places: httpx.Client) -> None:
    assert places.get("/coroutine").headers["X-Inherited"] == "hook"
    assert places.get("/sync").headers["X-Inherited"] == "hook view"


def test_coroutines_behind_sync_code_still_run_on_the_servers_loop(places: httpx.Client) -> None:
    loop = places.get("/coroutine").json()["loop"]
    decorated = places.get("/decorated")
    assert decorated.headers["X-Decorated"] == "yes"
    assert decorated.json()["loop"] == loop
    assert decorated.json()["path"] == "/decorated"
    assert places.get("/class").json()["loop"] == loop


def test_flask_openapi_validates_for_coroutine_views(places: httpx.Client) -> None:
    assert places.post("/greet", json={"nam": "x"}).status_code == 422


def make_leaky() -> Flask:
    """Every view reports what was there before it, and leaves something behind."""
    app = Flask("leaky")

    @app.before_request
    def before() -> None:
        g.found = [*vars(g._get_current_object()), inherited.get("nothing")]
        g.token = request.headers["X-Token"]
        inherited.set(g.token)

    def told() -> dict[str, Any]:
        return {"found": g.found, "g": g.token, "request": request.headers["X-Token"], "variable": inherited.get()}

    @app.get("/coroutine")
    async def coroutine() -> Any:
        await asyncio.sleep(0)
        return told()

    @app.get("/sync")
    def sync() -> Any:
        return told()

    @app.get("/stream")
    async def stream() -> AsyncStream:
        async def chunks() -> AsyncIterator[bytes]:
            yield b" "
            await asyncio.sleep(0)
            yield jsonify(told()).get_data()

        return AsyncStream(chunks(), mimetype="application/json")

    @app.get("/refused")
    async def refused() -> Any:
        return told(), 409

    return app


@pytest.mark.parametrize("reset_contextvars", [True, False])
def test_no_request_sees_anothers_context(reset_contextvars: bool) -> None:
    paths = ["/coroutine", "/sync", "/stream", "/refused", "/coroutine"]
    with serving(FlaskAsgi(make_leaky()), reset_contextvars=reset_contextvars) as live:

        def ask(worker: int) -> None:
            with Connection(live) as connection:
                for batch in range(REQUESTS // BATCH // 4):
                    tokens = {f"{worker}-{batch}-{i}": paths[(batch + i) % len(paths)] for i in range(BATCH)}
                    connection.send(b"".join(get(path, f"X-Token: {token}") for token, path in tokens.items()))
                    for token, path in tokens.items():
                        answer = connection.answer()
                        assert answer.status == (409 if path == "/refused" else 200)
                        told = httpx.Response(200, content=answer.body).json()
                        assert told == {"found": ["nothing"], "g": token, "request": token, "variable": token}

        with ThreadPoolExecutor(4) as clients:
            list(clients.map(ask, range(4)))


def test_a_coroutine_view_answers_while_sync_views_fill_the_pool() -> None:
    app, journal, release = Flask("full"), Journal(), threading.Event()
    app.get("/health")(as_health)

    @app.get("/slow")
    def slow() -> str:
        journal.note("slow")
        release.wait(10)
        return "done"

    with (
        serving(FlaskAsgi(app, pool_threads=2, pool_queue=1)) as live,
        Connection(live) as one,
        Connection(live) as two,
        Connection(live) as three,
    ):
        for connection in (one, two):
            connection.send(get("/slow"))
        assert journal.wait(lambda entries: len(entries) == 2) == ["slow", "slow"]
        three.send(get("/slow"))  # waits in the queue
        assert live.get("/health").status == 200
        refused = live.get("/slow")
        assert (refused.status, refused.header("retry-after")) == (503, "1")
        release.set()
        assert [connection.answer().body for connection in (one, two, three)] == [b"done"] * 3
        assert live.get("/slow").status == 200


async def as_health() -> str:
    return "ok"


def test_wsgi_middleware_that_would_never_run_is_refused() -> None:
    app = Flask("wrapped")
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign] # as Flask's documentation has it
    with pytest.raises(TypeError, match="middleware"):
        FlaskAsgi(app)


def test_the_lifespan_surrounds_all_requests() -> None:
    journal, app = Journal(), Flask("alive")

    @app.get("/")
    async def view() -> str:
        journal.note("request")
        return "x"

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        journal.note("start")
        yield
        journal.note("stop")

    with serving(FlaskAsgi(app, lifespan=lifespan)) as live:
        assert live.get("/").status == 200
    assert journal.entries == ["start", "request", "stop"]


def test_flask_refuses_changes_to_an_app_that_has_begun_to_serve() -> None:
    app = Flask("begun")
    app.get("/health")(as_health)
    with serving(FlaskAsgi(app)) as live:
        assert live.get("/health").status == 200
    with pytest.raises(AssertionError, match="first request"):
        app.get("/late")(as_health)


def test_a_start_that_fails_ends_the_server_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        raise ConnectionError("Redis does not answer at redis://nowhere.")
        yield

    with serving(FlaskAsgi(Flask("dead"), lifespan=lifespan), must_start=False):
        pass
    assert "ConnectionError: Redis does not answer at redis://nowhere." in caplog.messages


def test_a_stop_that_fails_is_told_to_the_server(caplog: pytest.LogCaptureFixture) -> None:
    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        raise OSError("The queue was not empty.")

    with serving(FlaskAsgi(Flask("stubborn"), lifespan=lifespan)):
        pass
    assert "OSError: The queue was not empty." in caplog.messages


def test_the_servers_time_to_stop_is_shorter_than_the_process_managers() -> None:
    assert make_uvicorn_options(graceful_timeout_s=30)["timeout_graceful_shutdown"] == 28
    assert make_uvicorn_options(graceful_timeout_s=1)["timeout_graceful_shutdown"] == 1
