"""Many at once: tasks, chats, threads, event loops, and workers that do not know of each other."""

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6

from tests.servers.redis import RedisServer
from utils.checkpointer import Connections, RedisCheckpointer

METADATA: Any = {"source": "loop", "step": 0, "parents": {}}
LONG = "as long as a paragraph " * 30


def config(thread_id: str) -> Any:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}


def checkpoint(**values: Any) -> Any:
    return empty_checkpoint() | {"channel_values": values, "channel_versions": dict.fromkeys(values, 1)}


async def values_of(saver: RedisCheckpointer, thread_id: str = "a") -> Any:
    found = await saver.aget_tuple(config(thread_id))
    return found.checkpoint["channel_values"] if found else None


async def test_parallel_writes_are_all_kept_in_the_order_of_their_paths(saver: RedisCheckpointer) -> None:
    named = await saver.aput(config("a"), checkpoint(), METADATA, {})
    tasks = range(32)
    await asyncio.gather(
        *(saver.aput_writes(named, [("ch", f"{LONG}{n}")], f"task{n:02}", f"~push, {31 - n:02}") for n in tasks)
    )
    found = await saver.aget_tuple(named)
    assert found is not None
    assert found.pending_writes == [(f"task{n:02}", "ch", f"{LONG}{n}") for n in reversed(tasks)]


async def test_writes_may_arrive_before_their_checkpoint(saver: RedisCheckpointer) -> None:
    made = checkpoint(n=1)
    named = {"configurable": {**config("a")["configurable"], "checkpoint_id": made["id"]}}
    await saver.aput_writes(named, [("ch", LONG)], "t1")
    assert await saver.aget_tuple(config("a")) is None
    await saver.aput(config("a"), made, METADATA, {"n": 1})
    found = await saver.aget_tuple(config("a"))
    assert found is not None
    assert found.pending_writes == [("t1", "ch", LONG)]


async def test_a_repeated_request_is_stored_once(saver: RedisCheckpointer, server: Any) -> None:
    named = await saver.aput(config("a"), checkpoint(), METADATA, {})
    await saver.aput_writes(named, [("ch", LONG), ("__error__", "first")], "t1")
    before = server.client.hgetall("state:{checkpoint:a}")
    await saver.aput_writes(named, [("ch", LONG), ("__error__", "first")], "t1")
    changed = {name for name, value in server.client.hgetall("state:{checkpoint:a}").items() if before[name] != value}
    assert changed <= {b"@updated"}


async def test_the_head_never_moves_back(saver: RedisCheckpointer) -> None:
    late, early = checkpoint(n="new"), checkpoint(n="old")
    early["id"], late["id"] = sorted(str(uuid6()) for _ in range(2))
    await saver.aput(config("a"), late, METADATA, {"n": 1})
    await saver.aput(config("a"), early, METADATA, {"n": 1})
    assert await values_of(saver) == {"n": "new"}
    assert [found.checkpoint["id"] async for found in saver.alist(config("a"))] == [late["id"], early["id"]]


async def test_more_chats_than_connections_wait_instead_of_failing(server: Any) -> None:
    saver = RedisCheckpointer.from_url(server.url, ttl_s=600, max_connections=4)

    async def chat(thread_id: str) -> Any:
        await saver.aput(config(thread_id), checkpoint(who=thread_id, text=LONG), METADATA, {"who": 1, "text": 1})
        return (await values_of(saver, thread_id))["who"]

    names = [f"t{number}" for number in range(100)]
    assert await asyncio.gather(*map(chat, names)) == names
    assert server.client.info("clients")["connected_clients"] <= 4 + 4
    await saver.aclose()


def test_one_saver_serves_event_loops_and_threads(server: Any) -> None:
    saver = RedisCheckpointer.from_url(server.url, ttl_s=600)
    together = threading.Barrier(8)

    async def chat(thread_id: str) -> Any:
        try:
            await saver.aput(config(thread_id), checkpoint(who=thread_id), METADATA, {"who": 1})
            return await values_of(saver, thread_id)
        finally:
            await saver.aclose()

    def blocking_chat(thread_id: str) -> Any:
        together.wait()
        saver.put(config(thread_id), checkpoint(who=thread_id), METADATA, {"who": 1})
        found = saver.get_tuple(config(thread_id))
        return found and found.checkpoint["channel_values"]

    for thread_id in ("first loop", "second loop"):
        assert asyncio.run(chat(thread_id)) == {"who": thread_id}
    server.client.script_flush()
    with ThreadPoolExecutor(8) as pool:
        names = [f"t{number}" for number in range(8)]
        assert list(pool.map(blocking_chat, names)) == [{"who": name} for name in names]
    saver.close()


@pytest.mark.parametrize("loss", ["delete", "expire", "prune", "flush scripts", "nothing"])
async def test_a_worker_that_missed_what_another_did_stores_its_whole_state(
    saver: RedisCheckpointer, server: Any, loss: str
) -> None:
    named = await saver.aput(config("a"), checkpoint(text=LONG, n=1), METADATA, {"text": 1, "n": 1})
    later = await saver.aput(named, checkpoint(text=LONG + "!", n=1), METADATA, {"text": 1})
    other = RedisCheckpointer.from_url(server.url, ttl_s=600)
    await other.aget_tuple(config("a"))
    if loss == "delete":
        await saver.adelete_thread("a")
    elif loss == "expire":
        server.client.flushall()
    elif loss == "prune":
        await saver.aprune(["a"])
    elif loss == "flush scripts":
        server.client.script_flush()
    # As far as this worker knows, the server holds both values, and `text` has not changed.
    await other.aput(later, checkpoint(text=LONG + "!", back=LONG, n=2), METADATA, {"back": 1, "n": 1})
    await other.aput_writes(later, [("text", [LONG, LONG])], "t1")
    assert await values_of(saver) == {"text": LONG + "!", "back": LONG, "n": 2}
    await other.aclose()


FORKED = """
import os, sys
from langgraph.checkpoint.base import empty_checkpoint
from utils.checkpointer import RedisCheckpointer

saver = RedisCheckpointer.from_url(sys.argv[1], ttl_s=60)
configs = [{"configurable": {"thread_id": name, "checkpoint_ns": ""}} for name in ("forked", "acme.forked")]
for config in configs:
    saver.put(config, empty_checkpoint(), {"step": 0}, {})
child = os.fork()
if child == 0:
    os._exit(0 if all(saver.get_tuple(config) for config in configs) else 1)
assert os.waitpid(child, 0)[1] == 0
assert all(saver.get_tuple(config) for config in configs)
saver.close()
"""


def test_a_process_that_was_forked_reads_by_itself(valkey: Any) -> None:
    subprocess.run([sys.executable, "-c", FORKED, valkey.url], check=True, timeout=20)


class Signalling(Connections):
    """Says when a blocking call begins."""

    def __init__(self, url: str) -> None:
        super().__init__(url, timeout_s=60)
        self.begun = threading.Semaphore(0)

    def run(self, coroutine: Any) -> Any:
        self.begun.release()
        return super().run(coroutine)


def test_closing_ends_the_calls_of_other_threads(breakable: RedisServer) -> None:
    connections = Signalling(breakable.url)
    saver = RedisCheckpointer(connections, ttl_s=60)
    saver.get_tuple(config("acme.x"))
    breakable.pause()
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(saver.get_tuple, config(f"{tenant}x")) for tenant in ("", "acme.")]
        for _ in range(3):
            assert connections.begun.acquire(timeout=10)
        saver.close()
        done, _ = wait(waiting, timeout=10)
        breakable.resume()
    assert len(done) == 2
    assert all(call.exception() is not None for call in waiting)
