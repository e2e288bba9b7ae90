"""A chat over `FallbackCheckpointer` while its Redis is killed and started again."""

import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.graph.state import CompiledStateGraph

from utils.checkpointer import FallbackCheckpointer, Memory, RedisCheckpointer
from utils.errors import StoreUnavailable


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    mood: str


class Interruptions:
    """What happens while the graph answers."""

    async def during_answer(self) -> None:
        """Nothing, unless a test puts something else here."""


@pytest.fixture
async def redis_saver(breakable: Any) -> AsyncIterator[RedisCheckpointer]:
    saver = RedisCheckpointer.from_url(breakable.url, ttl_s=600, connect_timeout_s=0.5, timeout_s=0.5)
    yield saver
    await saver.aclose()


@pytest.fixture
def saver(redis_saver: RedisCheckpointer) -> FallbackCheckpointer:
    """Tries Redis again at once, so that no test has to wait."""
    return FallbackCheckpointer(redis_saver, retry_s=0)


@pytest.fixture
def interruptions() -> Interruptions:
    return Interruptions()


@pytest.fixture
def chat(saver: FallbackCheckpointer, interruptions: Interruptions) -> CompiledStateGraph[Any, Any, Any, Any]:
    def listen(state: Chat) -> dict[str, Any]:
        return {"mood": "calm"} if "mood" not in state else {}

    async def answer(state: Chat) -> dict[str, Any]:
        await interruptions.during_answer()
        return {"messages": [AIMessage(f"heard {len(state['messages'])}")]}

    graph = StateGraph(Chat)
    graph.add_node("listen", listen)
    graph.add_node("answer", answer)
    graph.add_edge(START, "listen")
    graph.add_edge("listen", "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=saver)


async def say(chat: CompiledStateGraph[Any, Any, Any, Any], text: str, thread_id: str = "a") -> list[str]:
    """One turn; the texts of all messages afterwards."""
    state = await chat.ainvoke({"messages": [HumanMessage(text)]}, {"configurable": {"thread_id": thread_id}})
    return [message.text for message in state["messages"]]


async def texts(saver: RedisCheckpointer | FallbackCheckpointer, thread_id: str = "a") -> list[str]:
    """The texts of all messages as *saver* has them."""
    found = await saver.aget_tuple({"configurable": {"thread_id": thread_id}})
    return [message.text for message in found.checkpoint["channel_values"]["messages"]] if found else []


async def test_turns_go_on_in_memory_and_are_written_to_redis_by_the_next_one(
    chat: Any, saver: FallbackCheckpointer, redis_saver: RedisCheckpointer, breakable: Any
) -> None:
    await say(chat, "one")
    breakable.kill()
    assert await say(chat, "new", "acme.a") == ["new", "heard 1"]
    assert await say(chat, "newer", "acme.a") == ["new", "heard 1", "newer", "heard 3"]
    assert (saver.persistence, saver.persistence_of("acme.a")) == ("memory", "memory")
    breakable.start()
    assert (await say(chat, "newest", "acme.a"))[-2:] == ["newest", "heard 5"]
    assert (saver.persistence, saver.persistence_of("acme.a")) == ("redis", "redis")
    assert await texts(redis_saver, "acme.a") == ["new", "heard 1", "newer", "heard 3", "newest", "heard 5"]
    assert await texts(redis_saver) == ["one", "heard 1"]


@pytest.mark.parametrize("by_a_turn", [False, True], ids=["looked", "began a turn"])
async def test_what_could_not_be_read_once_does_not_keep_the_next_turn_in_memory(
    chat: Any, saver: FallbackCheckpointer, redis_saver: RedisCheckpointer, breakable: Any, by_a_turn: bool
) -> None:
    for thread_id in ("a", "acme.a"):
        await say(chat, "one", thread_id)
    breakable.kill()
    for thread_id in ("a", "acme.a"):
        assert await saver.look(thread_id) is None
        if by_a_turn:  # and was cancelled before it wrote anything
            assert await saver.aget_tuple({"configurable": {"thread_id": thread_id}}) is None
    breakable.start()
    for thread_id in ("a", "acme.a"):
        assert await say(chat, "two", thread_id) == ["one", "heard 1", "two", "heard 3"]
        assert saver.persistence_of(thread_id) == "redis"
        assert await texts(redis_saver, thread_id) == ["one", "heard 1", "two", "heard 3"]
    assert saver.held_conversations == 0


async def test_a_turn_that_loses_redis_in_its_middle_completes_with_the_whole_state(
    chat: Any, saver: FallbackCheckpointer, redis_saver: RedisCheckpointer, breakable: Any, interruptions: Interruptions
) -> None:
    await say(chat, "one")

    async def lose_redis() -> None:
        breakable.kill()

    interruptions.during_answer = lose_redis
    assert await say(chat, "two") == ["one", "heard 1", "two", "heard 3"]
    interruptions.during_answer = Interruptions().during_answer
    assert await say(chat, "three") == ["one", "heard 1", "two", "heard 3", "three", "heard 5"]
    breakable.start()
    assert await say(chat, "four") == ["one", "heard 1", "two", "heard 3", "three", "heard 5", "four", "heard 7"]
    assert await texts(redis_saver) == await texts(saver)
    assert saver.held_conversations == 0


async def test_older_messages_stand_before_those_of_an_outage_afterwards(
    chat: Any, saver: FallbackCheckpointer, redis_saver: RedisCheckpointer, breakable: Any
) -> None:
    await say(chat, "one")
    breakable.kill()
    assert await say(chat, "two") == ["two", "heard 1"]  # nobody here knows the first turn
    breakable.start()
    expected = ["one", "heard 1", "two", "heard 1", "three", "heard 5"]
    assert await say(chat, "three") == expected
    assert await texts(redis_saver) == expected


async def test_a_turn_under_way_when_its_conversation_returns_keeps_the_older_messages(
    chat: Any, saver: FallbackCheckpointer, redis_saver: RedisCheckpointer, breakable: Any, interruptions: Interruptions
) -> None:
    await say(chat, "one")
    breakable.kill()

    async def look() -> None:
        """As somebody does who opens the conversation, for the first time since Redis is back."""
        breakable.start()
        assert await texts(saver) == ["one", "heard 1", "two"]
        assert saver.persistence_of("a") == "redis"

    interruptions.during_answer = look
    assert await say(chat, "two") == ["two", "heard 1"]
    interruptions.during_answer = Interruptions().during_answer
    assert await texts(redis_saver) == ["one", "heard 1", "two", "heard 1"]
    assert await say(chat, "three") == ["one", "heard 1", "two", "heard 1", "three", "heard 5"]


async def test_each_change_is_logged_once_and_loudly(
    chat: Any, saver: FallbackCheckpointer, breakable: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    breakable.kill()
    await say(chat, "one")
    await say(chat, "two", "b")
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    breakable.start()
    assert await saver.probe() == "redis"
    await say(chat, "three")
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


async def test_while_redis_is_away_it_is_asked_only_once_in_a_while(
    redis_saver: RedisCheckpointer, breakable: Any
) -> None:
    saver = FallbackCheckpointer(redis_saver, retry_s=3600)
    breakable.kill()
    assert await saver.probe() == "memory"
    breakable.start()
    assert await saver.probe() == "memory"
    assert await redis_saver.exists("a") is False


async def test_deleting_is_refused_while_it_cannot_be_done(
    chat: Any, saver: FallbackCheckpointer, redis_saver: RedisCheckpointer, breakable: Any
) -> None:
    await say(chat, "one")
    breakable.kill()
    with pytest.raises(StoreUnavailable):
        await saver.adelete_thread("a")
    breakable.start()
    await saver.adelete_thread("a")
    assert await texts(redis_saver) == []


async def test_memory_holds_a_bounded_number_of_conversations_and_checkpoints(
    redis_saver: RedisCheckpointer, breakable: Any, chat: Any
) -> None:
    memory = Memory(ttl_s=600, conversations=3, checkpoints=2)
    chat.checkpointer = saver = FallbackCheckpointer(redis_saver, memory=memory, retry_s=3600)
    breakable.kill()
    for number in range(5):
        await say(chat, "hello", f"t{number}")
    assert saver.held_conversations == 3
    assert [saver.persistence_of(f"t{number}") for number in (0, 1, 2, 4)] == ["redis", "redis", "memory", "memory"]
    listed = [found async for found in saver.alist({"configurable": {"thread_id": "t4"}})]
    assert len(listed) == 2


async def test_what_memory_holds_ends_with_its_time_to_live() -> None:
    now = 0.0
    memory = Memory(ttl_s=10, clock=lambda: now)
    memory.put(
        RedisCheckpointer.from_url("redis://127.0.0.1:1", ttl_s=10).serde,
        {"configurable": {"thread_id": "a", "checkpoint_ns": ""}},
        {
            "v": 1,
            "id": "1",
            "ts": "",
            "channel_values": {},
            "channel_versions": {},
            "versions_seen": {},
            "updated_channels": None,
        },
        {"source": "input", "step": -1, "parents": {}},
    )
    now = 9.0
    assert memory.left_s("a") == 1.0
    assert memory.find("a") is not None
    now = 18.9
    assert memory.find("a") is not None
    now = 29.0
    assert memory.find("a") is None
