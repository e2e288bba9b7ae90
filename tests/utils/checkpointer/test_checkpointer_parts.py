"""A part of a conversation is what the whole has there, and takes no more of a longer one."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.utils.checkpointer.conftest import TTL_S
from tests.utils.checkpointer.test_checkpointer_growth import Conversation
from utils import checkpointer
from utils.checkpointer import FallbackCheckpointer, RedisCheckpointer, StateUnreadable
from utils.checkpointer.cipher import Keyring
from utils.checkpointer.reading import ListPart, Window

KEYS = Keyring.parse("k:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")


@pytest.fixture(params=[None, KEYS], ids=["plain", "encrypted"])
async def long(request: pytest.FixtureRequest, server: Any) -> Any:
    saver = RedisCheckpointer.from_url(server.url, ttl_s=TTL_S, keep=5, keys=request.param)
    conversation = Conversation(saver)
    for number in range(20):
        await conversation.turn(number)
    yield conversation
    await saver.aclose()


def window(items: list[Any], limit: int, before: int | None) -> list[Any]:
    stop = len(items) if before is None else min(before, len(items))
    return items[max(0, stop - limit) : stop]


async def read_part(
    saver: RedisCheckpointer | FallbackCheckpointer, channel: str, limit: int, before: int | None = None
) -> ListPart:
    parts = await saver.aget_parts("a", {channel: Window(limit, before)})
    assert parts is not None
    return parts[channel]


async def test_a_part_is_what_the_whole_has_there(long: Conversation) -> None:
    whole = long.values["messages"]
    for saver in (long.saver, FallbackCheckpointer(long.saver)):
        for limit in (1, 7, 16, 17, 100):
            for before in (None, 0, 1, 16, 17, 33, 40, 1_000):
                found = await read_part(saver, "messages", limit, before)
                assert found.items == window(whole, limit, before)
                assert (found.total, whole[found.start : found.start + len(found.items)]) == (40, found.items)


async def test_of_what_is_no_paged_list_a_part_is_given_too(saver: RedisCheckpointer) -> None:
    conversation = Conversation(saver)
    await conversation.put(short=[1, 2, 3], long=["x" * 40] * 50, text="no list", empty=[])
    for channel, items in (("short", [1, 2, 3]), ("long", ["x" * 40] * 50), ("empty", []), ("missing", [])):
        found = await read_part(saver, channel, 2)
        assert (found.items, found.total) == (items[-2:], len(items)), channel
    with pytest.raises(StateUnreadable, match="no list"):
        await read_part(saver, "text", 2)
    assert await saver.aget_parts("b", {"messages": Window(2)}) is None


async def test_a_part_of_a_long_conversation_takes_no_more_than_of_a_short_one(saver: RedisCheckpointer) -> None:
    conversation, sent = Conversation(saver), []
    for number in range(100):
        await conversation.turn(number)
        if number in (9, 99):
            saver.meter.snapshot()
            before = saver.meter.snapshot().operations
            await read_part(saver, "messages", 8)
            after = saver.meter.snapshot().operations
            sent.append(
                {
                    name: after[name].received_bytes - (before[name].received_bytes if name in before else 0)
                    for name in ("part", "hmget")
                }
            )
    short, long = sent
    assert long["hmget"] <= short["hmget"] * 1.2
    assert long["part"] - short["part"] <= 180 * 20  # the references of 180 more messages, and no word of them


async def test_a_page_that_was_changed_is_not_given_out(long: Conversation, server: Any) -> None:
    key = "state:{checkpoint:a}"
    for field in server.client.hkeys(key):
        if field.startswith(b"p"):
            server.client.hset(key, field, server.client.hget(key, field)[::-1])
    with pytest.raises(StateUnreadable):
        await read_part(long.saver, "messages", 3)


async def test_reading_a_part_is_use(long: Conversation, server: Any) -> None:
    for key in server.client.keys("*checkpoint:a*"):
        server.client.pexpire(key, 5_000)
    await read_part(long.saver, "messages", 3)
    assert all(server.client.pttl(key) > 5_000 for key in server.client.keys("*checkpoint:a*"))


def test_what_the_page_imports_is_there() -> None:
    page = (Path(__file__).parents[3] / "docs" / "checkpointer.md").read_text()
    lines = re.findall(r"^    from pustaka_checkpointer import (.+)$", page, re.MULTILINE)
    names = {name for line in lines for name in line.split(", ")}
    assert names == set(checkpointer.__all__)
    assert [name for name in names if not hasattr(checkpointer, name)] == []
