"""The same saver on Redis in its other shapes: over TLS with a user of few rights, as a cluster, behind a Sentinel."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import empty_checkpoint

from tests.servers.redis import PASSWORD, RedisCluster, RedisSentinel, RedisServer
from tests.utils.checkpointer.chats import TENANTS, Chat, texts, turns
from utils.checkpointer import Connections, FallbackCheckpointer, RedisCheckpointer
from utils.checkpointer.diagnosis import RIGHTS, ask_each
from utils.errors import StoreUnavailable

pytestmark = pytest.mark.long

METADATA: Any = {"source": "loop", "step": 0, "parents": {}, "run_id": "r"}


def config(thread_id: str) -> Any:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}


def checkpoint(**values: Any) -> Any:
    made = empty_checkpoint()
    made["channel_values"], made["channel_versions"] = values, dict.fromkeys(values, 1)
    return made


async def put(saver: RedisCheckpointer, thread_id: str, **values: Any) -> Any:
    made = checkpoint(**values)
    return await saver.aput(config(thread_id), made, METADATA, made["channel_versions"])


@pytest.fixture(scope="module")
def tls_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that speaks TLS, as a user who may do what the service says it needs, and no more."""
    users = (f"app on >{PASSWORD} {RIGHTS}",)
    with RedisServer(tmp_path_factory.mktemp("tls"), authority=trustme.CA(), password="root", users=users) as server:
        yield server.url_of(user="app", password=PASSWORD)


@pytest.fixture(scope="module")
def sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinel]:
    """A master, its replica, and a Sentinel with a password of its own."""
    folder = tmp_path_factory.mktemp("sentinel")
    with RedisSentinel(folder, password=PASSWORD, sentinel_password="another") as servers:
        yield servers


@pytest.fixture(params=["tls", "cluster", "sentinel"])
def url(request: pytest.FixtureRequest) -> str:
    """Each shape in turn, emptied."""
    if request.param == "tls":
        return str(request.getfixturevalue("tls_url"))
    if request.param == "cluster":
        cluster: RedisCluster = request.getfixturevalue("redis_cluster")
        for node in cluster.nodes:
            node.client.flushall()
        return cluster.url
    return str(request.getfixturevalue("sentinel").url)


@pytest.fixture
async def saver(url: str) -> AsyncIterator[RedisCheckpointer]:
    made = RedisCheckpointer.from_url(url, ttl_s=600)
    yield made
    for thread_id in [found.config["configurable"]["thread_id"] async for found in made.alist(None)]:
        await made.adelete_thread(thread_id)
    await made.aclose()


async def test_conversations_of_two_tenants_go_on_are_listed_copied_and_removed(saver: RedisCheckpointer) -> None:
    chat, ids = Chat(saver), [f"{tenant}{number}" for tenant in TENANTS for number in range(6)]
    for thread_id in ids:
        await chat.say(f"I am {thread_id}", thread_id)
    assert await chat.say("again", "acme.1") == turns("I am acme.1", "again")
    listed = [found.config["configurable"]["thread_id"] async for found in saver.alist(None)]
    assert set(listed) == set(ids)
    assert {found.config["configurable"]["thread_id"] for found in saver.list(None)} == set(ids)
    await saver.acopy_thread("acme.2", "acme.copy")
    await saver.adelete_thread("acme.2")
    assert await texts(saver, "acme.copy") == turns("I am acme.2")
    assert [await texts(saver, thread_id) for thread_id in ("acme.2", "2")] == [[], turns("I am 2")]
    assert saver.get_tuple(config("acme.3")) == await saver.aget_tuple(config("acme.3"))


async def test_removing_runs_and_old_checkpoints_reaches_every_conversation(saver: RedisCheckpointer) -> None:
    for number in range(6):
        await put(saver, f"acme.{number}", n=number)
        await put(saver, f"{number}", n=number)
    await saver.aprune(["acme.1", "1"])
    await saver.adelete_for_runs(["r"])
    assert [found async for found in saver.alist(None)] == []


async def test_more_chats_than_connections_wait(url: str) -> None:
    before = await connected(url)
    few = RedisCheckpointer.from_url(url, ttl_s=60, max_connections=3)
    try:
        await asyncio.gather(*(put(few, f"t{number}", n=number) for number in range(40)))
        found = await asyncio.gather(*(few.aget_tuple(config(f"t{number}")) for number in range(40)))
        async with asyncio.timeout(10):  # a server notices a moment later that a connection was closed
            while await connected(url) > before + 3:
                await asyncio.sleep(0.05)
        assert [one and one.checkpoint["channel_values"]["n"] for one in found] == list(range(40))
    finally:
        await few.aclose()


async def connected(url: str) -> int:
    """How many clients the server has that has most."""
    connections = Connections(url)
    try:
        await connections.asynchronous().execute_command("PING")  # from now on the nodes of a cluster are known
        return max(int(facts["connected_clients"]) for facts in await ask_each(connections.asynchronous(), "INFO"))
    finally:
        await connections.aclose()


async def test_all_is_well_says_the_check(url: str) -> None:
    assert await Connections(url).check() == []


async def test_a_conversation_whose_slot_moves_to_another_node_goes_on(redis_cluster: RedisCluster) -> None:
    saver = RedisCheckpointer.from_url(redis_cluster.url, ttl_s=600)
    chat = Chat(saver)
    await chat.say("one", "acme.moving")
    await chat.say("one", "moving")
    redis_cluster.move_slot("checkpoint:acme.moving")
    assert await chat.say("two", "acme.moving") == turns("one", "two")
    assert saver.get_tuple(config("acme.moving")) is not None
    assert await texts(saver, "moving") == turns("one")
    await saver.aclose()


async def test_a_clusters_node_that_hangs_or_is_gone_is_away_in_time_and_back_by_itself(
    redis_cluster: RedisCluster,
) -> None:
    saver = RedisCheckpointer.from_url(redis_cluster.url, ttl_s=600, connect_timeout_s=0.3, timeout_s=0.3)
    node = redis_cluster.node_of("checkpoint:b")
    await put(saver, "b", n=1)
    node.pause()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await saver.aget_tuple(config("b"))
    assert time.monotonic() - began < 2
    node.resume()
    node.kill()
    with pytest.raises(StoreUnavailable):
        await saver.aget_tuple(config("b"))
    with pytest.raises(StoreUnavailable):
        saver.get_tuple(config("b"))
    node.start()
    redis_cluster.await_whole()
    assert await saver.exists("b")
    assert saver.get_tuple(config("b")) == await saver.aget_tuple(config("b"))
    await saver.aclose()


async def test_turns_go_on_while_sentinel_chooses_another_master_and_are_kept_there(tmp_path: Path) -> None:
    with RedisSentinel(tmp_path) as servers:
        primary = RedisCheckpointer.from_url(servers.url, ttl_s=600)
        saver = FallbackCheckpointer(primary, retry_s=0)
        chat = Chat(saver)
        for tenant in TENANTS:
            await chat.say(f"one {tenant}", f"{tenant}a")
        primary.get_tuple(config("a"))  # the blocking client knows the first master, too
        servers.master.run("WAIT", 1, 2000)
        servers.master.kill()
        assert await chat.say("two", "acme.a") == turns("two")
        assert saver.persistence == "memory"
        servers.await_failover()
        assert await saver.return_held() == 1
        assert await texts(primary, "acme.a") == turns("one acme.", "two")
        assert await chat.say("three", "acme.a") == turns("one acme.", "two", "three")
        assert saver.persistence_of("acme.a") == "redis"
        assert primary.get_tuple(config("a")) == await saver.aget_tuple(config("a"))
        assert await texts(saver) == turns("one ")
        await saver.aclose()


def test_the_blocking_client_waits_for_a_free_connection_too(url: str) -> None:
    saver = RedisCheckpointer.from_url(url, ttl_s=60, max_connections=2)
    made = checkpoint(messages=[HumanMessage("hello", id="1")])

    async def threads() -> None:
        await asyncio.gather(
            *(asyncio.to_thread(saver.put, config(f"acme.t{n}"), made, METADATA, {"messages": 1}) for n in range(12))
        )

    asyncio.run(threads())
    assert all(saver.get_tuple(config(f"acme.t{number}")) for number in range(12))
    saver.close()


async def test_a_clusters_node_that_dies_under_load_is_away_and_nothing_else_goes_wrong(
    redis_cluster: RedisCluster,
) -> None:
    saver = RedisCheckpointer.from_url(redis_cluster.url, ttl_s=600, connect_timeout_s=0.5, timeout_s=0.5)
    # The first commands of all come at once, before the cluster is known, and go straight to where they belong.
    for each in redis_cluster.nodes:
        each.client.config_resetstat()
    stored = dict(zip(range(60), await asyncio.gather(*(put(saver, f"load{n}", n=n) for n in range(60))), strict=True))
    assert all("errorstat_MOVED" not in each.client.info("errorstats") for each in redis_cluster.nodes)
    node = redis_cluster.node_of("checkpoint:load0")

    async def go_on(number: int) -> None:
        while True:
            await put(saver, f"load{number}", n=number)

    going = [asyncio.create_task(go_on(number)) for number in stored]
    await put(saver, "load0", n=0)
    node.kill()
    done, pending = await asyncio.wait(going, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    results = await asyncio.gather(*going, return_exceptions=True)
    assert {type(result) for result in results} <= {StoreUnavailable, asyncio.CancelledError}
    assert done
    node.start()
    redis_cluster.await_whole()
    found = await asyncio.gather(*(saver.aget_tuple(config(f"load{number}")) for number in stored))
    assert [one and one.checkpoint["channel_values"]["n"] for one in found] == list(stored)
    await saver.aclose()
