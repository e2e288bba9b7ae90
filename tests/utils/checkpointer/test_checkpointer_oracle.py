"""The saver against LangGraph's in-memory saver: any sequence of operations must give the same answers.

Two savers share the server, one used blocking and one with asyncio, so that each meets what the other changed.
"""

import asyncio
import copy
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME

from utils.checkpointer import RedisCheckpointer
from utils.checkpointer.keys import state_key, summary_key

THREADS = ("a", "acme.a", "b{c}%7D")
NAMESPACES = ("", "child:1|deeper:2")

# Few different values, so that they recur: in other channels and conversations, and after they were removed.
long_text = st.sampled_from(["word " * 60, "ünïcödé\0" * 30, "".join(map(chr, range(32, 400)))])
message = st.sampled_from(
    [HumanMessage("A question? " * 20, id=f"m{number}") for number in range(3)]
    + [AIMessage(f"An answer. {number}", additional_kwargs={"citations": [{"n": number}]}) for number in range(3)]
)
scalar = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.binary(max_size=5)
value = st.one_of(
    scalar,
    long_text,
    st.binary(min_size=250, max_size=300),
    st.lists(scalar, max_size=4),
    st.lists(message, max_size=20),
    st.lists(st.one_of(scalar, long_text, message, st.just({"k": [1, {"x": None}]})), max_size=4),
    st.dictionaries(st.text(max_size=3), scalar | long_text, max_size=3),
)
channel = st.sampled_from(["messages", "context", "n", "branch:to:x"])
write_channel = st.sampled_from(["messages", "context", ERROR, INTERRUPT, RESUME])
thread = st.sampled_from(THREADS)
namespace = st.sampled_from(NAMESPACES)
# Which checkpoint is meant: the newest is 0, the one before it 1, …; negative ones are ids that may not exist.
age = st.one_of(st.just(0), st.integers(0, 30), st.integers(-60, -1))


class CheckpointerMachine(RuleBasedStateMachine):
    """Both savers, the oracle, and how often a version was given."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.blocking = RedisCheckpointer.from_url(url, ttl_s=600)
        self.other = RedisCheckpointer.from_url(url, ttl_s=600)
        self.client = self.blocking._connections.blocking()
        self.client.flushall()
        self.onlooker = RedisCheckpointer.from_url(url, ttl_s=600)
        self.oracle = InMemorySaver()
        self.versions = 0
        self.calls = 0

    def teardown(self) -> None:
        try:
            self.everything_is_there()
        finally:
            self.close()

    def close(self) -> None:
        self.blocking.close()
        self.onlooker.close()
        self.loop.run_until_complete(self.other.aclose())
        self.loop.close()

    def do(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call an operation of the one saver and then of the other, in turn."""
        self.calls += 1
        if self.calls % 2:
            result = getattr(self.blocking, name)(*args, **kwargs)
            return list(result) if name == "list" else result
        if name == "list":
            return self.loop.run_until_complete(self.collected(*args, **kwargs))
        return self.loop.run_until_complete(getattr(self.other, f"a{name}")(*args, **kwargs))

    async def collected(self, *args: Any, **kwargs: Any) -> list[CheckpointTuple]:
        return [found async for found in self.other.alist(*args, **kwargs)]

    def ids(self, thread_id: str, ns: str) -> list[str]:
        return sorted(self.oracle.storage[thread_id][ns])

    def named(self, thread_id: str, ns: str, which: int) -> Any:
        ids = self.ids(thread_id, ns)
        found = ids[-1 - which % len(ids)] if ids and which >= 0 else f"{100 - which:04}"
        return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns, "checkpoint_id": found}}

    # ---- writing

    @rule(
        thread_id=thread,
        ns=namespace,
        later=st.integers(1, 3) | st.integers(-30, -1),
        parent=st.none() | st.just(0) | st.just(0) | st.integers(0, 30),
        changes=st.dictionaries(channel, value, max_size=3),
        appended=st.lists(message, max_size=3),
        removed=st.sets(channel, max_size=1),
        run=st.sampled_from(["r1", "r2", None]),
        source=st.sampled_from(["input", "loop"]),
    )
    def put(
        self,
        thread_id: str,
        ns: str,
        later: int,
        parent: int | None,
        changes: dict[str, Any],
        appended: list[Any],
        removed: set[str],
        run: str | None,
        source: str,
    ) -> None:
        """A child of any checkpoint there is, with any id: later or earlier than the newest."""
        ids = self.ids(thread_id, ns)
        number = max(0, (int(ids[-1]) if ids else 100) + later)
        config = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns}}
        values: dict[str, Any] = {}
        versions: dict[str, int] = {}
        if ids and parent is not None:
            config["configurable"]["checkpoint_id"] = ids[-1 - parent % len(ids)]
            before = self.oracle.get_tuple(copy.deepcopy(config))
            assert before is not None
            values, versions = dict(before.checkpoint["channel_values"]), dict(before.checkpoint["channel_versions"])
        if appended:
            before_them = values.get("messages")
            changes = {**changes, "messages": [*(before_them if isinstance(before_them, list) else []), *appended]}
        new_versions = {}
        for name in removed:
            values.pop(name, None)
            versions.pop(name, None)
        for name, changed in changes.items():
            self.versions += 1
            values[name] = changed
            versions[name] = new_versions[name] = self.versions
        checkpoint = {
            "v": 4,
            "id": f"{number:04}",
            "ts": "2026-11-21T10:20:00+00:00",
            "channel_values": values,
            "channel_versions": versions,
            "versions_seen": {"node": dict(versions)},
            "updated_channels": None,
        }
        metadata = {"source": source, "step": number, "parents": {}} | ({"run_id": run} if run else {})
        for saver_put in (self.oracle.put, lambda *args: self.do("put", *args)):
            named = saver_put(copy.deepcopy(config), copy.deepcopy(checkpoint), dict(metadata), new_versions)
            assert named["configurable"]["checkpoint_id"] == f"{number:04}"

    @rule(
        thread_id=thread,
        ns=namespace,
        which=age,
        writes=st.lists(st.tuples(write_channel, value), min_size=1, max_size=3),
        task=st.sampled_from(["t1", "t2"]),
        path=st.sampled_from(["", "~a", "~b"]),
    )
    def put_writes(
        self, thread_id: str, ns: str, which: int, writes: list[tuple[str, Any]], task: str, path: str
    ) -> None:
        """Also for a checkpoint that is only being written."""
        config = self.named(thread_id, ns, which)
        self.oracle.put_writes(config, copy.deepcopy(writes), task, path)
        self.do("put_writes", config, writes, task, path)

    @rule(thread_id=thread, ns=namespace, said=st.lists(message, min_size=1, max_size=12), context=value)
    def turn(self, thread_id: str, ns: str, said: list[Any], context: Any) -> None:
        """What a graph does: read the newest, then store children of it, with what led to them."""
        self.get_newest(thread_id, ns)
        for step, changes in enumerate(({}, {"context": context}, {"n": self.calls})):
            self.put(thread_id, ns, 1, 0, changes, said if step else said[:1], set(), "r1", "loop" if step else "input")
            self.put_writes(thread_id, ns, 0, [("messages", said), ("context", context)], "t1", "~a")

    # ---- reading

    @rule(thread_id=thread, ns=namespace)
    def get_newest(self, thread_id: str, ns: str) -> None:
        config = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns}}
        assert plain(self.do("get_tuple", config)) == plain(self.oracle.get_tuple(config))

    @rule(thread_id=thread, ns=namespace, which=age)
    def get_one(self, thread_id: str, ns: str, which: int) -> None:
        config = self.named(thread_id, ns, which)
        assert plain(self.do("get_tuple", config)) == plain(self.oracle.get_tuple(config))

    @rule(
        thread_id=thread,
        ns=namespace,
        wanted=st.none() | st.just({"source": "input"}) | st.just({"source": "loop", "run_id": "r1"}),
        before=st.none() | age,
        limit=st.none() | st.integers(0, 25),
    )
    def list_namespace(
        self, thread_id: str, ns: str, wanted: dict[str, Any] | None, before: int | None, limit: int | None
    ) -> None:
        config = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns}}
        until = before if before is None else self.named(thread_id, ns, before)
        asked = {"filter": wanted, "before": until, "limit": limit}
        expected = [plain(found) for found in self.oracle.list(config, **asked)]
        assert [plain(found) for found in self.do("list", config, **asked)] == expected

    # ---- removing and copying

    @rule(
        remove=st.sampled_from(["delete_thread", "expire", "delete_for_runs", "prune", "copy_thread", "lose_scripts"]),
        threads=st.permutations(THREADS),
        runs=st.lists(st.sampled_from(["r1", "r2", "r3"]), max_size=2),
    )
    def remove(self, remove: str, threads: list[str], runs: list[str]) -> None:
        """One rule for all of these, or conversations would never grow."""
        if remove == "lose_scripts":
            self.client.script_flush()
        elif remove == "delete_for_runs":
            self.delete_for_runs(runs)
        elif remove == "copy_thread":
            self.copy_thread(threads[0], threads[1])
        elif remove == "prune":
            self.prune(threads[:2])
        elif remove == "expire":
            self.expire(threads[0])
        else:
            self.oracle.delete_thread(threads[0])
            self.do("delete_thread", threads[0])

    def expire(self, thread_id: str) -> None:
        """As the server does it: neither saver hears of it."""
        self.oracle.delete_thread(thread_id)
        self.client.unlink(summary_key(thread_id), state_key(thread_id))

    def delete_for_runs(self, runs: list[str]) -> None:
        for thread_id in list(self.oracle.storage):
            for ns in list(self.oracle.storage[thread_id]):
                gone = [found for found in self.ids(thread_id, ns) if self.run_of(thread_id, ns, found) in runs]
                self.forget(thread_id, ns, gone)
        self.do("delete_for_runs", runs)

    def prune(self, thread_ids: list[str]) -> None:
        for thread_id in thread_ids:
            for ns in list(self.oracle.storage[thread_id]):
                self.forget(thread_id, ns, self.ids(thread_id, ns)[:-1])
        self.do("prune", thread_ids)

    def copy_thread(self, source: str, onto: str) -> None:
        if any(self.oracle.storage[source].values()) or any(key[0] == source for key in self.oracle.writes):
            self.oracle.delete_thread(onto)
            self.oracle.storage[onto] = copy.deepcopy(self.oracle.storage[source])
            for store in (self.oracle.blobs, self.oracle.writes):
                for key in [key for key in store if key[0] == source]:
                    store[(onto, *key[1:])] = copy.deepcopy(store[key])
        self.do("copy_thread", source, onto)

    def run_of(self, thread_id: str, ns: str, found: str) -> str | None:
        metadata: dict[str, Any] = self.oracle.serde.loads_typed(self.oracle.storage[thread_id][ns][found][1])
        return metadata.get("run_id")

    def forget(self, thread_id: str, ns: str, gone: list[str]) -> None:
        for found in gone:
            del self.oracle.storage[thread_id][ns][found]
            self.oracle.writes.pop((thread_id, ns, found), None)
        if gone and not any(self.oracle.storage[thread_id].values()):
            self.oracle.delete_thread(thread_id)  # writes alone are no conversation

    # ----

    @rule()
    def everything_is_there(self) -> None:
        """Read by a saver that never writes, so that looking changes nothing for the others. Also at the end."""
        found, expected = (sorted(map(plain, saver.list(None)), key=address) for saver in (self.onlooker, self.oracle))
        assert found == expected

    @invariant()
    def nothing_is_kept_without_an_end(self) -> None:
        keys = list(self.client.scan_iter())
        assert all(self.client.pttl(key) > 0 for key in keys)
        assert len([key for key in keys if key.startswith(b"checkpoint:")]) * 2 == len(keys)


def address(shown: Any) -> tuple[str, ...]:
    names = shown[0]
    return names["thread_id"], names["checkpoint_ns"], names["checkpoint_id"]


def plain(found: CheckpointTuple | None) -> Any:
    """What can be compared: the in-memory saver gives back the caller's own config."""
    if found is None:
        return None
    return (
        {**found.config["configurable"]},
        found.checkpoint,
        found.metadata,
        found.parent_config,
        found.pending_writes,
    )


def test_any_sequence_of_operations_answers_as_the_in_memory_saver_does(valkey: Any) -> None:
    run_state_machine_as_test(
        lambda: CheckpointerMachine(valkey.url),
        settings=settings(
            max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
