"""What one connection may leave open: heads, pipelines, answers nobody reads. Raw sockets against a live server."""

import json
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask, Response, request

from server.admission import Admission, AdmissionLimits
from server.asgi import FlaskAsgi, make_uvicorn_options
from server.http_protocol import ConnectionLimits
from server.streaming import AsyncStream
from tests.api.problem import assert_problem
from tests.server.live_server import Address, Connection, Journal, get, serving

MEGABYTE = b"x" * (1 << 20)
SOON_S = 0.3
PLAYED = 3
A_MOMENT_S, LONG_S = 0.05, 60.0


def make_app(journal: Journal) -> Flask:
    app = Flask("connections")

    @app.get("/health")
    async def health() -> str:
        return "ok"

    @app.post("/echo")
    async def echo() -> str:
        return "echo"

    @app.post("/headers")
    async def headers() -> dict[str, str]:
        return dict(request.headers)

    @app.get("/large")
    async def large() -> bytes:
        return MEGABYTE * 16

    @app.get("/endless")
    async def endless() -> AsyncStream:
        async def chunks() -> AsyncIterator[bytes]:
            try:
                for _ in range(10_000):
                    yield MEGABYTE
            finally:
                journal.note("closed")

        return AsyncStream(chunks())

    @app.get("/played/<float:pause_s>")
    @app.get("/played/<float:pause_s>/<int:sound_bytes>")
    async def played(pause_s: float, sound_bytes: int = 4 << 20) -> AsyncStream:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(PLAYED):
                yield b"x" * sound_bytes

        return AsyncStream(chunks(), longest_pause_s=pause_s)

    @app.after_request
    def after(response: Response) -> Response:
        response.call_on_close(lambda: journal.note("response closed"))
        return response

    return app


@contextmanager
def limited(journal: Journal | None = None, **limits: Any) -> Iterator[Address]:
    """A live server whose connections have these limits."""
    options = make_uvicorn_options(limits=ConnectionLimits(**limits))
    asgi = FlaskAsgi(make_app(journal or Journal()), admission=Admission(AdmissionLimits()))
    with serving(asgi, http=options["http"]) as live:
        yield live


@pytest.fixture(scope="module")
def live() -> Iterator[Address]:
    with limited(head_bytes=2000, head_s=SOON_S, pipelined=20) as address:
        yield address


def assert_refused(connection: Connection, status: int) -> None:
    """The next answer is a problem document with this status, and the last."""
    answer = connection.answer()
    assert (answer.status, answer.header("content-type")) == (status, "application/problem+json")
    document = httpx.Response(status, content=answer.body).json()
    assert_problem(document, status)
    assert document["request_id"] == answer.header("x-request-id")
    assert connection.at_end()


def test_the_connections_are_made_for_this_uvicorn() -> None:
    assert version("uvicorn") == "0.54.0", "read its httptools_impl.py and server.py anew, then change this version"


def test_an_upgrade_that_is_offered_is_passed_over_in_silence(live: Address, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", logger="uvicorn.error"):
        assert live.get("/health", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c").status == 200
    assert "pgrade" not in caplog.text


def test_a_head_of_nearly_the_limit_is_read(live: Address) -> None:
    assert live.get("/health", f"X-Long: {'x' * 1900}").status == 200


@pytest.mark.parametrize(
    "begin",
    [
        b"GET /" + b"x" * 3000,
        b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 3000,
        b"GET / HTTP/1.1\r\n" + b"X-Many: y\r\n" * 300,
        get("/", f"X-Long: {'x' * 3000}"),
        b"GET / HTTP/1.1\r\n" + b"x" * 3000,
    ],
)
def test_a_head_that_grows_too_long_is_refused_before_its_end(live: Address, begin: bytes) -> None:
    with Connection(live) as connection:
        connection.send(begin)
        assert_refused(connection, 431)


def test_a_head_of_64_mb_costs_no_memory_and_its_sender_reads_the_refusal(live: Address) -> None:
    with Connection(live) as connection:
        connection.send(b"GET / HTTP/1.1\r\nX-Long: ")
        try:
            for _ in range(64):
                connection.send(MEGABYTE)
        except OSError:
            return  # hung up on, which also ends it
        assert_refused(connection, 431)


def test_trailers_are_limited_like_heads(live: Address) -> None:
    head = get("/echo", "Transfer-Encoding: chunked").replace(b"GET", b"POST", 1)
    with Connection(live) as connection:
        connection.send(head + b"1\r\nx\r\n0\r\nX-Trailer: " + MEGABYTE)
        assert_refused(connection, 431)


@pytest.mark.parametrize("pieces", [1, 2])
def test_trailers_are_no_headers(live: Address, pieces: int) -> None:
    """With the head in one packet, they were there before the application looked at it."""
    head = get("/headers", "Transfer-Encoding: chunked", "X-Known: head").replace(b"GET", b"POST", 1)
    parts = [head + b"1\r\nx\r\n", b"0\r\nX-API-Key: secret\r\nX-Known: trailer\r\nContent-Type: a/b\r\n\r\n"]
    with Connection(live) as connection:
        for part in parts if pieces == 2 else [b"".join(parts)]:
            connection.send(part)
        first = json.loads(connection.answer().body)
        connection.send(get("/headers", "Content-Length: 0", "X-API-Key: own").replace(b"GET", b"POST", 1))
        second = json.loads(connection.answer().body)
    assert first.keys() >= {"X-Known", "Host"}
    assert first["X-Known"] == "head"
    assert not first.keys() & {"X-Api-Key", "Content-Type"}
    assert second["X-Api-Key"] == "own"


@pytest.mark.parametrize("begin", [b"GET / HT", b"\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_that_does_not_come_to_its_end_is_refused(live: Address, begin: bytes) -> None:
    with Connection(live) as connection:
        connection.send(begin)
        assert_refused(connection, 408)


@pytest.mark.parametrize(("begin", "drop"), [(b"\r\n", b"\r\n"), (b"GET /", b"x")])
def test_a_head_that_trickles_in_has_no_more_time_than_any(live: Address, begin: bytes, drop: bytes) -> None:
    with Connection(live) as connection:
        connection.send(get("/health"))
        assert connection.answer().status == 200
        connection.send(begin)
        began_s = time.monotonic()
        connection.socket.settimeout(0.02)
        while not has_come(connection) and time.monotonic() - began_s < 5:
            connection.send(drop)
        assert SOON_S / 2 < time.monotonic() - began_s < 5


def has_come(connection: Connection) -> bool:
    """Whether something has, or the connection has ended; waits for a moment."""
    try:
        connection.socket.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def test_a_connection_that_never_says_anything_is_closed(live: Address) -> None:
    with Connection(live) as connection:
        assert connection.at_end()


def test_a_slow_head_after_an_answer_does_not_last_either(live: Address) -> None:
    with Connection(live) as connection:
        connection.send(get("/health"))
        assert connection.answer().status == 200
        connection.send(b"GET /he")
        assert_refused(connection, 408)


def test_what_is_not_http_is_refused_with_a_problem(live: Address) -> None:
    with Connection(live) as connection:
        connection.send(b"\x16\x03\x01 this is TLS\r\n\r\n")
        assert_refused(connection, 400)


def test_a_refusal_never_ends_up_within_another_answer(live: Address) -> None:
    with Connection(live) as connection:
        connection.send(get("/large") + b"\x00 no request\r\n\r\n")
        received = b"".join(iter(lambda: connection.socket.recv(1 << 20), b""))
    assert received.count(b"HTTP/1.1") <= 1


def test_requests_in_a_row_are_answered_in_order_and_too_many_end_the_connection(live: Address) -> None:
    with Connection(live) as connection:
        connection.send(get("/health") * 20)
        assert [connection.answer().status for _ in range(20)] == [200] * 20
    with Connection(live) as connection:
        connection.send(get("/health") * 500)
        with pytest.raises((EOFError, IndexError, ConnectionResetError)):
            _ = [connection.answer() for _ in range(500)]
    assert live.get("/health").status == 200


def test_a_reader_that_stops_reading_is_dropped_and_its_stream_closed() -> None:
    journal = Journal()
    with limited(journal, unread_s=SOON_S) as live, Connection(live) as connection:
        connection.send(get("/endless"))
        assert connection.head().status == 200
        assert journal.wait_for("response closed")
        assert "closed" in journal.entries


def test_a_whole_answer_that_is_not_read_is_dropped_too() -> None:
    journal = Journal()
    with limited(journal, unread_s=SOON_S) as live, Connection(live) as connection:
        connection.send(get("/large"))
        assert journal.wait_for("response closed")
        deadline_s = time.monotonic() + 10
        while established(live) and time.monotonic() < deadline_s:
            time.sleep(0.02)  # between two looks
        assert not established(live)


def test_a_reader_that_is_slow_but_reads_gets_all() -> None:
    with limited(unread_s=SOON_S) as live, Connection(live) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.send(get("/large"))
        assert connection.head().status == 200
        began_s, read_bytes = time.monotonic(), 0
        while read_bytes < 16 << 20:
            read_bytes += len(connection._file.read1(1 << 17))  # type: ignore[attr-defined] # of a BufferedReader
            time.sleep(0.01)  # as a slow line would
        assert time.monotonic() - began_s > 2 * SOON_S


def test_a_reader_that_plays_what_it_has_read_may_pause_and_one_that_reads_nothing_may_not() -> None:
    journal = Journal()
    with limited(journal, unread_s=A_MOMENT_S) as live, Connection(live) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.send(get(f"/played/{LONG_S}"))
        assert connection.head().status == 200
        for _ in range(PLAYED):
            time.sleep(3 * A_MOMENT_S)  # as one that plays it
            assert len(connection._file.read(4 << 20)) == 4 << 20
    journal = Journal()
    with limited(journal, unread_s=A_MOMENT_S) as live, Connection(live) as connection:
        connection.send(get(f"/played/{SOON_S}"))
        assert connection.head().status == 200
        assert journal.wait_for("response closed")


def test_a_pause_is_allowed_after_the_whole_answer_was_written_too() -> None:
    journal = Journal()
    with limited(journal, unread_s=SOON_S) as live, Connection(live) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.send(get(f"/played/{LONG_S}/300000"))  # the server's kernel has room for it
        assert journal.wait_for("response closed")
        time.sleep(4 * SOON_S)  # as one that plays it
        assert len(connection.answer().body) == PLAYED * 300_000


@pytest.mark.parametrize("pipelined", [False, True])
@pytest.mark.parametrize("target", ["/endless", "/large"])
def test_a_pause_is_allowed_for_one_answer_and_not_for_the_next_ones_on_its_connection(
    target: str, pipelined: bool
) -> None:
    journal = Journal()
    with limited(journal, unread_s=SOON_S) as live, Connection(live) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.send(get(f"/played/{LONG_S}") + (get(target) if pipelined else b""))
        assert len(connection.answer().body) == PLAYED * (4 << 20)
        if not pipelined:
            connection.send(get(target))
        assert connection.head().status == 200
        closed = ["response closed"] * 2
        assert [each for each in journal.wait(lambda all_: all_.count(closed[0]) == 2) if each in closed] == closed


def test_the_kernel_watches_for_clients_that_are_gone() -> None:
    with limited(unread_s=30) as live, Connection(live) as connection:
        connection.send(get("/health"))
        assert connection.answer().status == 200
        (timer,) = keep_alive_timers(live)
        assert 0 < timer <= 30


def test_probes_are_served_on_connections_there_is_no_room_for() -> None:
    with limited(connections=2, spare_connections=1) as live, Connection(live) as one, Connection(live) as two:
        for connection in (one, two):
            connection.send(get("/health"))
            assert connection.answer().status == 200
        with Connection(live) as surplus:
            surplus.send(get("/health"))
            assert surplus.answer().status == 200
            surplus.send(get("/large"))
            refused = surplus.answer()
            assert (refused.status, refused.header("retry-after")) == (503, "1")
            with Connection(live) as too_many:
                assert hung_up(too_many)


def hung_up(connection: Connection) -> bool:
    """Whether the server closes it without a word."""
    try:
        return connection.at_end()
    except ConnectionResetError:
        return True


def keep_alive_timers(live: Address) -> list[float]:
    """Seconds until the kernel asks each client of *live* whether it is there; format: the kernel's proc_net_tcp."""
    waiting = [re.search(r"02:([0-9A-F]{8})", line) for line in established(live)]
    return [int(found[1], 16) / 100 for found in waiting if found]


def established(live: Address) -> list[str]:
    """The server's ends of its connections, as lines of /proc/net/tcp."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    ends = [line for line in lines if line.split()[1].endswith(f":{live.port:04X}")]
    return [line for line in ends if line.split()[3] in ("01", "04", "08")]  # established, FIN_WAIT1, CLOSE_WAIT
