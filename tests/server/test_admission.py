"""What a process takes on at once, what it refuses, and who is always let in."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import httpx
import pytest
from flask import Flask, Response, request

from api.problems import register_problems
from auth.credentials import make_key_principal
from auth.principal import Principal
from auth.scopes import ALL_SCOPES, Scope
from server.admission import Admission, AdmissionLimits, AdmissionPermit
from server.asgi import FlaskAsgi
from server.request_body import call_at_end
from server.streaming import AsyncStream
from tests.server.live_server import Address, Connection, Journal, get, serving
from tests.server.streams_app import Gate
from utils.errors import Overloaded, TooManyAtOnce

ACME, GLOBEX, PAGE = (
    make_key_principal("acme", "key"),
    make_key_principal("globex", "key"),
    make_key_principal("default", "page"),
)


def make_app(admission: Admission, journal: Journal, gate: Gate) -> Flask:
    app = Flask("admission")
    register_problems(app)

    @app.get("/health")
    async def health() -> str:
        return "ok"

    @app.get("/go")
    async def release() -> str:
        gate.open()
        return "ok"

    @app.route("/work", methods=["GET", "POST"])
    async def work() -> str:
        call_at_end(request, admission.request_of(make_key_principal(request.headers["X-Tenant"], "key")).release)
        journal.note("working")
        await gate.for_coroutines.wait()
        return "done"

    @app.get("/stream")
    async def stream() -> Response:
        call_at_end(request, admission.request_of(make_key_principal(request.headers["X-Tenant"], "key")).release)

        async def chunks() -> AsyncIterator[bytes]:
            yield b"first"
            await gate.for_coroutines.wait()
            yield b"last"

        return AsyncStream(chunks())

    return app


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def admission() -> Admission:
    return Admission(AdmissionLimits(requests=4, requests_per_key=2))


@pytest.fixture
def live(admission: Admission, journal: Journal) -> Iterator[Address]:
    app = make_app(admission, journal, gate := Gate())
    with serving(FlaskAsgi(app, admission=admission)) as address:
        try:
            yield address
        finally:
            gate.open()


def tenant(name: str) -> str:
    return f"X-Tenant: {name}"


def test_a_request_too_many_is_refused_with_a_problem_and_probes_are_not(live: Address, journal: Journal) -> None:
    with ExitStack() as stack:
        busy = [stack.enter_context(Connection(live)) for _ in range(4)]
        for number, connection in enumerate(busy):
            connection.send(get("/work", tenant(f"t{number}")))
        journal.wait(lambda entries: len(entries) == 4)
        with Connection(live) as late:
            late.send(get("/work", tenant("late")))
            refused = late.answer()
            assert (refused.status, refused.header("retry-after")) == (503, "1")
            assert refused.header("content-type") == "application/problem+json"
            assert httpx.Response(503, content=refused.body).json()["status"] == 503
            late.send(get("/work", tenant("late"), "Content-Length: 3").replace(b"GET", b"POST", 1) + b"abc")
            assert late.answer().status == 503  # on the same connection: a small body costs nobody his
            assert [live.get("/health").status for _ in range(20)] == [200] * 20
        assert len(journal.entries) == 4


def test_a_request_that_has_been_served_makes_room(live: Address, admission: Admission, journal: Journal) -> None:
    for _ in range(3):
        for _ in range(4):
            with Connection(live) as leaving:  # while it is served
                journal.take()
                leaving.send(get("/work", tenant("acme")))
                assert journal.wait_for("working")
    assert live.get("/go").status == 200
    assert live.get("/work", tenant("acme")).status == 200
    assert admission.requests == 0


def test_a_key_has_its_share_and_leaves_the_others_theirs(live: Address) -> None:
    with Connection(live) as one, Connection(live) as two:
        for connection in (one, two):
            connection.send(get("/stream", tenant("acme")))
            connection.head()
            assert connection.chunk() == b"first"  # the view is over, the stream is not
        refused = live.get("/stream", tenant("acme"))
        assert (refused.status, refused.header("retry-after")) == (429, "1")
        assert httpx.Response(429, content=refused.body).json()["title"] == "Concurrent request limit reached"
        with Connection(live) as other:
            other.send(get("/stream", tenant("globex")))
            assert other.head().status == 200
        assert live.get("/go").status == 200
        for connection in (one, two):
            assert connection.chunk() == b"last"
            assert connection.chunk() == b""
    assert live.get("/stream", tenant("acme")).status == 200


# ---- turns, which may outlive their requests


async def waiting(admission: Admission, ctx: Principal) -> "asyncio.Task[AdmissionPermit]":
    """A task that waits for a place."""
    task = asyncio.create_task(admission.admit_turn(ctx))
    await asyncio.sleep(0)
    return task


async def test_a_turn_waits_for_another_to_end_first_come_first_served() -> None:
    admission = Admission(AdmissionLimits(turns=1, waiting_turns=2))
    running = await admission.admit_turn(ACME)
    first, second = await waiting(admission, ACME), await waiting(admission, GLOBEX)
    assert admission.waiting_turns == 2
    with pytest.raises(Overloaded) as refused:
        await admission.admit_turn(GLOBEX)
    assert refused.value.headers == {"Retry-After": "2"}
    running.release()
    running.release()  # once is enough
    (await first).release()
    (await second).release()
    assert (admission.turns, admission.waiting_turns) == (0, 0)


async def test_a_turn_that_waits_too_long_is_refused_and_holds_nothing() -> None:
    admission = Admission(AdmissionLimits(turns=1, waiting_turns=2, wait_s=0.01, turns_per_key=2))
    with await admission.admit_turn(ACME):
        for _ in range(3):
            with pytest.raises(Overloaded):
                await admission.admit_turn(ACME)
        assert admission.waiting_turns == 0
    assert admission.turns == 0


async def test_a_waiter_that_is_cancelled_in_the_moment_of_its_turn_passes_it_on() -> None:
    admission = Admission(AdmissionLimits(turns=1, waiting_turns=3))
    running = await admission.admit_turn(ACME)
    gone, leaving, staying = [await waiting(admission, ACME) for _ in range(3)]
    gone.cancel()  # before
    running.release()
    leaving.cancel()  # after its place was given to it, before it ran
    for task in (gone, leaving):
        with pytest.raises(asyncio.CancelledError):
            await task
    (await staying).release()
    assert (admission.turns, admission.waiting_turns) == (0, 0)


async def test_each_subject_has_its_share_of_turns() -> None:
    admission = Admission(AdmissionLimits(turns=10, turns_per_key=2))
    held = [await admission.admit_turn(ACME) for _ in range(2)]
    with pytest.raises(TooManyAtOnce):
        await admission.admit_turn(ACME)
    held += [await admission.admit_turn(GLOBEX) for _ in range(2)]
    held += [await admission.admit_turn(PAGE) for _ in range(2)]
    with pytest.raises(TooManyAtOnce):
        await admission.admit_turn(PAGE)
    for place in held:
        place.release()
    assert admission.turns == 0
    (await admission.admit_turn(ACME)).release()


async def test_what_is_under_way_is_counted_by_subject_whatever_its_scopes_are_by_now() -> None:
    admission = Admission(AdmissionLimits(requests_per_key=2, turns_per_key=2))
    with ExitStack() as stack:
        for scopes in (ALL_SCOPES, frozenset({Scope.SEARCH})):
            stack.enter_context(admission.request_of(make_key_principal("acme", "key", scopes)))
            stack.enter_context(await admission.admit_turn(make_key_principal("acme", "key", scopes)))
        with pytest.raises(TooManyAtOnce):
            admission.request_of(ACME)
        with pytest.raises(TooManyAtOnce):
            await admission.admit_turn(ACME)
        admission.request_of(GLOBEX).release()
        (await admission.admit_turn(GLOBEX)).release()
    admission.request_of(ACME).release()
