"""Work on long texts in a thread of its own, for a limited time, so that the event loop serves others meanwhile.

What works on texts takes time linear in their length, at most some microseconds a character. So short ones are worked
on at once, which costs less than to wake a thread.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from utils.errors import Overloaded

T = TypeVar("T")
AT_ONCE = 8_000  # characters: some 30 ms, if they are the worst there are
LIMIT_S = 10.0  # with the wait for those before


async def process_text(
    work: Callable[[], T], *, characters: int, at_once: int = AT_ONCE, limit_s: float = LIMIT_S
) -> T:
    """What *work* gives, which works on so many *characters*; with more than *at_once* of them, in the thread.

    Raises:
        Overloaded: it took longer than *limit_s*.
    """
    if characters <= at_once:
        return work()
    try:
        async with asyncio.timeout(limit_s):
            return await asyncio.get_running_loop().run_in_executor(_get_thread(), work)
    except TimeoutError as exc:
        raise Overloaded(f"A long text took more than {limit_s:g} s to be worked on. Try again later.") from exc


@cache
def _get_thread() -> ThreadPoolExecutor:
    # One: the interpreter runs one at a time anyway, and the event loop waits for its turn among fewer.
    return ThreadPoolExecutor(1, "long-text")
