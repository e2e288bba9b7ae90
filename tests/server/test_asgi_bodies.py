"""Request bodies on a live server: read under a limit, refused in the app's words, and clients that leave."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pytest
from flask import Flask, request
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException

from server.asgi import FlaskAsgi
from server.body_limits import BodyLimits
from server.request_body import load_body, read_pieces, reads_body_itself
from tests.server.live_server import WAIT_S, Address, Connection, Journal, get, serving

LIMIT_BYTES = 100_000
LARGE_BYTES = 40_000_000
SOON_S = 0.3


def make_app(journal: Journal) -> Flask:
    app = Flask("bodies")
    app.config["MAX_CONTENT_LENGTH"] = LIMIT_BYTES

    @app.before_request
    def hook() -> Any:
        if "X-Read" in request.headers:
            journal.note(f"hook read {len(request.get_data())}")
        return ("no key", 401) if "X-Refuse" in request.headers else None

    @app.post("/coroutine")
    async def coroutine() -> Any:
        journal.note("view")
        return {"bytes": len(request.get_data()), "json": request.get_json(silent=True)}

    @app.post("/sync")
    def sync() -> Any:
        return {"bytes": len(request.get_data()), "json": request.get_json(silent=True)}

    @app.post("/pieces")
    @reads_body_itself
    async def pieces() -> Any:
        if "X-Stranger" in request.headers:
            return "no key", 401
        sizes = []
        async for piece in read_pieces(request, max_bytes=LARGE_BYTES):
            sizes.append(len(piece))
            journal.note("piece")
        return {"bytes": sum(sizes), "largest": max(sizes)}

    @app.post("/later")
    @reads_body_itself
    async def later() -> Any:
        await asyncio.sleep(0.01)  # others have their turn: whoever watches for the client to leave
        await load_body(request)
        await load_body(request)  # once more changes nothing
        return {"bytes": len(request.get_data())}

    @app.get("/health")
    async def health() -> str:
        return "ok"

    @app.errorhandler(413)
    async def too_large(error: HTTPException) -> Any:
        return {"type": "too-large"}, 413

    return app


@dataclass(frozen=True)
class Bodies:
    live: Address
    journal: Journal


@pytest.fixture(scope="module")
def _server() -> Iterator[Bodies]:
    journal = Journal()
    with serving(FlaskAsgi(make_app(journal))) as live:
        yield Bodies(live, journal)


@pytest.fixture
def bodies(_server: Bodies) -> Bodies:
    _server.journal.take()
    return _server


def post(path: str, *headers: str) -> bytes:
    return get(path, "Content-Type: application/json", *headers).replace(b"GET", b"POST", 1)


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


@pytest.mark.parametrize("path", ["/coroutine", "/sync"])
def test_a_chunked_body_is_read_like_any_other(bodies: Bodies, path: str) -> None:
    answer = bodies.live.ask(post(path, "Transfer-Encoding: chunked") + chunked(b'{"a"', b": 1}") + b"0\r\n\r\n")
    assert json.loads(answer.body) == {"bytes": 8, "json": {"a": 1}}


@pytest.mark.parametrize("path", ["/coroutine", "/sync"])
def test_a_body_of_exactly_the_limit_is_read(bodies: Bodies, path: str) -> None:
    body = b"x" * LIMIT_BYTES
    declared = bodies.live.ask(post(path, f"Content-Length: {LIMIT_BYTES}") + body)
    undeclared = bodies.live.ask(post(path, "Transfer-Encoding: chunked") + chunked(body) + b"0\r\n\r\n")
    assert json.loads(declared.body)["bytes"] == json.loads(undeclared.body)["bytes"] == LIMIT_BYTES


def test_a_declared_excess_is_refused_before_a_byte_of_it_has_come(bodies: Bodies) -> None:
    answer = bodies.live.ask(post("/coroutine", f"Content-Length: {LIMIT_BYTES + 1}"))
    assert (answer.status, json.loads(answer.body)) == (413, {"type": "too-large"})
    assert bodies.journal.entries == []


def test_a_client_that_asks_first_is_not_told_to_go_on(bodies: Bodies) -> None:
    answer = bodies.live.ask(post("/coroutine", f"Content-Length: {LIMIT_BYTES + 1}", "Expect: 100-continue"))
    assert answer.status == 413  # and not 100


def test_an_undeclared_excess_is_cut_off_on_the_way(bodies: Bodies) -> None:
    endless = chunked(b"x" * LIMIT_BYTES, b"x")  # no last chunk: nobody waits for the end
    answer = bodies.live.ask(post("/coroutine", "Transfer-Encoding: chunked") + endless)
    assert (answer.status, json.loads(answer.body)) == (413, {"type": "too-large"})
    assert bodies.journal.entries == []


def test_a_client_that_goes_on_sending_still_gets_to_read_the_refusal(bodies: Bodies) -> None:
    megabytes = 20
    with Connection(bodies.live) as connection:
        connection.send(post("/coroutine", f"Content-Length: {megabytes << 20}"))
        for _ in range(megabytes):
            connection.send(b"x" * (1 << 20))
        answer = connection.answer()
        assert (answer.status, answer.header("connection")) == (413, "close")
        assert connection.at_end()


def test_hooks_come_before_the_refusal_of_a_body(bodies: Bodies) -> None:
    answer = bodies.live.ask(post("/coroutine", f"Content-Length: {LIMIT_BYTES + 1}", "X-Refuse: yes"))
    assert (answer.status, answer.body) == (401, b"no key")


def test_a_hook_that_reads_a_body_cut_off_is_refused_too(bodies: Bodies) -> None:
    endless = chunked(b"x" * LIMIT_BYTES, b"x")
    assert bodies.live.ask(post("/coroutine", "Transfer-Encoding: chunked", "X-Read: yes") + endless).status == 413
    assert bodies.journal.entries == []


def test_a_client_that_leaves_before_its_body_is_whole_ends_quietly(
    bodies: Bodies, caplog: pytest.LogCaptureFixture
) -> None:
    for headers in (["Content-Length: 1000"], ["Transfer-Encoding: chunked"], ["Content-Length: 1000000"]):
        with Connection(bodies.live) as connection:
            connection.send(post("/coroutine", *headers) + b"3\r\nxyz")
    assert bodies.live.get("/health").status == 200
    assert bodies.journal.entries == []
    assert not caplog.records


def test_a_limit_given_to_the_bridge_comes_before_the_apps() -> None:
    with serving(FlaskAsgi(make_app(Journal()), body_limits=BodyLimits(3))) as live:
        assert live.ask(post("/coroutine", "Content-Length: 3") + b"abc").status == 200
        assert live.ask(post("/coroutine", "Content-Length: 4") + b"abcd").status == 413


def test_a_view_may_take_a_body_larger_than_memory_in_pieces(bodies: Bodies) -> None:
    answer = bodies.live.ask(post("/pieces", f"Content-Length: {LARGE_BYTES}") + b"x" * LARGE_BYTES)
    told = json.loads(answer.body)
    assert told["bytes"] == LARGE_BYTES
    assert told["largest"] <= 1 << 19  # what the server reads at once, twice


def test_a_piece_is_there_before_the_next_is_sent(bodies: Bodies) -> None:
    with Connection(bodies.live) as connection:
        connection.send(post("/pieces", "Content-Length: 2") + b"a")
        assert bodies.journal.wait_for("piece")
        connection.send(b"b")
        assert json.loads(connection.answer().body)["bytes"] == 2
        connection.send(get("/health"))
        assert connection.answer().status == 200


def test_pieces_have_a_limit_of_their_own(bodies: Bodies) -> None:
    assert bodies.live.ask(post("/pieces", f"Content-Length: {LARGE_BYTES + 1}")).status == 413
    with Connection(bodies.live) as connection:
        connection.send(post("/pieces", "Transfer-Encoding: chunked"))
        for _ in range(LARGE_BYTES // 1_000_000 + 1):
            connection.send(chunked(b"x" * 1_000_000))
        assert connection.answer().status == 413


def test_a_view_that_refuses_its_caller_takes_no_body(bodies: Bodies) -> None:
    with Connection(bodies.live) as connection:
        connection.send(post("/pieces", f"Content-Length: {LARGE_BYTES}", "X-Stranger: yes"))
        answer = connection.answer()
        assert (answer.status, answer.header("connection")) == (401, "close")


def test_a_client_that_leaves_in_the_middle_of_pieces_ends_the_view(
    bodies: Bodies, caplog: pytest.LogCaptureFixture
) -> None:
    with Connection(bodies.live) as connection:
        connection.send(post("/pieces", "Content-Length: 1000") + b"x")
        assert bodies.journal.wait_for("piece")
    assert bodies.live.get("/health").status == 200
    assert not caplog.records


def test_a_body_may_be_loaded_by_the_view(bodies: Bodies) -> None:
    answer = bodies.live.ask(post("/later", f"Content-Length: {LIMIT_BYTES}") + b"x" * LIMIT_BYTES)
    assert json.loads(answer.body)["bytes"] == LIMIT_BYTES
    assert bodies.live.ask(post("/later", f"Content-Length: {LIMIT_BYTES + 1}")).status == 413
    assert json.loads(bodies.live.ask(post("/later")).body)["bytes"] == 0


@pytest.mark.parametrize("path", ["/coroutine", "/later", "/pieces"])
def test_a_body_that_does_not_come_to_its_end_is_refused(path: str) -> None:
    limits = BodyLimits(LIMIT_BYTES, patience_s=SOON_S, bytes_per_s=1_000_000)
    with serving(FlaskAsgi(make_app(Journal()), body_limits=limits)) as live, Connection(live) as connection:
        connection.send(post(path, "Content-Length: 10") + b"x")
        answer = connection.answer()
        assert (answer.status, answer.header("connection")) == (408, "close")
        assert connection.at_end()


@pytest.mark.parametrize("path", ["/coroutine", "/later", "/pieces"])
def test_a_body_that_comes_bit_by_bit_is_refused_when_its_whole_time_is_over(path: str) -> None:
    limits = BodyLimits(LIMIT_BYTES, bytes_per_s=1, whole_s=SOON_S, whole_bytes_per_s=1_000_000)
    with serving(FlaskAsgi(make_app(Journal()), body_limits=limits)) as live, Connection(live) as connection:
        connection.send(post(path, "Content-Length: 1000") + b"x" * 900)
        answer = connection.answer()
        assert (answer.status, answer.header("connection")) == (408, "close")


def test_a_body_may_take_longer_the_larger_it_is_but_not_all_day() -> None:
    limits = BodyLimits()
    assert limits.compute_allowed_s(0) == 20
    assert limits.compute_allowed_s(1_000_000) > 120
    assert limits.compute_allowed_s(250_000_000) < 2 * 3600


def test_bodies_that_memory_has_no_room_for_are_refused_and_small_ones_are_not() -> None:
    limits = BodyLimits(LIMIT_BYTES, total_bytes=3 * LIMIT_BYTES)
    with serving(FlaskAsgi(make_app(Journal()), body_limits=limits)) as live, ExitStack() as stack:
        large, small = b"x" * LIMIT_BYTES, b"x" * 1000
        slow = [stack.enter_context(Connection(live)) for _ in range(3)]
        for connection in slow:
            connection.send(post("/coroutine", f"Content-Length: {LIMIT_BYTES}") + large[1:])
        wait_until(lambda: limits.used_bytes == 3 * LIMIT_BYTES)
        refused = live.ask(post("/coroutine", f"Content-Length: {LIMIT_BYTES}"))
        assert (refused.status, refused.header("retry-after")) == (503, "2")
        undeclared = live.ask(post("/coroutine", "Transfer-Encoding: chunked") + chunked(large))
        assert undeclared.status == 503
        assert live.ask(post("/coroutine", "Content-Length: 1000") + small).status == 200
        for connection in slow:
            connection.send(b"x")
            assert connection.answer().status == 200
        wait_until(lambda: limits.used_bytes == 0)
        assert live.ask(post("/coroutine", f"Content-Length: {LIMIT_BYTES}") + large).status == 200


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when it holds; fail when it does not in time."""
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)  # between two looks


parts = st.lists(st.binary(max_size=6), max_size=6)


@given(parts=parts, limit=st.integers(0, 20), declared=st.booleans())
async def test_whatever_the_pieces_a_body_is_whole_or_refused(parts: list[bytes], limit: int, declared: bool) -> None:
    app = Flask("pieces")

    @app.post("/")
    async def view() -> bytes:
        return request.get_data()

    body = b"".join(parts)
    headers = [(b"content-length", str(len(body)).encode())] if declared else []
    pieces = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    coming = chain(pieces, [{"type": "http.request"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(coming, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/",
        "query_string": b"\xc3",
        "headers": headers,
    }
    await FlaskAsgi(app, body_limits=BodyLimits(limit))(scope, receive, send)  # type: ignore[arg-type] # only what is read
    assert sent[0]["status"] == (413 if len(body) > limit else 200)
    if len(body) <= limit:
        assert b"".join(message["body"] for message in sent[1:]) == body
    assert [message["more_body"] for message in sent[1:]][-1] is False
