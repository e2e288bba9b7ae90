"""Any field of a stored conversation, damaged in any way: every operation answers rightly or names the key."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, example, given, settings
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import empty_checkpoint

from tests.examples import count_examples
from utils.checkpointer import Connections, RedisCheckpointer, StateUnreadable

SUMMARY, KEY = "checkpoint:acme.a", "state:{checkpoint:acme.a}"
OTHER = "a"  # another tenant's conversation, which none of this may touch
KINDS = ("h", "c", "w", "b", "p", "@")  # see lua/common.lua
DAMAGES = ("cut", "flipped", "emptied", "lost", "random", "a later format", "another of its kind", "another kind")


def config(thread_id: str, checkpoint_id: str = "") -> Any:
    names = {"thread_id": thread_id, "checkpoint_ns": ""} | ({"checkpoint_id": checkpoint_id} if checkpoint_id else {})
    return {"configurable": names}


def put(saver: RedisCheckpointer, named: Any, values: dict[str, Any], version: int, run: str) -> Any:
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"], checkpoint["channel_versions"] = values, dict.fromkeys(values, version)
    metadata: Any = {"source": "loop", "step": version, "parents": {}, "run_id": run}
    return saver.put(named, checkpoint, metadata, checkpoint["channel_versions"])


def fill(saver: RedisCheckpointer, thread_id: str) -> None:
    """A conversation with every kind of field, several of each."""
    messages = [HumanMessage(f"question {n} " * 30, id=str(n)) for n in range(20)]
    named = config(thread_id)
    for version in (1, 2, 3):
        values = {"messages": messages[: 16 + version], "n": version, "text": f"{version} x" * 100}
        named = put(saver, named, values, version, f"run {version} of {thread_id}")
        saver.put_writes(named, [("messages", [AIMessage(f"answer {version} " * 50)]), ("n", version)], "t1")


def forking(connections: Connections) -> RedisCheckpointer:
    """A saver that has seen nothing yet and refuses nothing but what it cannot read."""
    return RedisCheckpointer(connections, ttl_s=600, keep=None, refuse_conflicts=False)


@pytest.fixture(scope="module")
def saver(valkey: Any) -> Iterator[RedisCheckpointer]:
    """With two conversations, of two tenants."""
    valkey.client.flushall()
    made = forking(Connections(valkey.url))
    for thread_id in ("acme.a", OTHER):
        fill(made, thread_id)
    yield made
    made.close()


@pytest.fixture(scope="module")
def fields(valkey: Any, saver: RedisCheckpointer) -> dict[bytes, bytes]:
    """The whole conversation as it is stored."""
    found: dict[bytes, bytes] = valkey.client.hgetall(KEY)
    assert {chr(name[0]) for name in found} == set(KINDS)
    return found


@pytest.fixture(scope="module")
def right(valkey: Any, saver: RedisCheckpointer, fields: dict[bytes, bytes]) -> dict[str, Any]:
    """What each question is answered with when nothing is damaged."""
    renew(valkey, fields)
    return {name: ask(saver) for name, ask in QUESTIONS.items()}


def the_newest(saver: RedisCheckpointer) -> Any:
    return saver.get_tuple(config("acme.a"))


def each_by_id(saver: RedisCheckpointer) -> Any:
    ids = [found.checkpoint["id"] for found in saver.list(config("acme.a"))]
    return [saver.get_tuple(config("acme.a", checkpoint_id)) for checkpoint_id in ids]


def its_history(saver: RedisCheckpointer) -> Any:
    return list(saver.list(config("acme.a")))


def the_others(saver: RedisCheckpointer) -> Any:
    return [found for found in saver.list(None) if found.config["configurable"]["thread_id"] == OTHER]


QUESTIONS: dict[str, Callable[[RedisCheckpointer], Any]] = {
    "the newest": the_newest,
    "each by its id": each_by_id,
    "its history": its_history,
    "all of the other conversation": the_others,
}
# In this order: each meets what the one before has left.
CHANGES: dict[str, Callable[[RedisCheckpointer], Any]] = {
    "remove runs": lambda saver: saver.delete_for_runs(["run 1 of acme.a", "no such run"]),
    "copy": lambda saver: saver.copy_thread("acme.a", "acme.b"),
    "write": lambda saver: saver.put_writes(config("acme.a", "1f0"), [("n", "some text " * 30)], "t2"),
    "put": lambda saver: put(saver, config("acme.a", "1f0"), {"n": "some text " * 30}, 9, "r9"),
    "prune": lambda saver: saver.prune(["acme.a"]),
    "delete": lambda saver: saver.delete_thread("acme.a"),
}


def outcome(operation: Callable[[RedisCheckpointer], Any], saver: RedisCheckpointer) -> Any:
    """What it answers; or the error, if that is the one that names the key: no other may come out."""
    try:
        return operation(saver)
    except StateUnreadable as exc:
        refusal = exc
    assert refusal.key in (KEY, KEY.replace("acme.a", "acme.b"))
    assert "acme" not in refusal.detail
    return refusal


def damaged(fields: dict[bytes, bytes], name: bytes, how: str, data: Callable[[Any], Any]) -> bytes | None:
    """Other bytes for the field, or None."""
    whole = fields[name]
    at = data(st.integers(0, max(0, len(whole) - 1)))
    if how == "cut":
        return whole[:at] if data(st.booleans()) else whole[at:]
    if how == "flipped" and whole:
        return whole[:at] + bytes([whole[at] ^ data(st.integers(1, 255))]) + whole[at + 1 :]
    if how == "random":
        return bytes(data(st.binary(max_size=60)))
    if how == "a later format":
        return whole[:at] + data(st.sampled_from([b"9z", b"\xff\xff", b"2m"])) + whole[at + 2 :]
    if how.startswith("another"):
        others = [value for other, value in fields.items() if (other[:1] == name[:1]) == (how != "another kind")]
        return bytes(data(st.sampled_from(others)))
    return b"" if how == "emptied" else None


@settings(max_examples=count_examples(120), suppress_health_check=list(HealthCheck))
@given(kind=st.sampled_from(KINDS), how=st.sampled_from(DAMAGES), data=st.data())
def test_a_damaged_field_gives_the_right_answer_or_names_the_key(
    valkey: Any,
    saver: RedisCheckpointer,
    fields: dict[bytes, bytes],
    right: dict[str, Any],
    kind: str,
    how: str,
    data: st.DataObject,
) -> None:
    name = data.draw(st.sampled_from(sorted(name for name in fields if chr(name[0]) == kind)))
    instead = damaged(fields, name, how, data.draw)
    renew(valkey, fields)
    valkey.client.hset(KEY, name, instead) if instead is not None else valkey.client.hdel(KEY, name)
    saver = forking(saver.connections)
    answers = {question: outcome(ask, saver) for question, ask in QUESTIONS.items()}
    assert answers["all of the other conversation"] == right["all of the other conversation"]
    if kind in "bp":  # these are found by their digest: they are right, or they are not there
        for question, answer in answers.items():
            expected = right[question] if isinstance(right[question], list) else [right[question]]
            given_out = answer if isinstance(answer, list) else [answer]
            assert all(isinstance(one, StateUnreadable) or one in expected for one in given_out)
    everything_else_works(saver, right)


@pytest.mark.parametrize("kind", ["w", "c"])
def test_each_flipped_bit_of_a_record_is_noticed_or_read(
    valkey: Any, saver: RedisCheckpointer, fields: dict[bytes, bytes], kind: str
) -> None:
    """These are not found by a digest, and where they are too short to be compressed every bit means something."""
    newest = fields[b"h"]
    name = next(name for name in fields if chr(name[0]) == kind and name.endswith(newest))
    renew(valkey, fields)
    for at in range(len(fields[name])):
        for bit in (0x80, 0x40, 0x10, 0x01):
            flipped = bytearray(fields[name])
            flipped[at] ^= bit
            valkey.client.hset(KEY, name, bytes(flipped))
            outcome(the_newest, forking(saver.connections))


WRONG_TYPES = ["string", "list", "set", "hash", "zset"]


@settings(max_examples=count_examples(30), suppress_health_check=list(HealthCheck))
@given(summary=st.sampled_from(["right", *WRONG_TYPES]), state=st.sampled_from(["right", *WRONG_TYPES]))
@example(summary="list", state="right")
@example(summary="right", state="string")
def test_keys_of_other_types_are_named_and_break_nothing_else(
    valkey: Any,
    saver: RedisCheckpointer,
    fields: dict[bytes, bytes],
    right: dict[str, Any],
    summary: str,
    state: str,
) -> None:
    renew(valkey, fields)
    for key, kind in ((SUMMARY, summary), (KEY, state)):
        replace_by(valkey.client, key, kind)
    saver = forking(saver.connections)
    for ask in QUESTIONS.values():
        outcome(ask, saver)
    everything_else_works(saver, right)


def replace_by(client: Any, key: str, kind: str) -> None:
    if kind != "right":
        client.delete(key)
    if kind == "string":
        client.set(key, "neither JSON nor ours")
    elif kind == "list":
        client.rpush(key, "what", "is", "this")
    elif kind == "set":
        client.sadd(key, "what")
    elif kind == "zset":
        client.zadd(key, {"what": 1})
    elif kind == "hash":
        client.hset(key, mapping={b"c\0id": b"\xff", b"c": b"", b"b": b"", b"w": b"\0", b"h": b"", "@bytes": "many"})


def everything_else_works(saver: RedisCheckpointer, right: dict[str, Any]) -> None:
    """Changes answer or name the key, too; the other conversation is whole; and after a deletion all is as new."""
    for change in CHANGES.values():
        outcome(change, saver)
    assert the_others(saver) == right["all of the other conversation"]
    assert the_newest(saver) is None
    put(saver, config("acme.a"), {"n": 1}, 1, "r1")
    assert the_newest(saver).checkpoint["channel_values"] == {"n": 1}


def renew(valkey: Any, fields: dict[bytes, bytes]) -> None:
    """The conversation as it was in the beginning."""
    valkey.client.delete(SUMMARY, KEY, "checkpoint:acme.b", "state:{checkpoint:acme.b}")
    valkey.client.hset(KEY, mapping=copy.copy(fields))
    valkey.client.set(SUMMARY, "{}")
