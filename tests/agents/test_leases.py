"""One run at a time per conversation, over processes and within one."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from agents.leases import Leases
from bootstrap.valkey import ValkeyChild
from utils.errors import Conflict


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyChild]:
    """A server of our own."""
    folder: Path = tmp_path_factory.mktemp("leases")
    child = ValkeyChild(folder)
    child.start()
    yield child
    child.stop()


@pytest.fixture
async def clients(valkey: ValkeyChild) -> AsyncIterator[tuple[Redis, Redis]]:
    """Two clients, as two workers have."""
    async with Redis.from_url(valkey.url) as one, Redis.from_url(valkey.url) as other:
        await one.flushdb()
        yield one, other


async def test_another_worker_waits_its_turn(clients: tuple[Redis, Redis]) -> None:
    one, other = (Leases(client, hold_s=60, wait_s=10) for client in clients)
    order: list[str] = []
    entered = asyncio.Event()

    async def second() -> None:
        await entered.wait()
        async with other.hold("a"):
            order.append("second")

    waiting = asyncio.create_task(second())
    async with one.hold("a"):
        entered.set()
        async with other.hold("acme.a"):
            order.append("another conversation")
        order.append("first")
    await waiting
    assert order == ["another conversation", "first", "second"]


@pytest.mark.parametrize("same_process", [True, False])
async def test_who_waits_too_long_is_told_that_the_conversation_is_busy(
    clients: tuple[Redis, Redis], same_process: bool
) -> None:
    one = Leases(clients[0], hold_s=60, wait_s=0.05)
    other = one if same_process else Leases(clients[1], hold_s=60, wait_s=0.05)
    async with one.hold("a"):
        with pytest.raises(Conflict):
            async with other.hold("a"):
                pass
    async with other.hold("a"):
        pass


async def test_a_lease_ends_by_itself_when_its_holder_died(clients: tuple[Redis, Redis]) -> None:
    await clients[0].set("lease:a", "a holder that is no more", px=200)
    async with Leases(clients[1], hold_s=60, wait_s=10).hold("a"):
        pass


async def test_a_living_holder_keeps_its_lease_for_as_long_as_it_needs(clients: tuple[Redis, Redis]) -> None:
    async with Leases(clients[0], hold_s=0.4, wait_s=1).hold("a"):
        with pytest.raises(Conflict):
            async with Leases(clients[1], hold_s=60, wait_s=1.5).hold("a"):
                pass


async def test_without_redis_a_process_still_takes_turns(tmp_path: Path) -> None:
    async with Redis.from_url(f"unix://{tmp_path}/nothing.sock") as nowhere:
        leases = Leases(nowhere, hold_s=60, wait_s=0.05)
        async with leases.hold("a"):
            with pytest.raises(Conflict):
                async with leases.hold("a"):
                    pass
        async with leases.hold("a"):
            pass
