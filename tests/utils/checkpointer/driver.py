"""How an operation is done to Redis and the oracle at once, over connections that break, and what is then asserted."""

import asyncio
import copy
from collections import deque
from collections.abc import Callable
from typing import Any

import redis
from hypothesis.stateful import RuleBasedStateMachine
from langgraph.checkpoint.base import CheckpointTuple

from tests.servers.cutting import Cut, CuttingProxy
from tests.utils.checkpointer.drawn import THREADS
from tests.utils.checkpointer.oracle import Oracle, address, plain
from utils.checkpointer import RedisCheckpointer
from utils.checkpointer.keys import make_state_key, make_summary_key
from utils.errors import StoreUnavailable

# Which of the savers, whether with asyncio, what happens to the connection, and whether a failure is tried again.
Way = tuple[int, bool, tuple[Cut | None, ...], bool]


def saver_at(url: str) -> RedisCheckpointer:
    """A saver as the oracle is one: it keeps everything, and children of any checkpoint."""
    return RedisCheckpointer.from_url(url, ttl_s=600, keep=None, refuse_conflicts=False)


class Driver(RuleBasedStateMachine):
    """Two savers with caches of their own over a proxy, one that looks on, and the oracle."""

    def __init__(self, proxy: CuttingProxy, url: str) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.proxy = proxy
        self.proxy.cut()
        self.savers = (saver_at(proxy.url), saver_at(proxy.url))
        self.onlooker = saver_at(url)
        self.client: Any = redis.Redis.from_url(url)
        self.client.flushall()
        self.oracle = Oracle()
        self.versions = 0
        self.touched: deque[Any] = deque(maxlen=40)  # objects that were given to a saver, or came from one

    def close(self) -> None:
        self.onlooker.close()
        self.client.close()
        for saver in self.savers:
            self.loop.run_until_complete(saver.aclose())
        self.loop.close()

    # ---- how an operation is done

    def call(self, way: Way, name: str, *args: Any, **kwargs: Any) -> Any:
        number, with_asyncio, cuts, _ = way
        self.proxy.cut(*cuts)
        try:
            if with_asyncio:
                return self.loop.run_until_complete(self.awaited(self.savers[number], name, *args, **kwargs))
            result = getattr(self.savers[number], name)(*args, **kwargs)
            return list(result) if name == "list" else result
        finally:
            self.proxy.cut()

    async def awaited(self, saver: RedisCheckpointer, name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "list":
            return [found async for found in saver.alist(*args, **kwargs)]
        return await getattr(saver, f"a{name}")(*args, **kwargs)

    def change(self, way: Way, model: Callable[[], object], name: str, *args: Any) -> None:
        """Do it to the oracle and to Redis."""
        before = self.oracle.copied() if way[2] else self.oracle
        model()
        try:
            self.call(way, name, *args)
        except StoreUnavailable:
            assert len(way[2]) > 1, "one closed connection is no failure"
            self.settle(way, before, name, *args)

    def settle(self, way: Way, before: Oracle, name: str, *args: Any) -> None:
        """After a failure: of each conversation all of it has happened, or nothing; and then repeating is harmless."""
        cannot_be_seen = any(
            before.shown(thread_id) == self.oracle.shown(thread_id)
            and before.inside(thread_id) != self.oracle.inside(thread_id)
            for thread_id in THREADS
        )
        for thread_id in THREADS:
            stored = self.stored(thread_id)
            has_happened = stored == self.oracle.shown(thread_id)
            assert has_happened or stored == before.shown(thread_id), f"{name} has half happened to {thread_id!r}"
            if not has_happened and not (way[3] or cannot_be_seen):
                self.oracle.take_back(thread_id, before)
        if way[3] or cannot_be_seen:
            self.call((1 - way[0], way[1], (), False), name, *args)

    def stored(self, thread_id: str) -> list[Any]:
        found = self.onlooker.list({"configurable": {"thread_id": thread_id}})
        return sorted(map(plain, found), key=address)

    def ask(self, way: Way, name: str, *args: Any, **kwargs: Any) -> Any:
        """The answer, or None if there was none; what it holds may be changed later."""
        try:
            answer = self.call(way, name, *args, **kwargs)
        except StoreUnavailable:
            assert len(way[2]) > 1, "one closed connection is no failure"
            return None
        for found in [answer] if isinstance(answer, CheckpointTuple) else answer or ():
            self.touched += found.checkpoint["channel_values"].values()
            self.touched += [written for _, _, written in found.pending_writes]
            self.touched.append(found.metadata)
        return answer

    def named(self, thread_id: str, ns: str, which: int) -> Any:
        ids = self.oracle.ids(thread_id, ns)
        found = ids[-1 - which % len(ids)] if ids and which >= 0 else f"{100 - which:04}"
        return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns, "checkpoint_id": found}}

    def store(
        self,
        way: Way,
        config: Any,
        values: dict[str, Any],
        versions: dict[str, Any],
        changed: set[str],
        later: int,
        run: str | None = "r1",
    ) -> None:
        thread_id, ns = config["configurable"]["thread_id"], config["configurable"]["checkpoint_ns"]
        ids = self.oracle.ids(thread_id, ns)
        continues = config["configurable"].get("checkpoint_id") == (ids[-1] if ids else None)
        number = max(0, (int(ids[-1]) if ids else 100) + later)
        new_versions = {}
        for name in sorted(changed):
            self.versions += 1
            new_versions[name] = self.versions
        checkpoint: Any = {
            "v": 4,
            "id": f"{number:04}",
            "ts": "2026-11-21T10:20:00+00:00",
            "channel_values": values,
            "channel_versions": versions | new_versions,
            "versions_seen": {"node": versions | new_versions},
            "updated_channels": None,
        }
        # Only a fork may be put beside the newest.
        source = ("input" if number % 3 == 0 else "loop") if continues and later > 0 else "fork"
        metadata: Any = {"source": source, "step": number, "parents": {}} | ({"run_id": run} if run else {})
        self.touched += values.values()
        given = copy.deepcopy(config), checkpoint, metadata, new_versions
        self.change(way, lambda: self.oracle.put(*copy.deepcopy(given)), "put", *given)

    def newest(self, way: Way, thread_id: str, ns: str) -> CheckpointTuple | None:
        return self.got(way, {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns}})

    def got(self, way: Way, config: Any) -> CheckpointTuple | None:
        found: CheckpointTuple | None = self.ask(way, "get_tuple", config)
        assert plain(found) == plain(self.oracle.get_tuple(config)) or (found is None and len(way[2]) > 1)
        return found

    def expire(self, thread_id: str) -> None:
        """The server does it: no saver hears of it."""
        keys = make_summary_key(thread_id), make_state_key(thread_id)
        for key in keys:
            self.client.pexpire(key, 1)
        while self.client.exists(*keys):
            pass  # for a millisecond
        self.oracle.delete_thread(thread_id)
