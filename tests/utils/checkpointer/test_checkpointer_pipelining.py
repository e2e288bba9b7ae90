"""Calls that are made at the same time and go to the server together: each has its own reply, error and end."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from redis.exceptions import DataError

from tests.servers.redis import RedisServer
from tests.utils.checkpointer.conftest import Server
from utils.checkpointer import Connections, RedisCheckpointer
from utils.checkpointer.clients import AsyncClient
from utils.checkpointer.errors import StateUnreadable
from utils.errors import StoreUnavailable

ECHO = "return ARGV[1]"


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncClient]:
    connections = Connections(server.url, max_connections=2)
    yield connections.asynchronous()
    await connections.aclose()


@pytest.fixture
async def frail(breakable: RedisServer) -> AsyncIterator[AsyncClient]:
    connections = Connections(breakable.url, connect_timeout_s=0.3, timeout_s=0.3, max_connections=2)
    yield connections.asynchronous()
    await connections.aclose()


async def echoed(client: AsyncClient, text: str) -> Any:
    return await client.run_script("EVAL", ECHO, 0, text)


def named(thread_id: str) -> Any:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}


async def test_each_of_many_calls_at_once_has_its_own_reply(client: AsyncClient, server: Server) -> None:
    texts = [f"{number} é " * (number % 7 * 500 + 1) for number in range(300)]
    before = server.client.info("stats")["total_connections_received"]
    assert await asyncio.gather(*(echoed(client, text) for text in texts)) == [text.encode() for text in texts]
    assert server.client.info("stats")["total_connections_received"] <= before + 2


async def test_calls_at_once_are_few_writes(client: AsyncClient, server: Server) -> None:
    await echoed(client, "connected")
    before = server.client.info("stats")["total_reads_processed"]
    await asyncio.gather(*(echoed(client, str(number)) for number in range(60)))
    assert server.client.info("stats")["total_reads_processed"] - before < 10


async def test_one_that_fails_fails_alone(server: Server) -> None:
    saver = RedisCheckpointer.from_url(server.url, ttl_s=60)
    server.client.set("state:{checkpoint:acme.7}", "of somebody else")
    server.client.script_flush()
    asked = [saver.aget_tuple(named(f"{tenant}{number}")) for tenant in ("", "acme.") for number in range(20)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in found].count(StateUnreadable) == 1
    assert isinstance(found[27], StateUnreadable)
    assert found.count(None) == 39
    await saver.aclose()


async def test_one_that_is_cancelled_leaves_the_others_theirs(client: AsyncClient) -> None:
    for turns in range(6):  # of the loop, after which some are cancelled: given, sent, or answered
        tasks = [asyncio.create_task(echoed(client, str(number))) for number in range(30)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks[::3]:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [found[number] for number in range(30) if number % 3] == [
            str(number).encode() for number in range(30) if number % 3
        ]
        assert await echoed(client, "next") == b"next"


@asynccontextmanager
async def cutting(port: int, *, after_bytes: int) -> AsyncIterator[int]:
    """A way to the server that closes the first connection after so many bytes of its first reply; gives its port."""
    left, carrying = [after_bytes], set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carrying.add(asyncio.current_task())
        onward, back = await asyncio.open_connection("127.0.0.1", port)
        forth = asyncio.create_task(pass_on(reader, back))
        while data := await onward.read(65536):
            is_introduction = data.startswith(b"+OK")  # what redis-py asks first
            cut = left.pop() if left and not is_introduction else len(data)
            writer.write(data[:cut])
            if cut < len(data):
                break
        writer.close()
        await forth

    async with await asyncio.start_server(carry, "127.0.0.1", 0) as way:
        yield way.sockets[0].getsockname()[1]
        await asyncio.gather(*filter(None, carrying))


@asynccontextmanager
async def straying(port: int) -> AsyncIterator[int]:
    """A way to the server that says something of its own after each number."""
    carrying = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carrying.add(asyncio.current_task())
        onward, back = await asyncio.open_connection("127.0.0.1", port)
        forth = asyncio.create_task(pass_on(reader, back))
        while data := await onward.read(65536):
            writer.write(data + b"+STRAY\r\n" if data.startswith(b"$1") else data)
        writer.close()
        await forth

    async with await asyncio.start_server(carry, "127.0.0.1", 0) as way:
        yield way.sockets[0].getsockname()[1]
        await asyncio.gather(*filter(None, carrying))


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()
    await writer.wait_closed()


async def test_a_connection_closed_between_two_replies_is_nobodys_business(breakable: RedisServer) -> None:
    expected = [str(number).encode() for number in range(9)]
    async with cutting(breakable.port, after_bytes=4 * len("$1\r\n0\r\n") + 3) as port:
        connections = Connections(breakable.url.replace(str(breakable.port), str(port)))
        client = connections.asynchronous()
        assert await asyncio.gather(*(echoed(client, str(number)) for number in range(9))) == expected
        await connections.aclose()


async def test_a_connection_that_was_closed_while_idle_is_opened_again(client: AsyncClient, server: Server) -> None:
    for number in range(3):
        assert await echoed(client, str(number)) == str(number).encode()
        server.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert await echoed(client, "after") == b"after"


async def test_what_nobody_asked_is_given_to_nobody(breakable: RedisServer) -> None:
    async with straying(breakable.port) as port:
        connections = Connections(breakable.url.replace(str(breakable.port), str(port)))
        client = connections.asynchronous()
        for number in range(5):
            assert await echoed(client, str(number)) == str(number).encode()
        await connections.aclose()


async def test_an_option_that_redis_does_not_know_is_told_at_once_and_each_time(server: Server) -> None:
    connections = Connections(f"{server.url}?unheard_of=1", connect_timeout_s=5, timeout_s=10)
    client = connections.asynchronous()
    began = time.monotonic()
    for _ in range(3):
        with pytest.raises(TypeError):
            await echoed(client, "1")
    assert time.monotonic() - began < 2
    await connections.aclose()


async def test_a_server_that_hangs_is_given_up_by_all_in_time(frail: AsyncClient, breakable: RedisServer) -> None:
    saver_calls = [echoed(frail, str(number)) for number in range(200)]
    await echoed(frail, "connected")
    breakable.pause()
    began = time.monotonic()
    found = await asyncio.gather(*saver_calls, return_exceptions=True)
    assert {type(one).__name__ for one in found} == {"TimeoutError"}
    assert time.monotonic() - began < 3
    breakable.resume()
    assert await echoed(frail, "back") == b"back"


async def test_a_server_that_died_is_reported_to_all_at_once(breakable: RedisServer) -> None:
    saver = RedisCheckpointer.from_url(breakable.url, ttl_s=60)
    await saver.aget_tuple(named("a"))
    breakable.kill()
    began = time.monotonic()
    found = await asyncio.gather(*(saver.aget_tuple(named(f"t{n}")) for n in range(100)), return_exceptions=True)
    assert {type(one) for one in found} == {StoreUnavailable}
    assert time.monotonic() - began < 1
    breakable.start()
    assert await saver.aget_tuple(named("a")) is None
    await saver.aclose()


async def test_an_argument_that_cannot_be_sent_is_refused_alone(client: AsyncClient) -> None:
    unsendable: Any = {"no": "text"}
    asked = [echoed(client, "good"), echoed(client, unsendable), echoed(client, "too")]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert (found[0], type(found[1]), found[2]) == (b"good", DataError, b"too")


def test_a_loop_that_ends_with_calls_under_way_ends(server: Server) -> None:
    async def leave() -> None:
        connections = Connections(server.url)
        client = connections.asynchronous()
        left = [asyncio.create_task(echoed(client, str(number))) for number in range(5)]
        await asyncio.sleep(0)
        for task in left:
            task.cancel()
        await connections.aclose()

    began = time.monotonic()
    asyncio.run(leave())
    assert time.monotonic() - began < 1


async def test_what_tasks_wrote_while_a_put_was_under_way_is_not_sent_again(server: Server) -> None:
    passages = [{"id": name, "text": f"{name} ".join(map(str, range(500)))} for name in ("a", "b")]
    saver = RedisCheckpointer.from_url(server.url, ttl_s=60)
    before, after = empty_checkpoint(), empty_checkpoint()
    after["channel_values"], after["channel_versions"] = {"passages": passages}, {"passages": 1}
    config: Any = {"configurable": {**named("acme.1")["configurable"], "checkpoint_id": before["id"]}}
    async with asyncio.TaskGroup() as group:
        group.create_task(saver.aput(named("acme.1"), before, {"step": 0}, {}))
        group.create_task(saver.aput_writes(config, [("passages", passages)], "task"))
    figures = saver.meter.snapshot().operations
    await saver.aput(config, after, {"step": 1}, {"passages": 1})
    now = saver.meter.snapshot().operations["put"]
    assert now.sent_bytes - figures["put"].sent_bytes < 1000 < figures["writes"].sent_bytes
    assert now.misses == 0
    await saver.aclose()
