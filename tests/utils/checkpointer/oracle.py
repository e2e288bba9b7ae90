"""LangGraph's in-memory saver, completed: what it lacks are the operations on whole conversations."""

import copy
from typing import Any

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver


class Oracle(InMemorySaver):
    """What the answers should be. Its state can be kept, and taken back conversation by conversation."""

    def ids(self, thread_id: str, ns: str) -> list[str]:
        """The ids of the checkpoints, oldest first."""
        return sorted(self.storage[thread_id][ns])

    def shown(self, thread_id: str) -> list[Any]:
        """Every checkpoint of a conversation, in a form that can be compared."""
        return sorted(map(plain, self.list({"configurable": {"thread_id": thread_id}})), key=address)

    def inside(self, thread_id: str) -> Any:
        """Everything that is kept of a conversation, also what no read can show yet."""
        storage = {ns: dict(kept) for ns, kept in self.storage[thread_id].items() if kept}
        return storage, {key: dict(kept) for key, kept in self.writes.items() if key[0] == thread_id and kept}

    def copied(self) -> "Oracle":
        """The same, to go back to."""
        other = Oracle()
        for name in ("storage", "blobs", "writes"):
            getattr(other, name).update(copy.deepcopy(dict(getattr(self, name))))
        return other

    def take_back(self, thread_id: str, earlier: "Oracle") -> None:
        """Make a conversation what it was in *earlier*."""
        self.delete_thread(thread_id)
        self._take(thread_id, earlier, thread_id)

    def forget(self, thread_id: str, ns: str, gone: list[str]) -> None:
        """Remove checkpoints with their writes. Writes alone are no conversation."""
        for found in gone:
            del self.storage[thread_id][ns][found]
            self.writes.pop((thread_id, ns, found), None)
        if gone and not any(self.storage[thread_id].values()):
            self.delete_thread(thread_id)

    def forget_runs(self, run_ids: list[str]) -> None:
        """See `RedisCheckpointer.delete_for_runs`."""
        for thread_id in list(self.storage):
            for ns in list(self.storage[thread_id]):
                gone = [found for found in self.ids(thread_id, ns) if self._run_of(thread_id, ns, found) in run_ids]
                self.forget(thread_id, ns, gone)

    def keep_latest(self, thread_ids: list[str]) -> None:
        """See `RedisCheckpointer.prune`."""
        for thread_id in thread_ids:
            for ns in list(self.storage[thread_id]):
                self.forget(thread_id, ns, self.ids(thread_id, ns)[:-1])

    def replace(self, source: str, target: str) -> None:
        """See `RedisCheckpointer.copy_thread`."""
        if any(self.inside(source)):
            self.delete_thread(target)
            self._take(source, self, target)

    def _take(self, source: str, other: "Oracle", target: str) -> None:
        self.storage[target].update(copy.deepcopy(dict(other.storage[source])))
        stores: Any = ((self.blobs, other.blobs), (self.writes, other.writes))
        for ours, theirs in stores:
            for key in [key for key in theirs if key[0] == source]:
                ours[(target, *key[1:])] = copy.deepcopy(theirs[key])

    def _run_of(self, thread_id: str, ns: str, found: str) -> str | None:
        metadata: dict[str, Any] = self.serde.loads_typed(self.storage[thread_id][ns][found][1])
        return metadata.get("run_id")


def plain(found: CheckpointTuple | None) -> Any:
    """What can be compared: the in-memory saver gives back the caller's own config."""
    if found is None:
        return None
    named = {**found.config["configurable"]}
    return named, found.checkpoint, found.metadata, found.parent_config, found.pending_writes


def address(shown: Any) -> tuple[str, ...]:
    """What checkpoints are sorted by, where their order is not asked for."""
    names = shown[0]
    return names["thread_id"], names["checkpoint_ns"], names["checkpoint_id"]
