"""Cancelling runs at the very moment when they begin to wait for a person, or are gone on with."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from agents.runner import Runner
from agents.runs.keys import run_key
from agents.runs.outbox import Outbox
from agents.runs.record import RunRecord
from agents.runs.run_store import ADDED, UNWANTED, RunStore
from agents.runs.runs import RunPolicy, Runs
from agents.runs.worker import RunWorker
from agents.tools.turn import Approval
from auth.principal import Principal
from auth.scopes import Scope
from tests.agents.test_run_store import live_run, record, run_store, worker
from tests.servers.cutting import CuttingProxy
from tests.servers.redis import RedisServer
from utils.observers import RunObservers

WAITING = {"type": "waiting", "call": {"call_id": "1"}}
APPROVED = "approve:1"


async def allow(principal: Principal, *needed: Scope) -> Principal:
    return principal


@asynccontextmanager
async def service_worker(
    valkey: RedisServer | CuttingProxy, runner: object = None
) -> AsyncIterator[tuple[Runs, RunWorker, RunStore]]:
    """One without a runner: to answer would fail."""
    async with run_store(valkey.url) as store, worker(valkey.url) as redis:
        outbox = Outbox(redis, default_s=0)
        runs = RunWorker(cast(Runner, runner), store, check_permission=allow, outbox=outbox, observer=RunObservers())
        yield Runs(runs, store, RunPolicy(keep_s=60, hold_s=60)), runs, store


async def begun(store: RunStore, **changes: object) -> RunRecord:
    run = record(**changes)
    await store.begin(run)
    return run


async def found(store: RunStore, run: RunRecord) -> RunRecord:
    known = await store.record(run.id)
    assert known is not None
    return known


async def test_a_run_that_was_approved_just_before_is_cancelled_where_it_is_worked_on(valkey: RedisServer) -> None:
    async with service_worker(valkey) as (runs, _, ours), run_store(valkey.url) as approving:
        run = await begun(ours)
        assert await ours.append(run, [(1, WAITING)]) == ADDED
        seen = await found(ours, run)
        assert seen.status == "waiting"
        assert await approving.resume(run.id, APPROVED)
        now, _ = await runs.cancel(seen)
        assert now.status == "running", "until its worker has ended it"
        assert await approving.append(run, []) == UNWANTED
        assert await ours.is_unwanted(run.id), "its tools are not called any more"


async def test_a_run_that_began_to_wait_just_before_is_cancelled(valkey: RedisServer) -> None:
    async with service_worker(valkey) as (runs, _, ours), run_store(valkey.url) as other:
        run = await begun(other)
        seen = await found(ours, run)
        assert await other.append(run, [(1, WAITING)]) == ADDED
        now, _ = await runs.cancel(seen)
        assert now.status == "cancelled"
        assert not await other.resume(run.id, APPROVED)


@pytest.mark.parametrize("is_told_here", [True, False])
async def test_a_run_that_is_cancelled_while_it_begins_to_wait_does_not_wait(
    valkey: RedisServer, is_told_here: bool
) -> None:
    async with run_store(valkey.url) as ours, run_store(valkey.url) as other:
        run = await begun(ours)
        live = live_run(run, ours)
        if is_told_here:
            ending = asyncio.create_task(live.end(WAITING))
            await asyncio.sleep(0)  # it is on its way to Redis
            live.cancel()
            await ending
        else:
            await other.cancel(run.id)
            await live.end(WAITING)
        assert (live.record.status, (await found(other, run)).status) == ("cancelled", "cancelled")
        assert live.last_event == {"type": "cancelled", "run_id": run.id}


async def test_a_cancelled_run_whose_worker_died_as_it_began_to_wait_cannot_be_approved(valkey: RedisServer) -> None:
    async with service_worker(valkey) as (runs, _, ours), run_store(valkey.url) as died:
        run = await begun(died)
        await ours.cancel(run.id)
        assert await died.append(run, [(1, WAITING)]) == UNWANTED
        assert not await ours.resume(run.id, APPROVED)
        await runs.cancel(await found(ours, run))
        assert (await found(ours, run)).status == "cancelled"


async def test_a_run_that_is_being_ended_by_a_worker_that_dies_is_not_gone_on_with(valkey: RedisServer) -> None:
    async with run_store(valkey.url) as ending:
        run = await begun(ending)
        await ending.append(run, [(1, WAITING)])
        assert await ending.resume(run.id, "")
        assert valkey.client.hget(run_key(run.id), "cancelled") == b"1", "for whoever takes it over"


async def test_a_worker_that_goes_on_with_a_run_hears_that_it_was_cancelled_meanwhile(valkey: RedisServer) -> None:
    async with service_worker(valkey) as (_, runs, ours), run_store(valkey.url) as other:
        run = await begun(ours, streams=False)
        await ours.append(run, [(1, WAITING)])
        assert await ours.resume(run.id, APPROVED)
        await other.cancel(run.id)  # its order comes before this worker knows the run
        live = runs.open(run, 2)
        live.emit({"type": "approval", "run_id": run.id})
        await runs.work_on(live, is_resumed=True)
        assert (await found(other, run)).status == "cancelled"


def has_status(valkey: RedisServer, run: RunRecord, status: bytes) -> bool:
    return valkey.client.hget(run_key(run.id), "status") == status


async def leave(
    proxy: CuttingProxy, work: Coroutine[Any, Any, object], is_done: Callable[[], object], *, before: int = 0
) -> None:
    """Cancel *work* once a command was carried out, before it hears of that; so many come before this one."""
    proxy.cut(*[None] * before, "held")
    working = asyncio.create_task(work)
    async with asyncio.timeout(5):
        while not await asyncio.to_thread(is_done):
            await asyncio.sleep(0.01)
    working.cancel()
    proxy.release()
    with pytest.raises(asyncio.CancelledError):
        await working


class EndlessRunner:
    """Answers never."""

    async def run(self, *_: object, **options: object) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize(("ends_with_caller", "status"), [(True, "cancelled"), (False, "failed")])
async def test_a_run_whose_asker_leaves_while_it_is_registered_is_cancelled_or_worked_on(
    valkey: RedisServer, proxy: CuttingProxy, ends_with_caller: bool, status: str
) -> None:
    async with service_worker(proxy, EndlessRunner() if ends_with_caller else None) as (runs, worker, ours):
        run, ends = record(), list[int]()
        await ours.find_control_position()  # connects
        start = runs.start(run, ends.append, ends_with_caller=ends_with_caller)
        await leave(proxy, start, lambda: valkey.client.exists(run_key(run.id)))
        [live] = worker.list_live()
        assert ends == [], "it has its place until its end"
        assert live.task
        await live.task
        await asyncio.sleep(0)  # what follows its end
        assert ((await found(ours, run)).status, ends) == (status, [0])


async def test_a_run_that_was_begun_before_goes_on_when_who_repeats_it_leaves(
    valkey: RedisServer, proxy: CuttingProxy
) -> None:
    async with service_worker(proxy) as (runs, worker, ours), run_store(valkey.url) as other:
        run, ends = await begun(other), list[int]()
        await ours.find_control_position()  # connects
        proxy.cut("held")
        starting = asyncio.create_task(runs.start(run, ends.append, ends_with_caller=True))
        await asyncio.sleep(0)
        starting.cancel()
        proxy.release()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert (worker.list_live(), ends) == ([], [0])
        assert (await found(other, run)).status == "running"


async def test_a_run_is_gone_on_with_though_who_approved_it_left_meanwhile(
    valkey: RedisServer, proxy: CuttingProxy
) -> None:
    async with service_worker(proxy) as (runs, worker, ours):
        run, ends = await begun(ours), list[int]()
        await ours.append(run, [(1, WAITING)])
        approval = Approval("1", True)
        work = runs.resume(await found(ours, run), approval, ends.append)
        await leave(proxy, work, lambda: has_status(valkey, run, b"running"), before=1)
        [live] = worker.list_live()
        assert live.task
        await live.task
        await asyncio.sleep(0)  # what follows its end
        assert ((await found(ours, run)).status, ends) == ("failed", [0])


async def test_a_waiting_run_is_ended_though_who_cancelled_it_left_meanwhile(
    valkey: RedisServer, proxy: CuttingProxy
) -> None:
    async with service_worker(proxy) as (runs, _, ours):
        run = await begun(ours)
        await ours.append(run, [(1, WAITING)])
        work = runs.cancel(await found(ours, run))
        await leave(proxy, work, lambda: has_status(valkey, run, b"running"), before=2)
        assert (await found(ours, run)).status == "cancelled"
