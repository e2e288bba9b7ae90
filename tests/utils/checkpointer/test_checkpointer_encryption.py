"""Encryption at rest: what stands on the server tells nothing, and nothing that was changed there is believed."""

import asyncio
import base64
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import accumulate
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import CheckpointTuple, empty_checkpoint

from tests.examples import count_examples
from tests.utils.checkpointer.chats import forget
from utils.checkpointer import RedisCheckpointer, StateUnreadable, reencryption
from utils.checkpointer.cipher import Keyring
from utils.checkpointer.codec import REF_BYTES, Codec, Value
from utils.checkpointer.keys import CheckpointAddress, make_blob_context
from utils.checkpointer.records import CheckpointRecord, pack_writes, unpack_writes
from utils.checkpointer.reencryption import rewrite_fields
from utils.checkpointer.scripts import StateStore
from utils.checkpointer.values import Pages, fold

NEW, OLD = bytes(range(32)), bytes(range(32, 64))
KEYS, ROTATED, EARLIER = Keyring({"new": NEW}), Keyring({"new": NEW, "old": OLD}), Keyring({"old": OLD})
ENCRYPTED, MIXED = Codec(KEYS), Codec(ROTATED, plain_too=True)
TENANTS = ["x", "acme.x"]
WORDS = [b"zanahoria", b"remolacha", b"calabaza", b"berenjena", b"espinaca", b"pepinillo", b"rabanito"]
FULL_MS = 590_000


@contextmanager
def saver_with(url: str, keys: Keyring | None) -> Iterator[RedisCheckpointer]:
    """A saver of its own, with nothing remembered."""
    saver = RedisCheckpointer.from_url(url, ttl_s=600, keys=keys)
    yield saver
    saver.close()


def config(thread_id: str, checkpoint_id: str | None = None) -> Any:
    named = {"thread_id": thread_id, "checkpoint_ns": ""}
    return {"configurable": named | ({"checkpoint_id": checkpoint_id} if checkpoint_id else {})}


def put(saver: RedisCheckpointer, parent: Any, **values: Any) -> Any:
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"] = values
    checkpoint["channel_versions"] = {name: checkpoint["id"] for name in values}
    metadata: Any = {"source": "loop", "step": 1, "parents": {}, "asked_for": "pepinillo"}
    return saver.put(parent, checkpoint, metadata, checkpoint["channel_versions"])


def talk(saver: RedisCheckpointer, thread_id: str, messages: int = 20) -> list[Any]:
    """A conversation of two checkpoints with every kind of content, and writes after the second; their configs."""
    said = [HumanMessage(f"zanahoria {n}", id=str(n)) for n in range(messages)]
    first = put(saver, config(thread_id), messages=said, mood="remolacha", context="calabaza " * 60, one={"n": 1})
    second = put(saver, first, messages=[*said, AIMessage("berenjena " * 40, id="a")], mood="remolacha", one={"n": 2})
    saver.put_writes(second, [("messages", [AIMessage("espinaca", id="b")]), ("mood", "rabanito")], "t1")
    saver.put_writes(second, [("context", "espinaca " * 60)], "t2")
    return [first, second]


def history(saver: RedisCheckpointer, thread_id: str) -> list[CheckpointTuple]:
    """Every checkpoint of a conversation without its thread id, newest first."""
    return [
        found._replace(
            config=found.config["configurable"]["checkpoint_id"],
            parent_config=found.parent_config and found.parent_config["configurable"]["checkpoint_id"],
        )
        for found in saver.list(config(thread_id))
    ]


def key_of(thread_id: str) -> str:
    return f"state:{{checkpoint:{thread_id}}}"


def fields_of(server: Any, thread_id: str) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = server.client.hgetall(key_of(thread_id))
    return fields


def everything(server: Any) -> bytes:
    """All bytes of all keys, their names included."""
    hashes = [server.client.hgetall(key) for key in server.client.scan_iter("state:*")]
    strings = [server.client.get(key) for key in server.client.scan_iter("checkpoint:*")]
    return b"\n".join(
        [*server.client.scan_iter(), *strings, *(part for one in hashes for part in sum(one.items(), ()))]
    )


def overwrite(server: Any, thread_id: str, fields: dict[bytes, bytes]) -> None:
    server.client.delete(key_of(thread_id))
    server.client.hset(key_of(thread_id), mapping=fields)
    server.client.expire(key_of(thread_id), 600)


def names_of(server: Any, thread_id: str, kind: bytes) -> list[bytes]:
    return sorted(name for name in fields_of(server, thread_id) if name[:1] == kind)


def test_no_word_of_a_conversation_is_on_the_server(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utils.checkpointer.codec.COMPRESS_FROM_BYTES", 1_000_000)  # it hides words, too
    with saver_with(server.url, None) as plain:
        talk(plain, "seen")
    assert all(word in everything(server) for word in WORDS)  # so they would be seen
    server.client.flushall()
    with saver_with(server.url, KEYS) as saver:
        for thread_id in TENANTS:
            talk(saver, thread_id)
        assert [word for word in WORDS if word in everything(server)] == []
        for thread_id in TENANTS:
            newest = saver.get_tuple(config(thread_id))
            assert newest is not None
            assert newest.checkpoint["channel_values"]["messages"][-1].text == "berenjena " * 40
            assert newest.metadata["asked_for"] == "pepinillo"  # type: ignore[typeddict-item]  # one of the test's own
            assert newest.pending_writes is not None
            assert [channel for _, channel, _ in newest.pending_writes] == ["messages", "mood", "context"]


def test_an_equal_value_is_stored_once_in_a_conversation(server: Any) -> None:
    with saver_with(server.url, None) as plain, saver_with(server.url, KEYS) as saver:
        for thread_id, made in (("plain", plain), *((thread_id, saver) for thread_id in TENANTS)):
            talk(made, thread_id)
        for thread_id in TENANTS:
            assert len(fields_of(server, thread_id)) == len(fields_of(server, "plain"))
            assert names_of(server, thread_id, b"b") != names_of(server, "plain", b"b")
            values = len(names_of(server, thread_id, b"b"))
            put(saver, config(thread_id), again="calabaza " * 60, twice=["zanahoria " * 40, {"n": 1}])
            assert len(names_of(server, thread_id, b"b")) == values + 2


def test_after_a_rotation_the_old_is_read_and_what_is_written_needs_the_new_key_alone(server: Any) -> None:
    for thread_id in TENANTS:
        with saver_with(server.url, EARLIER) as saver:
            first, second = talk(saver, thread_id)
            before = history(saver, thread_id)
        with saver_with(server.url, ROTATED) as saver:
            assert history(saver, thread_id) == before
            said = before[0].checkpoint["channel_values"]["messages"]
            third = put(saver, second, messages=[*said, HumanMessage("calabaza", id="c")], mood="remolacha")
        with saver_with(server.url, KEYS) as saver:
            newest = saver.get_tuple(config(thread_id))
            assert newest is not None
            assert newest.config == third
            assert newest.checkpoint["channel_values"]["messages"][:-1] == said
            with pytest.raises(StateUnreadable, match="the key 'old', which is not configured"):
                saver.get_tuple(first)


def test_a_key_that_is_missing_is_named(server: Any) -> None:
    with saver_with(server.url, KEYS) as saver:
        talk(saver, "acme.x")
    for keys in (None, EARLIER):
        with (
            saver_with(server.url, keys) as saver,
            pytest.raises(StateUnreadable, match=r"acme\.x.*the key 'new', which is not configured"),
        ):
            saver.get_tuple(config("acme.x"))


def test_what_is_not_encrypted_is_refused_once_there_are_keys(server: Any) -> None:
    for thread_id in TENANTS:
        with saver_with(server.url, KEYS) as saver, saver_with(server.url, None) as plain:
            _, second = talk(saver, thread_id)
            encrypted = fields_of(server, thread_id)
            talk(plain, "plain")
            written = fields_of(server, "plain")
            overwrite(server, thread_id, written)
            with pytest.raises(StateUnreadable, match="not encrypted"):
                saver.get_tuple(config(thread_id))
            # Nor is a single value, under a name that an encrypted record refers to.
            foreign = next(value for name, value in written.items() if name[:1] == b"b")
            overwrite(server, thread_id, {n: foreign if n[:1] == b"b" else value for n, value in encrypted.items()})
            with pytest.raises(StateUnreadable, match="not encrypted"):
                saver.get_tuple(second)


@pytest.mark.parametrize(("source", "target"), [("x", "acme.x"), ("acme.x", "x")])
def test_another_conversations_state_is_not_believed(server: Any, source: str, target: str) -> None:
    with saver_with(server.url, KEYS) as saver:
        for thread_id in TENANTS:
            talk(saver, thread_id)
        theirs, own = fields_of(server, source), fields_of(server, target)
        shared = [name for name in own if name[:1] == b"b" and name in theirs]
        assert shared  # the same words in both: the same names, sealed for each
        for replaced in (dict(theirs), own | {name: theirs[name] for name in shared}):
            overwrite(server, target, replaced)
            with pytest.raises(StateUnreadable, match="moved"):
                saver.get_tuple(config(target))
        assert saver.get_tuple(config(source)) is not None


@pytest.mark.parametrize("kind", [b"b", b"c", b"p"])
def test_fields_that_changed_places_are_noticed(server: Any, kind: bytes) -> None:
    with saver_with(server.url, KEYS) as saver:
        configs = talk(saver, "acme.x")
        one, other = names_of(server, "acme.x", kind)[:2]
        whole = fields_of(server, "acme.x")
        overwrite(server, "acme.x", whole | {one: whole[other], other: whole[one]})
        assert not [named for named in configs if is_readable(saver, named)]


def test_writes_are_believed_only_after_the_checkpoint_they_were_made_after(server: Any) -> None:
    with saver_with(server.url, KEYS) as saver:
        first, second = talk(saver, "acme.x")
        log = fields_of(server, "acme.x")[b"w\0" + second["configurable"]["checkpoint_id"].encode()]
        server.client.hset(key_of("acme.x"), b"w\0" + first["configurable"]["checkpoint_id"].encode(), log)
        with pytest.raises(StateUnreadable):
            saver.get_tuple(first)
        assert saver.get_tuple(second) is not None


@pytest.mark.parametrize("thread_id", TENANTS)
def test_a_change_anywhere_in_stored_bytes_is_noticed(valkey: Any, thread_id: str) -> None:
    valkey.client.flushall()
    with saver_with(valkey.url, KEYS) as saver:
        configs = talk(saver, thread_id, messages=3)
        fields = fields_of(valkey, thread_id)
        names = sorted(name for name in fields if name[:1] in (b"b", b"c", b"p", b"w"))
        (log,) = (fields[name] for name in names if name[:1] == b"w")
        ends = list(accumulate((len(pack_writes(*frame)) for frame in unpack_writes(log)), initial=0))

        @settings(max_examples=count_examples(150))
        @given(name=st.sampled_from(names), at=st.integers(0, 2000), changed=st.integers(1, 255))
        def check(name: bytes, at: int, changed: int) -> None:
            whole, at = fields[name], at % len(fields[name])
            flipped = whole[:at] + bytes([whole[at] ^ changed]) + whole[at + 1 :]
            # Writes that are gone altogether cannot be told from writes that were never made.
            cut = flipped if name[:1] == b"w" and at in ends else whole[:at]
            for damaged in (flipped, cut):
                valkey.client.hset(key_of(thread_id), name, damaged)
                assert not all(is_readable(saver, named) for named in configs)
            valkey.client.hset(key_of(thread_id), name, whole)

        check()
        assert all(is_readable(saver, named) for named in configs)


def is_readable(saver: RedisCheckpointer, named: Any) -> bool:
    """Whether the checkpoint can be read, or is refused under another name than its key's."""
    forget(saver, named["configurable"]["thread_id"])
    try:
        return saver.get_tuple(named) is not None
    except StateUnreadable as exc:
        return exc.key != key_of(named["configurable"]["thread_id"])


def test_a_copy_is_sealed_for_its_own_conversation(server: Any) -> None:
    with saver_with(server.url, EARLIER) as saver:
        talk(saver, "x")
        before = history(saver, "x")
    with saver_with(server.url, ROTATED) as saver:
        saver.copy_thread("x", "acme.y")
        assert history(saver, "acme.y") == before == history(saver, "x")
    assert len(fields_of(server, "x")) == len(fields_of(server, "acme.y"))
    assert json.loads(server.client.get("checkpoint:acme.y"))["bytes"] == stored_bytes(server, "acme.y")
    with saver_with(server.url, KEYS) as saver:
        assert history(saver, "acme.y") == before  # the source is under the old key, the copy is not


def test_without_keys_a_copy_is_the_same_bytes(server: Any) -> None:
    with saver_with(server.url, None) as saver:
        talk(saver, "x")
        fields = fields_of(server, "x")
        assert (
            dict(zip(*[iter(rewrite_fields(fields, saver.codec, saver.codec, "x", "acme.x"))] * 2, strict=True))
            == fields
        )


def stored_bytes(server: Any, thread_id: str) -> int:
    fields = fields_of(server, thread_id).items()
    return sum(len(name) + len(value) for name, value in fields if not name.startswith(b"@"))


def reencrypt(saver: RedisCheckpointer, thread_id: str, new: Codec, meanwhile: Callable[[], object] = int) -> str:
    """What becomes of re-encrypting; *meanwhile* happens after the conversation was read and before it is replaced."""

    class Late(StateStore):
        async def run_script(self, *call: Any, **options: Any) -> Any:
            await asyncio.to_thread(meanwhile)
            return await saver.store.run_script(*call, **options)

    late = Late(saver.connections, saver.meter, saver.store.ttl_ms)
    return saver.connections.run(reencryption.reencrypt(late, thread_id, MIXED, new))


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, KEYS), (EARLIER, KEYS), (EARLIER, None), (ROTATED, KEYS)],
    ids=["encrypt", "finish a rotation", "decrypt", "the key that writes stays"],
)
def test_a_conversation_is_written_anew_under_other_keys(
    server: Any, before: Keyring | None, after: Keyring | None
) -> None:
    with saver_with(server.url, before) as saver:
        histories = {}
        for thread_id in TENANTS:
            talk(saver, thread_id, messages=40)  # three pages
            histories[thread_id] = history(saver, thread_id)
            assert saver.get_tuple(config(thread_id)) is not None
        stored = fields_of(server, TENANTS[0])
        server.client.pexpire(key_of(TENANTS[1]), 90_000)
        server.client.pexpire(f"checkpoint:{TENANTS[1]}", 90_000)
        for thread_id in TENANTS:
            expected = "current" if before is ROTATED else "done"
            assert reencrypt(saver, thread_id, Codec(after)) == expected
            assert reencrypt(saver, thread_id, Codec(after)) == "current"
    for key in (key_of(TENANTS[1]), f"checkpoint:{TENANTS[1]}"):
        assert 60_000 < server.client.pttl(key) <= 90_000  # upkeep is not use
    assert server.client.pttl(key_of(TENANTS[0])) > FULL_MS
    with saver_with(server.url, after) as saver:
        for thread_id in TENANTS:
            assert history(saver, thread_id) == histories[thread_id]
            summary = json.loads(server.client.get(f"checkpoint:{thread_id}"))
            assert summary["bytes"] == stored_bytes(server, thread_id)
            assert (summary["checkpoints"], summary["counts"]["messages"]) == (2, 41)
        assert len(fields_of(server, TENANTS[0])) == len(stored)
        names = names_of(server, TENANTS[0], b"b")
        assert (names == sorted(name for name in stored if name[:1] == b"b")) == (before is ROTATED)
        newest = histories[TENANTS[0]][0]
        put(saver, config(TENANTS[0], newest.config), **newest.checkpoint["channel_values"])
        assert names_of(server, TENANTS[0], b"b") == names  # what follows finds its values there
    if after is not None:
        assert [word for word in WORDS if word in everything(server)] == []


def test_a_conversation_that_is_written_to_meanwhile_is_read_again(server: Any) -> None:
    with saver_with(server.url, None) as saver:
        first, second = talk(saver, "acme.x")
        late = iter([second, first])

        def write() -> None:
            if (named := next(late, None)) is not None:
                saver.put_writes(named, [("mood", "too")], "late")

        assert reencrypt(saver, "acme.x", ENCRYPTED, write) == "done"
    with saver_with(server.url, KEYS) as saver:
        for named in (first, second):
            found = saver.get_tuple(named)
            assert found is not None
            assert found.pending_writes is not None
            assert ("late", "mood", "too") in found.pending_writes


def test_a_conversation_that_is_written_to_all_the_time_stays_as_it_is(server: Any) -> None:
    with saver_with(server.url, None) as saver:
        _, second = talk(saver, "acme.x")
        counted = iter(range(100))

        def write() -> None:
            saver.put_writes(second, [("n", next(counted))], f"t{next(counted)}")

        assert reencrypt(saver, "acme.x", ENCRYPTED, write) == "busy"
        assert saver.get_tuple(second) is not None


def test_one_that_expires_meanwhile_does_not_come_back(server: Any) -> None:
    with saver_with(server.url, None) as saver:
        talk(saver, "acme.x")
        assert reencrypt(saver, "acme.x", ENCRYPTED, lambda: saver.delete_thread("acme.x")) == "absent"
        assert list(server.client.scan_iter()) == []


def test_one_that_cannot_be_read_stays_as_it_is_and_is_named(server: Any) -> None:
    with saver_with(server.url, None) as saver:
        talk(saver, "acme.x")
        name = names_of(server, "acme.x", b"b")[0]
        server.client.hset(key_of("acme.x"), name, b"0mbroken")
        before = fields_of(server, "acme.x")
        with pytest.raises(StateUnreadable, match=r"acme\.x"):
            reencrypt(saver, "acme.x", ENCRYPTED)
        server.client.hdel(key_of("acme.x"), name)
        with pytest.raises(StateUnreadable, match="a value is missing"):
            reencrypt(saver, "acme.x", ENCRYPTED)
        del before[name]
        assert fields_of(server, "acme.x") == before


def test_a_page_that_was_changed_is_not_taken_over(server: Any) -> None:
    with saver_with(server.url, None) as saver:
        talk(saver, "acme.x", messages=3)
        stored = fields_of(server, "acme.x")
        name, page = next((name, page) for name, page in stored.items() if name[:1] == b"p" and len(page) > REF_BYTES)
        server.client.hset(key_of("acme.x"), name, page[REF_BYTES:] + page[:REF_BYTES])
        with pytest.raises(StateUnreadable, match="a page of a list is missing or broken"):
            reencrypt(saver, "acme.x", ENCRYPTED)


def test_a_list_may_be_of_any_length() -> None:
    plain, said = Codec(), Value("bytes", b"zanahoria")
    ref = plain.make_ref(said)
    pages = fold([ref] * 20_000, plain.make_page_ref)
    record = CheckpointRecord("", "", (), list(pages)[-1], b"")
    place = CheckpointAddress("acme.x", "", "1")
    record = replace(record, body=plain.seal(said, place.record_context(b"c", record.head())))
    fields = pages | {ref: plain.seal(said, make_blob_context("acme.x", ref)), b"c\x001": record.pack()}
    made = dict(zip(*[iter(rewrite_fields(fields, plain, ENCRYPTED, "acme.x", "acme.x"))] * 2, strict=True))
    rekeyed_record = CheckpointRecord.unpack(made[b"c\x001"])
    chain = Pages(ENCRYPTED.make_page_ref, made, {}).unfold(rekeyed_record.refs)
    assert [ref for _, items in chain for ref in items] == [ENCRYPTED.make_ref(said)] * 20_000
    assert len(chain) == len(pages) == len(made) - 2
    assert ENCRYPTED.open(rekeyed_record.body, place.record_context(b"c", rekeyed_record.head())) == said


def test_neither_logs_nor_errors_hold_a_key(server: Any, caplog: pytest.LogCaptureFixture) -> None:
    shown = []
    with caplog.at_level(logging.DEBUG), saver_with(server.url, ROTATED) as saver:
        talk(saver, "x")
        name = names_of(server, "x", b"b")[0]
        server.client.hset(key_of("x"), name, b"3\x03newbroken")
        forget(saver, "x")
        with pytest.raises(StateUnreadable) as caught:
            saver.get_tuple(config("x"))
        assert list(saver.list(None)) == []
        error: BaseException | None = caught.value
        while error is not None:
            shown += [str(error), repr(error), repr(vars(error))]
            error = error.__cause__ or error.__context__
        shown += [caplog.text, repr(saver), repr(vars(saver)), repr(saver.writer), repr(saver.reader)]
    assert "Skipped the unreadable checkpoint" in caplog.text
    for key in (NEW, OLD, KEYS.digest_key):
        for written in (key.hex(), base64.b64encode(key).decode(), repr(key)[2:-1]):
            assert not [text for text in shown if written[:12] in text]
