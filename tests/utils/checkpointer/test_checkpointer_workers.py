"""Several workers that each held parts of the same conversation while Redis was away."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.checkpoint.base import id as ids

from agents.leases import Leases
from bootstrap.valkey import find_valkey
from tests.examples import count_examples
from tests.servers.redis import RedisServer
from tests.utils.checkpointer.chats import TENANTS, Chat, texts, turns
from utils.checkpointer import Connections, FallbackCheckpointer, RedisCheckpointer
from utils.checkpointer.merging import merge_messages


class Worker:
    """A process of the service as far as conversations go: a saver with a memory of its own, leases, a chat."""

    def __init__(self, url: str) -> None:
        self.connections = Connections(url, connect_timeout_s=0.5, timeout_s=0.5)
        self.leases = Leases(self.connections.asynchronous(), hold_s=0.4, wait_s=5, retry_s=0)
        primary = RedisCheckpointer(self.connections, ttl_s=600)
        self.saver = FallbackCheckpointer(primary, retry_s=0, leases=self.leases)
        self.chat = Chat(self.saver)

    async def say(self, text: str, thread_id: str) -> list[str]:
        async with self.leases.hold(thread_id):
            return await self.chat.say(text, thread_id)

    async def return_all(self) -> None:
        while self.saver.held_conversations:
            await self.saver.return_held()
            await asyncio.sleep(0)  # another may have to be first


@asynccontextmanager
async def workers(url: str, count: int = 2) -> AsyncIterator[list[Worker]]:
    async with AsyncExitStack() as stack:
        made = [Worker(url) for _ in range(count)]
        for worker in made:
            stack.push_async_callback(worker.connections.aclose)
        yield made


async def returned(*several: Worker) -> None:
    """All have written back what they held, each as soon as it could."""
    async with asyncio.timeout(20):
        await asyncio.gather(*(worker.return_all() for worker in several))


async def stored(server: RedisServer, thread_id: str) -> list[str]:
    """What a process finds that was never there before."""
    async with workers(server.url, 1) as (fresh,):
        return await texts(fresh.saver, thread_id)


async def test_both_parts_stand_in_the_order_in_which_they_were_said(breakable: RedisServer) -> None:
    async with workers(breakable.url) as (one, other):
        for tenant in TENANTS:
            await one.say(f"before {tenant}", f"{tenant}a")
        breakable.kill()
        for tenant in TENANTS:
            await other.say(f"first {tenant}", f"{tenant}a")
            await one.say(f"second {tenant}", f"{tenant}a")
            await other.say(f"third {tenant}", f"{tenant}a")
        breakable.start()
        await returned(one, other)
        for tenant in TENANTS:
            said = [f"{when} {tenant}" for when in ("before", "first", "second", "third")]
            assert await stored(breakable, f"{tenant}a") == turns(*said)
            assert await one.say("after", f"{tenant}a") == turns(*said, "after")


async def test_the_part_of_a_turn_that_lost_redis_in_its_middle_is_joined_too(breakable: RedisServer) -> None:
    async with workers(breakable.url) as (one, other):
        await one.say("before", "acme.a")

        async def lose_redis() -> None:
            breakable.kill()

        one.chat.during_answer = lose_redis
        assert await one.say("whole", "acme.a") == turns("before", "whole")
        await other.say("apart", "acme.a")
        breakable.start()
        await returned(other, one)
        assert await stored(breakable, "acme.a") == turns("before", "whole", "apart")


async def test_a_part_of_a_worker_whose_clock_is_behind_is_found_all_the_same(
    breakable: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workers(breakable.url) as (one, other):
        breakable.kill()
        await one.say("held", "acme.a")
        breakable.start()
        with monkeypatch.context() as later:
            # The other's clock is an hour ahead: its ids are later than any that ours gives.
            later.setattr("langgraph.checkpoint.base.id.time.time_ns", ahead(hours=1))
            await other.say("meanwhile", "acme.a")
        reset_clock()
        await returned(one)
        found = await stored(breakable, "acme.a")
        assert sorted(found) == sorted(turns("held", "meanwhile"))


async def test_of_two_that_return_the_same_conversation_at_once_neither_loses_its_part(breakable: RedisServer) -> None:
    async with workers(breakable.url, 3) as several:
        breakable.kill()
        for number, worker in enumerate(several):
            await worker.say(f"{number}", "acme.a")
            await worker.say(f"{number}", "a")
        breakable.start()
        await returned(*several)
        for thread_id in ("acme.a", "a"):
            assert await stored(breakable, thread_id) == turns("0", "1", "2")


async def test_turns_on_one_worker_and_returns_on_another_do_not_lose_each_other(breakable: RedisServer) -> None:
    async with workers(breakable.url) as (one, other):
        breakable.kill()
        await one.say("held", "acme.a")
        breakable.start()

        async def talk() -> None:
            for number in range(5):
                await other.say(f"{number}", "acme.a")

        await asyncio.gather(talk(), one.return_all())
        found = await stored(breakable, "acme.a")
        assert sorted(found) == sorted(turns("held", *"01234"))
        assert [text for text in found if text in "01234"] == list("01234")


Step = tuple[Literal["say", "lose in the middle", "return", "kill", "start"], int, str]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["say", "say", "say", "lose in the middle", "return", "kill", "start"]),
        st.integers(0, 1),
        st.sampled_from(["a", "acme.a"]),
    ),
    min_size=4,
    max_size=14,
)


@pytest.mark.long
def test_whatever_happens_no_turn_is_lost_or_doubled(tmp_path: Path) -> None:
    with RedisServer(tmp_path, binary=find_valkey()) as server:

        @settings(max_examples=count_examples(25), suppress_health_check=[HealthCheck.too_slow], derandomize=True)
        @given(STEPS)
        def any_steps(steps: list[Step]) -> None:
            asyncio.run(run_steps(server, steps))

        any_steps()


async def run_steps(server: RedisServer, steps: list[Step]) -> None:
    """Two workers live through *steps*; then Redis is back, and holds every turn of each conversation once."""
    server.client.flushall()
    said: dict[str, list[str]] = {"a": [], "acme.a": []}
    async with workers(server.url) as both:
        for number, (what, index, thread_id) in enumerate(steps):
            worker = both[index]
            if what == "kill" and runs(server):
                server.kill()
            elif what == "start" and not runs(server):
                server.start()
            elif what == "return":
                await worker.saver.return_held()
            elif what in ("say", "lose in the middle"):
                if what == "lose in the middle" and runs(server):
                    worker.chat.during_answer = dying(server, worker)
                said[thread_id].append(f"{number} by {index} in {thread_id}")
                await worker.say(said[thread_id][-1], thread_id)
        if not runs(server):
            server.start()
        await returned(*both)
    for thread_id, texts_said in said.items():
        assert await stored(server, thread_id) == turns(*texts_said)


def dying(server: RedisServer, worker: Worker) -> Callable[[], Any]:
    async def die() -> None:
        server.kill()
        worker.chat.during_answer = nothing

    return die


async def nothing() -> None:
    """What happens in most turns."""


def runs(server: RedisServer) -> bool:
    return server._process is not None


# ---- the order of messages alone


def conversation(*texts_said: str, begun: datetime | None = None, seconds: float = 10) -> list[BaseMessage]:
    """Turns, one every *seconds*, or without times."""
    messages: list[BaseMessage] = []
    for number, text in enumerate(texts_said):
        at = {"created_at": (begun + timedelta(seconds=seconds * number)).isoformat()} if begun else {}
        messages += [HumanMessage(text, id=text, additional_kwargs=at), AIMessage(f"re {text}", id=f"re {text}")]
    return messages


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (conversation("a"), conversation("b"), ["a", "b"]),
        (conversation("a", "b"), conversation("a", "c"), ["a", "b", "c"]),
        (conversation("s", begun=NOW), conversation("a", begun=NOW - timedelta(1)), ["a", "s"]),
        (
            conversation("p", "x", "z", begun=NOW),
            conversation("p", begun=NOW) + conversation("y", begun=NOW + timedelta(seconds=15)),
            ["p", "x", "y", "z"],
        ),
        (conversation("p", "q"), conversation("n", "q", "r"), ["p", "n", "q", "r"]),
        ([*conversation("p", "q")[:3], *conversation("r")], conversation("p", "q"), ["p", "q", "r"]),
        (conversation("p", "q"), [*conversation("p", "q")[:3], *conversation("r")], ["p", "q", "r"]),
        ([], conversation("a"), ["a"]),
        (conversation("a"), [], ["a"]),
    ],
)
def test_what_is_shared_stays_in_place_and_turns_are_never_taken_apart(
    before: list[BaseMessage], after: list[BaseMessage], expected: list[str]
) -> None:
    assert [message.text for message in merge_messages(before, after)] == turns(*expected)


NAMES = st.lists(st.integers(0, 9), unique=True, max_size=8)


@settings(max_examples=count_examples(200))
@given(NAMES, NAMES)
def test_joining_keeps_every_message_once_and_repeating_it_changes_nothing(first: list[int], second: list[int]) -> None:
    before, after = conversation(*map(str, first)), conversation(*map(str, second))
    line = merge_messages(before, after)
    ids = [message.id for message in line]
    assert len(ids) == len(set(ids))
    assert set(ids) == {message.id for message in before + after}
    # The messages of the newer line keep their order, come what may.
    assert [found for found in ids if found in {m.id for m in after}] == [message.id for message in after]
    assert [message.id for message in merge_messages(line, after)] == ids


async def test_a_message_that_was_removed_does_not_come_back_with_the_other_part(breakable: RedisServer) -> None:
    async with workers(breakable.url) as (one, other):
        await one.say("kept", "acme.a")
        await one.say("removed", "acme.a")
        removing = await one.saver.aget_tuple({"configurable": {"thread_id": "acme.a"}})
        assert removing is not None
        one.chat.removing = [message.id for message in removing.checkpoint["channel_values"]["messages"][2:]]

        async def lose_redis() -> None:
            breakable.kill()

        one.chat.during_answer = lose_redis
        assert await one.say("instead", "acme.a") == turns("kept", "instead")
        await other.say("apart", "acme.a")
        breakable.start()
        await returned(other)  # and with it, for a while, what was removed
        await returned(one)
        assert await stored(breakable, "acme.a") == turns("kept", "instead", "apart")


def ahead(*, hours: int) -> Callable[[], int]:
    """A clock that is ahead."""
    real = time.time_ns
    return lambda: real() + hours * 3_600_000_000_000


def reset_clock() -> None:
    """Ids are not given out backwards within a process; two workers are two processes."""
    ids._last_v6_timestamp = None
