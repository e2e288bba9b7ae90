"""Whose turn it is, when the same work is asked for from two sides: by a loop, and by a comparison beside it."""

import asyncio

import pytest

from auth.principal import Principal
from indexing.pace import TenantRoundRobin
from tests.domain.records import ACME, GLOBEX
from utils.errors import NotEnoughSpace


async def test_two_callers_never_work_for_a_tenant_at_once() -> None:
    """What the second has read would be older than what the first has done: it would take that out again."""
    at_work: list[Principal] = []
    most: list[int] = []

    async def work(ctx: Principal) -> bool:
        at_work.append(ctx)
        most.append(len(at_work))
        for _ in range(5):
            await asyncio.sleep(0)
        at_work.remove(ctx)
        return True

    turns = TenantRoundRobin("Indexing of words", work)
    assert await asyncio.gather(*(turns.take([ACME, GLOBEX], pause_s=1) for _ in range(2))) == [True, True]
    assert (len(most), max(most)) == (4, 1)


async def test_a_pause_is_logged_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    reasons: list[str] = []

    async def work(ctx: Principal) -> bool:
        if reasons:
            raise NotEnoughSpace(reasons[0])
        return False

    turns = TenantRoundRobin("Indexing of vectors", work)
    for reason in [*["The disk is full."] * 6, "Redis is away.", "", ""]:
        reasons[:] = [reason] if reason else []
        await turns.take([ACME, GLOBEX], pause_s=0.0)
    assert [record.getMessage() for record in caplog.records] == [
        "Indexing of vectors pauses for 0 s: The disk is full.",
        "Indexing of vectors pauses for 0 s: Redis is away.",
        "Indexing of vectors goes on.",
    ]
