"""Repeated reads: always what is stored now, never shared, and nothing fetched, sent or serialized that was before."""

import asyncio
import gc
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.base import empty_checkpoint

from tests.servers.cutting import CuttingProxy
from tests.utils.checkpointer.chats import TENANTS
from tests.utils.checkpointer.conftest import TTL_S, Server
from utils.checkpointer import Connections, RedisCheckpointer, retention
from utils.checkpointer.codec import Codec, Value
from utils.errors import StoreUnavailable

Worker = Callable[..., RedisCheckpointer]


def named(thread_id: str) -> Any:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}


def message(number: int, owner: str) -> AIMessage:
    """With something to change at every depth."""
    call = {"name": "look", "args": {"where": ["here", {"page": number}]}, "id": f"c{number}", "type": "tool_call"}
    return AIMessage(
        f"Answer {number} for {owner}: " + "because " * 20,
        id=f"{owner}-{number}",
        additional_kwargs={"seen": [number, {"by": [owner]}]},
        tool_calls=[call],
    )


def said(owner: str, count: int) -> dict[str, Any]:
    """All channels of a conversation with this many messages."""
    first = [
        HumanMessage([{"type": "text", "text": f"Question of {owner}"}], id=f"{owner}-q"),
        ToolMessage("found", tool_call_id="c0", artifact={"rows": [[1, True, 1.0]]}, id=f"{owner}-t"),
    ]
    return {
        "messages": [*first, *(message(number, owner) for number in range(count))],
        "passages": [Document(f"A passage for {owner}. " * 5, metadata={"at": [1, [2, {"of": owner}]]})],
        "notes": {"deep": [{"deeper": [owner, {"deepest": ["x" * 80]}]}]},
        "mood": owner,
    }


async def put(saver: RedisCheckpointer, thread_id: str, values: dict[str, Any], *changed: str) -> Any:
    """Go on from the newest checkpoint, with *changed* channels (all, if none is named) in a new version."""
    found = await saver.aget_tuple(named(thread_id))
    before = found.checkpoint["channel_versions"] if found else {}
    new: Any = {channel: int(before.get(channel, 0)) + 1 for channel in changed or values}
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"], checkpoint["channel_versions"] = values, {**before, **new}
    metadata: Any = {"source": "loop", "step": len(before), "parents": {}}
    return await saver.aput(found.config if found else named(thread_id), checkpoint, metadata, new)


async def values_of(saver: RedisCheckpointer, thread_id: str) -> Any:
    found = await saver.aget_tuple(named(thread_id))
    return found and found.checkpoint["channel_values"]


@pytest.fixture
def worker(server: Server) -> Iterator[Worker]:
    """Makes savers, each with a memory of its own like another process's."""
    made: list[RedisCheckpointer] = []

    def make(**options: Any) -> RedisCheckpointer:
        made.append(RedisCheckpointer.from_url(server.url, ttl_s=TTL_S, keep=None, **options))
        return made[-1]

    yield make
    for saver in made:
        saver.close()


async def expired(server: Server, other: RedisCheckpointer, thread_id: str) -> None:
    for key in (f"checkpoint:{thread_id}", f"state:{{checkpoint:{thread_id}}}"):
        server.client.pexpire(key, 1)
        async with asyncio.timeout(5):
            while server.client.exists(key):
                await asyncio.sleep(0)


async def expired_and_begun_anew(server: Server, other: RedisCheckpointer, thread_id: str) -> None:
    await expired(server, other, thread_id)
    await put(other, thread_id, said(f"new {thread_id}", 3))


async def deleted(server: Server, other: RedisCheckpointer, thread_id: str) -> None:
    await other.adelete_thread(thread_id)


async def pruned_and_shortened(server: Server, other: RedisCheckpointer, thread_id: str) -> None:
    shorter = await values_of(other, thread_id)
    del shorter["messages"][2:5]
    await put(other, thread_id, shorter, "messages")
    await other.aprune([thread_id])


async def copied_over(server: Server, other: RedisCheckpointer, thread_id: str) -> None:
    await put(other, "source", said(f"source of {thread_id}", 4))
    await other.acopy_thread("source", thread_id)


async def gone_on(server: Server, other: RedisCheckpointer, thread_id: str) -> None:
    longer = await values_of(other, thread_id)
    longer["messages"] = [*longer["messages"][:1], message(77, thread_id), *longer["messages"][1:]]
    longer["passages"].clear()
    await put(other, thread_id, longer, "messages", "passages")


Event = Callable[[Server, RedisCheckpointer, str], Awaitable[None]]
EVENTS = [expired, expired_and_begun_anew, deleted, pruned_and_shortened, copied_over, gone_on]


@pytest.mark.parametrize("happens", EVENTS)
@pytest.mark.parametrize("thread_id", [tenant + "x" for tenant in TENANTS])
async def test_a_repeated_read_gives_what_is_stored_now(
    server: Server, worker: Worker, happens: Event, thread_id: str
) -> None:
    warm, other = worker(), worker()
    everyone = [tenant + "x" for tenant in TENANTS]
    for owner in everyone:
        await put(warm, owner, said(owner, 20))
        for _ in range(3):
            assert await values_of(warm, owner) == said(owner, 20)
    await happens(server, other, thread_id)
    cold = worker()
    for _ in range(3):
        assert await values_of(warm, thread_id) == await values_of(cold, thread_id)
    assert await values_of(warm, thread_id) != said(thread_id, 20)
    for owner in everyone:
        if owner != thread_id:
            assert await values_of(warm, owner) == said(owner, 20)
    for saver in (warm, other, cold):
        await saver.aclose()


@pytest.mark.parametrize("happens", EVENTS)
async def test_a_write_after_it_can_be_read_by_everyone(server: Server, worker: Worker, happens: Event) -> None:
    warm, other = worker(refuse_conflicts=False), worker()
    await put(warm, "x", said("x", 20))
    found = await warm.aget_tuple(named("x"))
    assert found is not None
    await happens(server, other, "x")
    checkpoint = empty_checkpoint()
    values = {**found.checkpoint["channel_values"], "mood": "changed"}
    versions: Any = {**found.checkpoint["channel_versions"], "mood": 9}
    checkpoint["channel_values"], checkpoint["channel_versions"] = values, versions
    await warm.aput(found.config, checkpoint, {"source": "loop", "step": 9, "parents": {}}, {"mood": 9})
    cold = worker()
    assert await values_of(cold, "x") == await values_of(warm, "x") == {**said("x", 20), "mood": "changed"}
    for saver in (warm, other, cold):
        await saver.aclose()


def spoil(values: dict[str, Any]) -> None:
    """Change what was read, at every depth."""
    question, tool, answer = values["messages"][:3]
    question.content[0]["text"] = "spoiled"
    tool.artifact["rows"][0][1] = 1  # equal to True, and not the same
    answer.additional_kwargs["seen"][1]["by"].append("spoiled")
    answer.tool_calls[0]["args"]["where"][1]["page"] = -1
    answer.content += "spoiled"
    values["passages"][0].metadata["at"][1][1]["of"] = "spoiled"
    values["notes"]["deep"][0]["deeper"][1]["deepest"].append("spoiled")
    values["messages"].append(values["messages"][2])


async def test_changing_what_was_read_changes_no_other_read(worker: Worker) -> None:
    saver = worker()
    await put(saver, "x", said("x", 5))
    for _ in range(4):
        values = await values_of(saver, "x")
        assert values == said("x", 5)
        assert values["messages"][1].artifact["rows"][0][1] is True
        spoil(values)
    await saver.aclose()


async def test_two_equal_messages_are_two_objects(worker: Worker) -> None:
    saver = worker()
    await put(saver, "x", {"messages": [message(1, "x"), message(1, "x")], "passages": [message(1, "x")]})
    for _ in range(3):
        values = await values_of(saver, "x")
        (first, second), (third,) = values["messages"], values["passages"]
        first.additional_kwargs["seen"].clear()
        assert second == third == message(1, "x")
    await saver.aclose()


async def test_changes_within_what_was_read_are_stored_when_its_list_is(worker: Worker) -> None:
    saver, other = worker(), worker()
    await put(saver, "x", said("x", 5))
    await values_of(saver, "x")
    values = await values_of(saver, "x")
    spoil(values)
    await put(saver, "x", values)
    stored = await values_of(other, "x")
    assert stored == values
    assert stored["messages"][1].artifact["rows"][0][1] is not True
    for one in (saver, other):
        await one.aclose()


async def test_many_threads_and_loops_share_a_saver(server: Server) -> None:
    connections = Connections(server.url)
    saver = RedisCheckpointer(connections, ttl_s=TTL_S, keep=None)
    for tenant in TENANTS:
        await put(saver, f"{tenant}x", said(f"{tenant}x", 20))

    async def in_a_loop(number: int) -> None:
        thread_id = f"{TENANTS[number % 2]}x"
        for turn in range(6):
            values = await values_of(saver, thread_id)
            assert values == said(thread_id, 20)
            spoil(values)
            own = said(f"own {number}", turn + 1)
            await put(saver, f"own {number}", own)
            assert await values_of(saver, f"own {number}") == own
        await connections.asynchronous().aclose()  # this loop's alone

    def blocking(number: int) -> None:
        thread_id = f"{TENANTS[number % 2]}x"
        for _ in range(12):
            found = saver.get_tuple(named(thread_id))
            assert found is not None
            assert found.checkpoint["channel_values"] == said(thread_id, 20)
            spoil(found.checkpoint["channel_values"])

    with ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(asyncio.run, in_a_loop(number)) for number in range(3)]
        jobs += [pool.submit(blocking, number) for number in range(3)]
        for job in jobs:
            await asyncio.wrap_future(job)
    await saver.aclose()


def received(saver: RedisCheckpointer) -> int:
    return saver.meter.snapshot().operations["get"].received_bytes


async def test_a_read_fetches_no_more_when_a_conversation_has_grown(worker: Worker) -> None:
    saver, fetched = worker(), []
    answers: list[AIMessage] = []
    for turn in range(80):
        answers.append(message(turn, "x"))
        await put(saver, "x", {"messages": answers}, "messages")
        before = received(saver)
        assert await values_of(saver, "x") == {"messages": answers}
        fetched.append(received(saver) - before)
    # In step with the pages, of which each 16th message begins one.
    assert max(fetched[64:]) <= max(fetched[16:32]) * 1.1
    cold = worker()
    await values_of(cold, "x")
    assert received(cold) > 5 * max(fetched)
    for one in (saver, cold):
        await one.aclose()


async def test_a_write_neither_compresses_nor_sends_items_that_are_stored(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed: list[Value] = []
    seal = Codec.seal

    def counting(self: Codec, value: Value, about: bytes) -> bytes:
        sealed.append(value)
        return seal(self, value, about)

    monkeypatch.setattr(Codec, "seal", counting)
    saver, sizes = worker(), []
    await put(saver, "x", {"messages": [message(number, "x") for number in range(100)]})
    for turn in range(100, 103):
        values = await values_of(saver, "x")
        values["messages"].append(message(turn, "x"))
        sealed.clear()
        before = saver.meter.snapshot().operations["put"].sent_bytes
        await put(saver, "x", values)
        sizes.append(saver.meter.snapshot().operations["put"].sent_bytes - before)
        assert [f"x-{turn}".encode() in value.data for value in sealed if value.kind == "model"] == [True]
    assert max(sizes) < 2500  # of 100 messages with about 400 bytes each
    assert saver.meter.snapshot().operations["put"].misses == 0
    cold = worker()
    assert (await values_of(cold, "x"))["messages"] == [message(number, "x") for number in range(103)]
    for one in (saver, cold):
        await one.aclose()


async def test_what_is_remembered_is_bounded(server: Server) -> None:
    limit_bytes = 400_000
    connections = Connections(server.url)
    saver = RedisCheckpointer(connections, ttl_s=TTL_S, keep=None, warm_bytes=limit_bytes, warm_conversations=1_000_000)

    async def use(first: int, last: int) -> None:
        for number in range(first, last):
            await put(
                saver, f"x{number}", {"messages": [AIMessage(f"{number} {at} " + "x" * 1500) for at in range(20)]}
            )
            await values_of(saver, f"x{number}")
            await values_of(saver, f"x{number}")

    async with aclosing(saver):
        await use(0, 5)
        tracemalloc.start()
        try:
            await use(5, 105)  # of 3 MB
            gc.collect()  # what is in no use is not remembered, only not yet freed
            assert tracemalloc.get_traced_memory()[0] < 2 * limit_bytes
        finally:
            tracemalloc.stop()
        for number in (0, 50, 104):
            assert len((await values_of(saver, f"x{number}"))["messages"]) == 20


async def test_a_sweep_broken_off_leaves_nothing_that_a_write_may_name_in_vain(
    valkey: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    valkey.client.flushall()
    monkeypatch.setattr(retention, "STEP_FIELDS", 40)
    late, other = (
        RedisCheckpointer.from_url(valkey.url, ttl_s=TTL_S, keep=None, refuse_conflicts=False) for _ in range(2)
    )
    with CuttingProxy(tmp_path / "proxy.sock", Path(valkey.url.removeprefix("unix://"))) as proxy:
        sweeping = RedisCheckpointer.from_url(proxy.url, ttl_s=TTL_S, keep=None)
        await sweeping.aprune(["nobody"])  # the server knows the script from now on
        for number in range(20):  # in which order fields are removed is chance
            thread_id = f"x{number}"
            messages = [message(at, thread_id) for at in range(60)]
            first = await put(late, thread_id, {"messages": messages, "mood": "calm"})
            await put(other, thread_id, {"messages": messages[-1:], "mood": "calm"})
            proxy.cut(None, "before", "before")
            with pytest.raises(StoreUnavailable):
                await sweeping.aprune([thread_id])
            checkpoint = empty_checkpoint()
            checkpoint["channel_values"] = {"messages": messages, "mood": "late"}
            checkpoint["channel_versions"] = {"messages": 1, "mood": 2}
            await late.aput(first, checkpoint, {"source": "loop", "step": 1, "parents": {}}, {"mood": 2})
            cold = RedisCheckpointer.from_url(valkey.url, ttl_s=TTL_S, keep=None)
            assert await values_of(cold, thread_id) == {"messages": messages, "mood": "late"}
            await cold.aclose()
        for saver in (late, other, sweeping):
            await saver.aclose()
