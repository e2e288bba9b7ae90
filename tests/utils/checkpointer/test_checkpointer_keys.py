"""What an operator with redis-cli sees: two keys a conversation, readable, and never without an end."""

import json
import time
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import empty_checkpoint
from redis.crc import key_slot

from utils.checkpointer import RedisCheckpointer, StateUnreadable

SECRET = "the visitor's own words, rather many of them " * 5
FULL_MS = 590_000  # of the 600 s that the fixture's saver gives


def config(thread_id: str, checkpoint_id: str | None = None) -> Any:
    named = {"thread_id": thread_id, "checkpoint_ns": ""}
    return {"configurable": named | ({"checkpoint_id": checkpoint_id} if checkpoint_id else {})}


async def put(saver: RedisCheckpointer, thread_id: str = "a", parent: Any = None, **values: Any) -> Any:
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"] = values
    checkpoint["channel_versions"] = dict.fromkeys(values, time.monotonic_ns())
    metadata: Any = {"source": "loop", "step": 3, "parents": {}}
    return await saver.aput(parent or config(thread_id), checkpoint, metadata, checkpoint["channel_versions"])


async def values_of(saver: RedisCheckpointer, thread_id: str) -> Any:
    found = await saver.aget_tuple(config(thread_id))
    return found.checkpoint["channel_values"] if found else None


async def test_the_summary_is_json_with_ids_counts_times_and_size_but_no_text(
    saver: RedisCheckpointer, server: Any
) -> None:
    named = await put(saver, messages=[HumanMessage(SECRET, id="1"), HumanMessage("short", id="2")], context=SECRET)
    raw = server.client.get("checkpoint:a")
    summary = json.loads(raw)
    assert summary.keys() == {
        *("thread_id", "checkpoint_id", "step", "checkpoints", "counts", "bytes", "created_at", "updated_at")
    }
    assert summary["thread_id"] == "a"
    assert summary["checkpoint_id"] == named["configurable"]["checkpoint_id"]
    assert (summary["step"], summary["checkpoints"], summary["counts"]) == (3, 1, {"messages": 2})
    assert summary["created_at"] <= summary["updated_at"]
    assert b"words" not in raw
    assert b"short" not in raw


async def test_the_size_in_the_summary_is_that_of_the_state(saver: RedisCheckpointer, server: Any) -> None:
    def stored() -> int:
        fields = server.client.hgetall("state:{checkpoint:a}").items()
        return sum(len(name) + len(value) for name, value in fields if not name.startswith(b"@"))

    named = await put(saver, messages=[HumanMessage(SECRET, id="1")])
    await saver.aput_writes(named, [("messages", SECRET)], "t1")
    await saver.aput_writes(named, [("__error__", "one"), ("n", 1)], "t1")
    assert json.loads(server.client.get("checkpoint:a"))["bytes"] == stored()
    await put(saver, parent=named, messages=[HumanMessage(SECRET, id="2")], n=5)
    assert json.loads(server.client.get("checkpoint:a"))["bytes"] == stored()
    await saver.aprune(["a"])
    assert json.loads(server.client.get("checkpoint:a"))["bytes"] == stored()
    assert json.loads(server.client.get("checkpoint:a"))["checkpoints"] == 1


async def test_a_conversation_is_two_keys_in_one_slot(saver: RedisCheckpointer, server: Any) -> None:
    odd_ids = ["a", "acme.a", "a{b}c", "}{", "%7Bx", "ü mit Leerzeichen", ""]
    for thread_id in odd_ids:
        named = await put(saver, thread_id, n=thread_id)
        await saver.aput_writes(named, [("n", thread_id)], "t")
    keys = list(server.client.scan_iter())
    assert len(keys) == 2 * len(odd_ids)
    slots = [key_slot(key) for key in keys]
    assert all(slots.count(slot) == 2 for slot in slots)
    listed = {found.config["configurable"]["thread_id"] async for found in saver.alist(None)}
    assert listed == set(odd_ids)
    for thread_id in odd_ids:
        assert await values_of(saver, thread_id) == {"n": thread_id}


async def read(saver: RedisCheckpointer, named: Any) -> None:
    assert await saver.aget_tuple(config("a")) is not None


async def listing(saver: RedisCheckpointer, named: Any) -> None:
    assert [found async for found in saver.alist(config("a"))]


async def write(saver: RedisCheckpointer, named: Any) -> None:
    await put(saver, parent=named, n=2)


async def writes(saver: RedisCheckpointer, named: Any) -> None:
    await saver.aput_writes(named, [("n", 1)], "t1")


@pytest.mark.parametrize("use", [read, listing, write, writes])
async def test_every_use_gives_both_keys_their_whole_life_again(
    saver: RedisCheckpointer, server: Any, use: Any
) -> None:
    named = await put(saver, profile=SECRET)
    for key in ("checkpoint:a", "state:{checkpoint:a}"):
        server.client.pexpire(key, 5000)
    await use(saver, named)
    left = [server.client.pttl(key) for key in ("checkpoint:a", "state:{checkpoint:a}")]
    assert min(left) > FULL_MS
    assert abs(left[0] - left[1]) < 1000


async def test_looking_after_a_conversation_does_not_prolong_it(saver: RedisCheckpointer, server: Any) -> None:
    named = await put(saver, n=1)
    await put(saver, parent=named, n=2)
    for key in ("checkpoint:a", "state:{checkpoint:a}"):
        server.client.pexpire(key, 5000)
    assert await saver.ttl_s("a") == 5
    assert await saver.exists("a")
    await saver.aprune(["a"])
    await saver.adelete_for_runs(["no such run"])
    assert max(server.client.pttl(key) for key in ("checkpoint:a", "state:{checkpoint:a}")) <= 5000


async def test_a_channel_that_never_changes_lives_as_long_as_its_conversation(
    saver: RedisCheckpointer, server: Any
) -> None:
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"] = {"profile": SECRET, "n": 0}
    checkpoint["channel_versions"] = {"profile": 1, "n": 1}
    metadata: Any = {"source": "loop", "step": 0, "parents": {}}
    named = await saver.aput(config("a"), checkpoint, metadata, {"profile": 1, "n": 1})
    for step in range(2, 6):
        for key in server.client.scan_iter():
            server.client.pexpire(key, 50)  # without the next write all would be gone
        following = empty_checkpoint()
        following["channel_values"] = {"profile": SECRET, "n": step}
        following["channel_versions"] = {"profile": 1, "n": step}
        named = await saver.aput(named, following, metadata, {"n": step})
    assert await values_of(saver, "a") == {"profile": SECRET, "n": 5}


async def test_nothing_is_left_after_the_time_to_live(server: Any) -> None:
    saver = RedisCheckpointer.from_url(server.url, ttl_s=1)
    named = await put(saver, messages=[HumanMessage(SECRET)])
    await saver.aput_writes(named, [("n", 1)], "t1")
    until = time.monotonic() + 10
    while server.client.dbsize():
        assert time.monotonic() < until
        time.sleep(0.05)
    assert await saver.aget_tuple(config("a")) is None
    assert (await saver.ttl_s("a"), await saver.exists("a")) == (None, False)
    await saver.aclose()


def test_a_time_to_live_is_required() -> None:
    with pytest.raises(ValueError, match="ttl_s"):
        RedisCheckpointer.from_url("redis://127.0.0.1:1", ttl_s=0)


async def test_a_read_brings_a_removed_summary_back(saver: RedisCheckpointer, server: Any) -> None:
    await put(saver, n=1)
    before = server.client.get("checkpoint:a")
    server.client.delete("checkpoint:a")
    await values_of(saver, "a")
    assert server.client.get("checkpoint:a") == before


async def test_one_tenants_conversation_is_not_touched_through_anothers(saver: RedisCheckpointer, server: Any) -> None:
    await put(saver, "a", n="default tenant's")
    await put(saver, "acme.a", n="acme's")
    before = server.client.hgetall("state:{checkpoint:acme.a}")
    await put(saver, "a", n="changed")
    await saver.aprune(["a"])
    assert [found.checkpoint["channel_values"]["n"] async for found in saver.alist(config("a"))] == ["changed"]
    await saver.adelete_thread("a")
    assert await values_of(saver, "a") is None
    assert await values_of(saver, "acme.a") == {"n": "acme's"}
    await saver.acopy_thread("acme.a", "a")
    await saver.adelete_thread("a")
    assert server.client.hgetall("state:{checkpoint:acme.a}") == before


async def test_foreign_keys_do_not_break_a_listing(saver: RedisCheckpointer, server: Any) -> None:
    await put(saver, n=1)
    server.client.lpush("checkpoint:x", "what is this")
    server.client.set("checkpoint:y", "neither JSON nor ours")
    server.client.set("state:{checkpoint:z}", "a string")
    server.client.hset("state:{checkpoint:w}", mapping={b"c\0id": b"\xff", b"c": b"", b"b": b"", "whatever": 1})
    server.client.set(b"state:{checkpoint:\xff\xfe}", b"\xff")
    listed = [found.config["configurable"]["thread_id"] async for found in saver.alist(None)]
    assert listed == ["a"]
    assert [found.config["configurable"]["thread_id"] for found in saver.list(None)] == ["a"]
    await saver.adelete_for_runs(["no such run"])
    with pytest.raises(StateUnreadable, match=r"state:\{checkpoint:z\}"):
        await saver.aget_tuple(config("z"))
    server.client.flushall()  # they had no end
