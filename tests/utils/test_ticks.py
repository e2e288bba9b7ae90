"""Ticks: after the time asked for, soon after it, and the same for all who ask about the same time."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from utils.ticks import TICK_S, sleep_to_a_tick, tick_after

moments = st.floats(0, 1e7)


@given(moments)
def test_a_tick_comes_after_the_moment_and_before_another_tick_has_passed(moment_s: float) -> None:
    assert moment_s <= tick_after(moment_s) <= moment_s + TICK_S


@given(moments, st.floats(0, 1))
def test_all_wait_for_the_same_tick_until_it_has_come(moment_s: float, share: float) -> None:
    tick_s = tick_after(moment_s)
    assert tick_after(moment_s + share * (tick_s - moment_s)) == tick_s
    assert (tick_s / TICK_S).is_integer()


def test_nobody_wakes_too_early() -> None:
    async def overslept_s(seconds: float) -> float:
        began_s = asyncio.get_running_loop().time()
        await sleep_to_a_tick(seconds)
        return asyncio.get_running_loop().time() - began_s - seconds

    async def all_of_them() -> list[float]:
        return await asyncio.gather(*(overslept_s(seconds) for seconds in (0.01, 0.03, 0.09)))

    resolution_s = 0.001  # of the loop's clock
    assert min(asyncio.run(all_of_them())) >= -resolution_s
