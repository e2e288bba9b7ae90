"""Servers that die, hang, fill up or forget."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import empty_checkpoint

from utils.checkpointer import RedisCheckpointer
from utils.errors import StoreUnavailable

CONFIG: Any = {"configurable": {"thread_id": "a", "checkpoint_ns": ""}}
METADATA: Any = {"source": "loop", "step": 0, "parents": {}}


@pytest.fixture
async def saver(breakable: Any) -> AsyncIterator[RedisCheckpointer]:
    made = RedisCheckpointer.from_url(breakable.url, ttl_s=600, connect_timeout_s=0.3, timeout_s=0.3)
    yield made
    await made.aclose()


async def put(saver: RedisCheckpointer, config: Any = CONFIG, **values: Any) -> Any:
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"], checkpoint["channel_versions"] = values, dict.fromkeys(values, 1)
    return await saver.aput(config, checkpoint, METADATA, checkpoint["channel_versions"])


async def test_state_survives_a_server_that_is_killed(saver: RedisCheckpointer, breakable: Any) -> None:
    named = await put(saver, messages=[HumanMessage("hello " * 50, id="1")])
    await saver.aput_writes(named, [("n", 1)], "t1")
    before = await saver.aget_tuple(CONFIG)
    breakable.kill()
    breakable.start()
    # The connections are dead and the scripts are gone; neither is the caller's business.
    assert await saver.aget_tuple(CONFIG) == before
    assert saver.get_tuple(CONFIG) == before
    assert (await saver.ttl_s("a") or 0) > 590


async def test_nothing_acknowledged_is_lost_when_the_server_dies_under_load(
    saver: RedisCheckpointer, breakable: Any
) -> None:
    acknowledged: list[Any] = []

    async def chat(number: int) -> None:
        config: Any = {"configurable": {"thread_id": f"t{number}", "checkpoint_ns": ""}}
        step = 0
        while True:
            config = await put(saver, config, text=f"{number} {step} " * 50)
            acknowledged.append((config, step))
            step += 1

    chats = [asyncio.create_task(chat(number)) for number in range(8)]
    while len(acknowledged) < 100:
        await asyncio.sleep(0)
    breakable.kill()
    for result in await asyncio.gather(*chats, return_exceptions=True):
        assert isinstance(result, StoreUnavailable)
    breakable.start()
    for config, step in acknowledged:
        found = await saver.aget_tuple(config)
        assert found is not None
        assert found.checkpoint["channel_values"]["text"].split()[1] == str(step)


async def test_a_dead_server_is_reported_at_once(saver: RedisCheckpointer, breakable: Any) -> None:
    breakable.kill()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await put(saver, n=1)
    with pytest.raises(StoreUnavailable):
        saver.get_tuple(CONFIG)
    assert time.monotonic() - began < 1


async def test_a_server_that_hangs_is_given_up_in_time(saver: RedisCheckpointer, breakable: Any) -> None:
    await put(saver, n=1)
    breakable.pause()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await saver.aget_tuple(CONFIG)
    assert time.monotonic() - began < 2
    breakable.resume()
    assert await saver.exists("a")


async def test_a_full_server_is_unavailable_and_recovers(saver: RedisCheckpointer, server: Any) -> None:
    full = RedisCheckpointer.from_url(server.url, ttl_s=600)
    server.client.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(StoreUnavailable):
            await put(full, text="x" * 300)
    finally:
        server.client.config_set("maxmemory", "0")
    await put(full, text="x" * 300)
    await full.aclose()


async def test_a_cancelled_operation_leaves_the_connection_usable(breakable: Any) -> None:
    saver = RedisCheckpointer.from_url(breakable.url, ttl_s=600)  # the usual time limits: a busy machine is no fault
    for number in range(20):
        task = asyncio.create_task(put(saver, text=f"{number} " * 100))
        for _ in range(number):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await put(saver, text=str(number))
        found = await saver.aget_tuple(CONFIG)
        assert found is not None
        assert found.checkpoint["channel_values"] == {"text": str(number)}
    await saver.aclose()
