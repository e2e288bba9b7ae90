"""The loop of work in the background."""

import asyncio
from contextlib import suppress

import pytest

from utils.errors import StoreUnavailable
from utils.loops import LONGEST_PAUSE_S, lengthen, repeat


async def run_for(outcomes: list[bool | Exception], heard: list[Exception | None], *, poll_s: float = 0.001) -> int:
    """Repeat a step that comes to each of *outcomes*, then ends the loop; how often it was done."""
    done, over = 0, asyncio.Event()

    async def step() -> bool:
        nonlocal done
        if done == len(outcomes):
            over.set()
            await asyncio.Event().wait()
        done += 1
        outcome = outcomes[done - 1]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    loop = asyncio.create_task(repeat("Work", step, get_poll_s=lambda: poll_s, note_failure=heard.append))
    async with asyncio.timeout(10):
        await over.wait()
    loop.cancel()
    with suppress(asyncio.CancelledError):
        await loop
    return done


async def test_a_step_that_fails_is_done_again_after_pauses_that_grow_until_it_succeeds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures = [StoreUnavailable("Redis is away."), ValueError("odd")]
    heard: list[Exception | None] = []
    assert await run_for([*failures, True, failures[0]], heard, poll_s=0.3) == 4
    assert heard == [*failures, None, failures[0]]
    lines = [record for record in caplog.records if record.name == "utils.loops"]
    assert [line.message for line in lines] == [
        "Work pauses for 1 s: Redis is away.",
        "Work pauses for 1 s: ValueError: odd",
        "Work pauses for 1 s: Redis is away.",
    ]
    assert [bool(line.exc_info) for line in lines] == [False, True, False]


async def test_a_step_that_has_more_to_do_is_done_again_at_once() -> None:
    heard: list[Exception | None] = []
    async with asyncio.timeout(5):
        assert await run_for([True] * 20, heard, poll_s=60) == 20
    assert heard == [None] * 20


def test_pauses_end_growing() -> None:
    assert lengthen(1) == 2
    assert lengthen(20) == lengthen(LONGEST_PAUSE_S) == LONGEST_PAUSE_S
