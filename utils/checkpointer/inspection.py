"""Looking after what is stored, for an operator. No conversation lives longer for it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from redis.exceptions import ResponseError

from .errors import StateUnreadable, StoreRefused
from .keys import CheckpointAddress, make_state_key, make_summary_key, parse_thread_id
from .saver import RedisCheckpointer
from .scripts import translate_errors
from .sizes import ConversationSizes, compute_sizes

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
class StoredConversation:
    """A conversation by its readable key.

    `problem` says what is wrong with that key; it is empty, and `summary` there, if nothing is. `left_s` is None for a
    key without an end, which is none of ours.
    """

    thread_id: str
    summary: Summary | None
    left_s: int | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CheckpointEntry:
    """A checkpoint without its values; `problem` says why it cannot be read."""

    namespace: str
    checkpoint_id: str
    step: int | None = None
    source: str = ""
    created_at: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ValueEntry:
    """A value without its content: of a channel, or one that a task has written; serialized it has *size_bytes*."""

    channel: str
    kind: str
    size_bytes: int
    task_id: str = ""


@dataclass(frozen=True, slots=True)
class ConversationOverview:
    """A conversation's outline: the newest checkpoint and the number of them by namespace, the newest of all, and what
    the newest of the root namespace holds (`head`; None if there is none that can be read)."""

    found: StoredConversation
    heads: dict[str, str]
    counts: dict[str, int]
    newest: Sequence[CheckpointEntry]
    channels: Sequence[ValueEntry]
    pending: Sequence[ValueEntry]
    head: CheckpointTuple | None


class Inspector:
    """Looks at the conversations of *saver*; its own `saver` is that one, reading without use.

    All methods raise `StoreUnavailable` as the saver does, and `StateUnreadable` where a conversation is not ours.
    """

    def __init__(self, saver: RedisCheckpointer) -> None:
        self.saver = saver.without_refresh()

    async def conversations(self, pattern: str = "*") -> AsyncIterator[StoredConversation]:
        """Every conversation whose thread id matches Redis's glob *pattern*, in no order; also broken ones."""
        page: list[bytes] = []
        seen: set[bytes] = set()
        with translate_errors():
            async for key in self.saver.connections.asynchronous().scan_iter(make_summary_key(pattern), _PAGE):
                if key not in seen:  # SCAN may give a key twice
                    seen.add(key)
                    page.append(key)
                if len(page) == _PAGE:
                    for found in await self._look(page):
                        yield found
                    page = []
            for found in await self._look(page):
                yield found

    async def find(self, thread_id: str) -> StoredConversation | None:
        """The conversation, None if there is none; also if only one of its two keys is there."""
        result = await self._look([make_summary_key(thread_id).encode()])
        if result:
            return result[0]
        left_ms = await self.saver.store.run_command("PTTL", make_state_key(thread_id))
        if left_ms == -2:
            return None
        return StoredConversation(thread_id, None, _convert_to_seconds(left_ms), "its readable key is missing")

    async def summarize(self, conversation: StoredConversation, *, limit: int) -> ConversationOverview:
        """What *conversation* is made of, with its *limit* newest checkpoints."""
        addresses = await self._list_addresses(conversation.thread_id)
        newest = [one async for one in self.saver.alist(_make_config(conversation.thread_id), limit=limit)]
        readable = {CheckpointAddress.from_config(one.config): one for one in newest}
        head = await self._read_head(conversation.thread_id)
        values = head.checkpoint["channel_values"] if head else {}
        pending = (head.pending_writes if head else None) or []
        return ConversationOverview(
            found=conversation,
            heads={address.namespace: address.checkpoint_id for address in reversed(addresses)},
            counts=Counter(address.namespace for address in addresses),
            newest=[_describe(at, readable.get(at) or await self._read_entry(at)) for at in addresses[:limit]],
            channels=[self._describe_value(*item) for item in values.items()],
            pending=[self._describe_value(name, value, task) for task, name, value in pending],
            head=head,
        )

    async def checkpoints(
        self, thread_id: str, *, latest_only: bool = False
    ) -> AsyncIterator[CheckpointTuple | CheckpointEntry]:
        """All checkpoints with their values, newest first, a `CheckpointEntry` for one that cannot be read.

        *latest_only*: the newest of each namespace.
        """
        addresses = await self._list_addresses(thread_id)
        if latest_only:
            unread = set({address.namespace: address for address in reversed(addresses)}.values())
        else:
            unread = set(addresses)
            async for one in self.saver.alist(_make_config(thread_id)):
                unread.discard(CheckpointAddress.from_config(one.config))
                yield one
        for address in addresses:
            if address in unread:
                yield await self._read_entry(address)

    async def measure_sizes(self, thread_id: str) -> ConversationSizes:
        """What is stored of a conversation, by kind, and what it would take as whole checkpoints."""
        state, fields, cursor = make_state_key(thread_id), dict[bytes, bytes](), -1
        while cursor != 0:
            cursor, page = await self.saver.store.run_command("HSCAN", state, max(0, cursor), "COUNT", _PAGE)
            cursor = int(cursor)
            fields.update(page)
        memory = {key: await self._measure_memory(key) for key in (make_summary_key(thread_id), state)}
        return compute_sizes(fields, self.saver.codec, thread_id, memory)

    async def prune(self, thread_id: str, keep: int | None = None) -> int:
        """Keep the *keep* newest checkpoints, or with None that of each namespace. Gives how many went.

        The one thing here that changes something; how long the conversation has left does not.
        """
        return await self.saver.akeep(thread_id, keep)

    # ----

    async def _look(self, keys: Sequence[bytes]) -> list[StoredConversation]:
        """What is under these readable keys, without those that have ended meanwhile."""
        pipe = self.saver.connections.asynchronous().pipeline(transaction=False)
        for key in keys:
            pipe.get(key)
            pipe.pttl(key)
        with translate_errors():
            replies = await pipe.execute(raise_on_error=False) if keys else []
        looked = zip(keys, replies[::2], replies[1::2], strict=True)
        return [_parse_summary(key, raw, left_ms) for key, raw, left_ms in looked if left_ms != -2 and raw is not None]

    async def _measure_memory(self, key: str) -> int | None:
        # Some providers do not let one ask.
        try:
            used: int | None = await self.saver.store.run_command("MEMORY USAGE", key, "SAMPLES", 0)
        except (StateUnreadable, StoreRefused):
            return None
        return used

    async def _list_addresses(self, thread_id: str) -> list[CheckpointAddress]:
        """All its checkpoints, newest first."""
        names = await self.saver.store.run_command("HKEYS", make_state_key(thread_id))
        split = (name[1:].decode(errors="backslashreplace").split("\0", 1) for name in names if name[:1] == b"c")
        addresses = [CheckpointAddress(thread_id, *parts) for parts in split if len(parts) == 2]
        return sorted(addresses, key=lambda address: (address.checkpoint_id, address.namespace), reverse=True)

    async def _read_head(self, thread_id: str) -> CheckpointTuple | None:
        try:
            return await self.saver.aget_tuple(_make_config(thread_id, checkpoint_ns=""))
        except StateUnreadable:
            return None  # `newest` says so

    async def _read_entry(self, address: CheckpointAddress) -> CheckpointTuple | CheckpointEntry:
        try:
            entry = await self.saver.aget_tuple(address.config())
        except StateUnreadable as exc:
            problem = exc.reason.removeprefix(f"checkpoint {address.checkpoint_id}: ")
            return CheckpointEntry(address.namespace, address.checkpoint_id, problem=problem)
        return entry or CheckpointEntry(address.namespace, address.checkpoint_id, problem="removed meanwhile")

    def _describe_value(self, channel: str, value: object, task_id: str = "") -> ValueEntry:
        return ValueEntry(channel, describe_kind(value), len(self.saver.serde.dumps_typed(value)[1]), task_id)


def escape_glob(text: str) -> str:
    """A glob that *text* alone matches."""
    return _GLOB.sub(r"\\\1", text)


def describe_kind(value: object) -> str:
    """What sort of value it is, in a few words that show nothing of it: `str`, `list of 4 AIMessage, HumanMessage`."""
    if isinstance(value, list | tuple | set | frozenset):
        within = sorted({type(item).__name__ for item in value})
        return f"{type(value).__name__} of {len(value)} {', '.join(within)}".rstrip()
    return "none" if value is None else type(value).__name__


def _parse_summary(key: bytes, raw: object, left_ms: int) -> StoredConversation:
    thread_id = parse_thread_id(b"state:{" + key + b"}")
    left_s = _convert_to_seconds(left_ms)
    if not isinstance(raw, bytes):
        foreign = isinstance(raw, ResponseError) and "WRONGTYPE" in str(raw)
        return StoredConversation(thread_id, None, left_s, "not a string" if foreign else str(raw))
    try:
        summary = Summary.model_validate_json(raw)
    except ValidationError:
        return StoredConversation(thread_id, None, left_s, "not a summary of ours")
    if summary.thread_id != thread_id:
        return StoredConversation(thread_id, None, left_s, "it names another conversation")
    return StoredConversation(thread_id, summary, left_s, "" if left_s is not None else "it has no end")


def _describe(address: CheckpointAddress, result: CheckpointTuple | CheckpointEntry) -> CheckpointEntry:
    if isinstance(result, CheckpointEntry):
        return result
    metadata = result.metadata
    step, source = metadata.get("step"), metadata.get("source", "")
    return CheckpointEntry(address.namespace, address.checkpoint_id, step, source, result.checkpoint["ts"])


def _convert_to_seconds(left_ms: int) -> int | None:
    return -(-left_ms // 1000) if left_ms >= 0 else None


def _make_config(thread_id: str, **names: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, **names}}
