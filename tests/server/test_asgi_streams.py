"""Streams on a live server, and clients that leave while something is being made for them."""

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from server.asgi import FlaskAsgi
from tests.processes import resident_bytes
from tests.server.live_server import Address, Connection, Journal, get, serving
from tests.server.streams_app import MEGABYTE, Gate, make_app


@dataclass(frozen=True)
class Streams:
    live: Address
    journal: Journal
    gate: Gate


@pytest.fixture(params=["own", "uvicorn"])
def streams(request: pytest.FixtureRequest) -> Iterator[Streams]:
    """A server for each test: what ends late in one must not be noted in the next. On our connections and on others."""
    journal, gate = Journal(), Gate()
    options: dict[str, Any] = {"http": "httptools"} if request.param == "uvicorn" else {}
    with serving(FlaskAsgi(make_app(journal, gate), pool_threads=2), **options) as live:
        yield Streams(live, journal, gate)


def test_a_chunk_is_sent_before_the_next_is_made(streams: Streams) -> None:
    with Connection(streams.live) as connection:
        connection.send(get("/ticks"))
        head = connection.head()
        assert (head.header("content-length"), head.header("x-later")) == (None, "kept")
        assert connection.chunk() == b"first"
        assert streams.live.get("/go").status == 200
        assert connection.chunk() == b"/ticks"
        assert connection.chunk() == b""
        connection.send(get("/health"))
        assert connection.answer().body == b"ok"


def test_a_sync_generators_chunk_is_sent_before_the_next_is_made(streams: Streams) -> None:
    with Connection(streams.live) as connection:
        connection.send(get("/generated"))
        connection.head()
        assert connection.chunk() == b"first"
        assert streams.live.get("/go").status == 200
        assert connection.chunk() == MEGABYTE


def test_a_stream_is_closed_the_moment_its_client_leaves(streams: Streams, caplog: pytest.LogCaptureFixture) -> None:
    with Connection(streams.live) as connection:
        connection.send(get("/ticks"))
        connection.head()
    seen = streams.journal.wait(lambda entries: "response closed" in entries)
    assert seen == ["cancelled", "closed", "teardown CancelledError", "response closed"]
    assert streams.live.get("/health").status == 200  # by now the server would have complained
    assert not caplog.records


def test_a_stream_is_closed_when_its_client_leaves_before_the_first_chunk(streams: Streams) -> None:
    with Connection(streams.live) as connection:
        connection.send(get("/late"))
        assert streams.journal.wait_for("working")
    seen = streams.journal.wait(lambda entries: len(entries) == 4)
    assert seen == ["working", "cancelled", "closed", "teardown CancelledError"]


def test_a_stream_goes_no_faster_than_its_client_reads(streams: Streams) -> None:
    with Connection(streams.live) as connection:
        connection.send(get("/endless"))
        # Without a brake nothing else would be served until all 1000 MB were in the server's memory.
        assert streams.live.get("/health").status == 200
        assert "closed" not in streams.journal.entries
        connection.head()
        assert connection.chunk() == MEGABYTE
    assert streams.journal.wait_for("closed")


def test_a_sync_generator_is_closed_when_its_client_leaves(streams: Streams) -> None:
    with Connection(streams.live) as connection:
        connection.send(get("/generated"))
        connection.head()
    assert streams.live.get("/go").status == 200
    assert streams.journal.wait_for("closed")


def test_a_coroutine_view_is_cancelled_when_its_client_leaves(
    streams: Streams, caplog: pytest.LogCaptureFixture
) -> None:
    with Connection(streams.live) as connection:
        connection.send(get("/working"))
        assert streams.journal.wait_for("working")
    seen = streams.journal.wait(lambda entries: len(entries) == 3)
    assert seen == ["working", "cancelled", "teardown CancelledError"]
    assert streams.live.get("/health").status == 200  # by now the server would have complained
    assert not caplog.records


def test_a_sync_view_is_let_finish_after_its_client_has_left(
    streams: Streams, caplog: pytest.LogCaptureFixture
) -> None:
    with Connection(streams.live) as connection:
        connection.send(get("/blocking"))
        assert streams.journal.wait_for("working")
    assert streams.live.get("/go").status == 200
    assert streams.journal.wait_for("finished")
    assert streams.live.get("/health").status == 200
    assert not caplog.records


def test_an_exception_that_nothing_handles_is_logged_once(streams: Streams, caplog: pytest.LogCaptureFixture) -> None:
    assert streams.live.get("/crash").status == 500
    assert [record.getMessage() for record in caplog.records] == ["Exception on /crash [GET]"]


def test_a_view_may_be_let_finish_after_its_client_has_left() -> None:
    journal, gate = Journal(), Gate()
    with serving(FlaskAsgi(make_app(journal, gate), cancel_on_disconnect=False)) as live:
        with Connection(live) as connection:
            connection.send(get("/working"))
            assert journal.wait_for("working")
        assert live.get("/go").status == 200
        assert journal.wait_for("finished")
        assert "cancelled" not in journal.entries


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_stream_that_fails_on_the_way_is_not_passed_off_as_whole(
    streams: Streams, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    with Connection(streams.live) as connection:
        connection.send(get(f"/broken/{kind}"))
        with pytest.raises(EOFError):
            connection.answer()
    assert streams.journal.wait_for("response closed")
    logged = [record for record in caplog.records if record.exc_info]
    assert [record.getMessage() for record in logged] == ["A response was aborted."]


def test_the_teardown_functions_are_given_a_streams_error(streams: Streams) -> None:
    with pytest.raises(EOFError):
        streams.live.get("/broken/async")
    assert streams.journal.wait_for("teardown ValueError")


def test_a_stream_that_fails_before_its_first_byte_is_answered_by_the_apps_handler(streams: Streams) -> None:
    answer = streams.live.get("/refused/async")
    assert (answer.status, answer.body) == (409, b'{"refused":"before the first byte"}\n')
    assert streams.live.get("/refused/sync").status == 500  # Flask is done by then; so is it under WSGI


def test_a_stream_that_is_not_sent_is_closed(streams: Streams) -> None:
    assert streams.live.get("/ticks", "X-Replace: yes").body == b"another"
    assert streams.journal.entries == ["closed", "teardown NoneType"]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is looked up in /proc")
def test_large_answers_wait_for_slow_readers_on_disk(streams: Streams) -> None:
    assert streams.live.get("/large").body == MEGABYTE * 20
    before = most = resident_bytes(os.getpid())
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(Connection(streams.live)) for _ in range(15)]
        for reader in readers:
            reader.send(get("/large"))
            assert reader.head().header("content-length") == str(20 << 20)
            most = max(most, resident_bytes(os.getpid()))
        assert streams.live.get("/health").status == 200
        assert readers[0].body(20 << 20) == MEGABYTE * 20
    assert most - before < 100_000_000, f"{(most - before) / 1e6:.0f} MB for {len(readers)} readers"


def test_nothing_is_made_for_a_head_request(streams: Streams) -> None:
    with Connection(streams.live) as connection:
        connection.send(get("/ticks").replace(b"GET", b"HEAD"))
        assert connection.head().status == 200
    assert streams.journal.wait_for("response closed")
    assert "closed" not in streams.journal.entries


def test_a_sync_view_is_never_torn_down_while_it_runs() -> None:
    journal, gate = Journal(), Gate()

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        gate.open()  # the server has given up on the view by now

    asgi = FlaskAsgi(make_app(journal, gate), lifespan=lifespan)
    with serving(asgi, timeout_graceful_shutdown=0) as live, Connection(live) as connection:
        connection.send(get("/blocking"))
        assert journal.wait_for("working")
    assert journal.entries == ["working", "finished", "teardown CancelledError"]


def test_a_server_that_stops_ends_streams_and_views() -> None:
    journal, gate = Journal(), Gate()
    app = FlaskAsgi(make_app(journal, gate))
    with serving(app, timeout_graceful_shutdown=0) as live:
        stream, view = Connection(live), Connection(live)
        stream.send(get("/ticks"))
        stream.head()
        view.send(get("/working"))
        assert journal.wait_for("working")
    assert journal.entries.count("cancelled") == 2
    assert journal.entries.count("teardown CancelledError") == 2
    stream.close()
    view.close()
