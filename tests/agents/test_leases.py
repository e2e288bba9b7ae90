"""One run at a time per conversation, over processes and within one."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from agents.leases import Leases
from agents.runs.deletions import RunDeletions
from tests.servers.cutting import CuttingProxy
from tests.servers.fixtures import redis_cluster
from tests.servers.redis import RedisServer
from tests.utils.checkpointer.test_checkpointer_conflict import named, step, under
from utils.checkpointer import Connections, RedisCheckpointer
from utils.checkpointer.errors import RunSuperseded
from utils.errors import Conflict

__all__ = ["redis_cluster"]


class Worker:
    """What a process has: connections, and leases made over them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connections = Connections(url, connect_timeout_s=0.3, timeout_s=0.3)

    def leases(self, *, hold_s: float = 60, wait_s: float = 10, retry_s: float = 0) -> Leases:
        return Leases(self.connections.asynchronous(), hold_s=hold_s, wait_s=wait_s, retry_s=retry_s)


@asynccontextmanager
async def two_workers(url: str) -> AsyncIterator[tuple[Worker, Worker]]:
    made = Worker(url), Worker(url)
    try:
        yield made
    finally:
        for worker in made:
            await worker.connections.aclose()


@pytest.fixture
async def workers(valkey: RedisServer) -> AsyncIterator[tuple[Worker, Worker]]:
    """Two of them over an empty server."""
    valkey.client.flushdb()
    async with two_workers(valkey.url) as made:
        yield made


@pytest.fixture(params=["valkey", "redis_cluster"])
async def anywhere(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Worker, Worker]]:
    """Two of them over one server, and over a cluster."""
    async with two_workers(request.getfixturevalue(request.param).url) as made:
        yield made


async def test_another_worker_waits_its_turn(anywhere: tuple[Worker, Worker]) -> None:
    one, other = (worker.leases() for worker in anywhere)
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


async def test_a_lease_tells_that_its_conversation_was_deleted_lately(anywhere: tuple[Worker, Worker]) -> None:
    one, other = anywhere
    for thread_id in ("}deleted", "acme.}deleted"):
        async with one.leases().hold(thread_id) as before:
            assert not before.was_deleted
            await RunDeletions(one.connections.asynchronous(), keep_s=60).delete_runs(thread_id)
        async with other.leases().hold(thread_id) as after:
            assert after.was_deleted


async def test_a_run_that_stalled_while_its_conversation_was_deleted_brings_nothing_back(
    anywhere: tuple[Worker, Worker],
) -> None:
    one, other = anywhere
    saver = RedisCheckpointer(one.connections, ttl_s=60)

    async def stall(thread_id: str) -> None:
        async with one.leases(hold_s=0.2).hold(thread_id, "slow") as lease:
            fences.append(lease.fence)
            first = await saver.aput(under(named(thread_id), lease.fence), *step(-1, "before"))
            with ThreadPoolExecutor(1) as elsewhere:  # and this process stands still
                elsewhere.submit(asyncio.run, delete_conversation(one.url, thread_id)).result()
            with pytest.raises(RunSuperseded):
                await saver.aput(under(first, lease.fence), *step(0, "too late"))
            await asyncio.sleep(10)

    for thread_id in ("stalled", "acme.stalled"):
        fences: list[int] = []
        with pytest.raises(RunSuperseded):
            await stall(thread_id)
        assert await saver.aget_tuple(named(thread_id)) is None
        async with other.leases().hold(thread_id) as after:
            assert after.fence > fences[0]
            await saver.aput(under(named(thread_id), after.fence), *step(-1, "anew"))


async def delete_conversation(url: str, thread_id: str) -> None:
    async with two_workers(url) as (worker, _), worker.leases().hold(thread_id):
        await RunDeletions(worker.connections.asynchronous(), keep_s=60).delete_runs(thread_id)
        await RedisCheckpointer(worker.connections, ttl_s=60).adelete_thread(thread_id)


@pytest.mark.parametrize("same_process", [True, False])
async def test_who_waits_too_long_is_told_that_the_conversation_is_busy(
    workers: tuple[Worker, Worker], same_process: bool
) -> None:
    one = workers[0].leases(wait_s=0.05)
    other = one if same_process else workers[1].leases(wait_s=0.05)
    async with one.hold("a"):
        with pytest.raises(Conflict):
            async with other.hold("a"):
                pass
    async with other.hold("a"):
        pass


@pytest.mark.parametrize("same_process", [True, False])
async def test_who_is_refused_is_told_which_run_is_in_the_way(
    workers: tuple[Worker, Worker], same_process: bool
) -> None:
    one = workers[0].leases()
    other = one if same_process else workers[1].leases()
    async with one.hold("acme.a", "the-first"):
        assert await other.find_holder("acme.a") == "the-first"
        assert await other.find_holder("a") is None
        with pytest.raises(Conflict) as refused:
            async with other.hold("acme.a", "the-second", wait_s=0):
                pass
    assert refused.value.members == {"run_id": "the-first"}
    assert await other.find_holder("acme.a") is None


async def test_each_lease_has_a_higher_fence_even_if_the_clock_was_set_back(
    anywhere: tuple[Worker, Worker],
) -> None:
    fences = []
    ahead = 2 * time.time_ns() // 1000
    for worker in (*anywhere, *anywhere):
        async with worker.leases().hold("acme.a") as lease:
            fences.append(lease.fence)
        if len(fences) == 2:  # what a conversation keeps of a run that has written
            await anywhere[0].connections.asynchronous().hset("state:{checkpoint:acme.a}", "@fence", ahead)
    assert fences == sorted(set(fences))
    assert fences[2:] == [ahead + 1, ahead + 2]


async def test_a_run_that_was_thought_dead_is_stopped_when_another_has_its_conversation(
    workers: tuple[Worker, Worker], valkey: RedisServer
) -> None:
    async def run() -> None:
        async with workers[0].leases(hold_s=0.2).hold("a", "slow"):
            valkey.client.delete("lease:{checkpoint:a}")
            async with workers[1].leases().hold("a", "quick"):
                await asyncio.sleep(60)

    with pytest.raises(RunSuperseded):
        await run()
    assert not valkey.client.exists("lease:{checkpoint:a}")


async def test_a_lease_ends_by_itself_when_its_holder_died(workers: tuple[Worker, Worker], valkey: RedisServer) -> None:
    until_ms = int(time.time() * 1000) + 300
    holder = {"token": "a holder that is no more", "run": "dead", "fence": 1, "until": until_ms}
    for thread_id in ("a", "acme.a"):
        valkey.client.hset(f"lease:{{checkpoint:{thread_id}}}", mapping=holder)  # type: ignore[arg-type]  # it takes both
    leases = workers[1].leases()
    async with leases.hold("a"):
        assert time.time() * 1000 >= until_ms
    assert await leases.find_holder("acme.a") == "dead", "until another goes on with it"
    assert not await leases.is_held("acme.a")
    assert await leases.find_holder("a") is None


async def test_a_living_holder_keeps_its_lease_for_as_long_as_it_needs(workers: tuple[Worker, Worker]) -> None:
    async with workers[0].leases(hold_s=0.4, wait_s=1).hold("a"):
        with pytest.raises(Conflict):
            async with workers[1].leases(wait_s=1.5).hold("a"):
                pass


async def assert_cancelled_leaves_none(task: "asyncio.Task[None]", proxy: CuttingProxy, other: Worker) -> None:
    """*task* is cancelled while an answer of Redis is held up; it ends as cancelled, and *other* sees no lease."""
    task.cancel()
    proxy.release()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await other.leases().is_held("a")


@pytest.mark.parametrize("is_shared", [False, True])
async def test_who_leaves_while_its_lease_is_taken_leaves_none(
    workers: tuple[Worker, Worker], valkey: RedisServer, proxy: CuttingProxy, is_shared: bool
) -> None:
    worker = Worker(proxy.url)
    leases = worker.leases()

    async def take() -> None:
        async with leases.hold_or_share("a") if is_shared else leases.hold("a"):
            raise AssertionError("it was cancelled before")

    proxy.cut("held")
    taking = asyncio.create_task(take())
    await until(lambda: valkey.client.exists("lease:{checkpoint:a}"))
    await assert_cancelled_leaves_none(taking, proxy, workers[1])
    await worker.connections.aclose()


async def test_who_is_cancelled_while_its_lease_is_still_being_renewed_is_cancelled(
    workers: tuple[Worker, Worker], valkey: RedisServer, proxy: CuttingProxy
) -> None:
    worker, has_worked = Worker(proxy.url), asyncio.Event()

    def expiry() -> object:
        return valkey.client.hget("lease:{checkpoint:a}", "until")

    async def work() -> None:
        async with worker.leases(hold_s=0.8).hold("a"):
            taken = expiry()
            proxy.cut("held")
            await until(lambda: expiry() != taken)
            has_worked.set()

    working = asyncio.create_task(work())
    await has_worked.wait()
    await assert_cancelled_leaves_none(working, proxy, workers[1])
    await worker.connections.aclose()


async def test_without_redis_a_process_still_takes_turns(tmp_path: Path) -> None:
    worker = Worker(f"unix://{tmp_path}/nothing.sock")
    leases = worker.leases(wait_s=0.05)
    async with leases.hold("a"):
        with pytest.raises(Conflict):
            async with leases.hold("a"):
                pass
    async with leases.hold("a"):
        pass
    await worker.connections.aclose()


async def test_whether_a_run_is_going_on_is_known_on_every_worker(anywhere: tuple[Worker, Worker]) -> None:
    one, other = (worker.leases() for worker in anywhere)
    assert not await one.is_held("a")
    async with one.hold("a"):
        assert await one.is_held("a")
        assert await other.is_held("a")
        assert not await other.is_held("acme.a")
    assert not await one.is_held("a")
    assert not await other.is_held("a")


async def test_without_redis_a_run_is_known_where_it_is(valkey: RedisServer, workers: tuple[Worker, Worker]) -> None:
    one, other = (worker.leases() for worker in workers)
    valkey.kill()
    try:
        async with one.hold("a"):
            assert await one.is_held("a")
            assert not await other.is_held("a")
    finally:
        valkey.start()


async def test_a_lease_taken_without_redis_is_taken_there_as_soon_as_it_is_back(
    valkey: RedisServer, workers: tuple[Worker, Worker]
) -> None:
    one, other = workers[0].leases(hold_s=0.4), workers[1].leases()
    valkey.kill()
    async with one.hold("a"):
        valkey.start()
        await until(lambda: valkey.client.exists("lease:{checkpoint:a}"))
        assert await other.is_held("a")


async def test_a_lease_that_redis_has_lost_is_taken_again(valkey: RedisServer, workers: tuple[Worker, Worker]) -> None:
    async with workers[0].leases(hold_s=0.4).hold("a"):
        valkey.client.flushall()
        await until(lambda: valkey.client.exists("lease:{checkpoint:a}"))
        assert await workers[1].leases().is_held("a")


async def test_a_lease_that_could_not_be_released_holds_nobody_up(
    valkey: RedisServer, workers: tuple[Worker, Worker]
) -> None:
    leases = workers[0].leases()
    async with leases.hold("a"):
        valkey.kill()
    valkey.start()
    assert valkey.client.exists("lease:{checkpoint:a}")  # as its append-only file has it
    assert not await leases.is_held("a")
    async with workers[1].leases(wait_s=0.05).hold("a"):
        pass


async def test_a_lease_that_could_not_be_released_stops_no_later_run_of_the_same_worker(
    valkey: RedisServer, workers: tuple[Worker, Worker]
) -> None:
    leases = workers[0].leases(hold_s=8)  # seconds: renewed after two, when the first one's would hold for six more
    async with leases.hold("a", "first"):
        valkey.kill()
    async with leases.hold("a", "second"):
        pass
    async with leases.hold("a", "third"):
        valkey.start()
        await until(lambda: valkey.client.hget("lease:{checkpoint:a}", "run") == b"third")


async def test_a_request_that_was_given_up_but_carried_out_later_holds_nobody_up(
    valkey: RedisServer, workers: tuple[Worker, Worker]
) -> None:
    leases = workers[0].leases()
    await leases.is_held("a")  # it is connected
    valkey.pause()
    async with leases.hold("a"):
        valkey.resume()
        await until(lambda: valkey.client.exists("lease:{checkpoint:a}"))
    assert not valkey.client.exists("lease:{checkpoint:a}")


async def test_while_redis_hangs_only_one_run_in_a_while_waits_for_it(
    valkey: RedisServer, workers: tuple[Worker, Worker]
) -> None:
    leases = workers[0].leases(retry_s=3600)
    valkey.pause()
    try:
        began = time.monotonic()
        for number in range(20):
            async with leases.hold(f"acme.{number}"):
                pass
        assert time.monotonic() - began < 2
    finally:
        valkey.resume()


async def test_sharing_keeps_other_workers_out_but_not_this_one(anywhere: tuple[Worker, Worker]) -> None:
    one, other = (worker.leases(wait_s=0.05) for worker in anywhere)
    async with one.hold("a"), one.hold_or_share("a"):
        with pytest.raises(Conflict):
            async with other.hold_or_share("a"):
                pass
    async with one.hold_or_share("a"):
        with pytest.raises(Conflict):
            async with other.hold("a"):
                pass
        async with other.hold_or_share("acme.a"):
            pass
    async with other.hold("a"):
        pass


async def test_a_run_that_began_without_redis_is_known_after_what_shared_has_ended(
    valkey: RedisServer, workers: tuple[Worker, Worker]
) -> None:
    leases = workers[0].leases()
    async with AsyncExitStack() as sharing:
        await sharing.enter_async_context(leases.hold_or_share("acme.a"))
        valkey.stop()
        try:
            async with leases.hold("acme.a"):
                await sharing.aclose()
                assert await leases.is_held("acme.a")
                assert not await leases.is_held("a")
        finally:
            valkey.start()


async def test_sharing_is_refused_where_nobody_can_know(valkey: RedisServer, workers: tuple[Worker, Worker]) -> None:
    leases = workers[0].leases()
    valkey.kill()
    try:
        with pytest.raises(Conflict):
            async with leases.hold_or_share("a"):
                pass
    finally:
        valkey.start()


async def until(condition: object, within_s: float = 5) -> None:
    """Wait until *condition* is true."""
    assert callable(condition)
    async with asyncio.timeout(within_s):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.01)
