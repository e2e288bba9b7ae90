"""Conversations in this process's memory, while Redis is away: bounded, whole checkpoints, serialized like the others.

LangGraph's own in-memory saver is not used, because it stores only the channels that changed: of a turn that began on
Redis it would keep half the state.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from .codec import Codec
from .keys import Place
from .meter import Meter
from .writes import numbered, resolved

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A checkpoint, and its metadata, sealed: nobody can change it through a reference to a live object."""

    parent_id: str
    sealed: bytes


@dataclass(frozen=True, slots=True)
class WritesCall:
    """The arguments of one put_writes."""

    writes: list[tuple[str, Any]]
    task_id: str
    task_path: str
    size_bytes: int


@dataclass(slots=True)
class Conversation:
    """What is held of one conversation, by (namespace, checkpoint id).

    `revision` counts the changes. `base_id` is the checkpoint in Redis that the first one here continues; it is empty
    if the conversation began here, without the state that Redis may have of it.
    """

    expires_at: float
    checkpoints: dict[tuple[str, str], _Kept] = field(default_factory=dict)
    logs: dict[tuple[str, str], list[WritesCall]] = field(default_factory=dict)
    revision: int = 0
    base_id: str = ""

    @property
    def size_bytes(self) -> int:
        """How much is held of it, serialized."""
        logged = sum(call.size_bytes for log in self.logs.values() for call in log)
        return logged + sum(len(kept.sealed) for kept in self.checkpoints.values())


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
        self._held: OrderedDict[str, Conversation] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._codec = Codec()

    def __len__(self) -> int:
        """How many conversations are held."""
        return len(self._held)

    def find(self, thread_id: str) -> Conversation | None:
        """The conversation, prolonged; None if it is not held here."""
        held = self._held.get(thread_id)
        if held is None:
            return None
        if held.expires_at <= self._clock():
            self.forget(thread_id)
            return None
        held.expires_at = self._clock() + self._ttl_s
        self._held.move_to_end(thread_id)
        return held

    def threads(self) -> list[str]:
        """The conversations held, the one not used for longest first."""
        return list(self._held)

    def left_s(self, thread_id: str) -> float | None:
        """How long the conversation has to live, which asking does not change; None if it is not held here."""
        held = self._held.get(thread_id)
        left = held.expires_at - self._clock() if held else 0.0
        return left if left > 0 else None

    def forget(self, thread_id: str) -> None:
        """Drop the conversation."""
        if self._held.pop(thread_id, None) is not None:
            del self._sizes[thread_id]
            self._report()

    def put(
        self, serde: SerializerProtocol, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata
    ) -> RunnableConfig:
        """Hold *checkpoint*, whole. Gives the config that names it."""
        parent = Place.of(config)
        place = parent.at(checkpoint["id"])
        held = self._open(place.thread_id)
        if not place.namespace and not self._ids(held, ""):
            held.base_id = parent.checkpoint_id
        whole = {"checkpoint": checkpoint, "metadata": get_serializable_checkpoint_metadata(config, metadata)}
        sealed = self._codec.seal(self._codec.dump(serde, whole), b"")
        held.checkpoints[place.namespace, place.checkpoint_id] = _Kept(parent.checkpoint_id, sealed)
        for oldest in self._ids(held, place.namespace)[self._depth :]:
            _drop(held, (place.namespace, oldest))
        self._make_room(place.thread_id, held)
        return place.config()

    def put_writes(
        self,
        serde: SerializerProtocol,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> None:
        """Hold what a task wrote after the checkpoint in *config*."""
        place = Place.of(config)
        # Through the serializer and back: the task may go on changing the objects it wrote.
        dumped = [(channel, serde.dumps_typed(value)) for channel, value in writes]
        copied = [(channel, serde.loads_typed(typed)) for channel, typed in dumped]
        held = self._open(place.thread_id)
        log = held.logs.setdefault((place.namespace, place.checkpoint_id), [])
        log.append(WritesCall(copied, task_id, task_path, sum(len(data) for _, (_, data) in dumped)))
        self._make_room(place.thread_id, held)

    def get(self, serde: SerializerProtocol, place: Place) -> CheckpointTuple | None:
        """The checkpoint at *place*, or the newest of its namespace; None if it is not held here."""
        held = self.find(place.thread_id)
        if held is None:
            return None
        newest = self._ids(held, place.namespace)[:1]
        for checkpoint_id in [place.checkpoint_id] if place.checkpoint_id else newest:
            if (place.namespace, checkpoint_id) in held.checkpoints:
                return self._tuple(serde, held, place.at(checkpoint_id))
        return None

    def all(self, serde: SerializerProtocol, thread_id: str) -> list[CheckpointTuple]:
        """Everything held of a conversation, newest first."""
        held = self.find(thread_id)
        if held is None:
            return []
        names = sorted(held.checkpoints, key=lambda name: (name[1], name[0]), reverse=True)
        return [self._tuple(serde, held, Place(thread_id, namespace, found)) for namespace, found in names]

    def knows(self, thread_id: str, checkpoint_id: str) -> bool:
        """Whether a checkpoint of the conversation itself is held here, or is the one that those continue."""
        held = self._held.get(thread_id)
        return held is not None and (checkpoint_id == held.base_id or ("", checkpoint_id) in held.checkpoints)

    def calls(self, thread_id: str) -> list[tuple[Place, WritesCall]]:
        """Every put_writes held of a conversation, and the checkpoint it is about."""
        held = self._held.get(thread_id)
        logs = held.logs.items() if held else ()
        return [(Place(thread_id, namespace, found), call) for (namespace, found), log in logs for call in log]

    def _tuple(self, serde: SerializerProtocol, held: Conversation, place: Place) -> CheckpointTuple:
        kept = held.checkpoints[place.namespace, place.checkpoint_id]
        log = held.logs.get((place.namespace, place.checkpoint_id), [])
        whole = cast(dict[str, Any], self._codec.load(serde, self._codec.open(kept.sealed, b"")))
        return CheckpointTuple(
            config=place.config(),
            checkpoint=whole["checkpoint"],
            metadata=whole["metadata"],
            parent_config=place.at(kept.parent_id).config() if kept.parent_id else None,
            pending_writes=resolved(
                write for call in log for write in numbered(call.writes, call.task_id, call.task_path)
            ),
        )

    def _open(self, thread_id: str) -> Conversation:
        held = self.find(thread_id)
        if held is None:
            held = self._held[thread_id] = Conversation(self._clock() + self._ttl_s)
            self._sizes[thread_id] = 0
        held.revision += 1
        return held

    def _make_room(self, thread_id: str, held: Conversation) -> None:
        self._sizes[thread_id] = held.size_bytes
        while len(self._held) > 1 and (len(self._held) > self._limit or self._is_too_large()):
            self._give_up(next(iter(self._held)))
        heads = {namespace: self._ids(held, namespace)[0] for namespace, _ in held.checkpoints}
        for name in sorted(held.checkpoints, key=lambda name: name[1]):
            if self._is_too_large() and name[1] != heads[name[0]]:
                _drop(held, name)
                self._sizes[thread_id] = held.size_bytes
        self._report()

    def _is_too_large(self) -> bool:
        return sum(self._sizes.values()) > self._max_bytes

    def _give_up(self, thread_id: str) -> None:
        was_over = self.left_s(thread_id) is None
        self.forget(thread_id)
        if was_over:
            return
        self._meter.lost()
        logger.error("Memory is full, Redis is away: a conversation is lost.", extra={"thread_id": thread_id})

    def _report(self) -> None:
        self._meter.holds(len(self._held), sum(self._sizes.values()))

    def _ids(self, held: Conversation, namespace: str) -> list[str]:
        return sorted((found for name, found in held.checkpoints if name == namespace), reverse=True)


def _drop(held: Conversation, name: tuple[str, str]) -> None:
    del held.checkpoints[name]
    held.logs.pop(name, None)
