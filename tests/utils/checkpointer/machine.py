"""The operations in any order, by two savers with caches of their own, over connections that break."""

import asyncio
import copy
import json
from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import invariant, rule

from tests.utils.checkpointer import drawn
from tests.utils.checkpointer.drawn import THREADS, spoil
from tests.utils.checkpointer.driver import Driver, Way
from tests.utils.checkpointer.oracle import address, plain


class CheckpointerMachine(Driver):
    """Any sequence of operations must give the oracle's answers; one that fails has happened, or it has not."""

    def teardown(self) -> None:
        try:
            self.everything_is_there()
        finally:
            self.close()

    # ---- writing

    @rule(
        way=drawn.way,
        thread_id=drawn.thread,
        ns=drawn.namespace,
        later=st.integers(1, 3) | st.integers(-30, -1),
        parent=st.none() | st.just(0) | st.just(0) | st.integers(0, 30),
        changes=drawn.changes,
        appended=st.lists(drawn.message, max_size=3),
        removed=st.sets(drawn.channel, max_size=1),
        run=st.sampled_from(["r1", "r2", None]),
    )
    def put(
        self,
        way: Way,
        thread_id: str,
        ns: str,
        later: int,
        parent: int | None,
        changes: dict[str, Any],
        appended: list[Any],
        removed: set[str],
        run: str | None,
    ) -> None:
        """A child of any checkpoint there is, with any id: later or earlier than the newest."""
        ids = self.oracle.ids(thread_id, ns)
        config: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns}}
        values: dict[str, Any] = {}
        versions: dict[str, Any] = {}
        if ids and parent is not None:
            config = self.named(thread_id, ns, parent)
            before = self.oracle.get_tuple(copy.deepcopy(config))
            assert before is not None
            values, versions = dict(before.checkpoint["channel_values"]), dict(before.checkpoint["channel_versions"])
        changes = copy.deepcopy(changes)  # they may be changed later, and hypothesis gives them out again
        if appended:
            before_them = values.get("messages")
            earlier = before_them if isinstance(before_them, list) else []
            changes["messages"] = [*earlier, *copy.deepcopy(appended)]
        for name in removed:
            values.pop(name, None)
            versions.pop(name, None)
        self.store(way, config, values | changes, versions, set(changes), later, run)

    @rule(
        way=drawn.way,
        thread_id=drawn.thread,
        ns=drawn.namespace,
        which=drawn.age,
        writes=drawn.writes,
        task=st.sampled_from(["t1", "t2"]),
        path=st.sampled_from(["", "~a", "~b"]),
    )
    def put_writes(
        self, way: Way, thread_id: str, ns: str, which: int, writes: list[Any], task: str, path: str
    ) -> None:
        """Also for a checkpoint that is only being written."""
        given = self.named(thread_id, ns, which), copy.deepcopy(writes), task, path
        self.touched += [written for _, written in given[1]]
        self.change(way, lambda: self.oracle.put_writes(*given), "put_writes", *given)

    @rule(thread_id=drawn.thread, ns=drawn.namespace, writes=drawn.writes, tasks=st.integers(2, 6))
    def put_writes_of_many_tasks(self, thread_id: str, ns: str, writes: list[Any], tasks: int) -> None:
        """At once and by both savers; which comes first must not matter."""
        config = self.named(thread_id, ns, 0)
        given = [(config, writes, f"task{number}", f"~{tasks - number}") for number in range(tasks)]

        async def together() -> None:
            await asyncio.gather(*(self.savers[number % 2].aput_writes(*one) for number, one in enumerate(given)))

        for one in given:
            self.oracle.put_writes(*one)
        self.loop.run_until_complete(together())

    @rule(
        way=drawn.way,
        thread_id=drawn.thread,
        ns=drawn.namespace,
        said=st.lists(drawn.message, min_size=1, max_size=12),
        context=drawn.value,
    )
    def turn(self, way: Way, thread_id: str, ns: str, said: list[Any], context: Any) -> None:
        """What a graph does: read the newest, then store children of it, with what led to them."""
        self.newest(way, thread_id, ns)
        for step, changes in enumerate(({}, {"context": context}, {"n": self.versions})):
            self.put(way, thread_id, ns, 1, 0, changes, said if step else said[:1], set(), "r1")
            self.put_writes(way, thread_id, ns, 0, [("messages", said), ("context", context)], "t1", "~a")

    @rule(
        way=drawn.way,
        removal=drawn.removals,
        thread_id=drawn.thread,
        ns=drawn.namespace,
        said=st.lists(drawn.message, min_size=1, max_size=20),
        context=drawn.value,
    )
    def turn_with_a_loss_in_it(
        self, way: Way, removal: drawn.Removal, thread_id: str, ns: str, said: list[Any], context: Any
    ) -> None:
        """What the saver believes to be there is gone in the middle, by the server's doing or the other saver's."""
        number, with_asyncio, cuts, repeats = way
        plainly: Way = (number, with_asyncio, (), False)
        self.put(plainly, thread_id, ns, 1, 0, {"context": context}, said, set(), "r1")
        self.put_writes(plainly, thread_id, ns, 0, [("messages", said)], "t1", "~a")
        self.put_writes(plainly, thread_id, ns, 0, [("messages", context)], "t1", "~a")  # the first one counts
        others = sorted(THREADS, key=lambda other: other == thread_id)
        self.remove((1 - number, with_asyncio, cuts, repeats), removal, others[::-1], ["r1"])
        again = {"n": context, "messages": said[::-1]}
        self.put(plainly, thread_id, ns, 1, 0, again, [], set(), "r1")

    @rule(way=drawn.way, thread_id=drawn.thread, ns=drawn.namespace, chosen=drawn.channel, at=st.integers(0, 20))
    def change_in_place(self, way: Way, thread_id: str, ns: str, chosen: str, at: int) -> None:
        """What a careless node does: the values that were read are put again, one of them changed deep inside."""
        found = self.newest(way, thread_id, ns)
        if found is not None:
            values = found.checkpoint["channel_values"]
            spoil(values.get(chosen), at)
            changed = {chosen} & values.keys()
            self.store(way, found.config, values, found.checkpoint["channel_versions"], changed, 1)

    @rule(way=drawn.way, thread_id=drawn.thread, ns=drawn.namespace, chosen=drawn.channel, at=st.integers(0, 20))
    def spoil_what_was_read(self, way: Way, thread_id: str, ns: str, chosen: str, at: int) -> None:
        """Nothing is put: the same saver must not give out the change with the next answer."""
        found = self.newest(way, thread_id, ns)
        if found is not None:
            spoil(found.checkpoint["channel_values"].get(chosen), at)
            self.newest((way[0], not way[1], (), False), thread_id, ns)

    @rule(which=st.integers(0, 39), at=st.integers(0, 20))
    def spoil_what_was_touched(self, which: int, at: int) -> None:
        """Nothing is put: nobody may notice."""
        if self.touched:
            spoil(self.touched[which % len(self.touched)], at)

    # ---- reading

    @rule(way=drawn.way, thread_id=drawn.thread, ns=drawn.namespace)
    def get_newest(self, way: Way, thread_id: str, ns: str) -> None:
        self.newest(way, thread_id, ns)

    @rule(way=drawn.way, thread_id=drawn.thread, ns=drawn.namespace, which=drawn.age)
    def get_one(self, way: Way, thread_id: str, ns: str, which: int) -> None:
        self.got(way, self.named(thread_id, ns, which))

    @rule(
        way=drawn.way,
        thread_id=drawn.thread,
        ns=drawn.namespace,
        wanted=st.none() | st.just({"source": "input"}) | st.just({"source": "loop", "run_id": "r1"}),
        before=st.none() | drawn.age,
        limit=st.none() | st.integers(0, 25),
    )
    def list_namespace(
        self, way: Way, thread_id: str, ns: str, wanted: dict[str, Any] | None, before: int | None, limit: int | None
    ) -> None:
        config: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns}}
        until = before if before is None else self.named(thread_id, ns, before)
        asked: Any = {"filter": wanted, "before": until, "limit": limit}
        expected = [plain(found) for found in self.oracle.list(config, **asked)]
        answer = self.ask(way, "list", config, **asked)
        assert len(way[2]) > 1 if answer is None else [plain(found) for found in answer] == expected

    @rule(way=drawn.way, wanted=st.none() | st.just({"run_id": "r1"}), thread_id=st.none() | drawn.thread)
    def list_all(self, way: Way, wanted: dict[str, Any] | None, thread_id: str | None) -> None:
        """Of one conversation or of all, in every namespace: there no order is promised."""
        config: Any = {"configurable": {"thread_id": thread_id}} if thread_id else None
        answer = self.ask(way, "list", config, filter=wanted)
        expected = sorted(map(plain, self.oracle.list(config, filter=wanted)), key=address)
        assert len(way[2]) > 1 if answer is None else sorted(map(plain, answer), key=address) == expected

    # ---- removing and copying

    @rule(
        way=drawn.way,
        removal=drawn.removals,
        threads=st.permutations(THREADS),
        runs=st.lists(st.sampled_from(["r1", "r2", "r3"]), max_size=2),
    )
    def remove(self, way: Way, removal: drawn.Removal, threads: list[str], runs: list[str]) -> None:
        """One rule for all of these, or conversations would never grow."""
        first, second = threads[:2]
        if removal == "lose_scripts":
            self.client.script_flush()
        elif removal == "expire":
            self.expire(first)
        elif removal == "delete_for_runs":
            self.change(way, lambda: self.oracle.forget_runs(runs), "delete_for_runs", runs)
        elif removal == "copy":
            self.change(way, lambda: self.oracle.replace(first, second), "copy_thread", first, second)
        elif removal == "prune":
            self.change(way, lambda: self.oracle.keep_latest(threads[:2]), "prune", threads[:2])
        else:
            self.change(way, lambda: self.oracle.delete_thread(first), "delete_thread", first)

    # ----

    @rule()
    def everything_is_there(self) -> None:
        """Read by a saver that never writes, so that looking changes nothing for the others. Also at the end."""
        found, expected = (sorted(map(plain, saver.list(None)), key=address) for saver in (self.onlooker, self.oracle))
        assert found == expected

    @invariant()
    def the_readable_key_is_right_and_both_end_together(self) -> None:
        keys = set(self.client.scan_iter())
        summaries = [key for key in keys if key.startswith(b"checkpoint:")]
        assert keys == {*summaries, *(b"state:{%b}" % key for key in summaries)}
        for key in summaries:
            left_ms = [self.client.pttl(key), self.client.pttl(b"state:{%b}" % key)]
            assert min(left_ms) > 0
            assert max(left_ms) - min(left_ms) < 1000
            fields = self.client.hgetall(b"state:{%b}" % key)
            told = json.loads(self.client.get(key))
            assert told["checkpoints"] == sum(name.startswith(b"c") for name in fields)
            assert told["bytes"] == sum(len(n) + len(v) for n, v in fields.items() if not n.startswith(b"@"))
