"""Events on the wire, whatever the reader's pace, and what becomes of failures."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st

from agents.runs.event_reader import RunEventReader
from agents.runs.handle import RunHandle
from agents.runs.live import LiveRun
from agents.runs.record import RunRecord
from agents.runs.run_store import RunStore
from api.sse import HEARTBEAT, encode_event, encode_events, number_after
from auth.credentials import make_key_principal
from bootstrap.valkey import find_valkey
from tests.servers.redis import RedisServer
from utils.checkpointer import Connections
from utils.errors import BadInput, ProviderUnavailable, RunFailed, describe_problem
from utils.observers import RunWatches

DONE = {"type": "done"}


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("events"), binary=find_valkey()) as server:
        yield server


@pytest.fixture
async def live(valkey: RedisServer) -> AsyncIterator[LiveRun]:
    """A run that has begun."""
    valkey.client.flushdb()
    connections = Connections(valkey.url)
    run_store = RunStore(connections.asynchronous(), worker="w", hold_s=60)
    record = RunRecord("r", make_key_principal("acme", "k"), "c", "Why?", "q", True, "f", "2026-11-21T00:00:00Z", 60)
    await run_store.begin(record)
    yield LiveRun(record, run_store, RunWatches())
    await connections.aclose()


def handle(live: LiveRun) -> RunHandle:
    return RunHandle(live.record.id, live, RunEventReader(live._run_store))


async def read(live: LiveRun, *, after: int = 0, slowly: bool = False) -> list[dict[str, Any]]:
    """What a reader gets, within ten seconds; each with its number."""
    found = []
    with Flask("test").test_request_context():
        async with asyncio.timeout(10):
            async for piece in encode_events(handle(live), after, quiet_s=0.01, leaving=False):
                for block in piece.decode().split("\n\n"):
                    if "data: " in block:
                        number = int(block.split("id: r-")[1].split("\n")[0])
                        found.append({**json.loads(block.split("data: ")[1]), "number": number})
                if slowly:
                    await asyncio.sleep(0)
    return found


def failed(error: Exception) -> dict[str, Any]:
    return {"type": "error", "problem": describe_problem(error)}


@pytest.mark.parametrize("slowly", [False, True])
@pytest.mark.parametrize("count", [1, 2, 128, 500])
async def test_a_stream_of_any_length_comes_to_its_end(live: LiveRun, count: int, slowly: bool) -> None:
    async def tell() -> None:
        for number in range(count - 1):
            live.emit({"type": "token", "content": str(number)})
            if number % 3 == 0:
                await asyncio.sleep(0)
        await live.end(DONE)

    telling = asyncio.create_task(tell())
    found = await read(live, slowly=slowly)
    await telling
    assert [event["number"] for event in found] == list(range(1, count + 1))
    assert [event.get("content") for event in found[:-1]] == [str(number) for number in range(count - 1)]


@pytest.mark.parametrize("after", [0, 1, 7, 19, 20])
async def test_a_reader_may_begin_anywhere_here_and_in_the_journal(live: LiveRun, after: int) -> None:
    for number in range(19):
        live.emit({"type": "token", "content": str(number)})
        if number == 11:
            await live.flush()
    await live.end(DONE)
    expected = list(range(after + 1, 21))
    assert [event["number"] for event in await read(live, after=after)] == expected
    kept = await live._run_store.read_events("r", after)
    assert [number for number, _ in kept] == expected
    assert [event for _, event in kept] == [
        {name: value for name, value in event.items() if name != "number"} for event in await read(live, after=after)
    ]


async def test_a_failure_on_the_way_is_the_last_event(live: LiveRun) -> None:
    live.emit({"type": "token", "content": "well"})
    await live.end(failed(ProviderUnavailable("The model is away.")))
    found = await read(live, slowly=True)
    assert (found[-1]["type"], found[-1]["problem"]["status"]) == ("error", 502)


async def test_a_failure_before_the_first_event_is_raised(live: LiveRun) -> None:
    await live.end(failed(ProviderUnavailable("The model is away.")))
    with pytest.raises(RunFailed) as refused:
        await read(live)
    assert refused.value.status == 502


async def test_a_bug_tells_nothing() -> None:
    assert "secret detail" not in json.dumps(failed(ZeroDivisionError("secret detail")))


async def test_a_quiet_run_is_kept_open_by_comments(live: LiveRun) -> None:
    with Flask("test").test_request_context():
        pieces = encode_events(handle(live), 0, quiet_s=0.01, leaving=False)
        assert await anext(pieces) == HEARTBEAT
        await live.end(DONE)
        rest = [piece async for piece in pieces if piece != HEARTBEAT]
    assert len(rest) == 1


@pytest.mark.parametrize("leaving", [False, True])
async def test_a_reader_that_leaves_ends_the_run_if_nobody_else_wants_it(live: LiveRun, leaving: bool) -> None:
    live.task = asyncio.create_task(asyncio.sleep(60))
    live.emit({"type": "token"})
    with Flask("test").test_request_context():
        readers = [encode_events(handle(live), 0, quiet_s=1, leaving=leaving) for _ in range(2)]
        for reader in readers:
            await anext(reader)
        assert not live.is_cancelled
        for reader in readers:
            assert not live.is_cancelled
            await reader.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert live.is_cancelled is leaving
    live.task.cancel()


@given(st.dictionaries(st.text(), st.text()))
@example({"content": "One\u2028two\x85three\r\nfour\x0bfive\x1csix"})
@example({"content": "\ud800"})
def test_an_event_is_three_lines_to_every_reader(members: dict[str, str]) -> None:
    event = {**members, "type": "token"}
    sent = encode_event("r-1", event)
    for lines in (sent.splitlines(), sent.decode("utf-8").splitlines()):
        assert len(lines) == 4
    told = sent.decode("ascii").splitlines()
    assert told[:2] == ["id: r-1", "event: token"]
    assert (told[2].startswith("data: "), told[3]) == (True, "")
    assert json.loads(told[2].removeprefix("data: ")) == event


@pytest.mark.parametrize("given", ["x-1", "r", "r-", "r-x", "r-1-2", "r-²", "r-9999999999999999"])
def test_what_is_no_event_of_the_run_is_refused(given: str) -> None:
    with pytest.raises(BadInput):
        number_after(given, "r")


@pytest.mark.parametrize(("given", "number"), [(None, 0), ("", 0), ("r-0", 0), ("r-17", 17)])
def test_an_event_of_the_run_is_known_by_its_number(given: str | None, number: int) -> None:
    assert number_after(given, "r") == number
