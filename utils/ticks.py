"""Sleeping so that many wake at once.

A process is woken for each that wakes by itself; what many do in one turn of the event loop takes less CPU.
"""

import asyncio
import math

TICK_S = 1 / 16


def tick_after(moment_s: float) -> float:
    """The first tick that is not before *moment_s*, on the same clock."""
    return math.ceil(moment_s / TICK_S) * TICK_S


async def sleep_to_a_tick(seconds: float) -> None:
    """Sleep for *seconds*, and on to the next of the ticks at which all wake who sleep so."""
    now_s = asyncio.get_running_loop().time()
    await asyncio.sleep(tick_after(now_s + seconds) - now_s)
