"""An event loop that is late is not taken for a Redis that does not answer, and one that hangs is still found out."""

import asyncio
import time

import pytest
from redis.exceptions import TimeoutError

from tests.utils.checkpointer.conftest import Server
from utils.checkpointer import Connections
from utils.checkpointer.limits import CommandLimiter

WHOLE_S, BUSY_S = 0.2, 0.3


async def _busy(rounds: int) -> None:
    """Work that keeps the loop from coming round, again and again."""
    for _ in range(rounds):
        time.sleep(BUSY_S)  # that is the point
        await asyncio.sleep(0)


async def test_an_answer_that_a_late_loop_finds_counts(valkey: Server) -> None:
    connections = Connections(valkey.url, connect_timeout_s=WHOLE_S / 2, timeout_s=WHOLE_S)
    try:
        client = connections.asynchronous()
        assert await client.run_script("EVAL", "return 1", 0) == 1  # it is connected
        for _ in range(5):
            asked = client.run_script("EVAL", "return 2", 0)
            _, answer = await asyncio.gather(_busy(3), asked)
            assert answer == 2
    finally:
        await connections.aclose()


async def test_what_hangs_is_given_up_in_time() -> None:
    began_s = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.2 s"):
        await CommandLimiter(1, timeout_s=WHOLE_S, quick_s=WHOLE_S / 2).run(asyncio.Event().wait)
    assert WHOLE_S <= time.monotonic() - began_s < 2 * WHOLE_S
