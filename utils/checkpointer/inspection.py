"""Looking after what is stored, for an operator. No conversation lives longer for it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from redis.exceptions import ResponseError

from .errors import StateUnreadable, StoreRefused
from .keys import Place, state_key, summary_key, thread_of
from .saver import RedisCheckpointer
from .scripts import translated
from .sizes import Sizes, sizes_of

_PAGE = 500  # keys or fields of one call: what Redis is held for is one page
_GLOB = re.compile(r"([\\*?\[\]])")


class Summary(BaseModel):
    """What the readable key says."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    thread_id: str
    checkpoint_id: str | None
    step: int | None
    checkpoints: int
    counts: dict[str, int]
    size_bytes: int = Field(alias="bytes")
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """A conversation by its readable key.

    `problem` says what is wrong with that key; it is empty, and `summary` there, if nothing is. `left_s` is None for a
    key without an end, which is none of ours.
    """

    thread_id: str
    summary: Summary | None
    left_s: int | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A checkpoint without its values; `problem` says why it cannot be read."""

    namespace: str
    checkpoint_id: str
    step: int | None = None
    source: str = ""
    created_at: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A value without its content: of a channel, or one that a task has written; serialized it has *size_bytes*."""

    channel: str
    kind: str
    size_bytes: int
    task_id: str = ""


@dataclass(frozen=True, slots=True)
class Overview:
    """A conversation's outline: the newest checkpoint and the number of them by namespace, the newest of all, and what
    the newest of the root namespace holds (`head`; None if there is none that can be read)."""

    found: Found
    heads: dict[str, str]
    counts: dict[str, int]
    newest: Sequence[Line]
    channels: Sequence[Piece]
    pending: Sequence[Piece]
    head: CheckpointTuple | None


class Inspector:
    """Looks at the conversations of *saver*; its own `saver` is that one, reading without use.

    All methods raise `StoreUnavailable` as the saver does, and `StateUnreadable` where a conversation is not ours.
    """

    def __init__(self, saver: RedisCheckpointer) -> None:
        self.saver = saver.looking()
        # The saver's own: its connections, and its key if it has one.
        self._connections, self._codec = saver._connections, saver._codec

    async def conversations(self, pattern: str = "*") -> AsyncIterator[Found]:
        """Every conversation whose thread id matches Redis's glob *pattern*, in no order; also broken ones."""
        page: list[bytes] = []
        seen: set[bytes] = set()
        with translated():
            async for key in self._connections.asynchronous().scan_iter(summary_key(pattern), _PAGE):
                if key not in seen:  # SCAN may give a key twice
                    seen.add(key)
                    page.append(key)
                if len(page) == _PAGE:
                    for found in await self._look(page):
                        yield found
                    page = []
            for found in await self._look(page):
                yield found

    async def find(self, thread_id: str) -> Found | None:
        """The conversation, None if there is none; also if only one of its two keys is there."""
        key = summary_key(thread_id).encode()
        found = [*(await self._look([key])), None][0]
        if found is None and (left_ms := await self._ask(state_key(thread_id), "PTTL")) != -2:
            return Found(thread_id, None, _seconds(left_ms), "its readable key is missing")
        return found

    async def overview(self, found: Found, *, limit: int) -> Overview:
        """What *found* is made of, with its *limit* newest checkpoints."""
        places = await self._places(found.thread_id)
        readable = {Place.of(one.config): one async for one in self.saver.alist(_config(found.thread_id), limit=limit)}
        head = await self._head(found.thread_id)
        return Overview(
            found=found,
            heads={place.namespace: place.checkpoint_id for place in reversed(places)},
            counts=Counter(place.namespace for place in places),
            newest=[_line(place, readable.get(place) or await self._whole(place)) for place in places[:limit]],
            channels=[self._piece(*item) for item in head.checkpoint["channel_values"].items()] if head else [],
            pending=[self._piece(name, value, task) for task, name, value in (head and head.pending_writes) or ()],
            head=head,
        )

    async def checkpoints(self, thread_id: str, *, latest_only: bool = False) -> AsyncIterator[CheckpointTuple | Line]:
        """All checkpoints with their values, newest first, a `Line` for one that cannot be read.

        *latest_only*: the newest of each namespace.
        """
        places = await self._places(thread_id)
        if latest_only:
            left = set({place.namespace: place for place in reversed(places)}.values())
        else:
            left = set(places)
            async for one in self.saver.alist(_config(thread_id)):
                left.discard(Place.of(one.config))
                yield one
        for place in places:
            if place in left:
                yield await self._whole(place)

    async def sizes(self, thread_id: str) -> Sizes:
        """What is stored of a conversation, by kind, and what it would take as whole checkpoints."""
        state, fields, cursor = state_key(thread_id), dict[bytes, bytes](), 0
        while True:
            cursor, page = await self._ask(state, "HSCAN", cursor, "COUNT", _PAGE)
            fields |= page
            if int(cursor) == 0:
                break
        memory = {key: await self._memory(key) for key in (summary_key(thread_id), state)}
        return sizes_of(fields, self._codec, thread_id, memory)

    async def prune(self, thread_id: str, keep: int | None = None) -> int:
        """Keep the *keep* newest checkpoints, or with None that of each namespace. Gives how many went.

        The one thing here that changes something; how long the conversation has left does not.
        """
        plans = self.saver._plans
        return await self.saver._arun(plans.latest(thread_id) if keep is None else plans.keep_last(thread_id, keep))

    # ----

    async def _look(self, keys: Sequence[bytes]) -> list[Found]:
        """What is under these readable keys, without those that have ended meanwhile."""
        pipe = self._connections.asynchronous().pipeline(transaction=False)
        for key in keys:
            pipe.get(key)
            pipe.pttl(key)
        with translated():
            replies = await pipe.execute(raise_on_error=False) if keys else []
        looked = zip(keys, replies[::2], replies[1::2], strict=True)
        return [_found(key, raw, left_ms) for key, raw, left_ms in looked if left_ms != -2 and raw is not None]

    async def _ask(self, key: str, command: str, *arguments: str | int) -> Any:
        with translated(key):
            return await self._connections.asynchronous().execute_command(command, key, *arguments)

    async def _memory(self, key: str) -> int | None:
        # Some providers do not let one ask.
        try:
            with translated(key):
                used: int | None = await self._connections.asynchronous().memory_usage(key, samples=0)
        except (StateUnreadable, StoreRefused):
            return None
        return used

    async def _places(self, thread_id: str) -> list[Place]:
        """All its checkpoints, newest first."""
        names = await self._ask(state_key(thread_id), "HKEYS")
        split = (name[1:].decode(errors="backslashreplace").split("\0", 1) for name in names if name[:1] == b"c")
        places = [Place(thread_id, *parts) for parts in split if len(parts) == 2]
        return sorted(places, key=lambda place: (place.checkpoint_id, place.namespace), reverse=True)

    async def _head(self, thread_id: str) -> CheckpointTuple | None:
        try:
            return await self.saver.aget_tuple(_config(thread_id, checkpoint_ns=""))
        except StateUnreadable:
            return None  # `newest` says so

    async def _whole(self, place: Place) -> CheckpointTuple | Line:
        try:
            found = await self.saver.aget_tuple(place.config())
        except StateUnreadable as exc:
            problem = exc.reason.removeprefix(f"checkpoint {place.checkpoint_id}: ")
            return Line(place.namespace, place.checkpoint_id, problem=problem)
        return found or Line(place.namespace, place.checkpoint_id, problem="removed meanwhile")

    def _piece(self, channel: str, value: object, task_id: str = "") -> Piece:
        return Piece(channel, kind_of(value), len(self.saver.serde.dumps_typed(value)[1]), task_id)


def literally(text: str) -> str:
    """A glob that *text* alone matches."""
    return _GLOB.sub(r"\\\1", text)


def kind_of(value: object) -> str:
    """What sort of value it is, in a few words that show nothing of it: `str`, `list of 4 AIMessage, HumanMessage`."""
    if isinstance(value, list | tuple | set | frozenset):
        within = sorted({type(item).__name__ for item in value})
        return f"{type(value).__name__} of {len(value)} {', '.join(within)}".rstrip()
    return "none" if value is None else type(value).__name__


def _found(key: bytes, raw: object, left_ms: int) -> Found:
    thread_id = thread_of(b"state:{" + key + b"}")
    left_s = _seconds(left_ms)
    if not isinstance(raw, bytes):
        foreign = isinstance(raw, ResponseError) and "WRONGTYPE" in str(raw)
        return Found(thread_id, None, left_s, "not a string" if foreign else str(raw))
    try:
        summary = Summary.model_validate_json(raw)
    except ValidationError:
        return Found(thread_id, None, left_s, "not a summary of ours")
    if summary.thread_id != thread_id:
        return Found(thread_id, None, left_s, "it names another conversation")
    return Found(thread_id, summary, left_s, "" if left_s is not None else "it has no end")


def _line(place: Place, found: CheckpointTuple | Line) -> Line:
    if isinstance(found, Line):
        return found
    metadata = found.metadata
    step, source = metadata.get("step"), metadata.get("source", "")
    return Line(place.namespace, place.checkpoint_id, step, source, found.checkpoint["ts"])


def _seconds(left_ms: int) -> int | None:
    return -(-left_ms // 1000) if left_ms >= 0 else None


def _config(thread_id: str, **names: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, **names}}
