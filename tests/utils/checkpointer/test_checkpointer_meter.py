"""What the meter counts: operations and their bytes, failures, writes sent twice, and what memory stood in for."""

import asyncio
import dataclasses
import random
from base64 import b85encode
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import Checkpoint, CheckpointTuple, empty_checkpoint

from tests.servers.redis import RedisServer
from tests.utils.checkpointer.chats import forget
from tests.utils.checkpointer.conftest import Server
from utils.checkpointer import Memory, RedisCheckpointer
from utils.checkpointer.errors import StateUnreadable
from utils.checkpointer.meter import Meter, OperationFigures
from utils.checkpointer.serializer import StrictSerializer, list_known_types
from utils.errors import StoreUnavailable

TENANTS = ("x", "acme.x")
SERDE = StrictSerializer(list_known_types())


def named(thread_id: str, checkpoint_id: str = "") -> Any:
    names = {"thread_id": thread_id, "checkpoint_ns": ""}
    return {"configurable": names | ({"checkpoint_id": checkpoint_id} if checkpoint_id else {})}


def checkpoint_of(text: str) -> Checkpoint:
    made = empty_checkpoint()
    made["channel_values"], made["channel_versions"] = {"messages": [HumanMessage(text, id="m")]}, {"messages": 1}
    return made


async def put(saver: RedisCheckpointer, thread_id: str, text: str) -> Any:
    return await saver.aput(named(thread_id), checkpoint_of(text), {"step": 1}, {"messages": 1})


@pytest.fixture
def meter() -> Meter:
    return Meter()


def metered(saver: RedisCheckpointer, meter: Meter) -> RedisCheckpointer:
    return RedisCheckpointer(saver.connections, ttl_s=600, keep=None, meter=meter)


@pytest.fixture
async def breaking(breakable: RedisServer, meter: Meter) -> AsyncIterator[RedisCheckpointer]:
    saver = metered(RedisCheckpointer.from_url(breakable.url, ttl_s=600, timeout_s=0.5), meter)
    yield saver
    await saver.aclose()


def operation(meter: Meter, name: str) -> OperationFigures:
    return meter.snapshot().operations.get(name, OperationFigures())


async def test_calls_time_and_bytes_are_counted_by_operation(saver: RedisCheckpointer, meter: Meter) -> None:
    saver = metered(saver, meter)
    text = "abcdefghijklmnopqrstuvwxyz0123456789" * 5  # too short to be compressed
    for thread_id in TENANTS:
        await put(saver, thread_id, text)
    await saver.aget_tuple(named("x"))
    saver.get_tuple(named("acme.x"))
    await saver.adelete_thread("x")
    written, read = operation(meter, "put"), operation(meter, "get")
    assert (written.calls, read.calls, operation(meter, "unlink").calls) == (2, 2, 1)
    assert len(text) * 2 < written.sent_bytes < 5000
    assert len(text) * 2 < read.received_bytes < 5000
    assert written.received_bytes == 2 * 8
    assert read.sent_bytes < 300
    assert 0 < read.seconds < 60
    assert dict(written.failures) == {}


async def test_a_write_that_had_to_be_sent_again_whole_is_a_miss(
    saver: RedisCheckpointer, server: Server, meter: Meter
) -> None:
    saver = metered(saver, meter)
    for thread_id in TENANTS:
        await put(saver, thread_id, "one")
    server.client.delete("state:{checkpoint:acme.x}")
    for thread_id in TENANTS:
        await put(saver, thread_id, "one")
    assert (operation(meter, "put").calls, operation(meter, "put").misses) == (5, 1)


async def test_a_script_that_the_server_lost_is_counted(saver: RedisCheckpointer, server: Server, meter: Meter) -> None:
    saver = metered(saver, meter)
    await put(saver, "x", "one")
    known = meter.snapshot().script_reloads
    await put(saver, "acme.x", "one")
    assert meter.snapshot().script_reloads == known
    server.client.script_flush()
    await put(saver, "acme.x", "two")
    saver.get_tuple(named("acme.x"))
    assert meter.snapshot().script_reloads == known + 2


async def test_failures_are_counted_by_kind(breaking: RedisCheckpointer, breakable: RedisServer, meter: Meter) -> None:
    for thread_id in TENANTS:
        await put(breaking, thread_id, "one")
    breakable.client.set("state:{checkpoint:x}", "of somebody else")
    with pytest.raises(StateUnreadable):
        await breaking.aget_tuple(named("x"))
    for name in breakable.run("HKEYS", "state:{checkpoint:acme.x}"):
        if name.startswith(b"b"):
            breakable.run("HSET", "state:{checkpoint:acme.x}", name, b"broken")
    forget(breaking, "acme.x")
    with pytest.raises(StateUnreadable):
        breaking.get_tuple(named("acme.x"))
    breakable.kill()
    with pytest.raises(StoreUnavailable):
        await put(breaking, "x", "two")
    assert dict(operation(meter, "get").failures) == {"unreadable": 2}
    assert dict(operation(meter, "put").failures) == {"unavailable": 1}
    assert operation(meter, "put").calls == 3


@pytest.mark.parametrize(("failure", "kind"), [(asyncio.CancelledError(), "cancelled"), (OSError(), "error")])
def test_a_call_given_up_is_no_failure_of_the_server(meter: Meter, failure: BaseException, kind: str) -> None:
    meter.count_failure("get", failure)
    assert dict(operation(meter, "get").failures) == {kind: 1}


def test_a_snapshot_does_not_change(meter: Meter) -> None:
    meter.count_call("get", 0.1, 10, 5, is_miss=False)
    before = meter.snapshot()
    meter.count_call("get", 0.1, 10, 5, is_miss=False)
    assert before.operations["get"].calls == 1
    for change in (before.operations, before.operations["get"].failures):
        with pytest.raises(TypeError):
            change["get"] = 1  # type: ignore[index]  # it is read-only, which is what is shown
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.script_reloads = 1  # type: ignore[misc]  # the same


def test_threads_lose_no_count(meter: Meter) -> None:
    def work(_: int) -> None:
        for _ in range(500):
            meter.count_call("put", 0.1, 1, 2, is_miss=True)
            meter.count("returned")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    figures = meter.snapshot()
    assert figures.memory.returned == 4000
    put = figures.operations["put"]
    assert (put.calls, put.sent_bytes, put.received_bytes, put.misses) == (4000, 4000, 8000, 4000)


def hold(memory: Memory, thread_id: str, size: int, *, parent: str = "") -> str:
    """A checkpoint of about *size* incompressible bytes in memory; gives its id."""
    made = checkpoint_of(b85encode(random.Random(thread_id).randbytes(size)).decode())
    memory.put(SERDE, named(thread_id, parent), made, {"step": 1})
    return made["id"]


def held(memory: Memory, thread_id: str) -> list[CheckpointTuple]:
    return memory.all(SERDE, thread_id)


def test_memory_is_bounded_by_bytes_and_the_conversation_unused_longest_makes_room(meter: Meter) -> None:
    memory = Memory(ttl_s=600, max_bytes=100_000, meter=meter)
    for thread_id in (*TENANTS, "y"):
        hold(memory, thread_id, 30_000)
    assert meter.snapshot().memory.conversations == 3
    memory.find("x")  # used again
    hold(memory, "acme.y", 30_000)
    assert memory.threads() == ["y", "x", "acme.y"]
    figures = meter.snapshot().memory
    assert (figures.lost, figures.conversations) == (1, 3)
    assert 60_000 < figures.held_bytes <= 100_000
    memory.forget("y")
    assert meter.snapshot().memory.conversations == 2
    assert meter.snapshot().memory.lost == 1


def test_pending_writes_count_towards_the_bytes_in_memory(meter: Meter) -> None:
    memory = Memory(ttl_s=600, max_bytes=100_000, meter=meter)
    for thread_id in TENANTS:
        checkpoint_id = hold(memory, thread_id, 1000)
        memory.put_writes(SERDE, named(thread_id, checkpoint_id), [("messages", "w" * 70_000)], "t", "")
    assert memory.threads() == ["acme.x"]
    assert 70_000 < meter.snapshot().memory.held_bytes < 80_000


def test_of_a_conversation_that_is_too_large_by_itself_the_newest_checkpoint_stays(meter: Meter) -> None:
    memory = Memory(ttl_s=600, max_bytes=100_000, meter=meter)
    first = hold(memory, "x", 40_000)
    last = hold(memory, "x", 40_000, parent=hold(memory, "x", 40_000, parent=first))
    assert held(memory, "x")[0].checkpoint["id"] == last
    assert len(held(memory, "x")) == 2
    hold(memory, "x", 300_000, parent=last)
    assert len(held(memory, "x")) == 1
    assert meter.snapshot().memory.lost == 0


def test_a_conversation_that_was_over_anyway_is_not_lost(meter: Meter) -> None:
    now = 0.0
    memory = Memory(ttl_s=10, max_bytes=50_000, meter=meter, clock=lambda: now)
    hold(memory, "x", 40_000)
    now = 11.0
    hold(memory, "acme.x", 40_000)
    assert memory.threads() == ["acme.x"]
    assert meter.snapshot().memory.lost == 0
