"""The loop of all work in the background: a step again and again, ever more slowly while it fails."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn

from utils.errors import ProblemError

logger = logging.getLogger(__name__)

LONGEST_PAUSE_S = 30.0


async def repeat(
    name: str,
    step: Callable[[], Awaitable[bool | None]],
    *,
    get_poll_s: Callable[[], float],
    note_failure: Callable[[Exception | None], None] = lambda failure: None,
    delay_s: float = 0.0,
    longest_pause_s: float = LONGEST_PAUSE_S,
    wake: asyncio.Event | None = None,
) -> NoReturn:
    """Do *step* until cancelled: at once again while it gives True, else after a pause.

    The first step comes after *delay_s*. The pause is that of *get_poll_s*, and doubles with each failure up to
    *longest_pause_s*; *wake* ends it. A failure is logged, unless the last one had the same reason and pause;
    *note_failure* hears of each, and of None after a success. *name* begins the line: "Crawling pauses for 2 s: …".
    """
    await asyncio.sleep(delay_s)
    pause_s, logged = get_poll_s(), ("", 0.0)
    while True:
        if wake is not None:
            wake.clear()
        try:
            busy = await step()
        except Exception as exc:  # whatever broke, the work must go on
            pause_s, busy = lengthen(pause_s, longest_pause_s), False
            note_failure(exc)
            if logged != (logged := (describe_failure(exc), pause_s)):
                log_pause(name, exc, pause_s)
        else:
            pause_s, logged = get_poll_s(), ("", 0.0)
            note_failure(None)
        await _pause(0 if busy else pause_s, wake)


async def _pause(pause_s: float, wake: asyncio.Event | None) -> None:
    if wake is None:
        await asyncio.sleep(pause_s)
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(pause_s):
            await wake.wait()


def lengthen(pause_s: float, longest_s: float = LONGEST_PAUSE_S) -> float:
    """The pause after a further failure, in seconds."""
    return min(pause_s * 2, longest_s)


def log_pause(name: str, failure: Exception, pause_s: float, **facts: object) -> None:
    """Say what pauses, for how long and why; with a traceback where the failure is not one of our own."""
    is_expected = isinstance(failure, ProblemError)
    trace = None if is_expected else failure
    logger.warning("%s pauses for %.0f s: %s", name, pause_s, describe_failure(failure), exc_info=trace, extra=facts)


def describe_failure(failure: Exception) -> str:
    """What failed, for an operator."""
    return failure.detail if isinstance(failure, ProblemError) else f"{type(failure).__name__}: {failure}"
