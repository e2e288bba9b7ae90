"""How much is sent and kept: a message once, one call an operation, and no more for a longer conversation."""

from itertools import chain
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.checkpoint.base import empty_checkpoint

from utils.checkpointer import RedisCheckpointer

CONFIG: Any = {"configurable": {"thread_id": "a", "checkpoint_ns": ""}}


class Conversation:
    """A conversation as a graph stores it: each step all of its channels, the changed ones with a new version."""

    def __init__(self, saver: RedisCheckpointer) -> None:
        self.saver, self.named, self.step = saver, CONFIG, 0
        self.values: dict[str, Any] = {}
        self.versions: dict[str, Any] = {}

    async def put(self, **changes: Any) -> None:
        self.step += 1
        new_versions: Any = dict.fromkeys(changes, self.step)
        self.values |= changes
        self.versions |= new_versions
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"], checkpoint["channel_versions"] = dict(self.values), dict(self.versions)
        metadata: Any = {"source": "loop", "step": self.step, "parents": {}}
        self.named = await self.saver.aput(self.named, checkpoint, metadata, new_versions)

    async def turn(self, number: int) -> None:
        question = HumanMessage(f"Question {number}: " + "why? " * 100, id=f"q{number}")
        answer = AIMessage(f"Answer {number}: " + "because " * 200, id=f"a{number}")
        await self.put(messages=[*self.values.get("messages", []), question])
        await self.put(context=f"Passages for {number}: " + "text " * 500)
        await self.saver.aput_writes(self.named, [("messages", [answer])], "t1")
        await self.put(messages=[*self.values["messages"], answer])


@pytest.fixture
def conversation(saver: RedisCheckpointer) -> Conversation:
    return Conversation(saver)


def calls(server: Any) -> int:
    """Commands that clients sent, but for the caller's own INFO."""
    stats = server.client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval", "hgetall", "scan"))


def sent_bytes(server: Any) -> int:
    return int(server.client.info("stats")["total_net_input_bytes"])


async def test_a_message_is_stored_once_however_many_checkpoints_and_writes_hold_it(
    conversation: Conversation, server: Any
) -> None:
    for number in range(20):
        await conversation.turn(number)
    fields = server.client.hkeys("state:{checkpoint:a}")
    assert sum(name.startswith(b"b") for name in fields) == 20 * 3
    found = await conversation.saver.aget_tuple(CONFIG)
    assert found is not None
    assert found.checkpoint["channel_values"]["messages"] == conversation.values["messages"]


async def test_growth_is_linear(conversation: Conversation, server: Any) -> None:
    sizes, sent = [], []
    for number in range(60):
        await conversation.turn(number)
        if number % 20 == 19:
            # What is stored, not what the server sets aside for it: its table grows by doubling.
            sizes.append(sum(map(len, chain.from_iterable(server.client.hgetall("state:{checkpoint:a}").items()))))
            sent.append(sent_bytes(server))
    assert sizes[2] - sizes[1] < 1.1 * (sizes[1] - sizes[0])
    assert sent[2] - sent[1] < 1.1 * (sent[1] - sent[0])


async def test_every_operation_is_one_call(conversation: Conversation, server: Any) -> None:
    saver = conversation.saver
    await conversation.turn(0)
    await saver.acopy_thread("a", "b")
    await saver.aprune(["b"])
    assert [found async for found in saver.alist(CONFIG)]  # from now on the server knows the scripts
    server.client.config_resetstat()
    for number in range(1, 30):
        await conversation.turn(number)
    assert calls(server) == 29 * 4
    server.client.config_resetstat()
    await saver.aget_tuple(CONFIG)
    assert calls(server) == 1
    assert len([found async for found in saver.alist(CONFIG, limit=10)]) == 10
    assert calls(server) == 2
    await saver.aprune(["a"])
    assert calls(server) == 4  # of which each removes up to 200 fields
    await saver.acopy_thread("a", "b")
    assert calls(server) == 6  # out of one slot and into another


async def test_another_process_sends_no_more_after_it_has_read(conversation: Conversation, server: Any) -> None:
    for number in range(30):
        await conversation.turn(number)
    other = RedisCheckpointer.from_url(server.url, ttl_s=600, keep=None)
    await other.aget_tuple(CONFIG)
    conversation.saver = other
    server.client.config_resetstat()
    await conversation.turn(30)
    assert calls(server) == 4
    assert sent_bytes(server) < 12_000
    await other.aclose()


async def test_pruning_leaves_only_what_the_newest_checkpoint_needs(conversation: Conversation, server: Any) -> None:
    for number in range(20):
        await conversation.turn(number)
    before = await conversation.saver.aget_tuple(CONFIG)
    await conversation.saver.aprune(["a"])
    pruned = await conversation.saver.aget_tuple(CONFIG)
    assert before is not None
    assert pruned is not None
    assert pruned.checkpoint == before.checkpoint
    fields = [name[:1] for name in server.client.hkeys("state:{checkpoint:a}")]
    # 40 messages on 3 pages, the context, a checkpoint and the head; the writes went with their checkpoint.
    assert {kind: fields.count(kind) for kind in fields} == {b"b": 41, b"p": 3, b"c": 1, b"h": 1, b"@": 6}


async def test_a_listing_longer_than_a_batch_is_complete_and_in_order(conversation: Conversation) -> None:
    for number in range(17):
        await conversation.turn(number)
    listed = [found.metadata["step"] async for found in conversation.saver.alist(CONFIG)]
    assert listed == list(range(51, 0, -1))
    some = [found.metadata["step"] async for found in conversation.saver.alist(CONFIG, limit=45)]
    assert some == listed[:45]
    every_other = conversation.saver.alist(CONFIG, filter={"step": 2})
    assert [found.metadata["step"] async for found in every_other] == [2]


async def test_what_was_read_is_not_shared_between_readers(conversation: Conversation) -> None:
    await conversation.turn(0)
    first = await conversation.saver.aget_tuple(CONFIG)
    assert first is not None
    messages: list[AnyMessage] = first.checkpoint["channel_values"]["messages"]
    messages[0].additional_kwargs["changed"] = [1]
    messages.clear()
    second = await conversation.saver.aget_tuple(CONFIG)
    assert second is not None
    assert second.checkpoint["channel_values"]["messages"] == conversation.values["messages"]
    assert second.checkpoint["channel_values"]["messages"][0].additional_kwargs == {}


async def test_a_change_deep_inside_a_value_is_stored(conversation: Conversation) -> None:
    await conversation.put(plan={"steps": [{"done": False, "text": "x" * 100}]})
    conversation.values["plan"]["steps"][0]["done"] = True
    await conversation.put(plan=conversation.values["plan"])
    found = await conversation.saver.aget_tuple(CONFIG)
    assert found is not None
    assert found.checkpoint["channel_values"]["plan"]["steps"][0]["done"] is True
