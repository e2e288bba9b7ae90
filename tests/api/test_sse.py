"""Events on the wire, whatever the reader's pace, and what becomes of failures."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from flask import Flask

from api.sse import HEARTBEAT, as_sse
from utils.errors import ProviderUnavailable


async def run_of(count: int, failure: Exception | None = None) -> AsyncGenerator[dict[str, Any], None]:
    """A run of *count* events that then ends or fails."""
    for number in range(count):
        yield {"type": "token", "content": str(number)}
    if failure:
        raise failure


async def read(events: AsyncGenerator[dict[str, Any], None], *, slowly: bool = False) -> list[dict[str, Any]]:
    """What a reader gets, within ten seconds."""
    found = []
    with Flask("test").test_request_context():
        async with asyncio.timeout(10):
            async for piece in as_sse(events, run_id="r", quiet_s=0.01):
                if piece != HEARTBEAT:
                    found.append(json.loads(piece.split(b"data: ")[1]))
                if slowly:
                    await asyncio.sleep(0)
    return found


@pytest.mark.parametrize("slowly", [False, True])
@pytest.mark.parametrize("count", [1, 63, 64, 65, 128, 500])
async def test_a_stream_of_any_length_comes_to_its_end(count: int, slowly: bool) -> None:
    assert len(await read(run_of(count), slowly=slowly)) == count


@pytest.mark.parametrize("count", [1, 64, 128])
async def test_a_failure_on_the_way_is_the_last_event(count: int) -> None:
    found = await read(run_of(count, ProviderUnavailable("The model is away.")), slowly=True)
    assert found[-1]["type"] == "error"
    assert found[-1]["problem"]["status"] == 502
    assert len(found) == count + 1


async def test_a_bug_on_the_way_is_logged_and_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    found = await read(run_of(1, ZeroDivisionError("secret detail")))
    assert found[-1]["problem"]["status"] == 500
    assert "secret detail" not in json.dumps(found)
    assert "ZeroDivisionError" in caplog.text


async def test_a_failure_before_the_first_event_is_raised() -> None:
    with pytest.raises(ProviderUnavailable):
        await read(run_of(0, ProviderUnavailable("The model is away.")))


async def test_a_quiet_run_is_kept_open_by_comments() -> None:
    go_on = asyncio.Event()

    async def quiet() -> AsyncGenerator[dict[str, Any], None]:
        await go_on.wait()
        yield {"type": "done"}

    with Flask("test").test_request_context():
        pieces = as_sse(quiet(), run_id="r", quiet_s=0.01)
        assert await anext(pieces) == HEARTBEAT
        go_on.set()
        rest = [piece async for piece in pieces if piece != HEARTBEAT]
    assert len(rest) == 1


async def test_a_reader_that_leaves_ends_the_run() -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncGenerator[dict[str, Any], None]:
        try:
            while True:
                yield {"type": "token"}
                await asyncio.sleep(0)
        finally:
            ended.set()

    with Flask("test").test_request_context():
        pieces = as_sse(endless(), run_id="r", quiet_s=1)
        await anext(pieces)
        await pieces.aclose()  # type: ignore[attr-defined]
    assert ended.is_set()
