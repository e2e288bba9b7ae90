"""Conversations in this process's memory, while Redis is away: bounded, whole checkpoints, serialized like the others.

LangGraph's own in-memory saver is not used, because it stores only the channels that changed: of a turn that began on
Redis it would keep half the state.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from .codec import Codec
from .keys import CheckpointAddress
from .meter import Meter
from .records import number_writes, resolve_writes

logger = logging.getLogger(__name__)


class _SealedCheckpoint(NamedTuple):
    """A checkpoint with its metadata, sealed: nobody can change it through a reference to a live object."""

    parent_id: str
    sealed: bytes


class MemoryWrites(NamedTuple):
    """The arguments of one put_writes."""

    writes: list[tuple[str, Any]]
    task_id: str
    task_path: str
    size_bytes: int


@dataclass(slots=True)
class MemoryEntry:
    """What is held of one conversation.

    `revision` counts the changes. `base_id` is the checkpoint in Redis that the first one here continues; it is empty
    if the conversation began here, without the state that Redis may have of it.
    """

    expires_at: float
    checkpoints: dict[CheckpointAddress, _SealedCheckpoint] = field(default_factory=dict)
    logs: dict[CheckpointAddress, list[MemoryWrites]] = field(default_factory=dict)
    revision: int = 0
    base_id: str = ""
    size_bytes: int = 0  # serialized

    def newest(self, namespace: str) -> list[CheckpointAddress]:
        """The checkpoints of a namespace, newest first."""
        result = (address for address in self.checkpoints if address.namespace == namespace)
        return sorted(result, key=lambda address: address.checkpoint_id, reverse=True)

    def drop(self, address: CheckpointAddress) -> None:
        """Forget a checkpoint and its writes."""
        del self.checkpoints[address]
        self.logs.pop(address, None)
        self.measure()

    def measure(self) -> None:
        """Bring `size_bytes` up to date."""
        logged = sum(call.size_bytes for log in self.logs.values() for call in log)
        self.size_bytes = logged + sum(len(each.sealed) for each in self.checkpoints.values())


class Memory:
    """At most *conversations* of them, each with its newest *checkpoints* a namespace, forgotten after *ttl_s*.

    Together they hold at most *max_bytes*: the one unused longest makes room. Of a conversation that is larger by
    itself the older checkpoints go; the newest of each namespace stays, however large it is.
    """

    def __init__(
        self,
        *,
        ttl_s: float,
        conversations: int = 500,
        checkpoints: int = 16,
        max_bytes: int = 64 * 1024 * 1024,
        meter: Meter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ttl_s, self._limit, self._depth, self._clock = ttl_s, conversations, checkpoints, clock
        self._max_bytes, self._meter = max_bytes, Meter() if meter is None else meter
        self._entries: OrderedDict[str, MemoryEntry] = OrderedDict()
        self._codec = Codec()

    def __len__(self) -> int:
        """How many conversations are held."""
        return len(self._entries)

    def find(self, thread_id: str) -> MemoryEntry | None:
        """The conversation, prolonged; None if it is not held here."""
        entry = self._entries.get(thread_id)
        if entry is None:
            return None
        if entry.expires_at <= self._clock():
            self.forget(thread_id)
            return None
        entry.expires_at = self._clock() + self._ttl_s
        self._entries.move_to_end(thread_id)
        return entry

    def threads(self) -> list[str]:
        """The conversations held, the one not used for longest first."""
        return list(self._entries)

    def left_s(self, thread_id: str) -> float | None:
        """How long the conversation has to live, which asking does not change; None if it is not held here."""
        entry = self._entries.get(thread_id)
        remaining = entry.expires_at - self._clock() if entry else 0.0
        return remaining if remaining > 0 else None

    def forget(self, thread_id: str) -> None:
        """Drop the conversation."""
        if self._entries.pop(thread_id, None) is not None:
            self._report()

    def put(
        self, serde: SerializerProtocol, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata
    ) -> RunnableConfig:
        """Hold *checkpoint*, whole. Gives the config that names it."""
        parent = CheckpointAddress.from_config(config)
        address, entry = parent.at(checkpoint["id"]), self._open(parent.thread_id)
        if not address.namespace and not entry.newest(""):
            entry.base_id = parent.checkpoint_id
        whole = {"checkpoint": checkpoint, "metadata": get_serializable_checkpoint_metadata(config, metadata)}
        sealed = self._codec.seal(self._codec.dump(serde, whole), b"")
        entry.checkpoints[address] = _SealedCheckpoint(parent.checkpoint_id, sealed)
        for oldest in entry.newest(address.namespace)[self._depth :]:
            entry.drop(oldest)
        self._make_room(entry)
        return address.config()

    def put_writes(
        self,
        serde: SerializerProtocol,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> None:
        """Hold what a task wrote after the checkpoint in *config*."""
        address = CheckpointAddress.from_config(config)
        # Through the serializer and back: the task may go on changing the objects it wrote.
        dumped = [(channel, serde.dumps_typed(value)) for channel, value in writes]
        copied = [(channel, serde.loads_typed(typed)) for channel, typed in dumped]
        entry, size_bytes = self._open(address.thread_id), sum(len(data) for _, (_, data) in dumped)
        entry.logs.setdefault(address, []).append(MemoryWrites(copied, task_id, task_path, size_bytes))
        self._make_room(entry)

    def get(self, serde: SerializerProtocol, address: CheckpointAddress) -> CheckpointTuple | None:
        """The checkpoint at *address*, or the newest of its namespace; None if it is not held here."""
        entry = self.find(address.thread_id)
        if entry is None:
            return None
        for result in [address] if address.checkpoint_id else entry.newest(address.namespace):
            return self._restore(serde, entry, result) if result in entry.checkpoints else None
        return None

    def all(self, serde: SerializerProtocol, thread_id: str) -> list[CheckpointTuple]:
        """Everything held of a conversation, newest first."""
        entry = self.find(thread_id)
        if entry is None:
            return []
        order = sorted(entry.checkpoints, key=lambda one: (one.checkpoint_id, one.namespace), reverse=True)
        return [self._restore(serde, entry, address) for address in order]

    def knows(self, thread_id: str, checkpoint_id: str) -> bool:
        """Whether a checkpoint of the conversation itself is held here, or is the one that those continue."""
        entry = self._entries.get(thread_id)
        if entry is None:
            return False
        return checkpoint_id == entry.base_id or CheckpointAddress(thread_id, "", checkpoint_id) in entry.checkpoints

    def writes(self, thread_id: str) -> list[tuple[CheckpointAddress, MemoryWrites]]:
        """Every put_writes held of a conversation, and the checkpoint it is about."""
        entry = self._entries.get(thread_id)
        return [(address, call) for address, log in entry.logs.items() for call in log] if entry else []

    def _restore(self, serde: SerializerProtocol, entry: MemoryEntry, address: CheckpointAddress) -> CheckpointTuple:
        parent_id, sealed = entry.checkpoints[address]
        whole = cast(dict[str, Any], self._codec.load(serde, self._codec.open(sealed, b"")))
        log = entry.logs.get(address, [])
        return CheckpointTuple(
            config=address.config(),
            checkpoint=whole["checkpoint"],
            metadata=whole["metadata"],
            parent_config=address.at(parent_id).config() if parent_id else None,
            pending_writes=resolve_writes(
                write for call in log for write in number_writes(call.writes, call.task_id, call.task_path)
            ),
        )

    def _open(self, thread_id: str) -> MemoryEntry:
        entry = self.find(thread_id)
        if entry is None:
            entry = self._entries[thread_id] = MemoryEntry(self._clock() + self._ttl_s)
        entry.revision += 1
        return entry

    def _make_room(self, entry: MemoryEntry) -> None:
        entry.measure()
        while len(self._entries) > 1 and (len(self._entries) > self._limit or self._is_too_large()):
            self._give_up(next(iter(self._entries)))
        heads = {entry.newest(namespace)[0] for namespace in {address.namespace for address in entry.checkpoints}}
        for address in sorted(entry.checkpoints.keys() - heads, key=lambda one: one.checkpoint_id):
            if self._is_too_large():
                entry.drop(address)
        self._report()

    def _is_too_large(self) -> bool:
        return self._measure() > self._max_bytes

    def _measure(self) -> int:
        return sum(entry.size_bytes for entry in self._entries.values())

    def _give_up(self, thread_id: str) -> None:
        was_over = self.left_s(thread_id) is None
        self.forget(thread_id)
        if was_over:
            return
        self._meter.count("lost")
        logger.error("Memory is full, Redis is away: a conversation is lost.", extra={"thread_id": thread_id})

    def _report(self) -> None:
        self._meter.holds(len(self._entries), self._measure())
