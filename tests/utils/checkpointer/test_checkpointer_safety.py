"""Stored bytes are not trusted: whatever stands there, a read gives the state or names the key that is broken."""

import dataclasses
import logging
from enum import Enum
from typing import Any

import hypothesis.strategies as st
import ormsgpack
import pytest
from hypothesis import HealthCheck, given, settings
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from tests.examples import count_examples
from tests.utils.checkpointer.chats import forget
from utils.checkpointer import FallbackCheckpointer, RedisCheckpointer, StateUnreadable, TypeNotAllowed
from utils.checkpointer.errors import UnreadableValue
from utils.checkpointer.serializer import StrictSerializer

CONFIG: Any = {"configurable": {"thread_id": "a", "checkpoint_ns": ""}}
KEY = "state:{checkpoint:a}"
METADATA: Any = {"source": "loop", "step": 0, "parents": {}}
BUILT: list[str] = []


@dataclasses.dataclass
class Bystander:
    """A class that nobody allowed; building one leaves a trace."""

    name: str

    def __post_init__(self) -> None:
        BUILT.append(self.name)


class Colour(Enum):
    RED = "red"


@dataclasses.dataclass
class Passage:
    """A state's own type, as an application allows it."""

    text: str


async def put(saver: RedisCheckpointer, **values: Any) -> Any:
    """Store the values as a program would to which all of these classes are allowed."""
    saver = saver.with_allowlist([Bystander, Colour, Passage])
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"], checkpoint["channel_versions"] = values, dict.fromkeys(values, 1)
    return await saver.aput(CONFIG, checkpoint, METADATA, checkpoint["channel_versions"])


async def test_a_type_that_is_not_allowed_is_refused_by_name_and_never_built(
    saver: RedisCheckpointer, caplog: pytest.LogCaptureFixture
) -> None:
    await put(saver, who=Bystander("Eve"))
    BUILT.clear()
    with pytest.raises(StateUnreadable, match=r"state:\{checkpoint:a\}.*Bystander") as caught:
        await saver.aget_tuple(CONFIG)
    assert BUILT == []
    assert "Bystander" not in caught.value.detail  # what a caller sees names nothing
    with caplog.at_level(logging.ERROR):
        assert [found async for found in saver.alist(None)] == []
    assert "Bystander" in caplog.text


@pytest.mark.parametrize(
    "hidden",
    [
        [HumanMessage("x"), Bystander("in a list")],
        {"deep": [{"deeper": Bystander("in a dictionary")}]},
        {"colour": Colour.RED},
        {"a set": {Colour.RED}},
    ],
)
async def test_nor_is_it_where_it_is_hidden(saver: RedisCheckpointer, hidden: Any) -> None:
    await put(saver, hidden=hidden)
    BUILT.clear()
    with pytest.raises(StateUnreadable):
        await saver.aget_tuple(CONFIG)
    assert BUILT == []


async def test_an_allowed_type_comes_back_as_itself(server: Any) -> None:
    allowed = [(Passage.__module__, "Passage")]
    saver = RedisCheckpointer.from_url(server.url, ttl_s=600, allowed_types=allowed)
    await put(saver, shown=[Passage("one"), Passage("two")])
    found = await saver.aget_tuple(CONFIG)
    assert found is not None
    assert found.checkpoint["channel_values"] == {"shown": [Passage("one"), Passage("two")]}
    await saver.aclose()


async def test_langgraph_may_widen_the_list_for_a_graphs_state(saver: RedisCheckpointer) -> None:
    wider = saver.with_allowlist({(Passage.__module__, "Passage")})
    await put(saver, shown=Passage("one"))
    found = await wider.aget_tuple(CONFIG)
    assert found is not None
    assert found.checkpoint["channel_values"] == {"shown": Passage("one")}
    with pytest.raises(StateUnreadable):
        await saver.aget_tuple(CONFIG)


@pytest.mark.parametrize("kind", ["json", "pickle", "anything"])
def test_other_serializations_are_not_read(kind: str) -> None:
    constructor = b'{"lc": 2, "type": "constructor", "id": ["os", "system"], "args": ["true"]}'
    with pytest.raises(UnreadableValue, match=kind):
        StrictSerializer().loads_typed((kind, constructor))


@pytest.mark.parametrize(
    "named",
    [
        (0, ("os", "system", "true")),
        (1, ("subprocess", "run", (["true"],))),
        (2, ("builtins", "exec", {"source": "1"})),
        (3, ("os", "path", "x", "join")),
        (4, ("builtins", "eval", {})),
        (5, ("re", "compile", {"pattern": "(a+)+$"}, "model_validate_json")),
        (99, ("anything",)),
    ],
)
def test_a_constructor_in_msgpack_is_not_called(named: tuple[int, Any]) -> None:
    code, content = named
    payload = ormsgpack.packb(ormsgpack.Ext(code, ormsgpack.packb(content)))
    with pytest.raises(UnreadableValue):
        StrictSerializer().loads_typed(("msgpack", payload))


def test_what_langgraph_writes_is_read_as_langgraph_reads_it() -> None:
    values = [HumanMessage("x", id="1"), AIMessage("y", tool_calls=[]), {"a": {1, 2}}, b"raw", None, [1, [2.5, "z"]]]
    theirs, ours = JsonPlusSerializer(), StrictSerializer()
    for value in values:
        assert ours.loads_typed(theirs.dumps_typed(value)) == value


async def test_a_format_of_a_later_version_is_named(saver: RedisCheckpointer, server: Any) -> None:
    await put(saver, text="some text " * 50)
    (name,) = [name for name in server.client.hkeys(KEY) if name.startswith(b"b")]
    server.client.hset(KEY, name, b"9z" + b"whatever")
    with pytest.raises(StateUnreadable, match=r"state:\{checkpoint:a\}.*unknown format"):
        await saver.aget_tuple(CONFIG)


@pytest.mark.parametrize("kind", [b"b", b"p"])
async def test_a_value_in_anothers_place_is_noticed(saver: RedisCheckpointer, server: Any, kind: bytes) -> None:
    await put(saver, one=[HumanMessage("one")], two=[HumanMessage("two")])
    first, second = (name for name in server.client.hkeys(KEY) if name.startswith(kind))
    server.client.hset(KEY, first, server.client.hget(KEY, second))
    forget(saver, "a")
    with pytest.raises(StateUnreadable):
        await saver.aget_tuple(CONFIG)


async def test_a_frame_that_claims_to_be_enormous_gets_no_memory(saver: RedisCheckpointer, server: Any) -> None:
    await put(saver, text="some text " * 50)
    (name,) = [name for name in server.client.hkeys(KEY) if name.startswith(b"b")]
    claims_64_gb = b"\x28\xb5\x2f\xfd\xe0" + (1 << 36).to_bytes(8, "little") + b"\x01\x00\x00"
    server.client.hset(KEY, name, b"4m" + claims_64_gb)
    with pytest.raises(StateUnreadable, match="absurd size"):
        await saver.aget_tuple(CONFIG)


def outcome(saver: RedisCheckpointer) -> Any:
    """The values that are read, None where there is no checkpoint, or the key that is unreadable."""
    try:
        found = saver.get_tuple(CONFIG)
    except StateUnreadable as exc:
        return exc.key
    return found.checkpoint["channel_values"] if found else None


@settings(max_examples=count_examples(150), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_bytes_give_the_state_or_a_named_error(valkey: Any, data: st.DataObject) -> None:
    """One field cut, changed, emptied, replaced or lost: nothing but `StateUnreadable` may come of it."""
    valkey.client.flushall()
    saver = RedisCheckpointer.from_url(valkey.url, ttl_s=600)
    checkpoint = empty_checkpoint()
    values = {
        "messages": [HumanMessage(f"question {n} " * 30, id=str(n)) for n in range(20)],
        "n": 1,
        "text": "x" * 300,
    }
    checkpoint["channel_values"], checkpoint["channel_versions"] = values, dict.fromkeys(values, 1)
    named = saver.put(CONFIG, checkpoint, METADATA, checkpoint["channel_versions"])
    saver.put_writes(named, [("messages", [AIMessage("answer " * 50)]), ("n", 2)], "t1")
    fields = valkey.client.hgetall(KEY)
    name = data.draw(st.sampled_from(sorted(fields)))
    whole = fields[name]
    at = data.draw(st.integers(0, max(0, len(whole) - 1)))
    flipped = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :] if whole else b""
    damaged = data.draw(
        st.sampled_from([whole[:at], whole[at:], flipped, b"", None, *fields.values()]) | st.binary(max_size=40)
    )
    if damaged is None:
        valkey.client.hdel(KEY, name)
    else:
        valkey.client.hset(KEY, name, damaged)
    read = outcome(saver)
    assert read in (None, KEY) or read.keys() == values.keys()
    # Values and pages are found by their digest: they are right, or they are not there.
    assert read in (KEY, values) or name[:1] not in (b"b", b"p") or damaged == whole
    assert len(list(saver.list(None))) <= 1
    saver.close()


@pytest.mark.parametrize(
    ("hidden", "name"),
    [
        (Bystander("alone"), "Bystander"),
        ([HumanMessage("x"), Bystander("in a list")], "Bystander"),
        ({"deep": [{"deeper": Bystander("in a dictionary")}]}, "Bystander"),
        ({"a set": {Colour.RED}}, "Colour"),
        (object(), "object"),
    ],
)
async def test_what_could_not_be_read_again_is_not_written(
    saver: RedisCheckpointer, server: Any, hidden: Any, name: str
) -> None:
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"], checkpoint["channel_versions"] = {"hidden": hidden}, {"hidden": 1}
    with pytest.raises(TypeNotAllowed, match=name) as caught:
        await saver.aput(CONFIG, checkpoint, METADATA, {"hidden": 1})
    with pytest.raises(TypeNotAllowed, match=name):
        await saver.aput_writes(
            {"configurable": {**CONFIG["configurable"], "checkpoint_id": "1"}}, [("x", hidden)], "t"
        )
    assert name not in caught.value.detail  # what a caller sees names nothing
    assert server.client.dbsize() == 0


async def test_a_class_that_no_module_has_is_not_written_though_it_is_allowed(saver: RedisCheckpointer) -> None:
    @dataclasses.dataclass
    class Local:
        text: str

    checkpoint = empty_checkpoint()
    checkpoint["channel_values"], checkpoint["channel_versions"] = {"local": Local("x")}, {"local": 1}
    with pytest.raises(TypeNotAllowed, match="define it at the top"):
        await saver.with_allowlist([Local]).aput(CONFIG, checkpoint, METADATA, {"local": 1})


async def test_memory_refuses_what_redis_would(valkey: Any) -> None:
    saver = FallbackCheckpointer(RedisCheckpointer.from_url(valkey.url, ttl_s=600))
    with pytest.raises(TypeNotAllowed, match="Bystander"):
        await saver.aput(CONFIG, {**empty_checkpoint(), "channel_values": {"x": Bystander("Eve")}}, METADATA, {"x": 1})
    with pytest.raises(NotImplementedError, match="ainvoke"):
        saver.get_tuple(CONFIG)
    await saver.aclose()
