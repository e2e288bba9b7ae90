"""The store of runs when answers are lost, calls overtake each other, Redis forgets, and keys differ."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from uuid import uuid4

import pytest

from agents.leases import Leases
from agents.runs.codec import Batch
from agents.runs.deletions import RunDeletions
from agents.runs.event_reader import RunEventReader
from agents.runs.keys import make_active_key, make_events_key, make_places_key, run_key
from agents.runs.live import TAKEN_OVER, LiveRun
from agents.runs.outbox import Outbox
from agents.runs.record import Claimed, RunRecord
from agents.runs.run_store import UNWANTED, RunStore
from agents.runs.transcript_writer import TranscriptWriter
from auth.credentials import make_key_principal
from domain.db import Database
from domain.models import Turn
from domain.scoping import select_everywhere
from domain.transcript_retention import Retention
from domain.transcript_writing import write_turns
from tests.domain.records import ACME, GLOBEX
from tests.servers.cutting import CuttingProxy
from tests.servers.redis import RedisServer
from utils.checkpointer import Connections
from utils.checkpointer.cipher import Keyring
from utils.checkpointer.clients import AsyncClient
from utils.checkpointer.errors import RunSuperseded
from utils.errors import Conflict, StoreUnavailable
from utils.observers import RunWatches

TOKEN = {"type": "token", "content": "word"}
DONE = {"type": "done", "answered": True}


@asynccontextmanager
async def worker(url: str) -> AsyncIterator[AsyncClient]:
    """The connections of a process."""
    connections = Connections(url, connect_timeout_s=1, timeout_s=1)
    try:
        yield connections.asynchronous()
    finally:
        await connections.aclose()


@asynccontextmanager
async def run_store(url: str, *, hold_s: float = 60, keys: Keyring | None = None) -> AsyncIterator[RunStore]:
    """That of a worker of its own."""
    async with worker(url) as redis:
        yield RunStore(redis, worker=uuid4().hex, hold_s=hold_s, keys=keys)


def record(**changes: object) -> RunRecord:
    """That of a run like any other."""
    fields = {"request_id": "r", "streams": True, "fingerprint": "same", "created_at": "2026-01-01", "keep_s": 60}
    fields |= {"ctx": make_key_principal("acme", "key"), "conversation_id": "talk", "message": "Why?"}
    return RunRecord(id=uuid4().hex, **fields | changes)  # type: ignore[arg-type]


def live_run(of: RunRecord, run_store: RunStore, tokens: int = 0) -> LiveRun:
    """One that has told so much."""
    live = LiveRun(of, run_store, RunWatches())
    for _ in range(tokens):
        live.emit(TOKEN)
    return live


def numbers(batch: Batch) -> list[int]:
    return [number for number, _ in batch]


async def heard(run_store: RunStore, run_id: str, after: int) -> list[int]:
    """The numbers of all events that a reader is given, to the end."""
    found: list[int] = []
    async with asyncio.timeout(20), aclosing(RunEventReader(run_store).follow(run_id, after)) as batches:
        async for batch in batches:
            found += numbers(batch)
    return found


async def claimed(run_store: RunStore, count: int = 1) -> list[Claimed]:
    """The runs it takes over, once there are *count*: they are not abandoned all at the same moment."""
    found: list[Claimed] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            found += await run_store.claim_abandoned()
            await asyncio.sleep(0.02)  # between two looks
    return found


async def test_a_run_whose_registration_was_not_confirmed_is_not_taken_for_anothers(
    valkey: RedisServer, proxy: CuttingProxy
) -> None:
    run = record()
    async with run_store(proxy.url) as ours, run_store(valkey.url) as other:
        await ours.find_control_position()  # connects
        proxy.cut("after")
        assert await ours.begin(run) == ""
        assert await ours.begin(run) == "same", "a second request finds it"
        assert await other.begin(run) == "same"


async def test_turns_of_a_key_that_is_used_again_all_wait_and_come_to_sql_once(
    valkey: RedisServer, database: Database
) -> None:
    names = {ctx.tenant_id: [ctx, uuid4().hex] for ctx in (ACME, GLOBEX)}
    async with worker(valkey.url) as redis, worker(valkey.url) as another:
        store, outbox = RunStore(redis, worker="ours", hold_s=60), Outbox(redis, default_s=60, hold_ms=0)
        for ctx, run_id in names.values():
            for day in (1, 2):
                run = replace(record(ctx=ctx, created_at=f"2026-01-0{day}T00:00:00.000Z"), id=run_id)
                assert await store.begin(run) == ""
                await LiveRun(run, store, RunWatches(), outbox=outbox).end({**DONE, "clarification": None})
                valkey.client.delete(run_key(run_id))  # as it expires
        assert len(outbox.own) == 4
        taken, waiting = await outbox.take(25)
        assert (len(taken), waiting) == (4, 2)
        with database.open_write_session() as session:  # and the worker is killed
            assert len(write_turns(session, taken, retention=Retention(60), keys=None)) == 4
        left = Outbox(another, default_s=60, hold_ms=0)
        options = {"retention": Retention(60), "keys": None, "list_unwritten": list}
        writer = TranscriptWriter(left, database, **options)  # type: ignore[arg-type]  # by name
        await writer.write_waiting()
        assert writer.written == 0
        assert await left.take(25) == ([], 0)
    with database.open_read_session() as session:
        kept = {(row.tenant_id, row.run_id, row.asked_at.day) for row in session.scalars(select_everywhere(Turn))}
    assert kept == {(tenant, run_id, day) for tenant, (_, run_id) in names.items() for day in (1, 2)}


async def test_events_written_again_after_a_lost_answer_are_read_once(valkey: RedisServer, proxy: CuttingProxy) -> None:
    run = record()
    async with run_store(proxy.url) as ours, run_store(valkey.url) as other:
        await ours.begin(run)
        assert await ours.append(run, [(1, TOKEN), (2, TOKEN)]) == 1
        # As a writer does that has not heard of its success: with what has come since.
        assert await ours.append(run, [(1, TOKEN), (2, TOKEN), (3, TOKEN)]) == 1
        assert numbers(await other.read_events(run.id, 0)) == [1, 2, 3]
        assert [numbers(batch) for batch in await other.read_new_events([(run.id, 0), (run.id, 1)]) or []] == [
            [1, 2, 3],
            [2, 3],
        ]


async def test_an_end_that_overtakes_a_beat_stays_an_end(valkey: RedisServer) -> None:
    run = record()
    async with run_store(valkey.url, hold_s=0.01) as ours, run_store(valkey.url) as other:
        await ours.begin(run)
        await ours.append(run, [(1, DONE)])
        assert await ours.send_heartbeat([run]) == {run.id: 1}
        assert valkey.client.zscore(make_active_key(run.id), run.id) is None
        valkey.client.zadd(make_active_key(run.id), {run.id: 0})  # as a beat of an older version did
        assert await other.claim_abandoned() == []
        assert valkey.client.zscore(make_active_key(run.id), run.id) is None


@pytest.mark.parametrize("by_beat", [True, False])
async def test_all_events_can_be_read_again_after_redis_has_lost_them(valkey: RedisServer, by_beat: bool) -> None:
    run = record()
    async with run_store(valkey.url) as ours, run_store(valkey.url) as other:
        await ours.begin(run)
        live = live_run(run, ours, tokens=3)
        await live.flush()
        valkey.client.flushall()
        live.emit(TOKEN)
        if by_beat:
            await live.register()
            live.emit(TOKEN)
        await live.end(DONE)
        assert await heard(other, run.id, 0) == list(range(1, 7 if by_beat else 6))


async def test_events_of_the_last_second_that_redis_has_lost_are_written_again(valkey: RedisServer) -> None:
    run = record()
    keys = (run_key(run.id), make_events_key(run.id))
    async with run_store(valkey.url) as ours, run_store(valkey.url) as other:
        await ours.begin(run)
        live = live_run(run, ours, tokens=2)
        await live.flush()
        saved = [valkey.run("DUMP", key) for key in keys]
        live.emit(TOKEN)
        await live.flush()
        for key, value in zip(keys, saved, strict=True):
            valkey.run("RESTORE", key, 60_000, value, "REPLACE")
        live.emit(TOKEN)
        await live.end(DONE)
        assert await heard(other, run.id, 0) == [1, 2, 3, 4, 5]


async def test_who_has_heard_the_end_is_not_kept_waiting_for_more(valkey: RedisServer) -> None:
    run = record()
    async with run_store(valkey.url) as ours, run_store(valkey.url) as other:
        await ours.begin(run)
        await live_run(run, ours, tokens=2).end(DONE)
        assert await heard(other, run.id, 3) == []
        assert await heard(other, run.id, 2) == [3]


async def test_who_has_heard_more_than_there_is_now_is_told_the_end(valkey: RedisServer) -> None:
    run = record()
    async with run_store(valkey.url) as ours, run_store(valkey.url) as other:
        await ours.begin(run)
        await live_run(run, ours, tokens=2).end(DONE)
        assert await heard(other, run.id, 50) == [3]


async def test_a_run_that_cannot_be_read_here_is_kept_and_can_be_ended(valkey: RedisServer) -> None:
    run, key, other_key = record(), Keyring({"a": b"1" * 32}), Keyring({"b": b"2" * 32})
    async with (
        run_store(valkey.url, hold_s=0.01, keys=key) as ours,
        run_store(valkey.url, keys=other_key) as other,
    ):
        await ours.begin(run)
        (found,) = await claimed(other)
        assert (found.record.id, found.record.ctx, found.is_readable) == (run.id, run.ctx, False)
        await LiveRun(found.record, other, RunWatches(), first=found.last + TAKEN_OVER).end(DONE)
        assert await heard(other, run.id, 0) == [10_000]


@asynccontextmanager
async def outlived(valkey: RedisServer) -> AsyncIterator[tuple[RunRecord, RunStore, RunStore]]:
    """A run, the store of its worker, and that of another who has seen Redis go, which is there again."""
    run = record()
    async with run_store(valkey.url, hold_s=0.5) as ours, run_store(valkey.url, hold_s=0.5) as other:
        await ours.begin(run)
        valkey.stop()
        assert await other.claim_abandoned() == []
        valkey.start()
        yield run, ours, other


@pytest.mark.long
async def test_nothing_is_taken_from_workers_that_could_not_beat_while_redis_was_away(valkey: RedisServer) -> None:
    async with outlived(valkey) as (run, ours, other):
        async with asyncio.timeout(20):
            while await other.find_control_position() is None:
                await asyncio.sleep(0.05)  # between two tries
        assert valkey.client.zrangebyscore(make_active_key(run.id), "-inf", "+inf") == [run.id.encode()]
        valkey.client.zadd(make_active_key(run.id), {run.id: 0})
        assert await other.claim_abandoned() == [], "its worker has not had the time to beat"
        assert [one.record.id for one in await claimed(other)] == [run.id], "it had"
        assert await ours.append(run, [(1, TOKEN)]) == -1


@pytest.mark.long
async def test_nothing_is_taken_by_the_call_that_finds_redis_back(
    valkey: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with outlived(valkey) as (run, _, other):
        valkey.client.zadd(make_active_key(run.id), {run.id: 0})
        async with asyncio.timeout(20):
            while "Redis answers again" not in caplog.text:
                assert await other.claim_abandoned() == [], "its worker has not had the time to beat"
                await asyncio.sleep(0.05)  # between two tries
        assert run.id in [one.record.id for one in await claimed(other)], "it had"


async def test_a_run_that_is_stopped_before_it_begins_tells_its_end(valkey: RedisServer) -> None:
    async with run_store(valkey.url) as ours:
        live = live_run(record(), ours)

        async def work() -> None:
            live.begin_work()

        live.task = asyncio.create_task(work())
        live.cancel()
        with pytest.raises(asyncio.CancelledError):
            await live.task
        assert not live.task.cancelling(), "its own code has run"


async def test_an_end_that_could_not_be_written_is_written_later(valkey: RedisServer) -> None:
    run = record()
    async with run_store(valkey.url) as ours, run_store(valkey.url) as other:
        await ours.begin(run)
        live = live_run(run, ours, tokens=2)
        valkey.stop()
        await live.end(DONE)
        assert live.has_ended
        assert live.is_unwritten
        valkey.start()
        async with asyncio.timeout(20):
            while live.is_unwritten:
                await live.flush()
                await asyncio.sleep(0.05)  # between two tries
        assert await heard(other, run.id, 0) == [1, 2, 3]


async def test_a_run_that_is_taken_over_does_not_wait_for_its_own_lease(valkey: RedisServer) -> None:
    thread_id = uuid4().hex
    async with worker(valkey.url) as one, worker(valkey.url) as other:
        stalled, heir = Leases(one, hold_s=0.4, wait_s=0), Leases(other, hold_s=60, wait_s=0)

        async def both() -> None:
            async with stalled.hold(thread_id, "run") as former:
                with pytest.raises(Conflict):
                    await heir.hold(thread_id, "another run", takes_over=True).__aenter__()
                async with heir.hold(thread_id, "run", takes_over=True) as lease:
                    assert lease.fence > former.fence
                    await asyncio.Event().wait()  # until the first one hears of it

        with pytest.raises(RunSuperseded):
            await both()


async def test_runs_of_a_deleted_conversation_are_gone_and_their_workers_cannot_bring_them_back(
    valkey: RedisServer,
) -> None:
    valkey.client.flushall()
    deleted, kept = record(message="deleted words"), record(conversation_id="another", message="kept words")
    elsewhere = record(ctx=make_key_principal("acme", "another"), message="kept words")
    async with run_store(valkey.url, hold_s=0.05) as ours, run_store(valkey.url, hold_s=60) as other:
        for run in (deleted, kept, elsewhere):
            assert await ours.begin(run) == ""
            assert await ours.append(run, [(1, {**TOKEN, "content": run.message})]) == 1
        for run in (deleted, kept, elsewhere):
            valkey.client.hset(make_places_key(run.thread_id), run.id, 1)
        async with worker(valkey.url) as redis:
            deletions = RunDeletions(redis, keep_s=60)
            assert not await deletions.is_deleted(deleted.thread_id)
            assert await deletions.delete_runs(deleted.thread_id) == 1
            assert await deletions.is_deleted(deleted.thread_id)
            assert not await deletions.is_deleted(kept.thread_id)
            assert await deletions.delete_runs(deleted.thread_id) == 0
        places = {make_places_key(kept.thread_id).encode(), make_places_key(elsewhere.thread_id).encode()}
        assert set(valkey.client.scan_iter("places:*")) == places
        # A worker that has not heard of it goes on telling.
        assert await ours.append(deleted, [(2, DONE)], after=1) == UNWANTED
        assert (await ours.send_heartbeat([deleted]))[deleted.id] == UNWANTED
        assert await ours.record(deleted.id) is None
        assert await ours.read_events(deleted.id, 0) == []
        taken = await claimed(other, count=2)
        assert {one.record.id for one in taken} == {kept.id, elsewhere.id}
        held = b"".join(repr(valkey.client.hgetall(key)).encode() for key in valkey.client.scan_iter(f"*{deleted.id}*"))
        assert b"deleted words" not in held
        # The same Idempotency-Key begins anew.
        assert await ours.begin(deleted) == ""
        assert await ours.append(deleted, [(1, TOKEN)]) == 1


async def test_a_deletion_that_redis_does_not_hear_of_is_none_and_nothing_is_trusted_meanwhile(
    valkey: RedisServer,
) -> None:
    valkey.kill()
    try:
        async with worker(valkey.url) as redis:
            deletions = RunDeletions(redis, keep_s=60)
            with pytest.raises(StoreUnavailable):
                await deletions.delete_runs("acme.key.talk")
            assert await deletions.is_deleted("acme.key.talk")
    finally:
        valkey.start()
