"""The loop of work in the background."""

import asyncio
import time
from contextlib import suppress

import pytest

from utils.errors import StoreUnavailable
from utils.loops import LONGEST_PAUSE_S, lengthen, repeat


async def run_for(
    outcomes: list[bool | Exception],
    heard: list[Exception | None],
    *,
    poll_s: float = 0.001,
    longest_pause_s: float = LONGEST_PAUSE_S,
) -> int:
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

    options = {"note_failure": heard.append, "longest_pause_s": longest_pause_s}
    loop = asyncio.create_task(repeat("Work", step, get_poll_s=lambda: poll_s, **options))  # type: ignore[arg-type]
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


async def test_a_failure_for_the_same_reason_is_logged_once_until_a_success(caplog: pytest.LogCaptureFixture) -> None:
    away, refused = StoreUnavailable("Redis is away."), StoreUnavailable("Redis refuses.")
    await run_for([away, away, refused, refused, False, refused], [], poll_s=0.01, longest_pause_s=0.01)
    lines = [record.message for record in caplog.records if record.name == "utils.loops"]
    assert [line.partition(": ")[2] for line in lines] == ["Redis is away.", "Redis refuses.", "Redis refuses."]


async def test_a_pause_ends_when_there_is_something_to_do() -> None:
    wake, steps = asyncio.Event(), asyncio.Queue[int]()

    async def step() -> None:
        steps.put_nowait(1)

    loop = asyncio.create_task(repeat("Work", step, get_poll_s=lambda: 60, wake=wake))
    async with asyncio.timeout(10):
        for _ in range(3):
            await steps.get()
            wake.set()
    loop.cancel()
    with suppress(asyncio.CancelledError):
        await loop


async def test_a_first_step_may_come_late() -> None:
    begun_s, late = time.monotonic(), asyncio.Event()

    async def step() -> None:
        late.set()

    loop = asyncio.create_task(repeat("Work", step, get_poll_s=lambda: 60, delay_s=0.2))
    async with asyncio.timeout(10):
        await late.wait()
    assert time.monotonic() - begun_s >= 0.2
    loop.cancel()
    with suppress(asyncio.CancelledError):
        await loop


def test_pauses_end_growing() -> None:
    assert lengthen(1) == 2
    assert lengthen(20) == lengthen(LONGEST_PAUSE_S) == LONGEST_PAUSE_S
