"""The conversations: both keys of each, their bytes as they are, and the life they have left.

Not by DUMP and RESTORE, whose format is the server's version's: what a new Valkey writes an older Redis does not read.
"""

import asyncio
from contextlib import AsyncExitStack
from random import Random
from typing import Any, NamedTuple

from bootstrap.relocation.report import CONVERSATIONS, SAMPLES, Direction, Progress, StoreComparison, StoreCounts
from bootstrap.relocation.stores import Store, check_path, count_both, order_ends, return_true
from bootstrap.valkey import ValkeyChild
from config import Settings
from utils.addresses import hide_login
from utils.checkpointer import Connections
from utils.checkpointer.keys import STATE_PATTERN
from utils.errors import StoreRefused, StoreUnavailable
from utils.slices import cut_into_slices

_SUMMARY_PATTERN = "checkpoint:*"
_AT_ONCE = 16  # conversations under way together, so that a server far away is not waited for one by one
_TIMEOUT_S = 30.0  # a long conversation over a slow line
_ENDING_MS = 5_000  # a conversation that has no more than this may be gone from one side and not yet from the other
_DRIFT_MS = 5_000

# One script reads both keys and one writes them: no other client sees a half, and in a cluster both are in one slot.
_READ = """
return {redis.call('GET', KEYS[1]), redis.call('HGETALL', KEYS[2]), redis.call('PTTL', KEYS[2])}
"""
# ARGV: milliseconds to live, when the conversation was written last ('@updated' of its state), the readable key's value
# or '', then fields and values. A conversation that went on in the target is left as it is.
_WRITE = """
local there = redis.call('HGET', KEYS[2], '@updated')
if there and there > ARGV[2] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[2], ARGV[1])
if ARGV[3] ~= '' then redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[1]) end
return 1
"""


class MovedConversation(NamedTuple):
    """What both keys of a conversation hold, and how long they live; `summary` is empty where somebody removed it."""

    summary: bytes
    fields: tuple[bytes, ...]  # name, value, name, value, …
    left_ms: int  # -1: without an end, -2: there is none

    @property
    def values(self) -> dict[bytes, bytes]:
        """The fields by name."""
        return dict(zip(self.fields[::2], self.fields[1::2], strict=True))

    @property
    def will_stay(self) -> bool:
        """Whether it is there and does not end at any moment."""
        return self.left_ms == -1 or self.left_ms > _ENDING_MS


def open_conversations_move(stack: AsyncExitStack, settings: Settings, direction: Direction) -> "ConversationsMove":
    """The move of the conversations; its stores are closed with *stack*."""
    ends = order_ends(direction, _open_embedded(stack, settings), _open_configured(stack, settings))
    return ConversationsMove(*ends, ttl_s=settings.conversation_ttl)


def _open_embedded(stack: AsyncExitStack, settings: Settings) -> Store[Connections]:
    """The Valkey in the data folder, run as a child while it is needed."""
    folder = settings.data_dir / "appendonlydir"

    async def start() -> Connections:
        valkey = ValkeyChild(settings.data_dir)
        await asyncio.to_thread(valkey.start)
        stack.push_async_callback(asyncio.to_thread, valkey.stop)
        return _connect(stack, valkey.url)

    return Store(str(folder), f"move {folder} away", start, check_path(folder))


def _open_configured(stack: AsyncExitStack, settings: Settings) -> Store[Connections]:
    """The Redis of REDIS_URL, or of REDIS_HOST and its like."""
    address = settings.redis_address or ""
    connections = _connect(stack, address)

    async def check() -> Connections:
        try:
            await connections.check()
        except StoreUnavailable as exc:
            raise StoreUnavailable(f"REDIS_URL: {exc.detail}") from exc
        return connections

    remedy = "let REDIS_URL name an empty server, or another database number"
    return Store(hide_login(address), remedy, check, return_true)


def _connect(stack: AsyncExitStack, url: str) -> Connections:
    try:
        connections = Connections(url, timeout_s=_TIMEOUT_S)
    except ValueError as exc:
        raise StoreRefused(f"REDIS_URL: {exc}") from exc
    stack.push_async_callback(connections.aclose)
    return connections


class ConversationsMove:
    """Every conversation; *ttl_s* is the life of one that has no end, which none should be."""

    def __init__(self, source: Store[Connections], target: Store[Connections], *, ttl_s: int) -> None:
        self._stores, self._ttl_ms = (source, target), ttl_s * 1000
        self._newer: set[bytes] = set()

    async def count(self) -> StoreCounts:
        """How many conversations both sides have; nothing is changed."""
        source, target = self._stores
        result = {"conversations": len(await _list_keys(await source.find()))}
        present = {"conversations": await _count_either_key(await target.find())}
        return count_both(CONVERSATIONS, self._stores, result, present)

    async def prepare(self) -> None:
        """Start what is to be filled."""
        self._source, self._target = await self._stores[0].find(), await self._stores[1].open()

    async def copy(self, progress: Progress) -> None:
        """Copy every conversation, also over an earlier copy, but not over one that went on in the target."""
        keys, done = sorted(await _list_keys(self._source)), 0
        for part in cut_into_slices(keys, _AT_ONCE):
            await asyncio.gather(*(self._copy(key) for key in part))
            done += len(part)
            progress(CONVERSATIONS, done, len(keys))

    async def compare(self) -> list[StoreComparison]:
        """Both sides compared: which conversations there are, and some of them whole."""
        source_keys, target_keys = await _list_keys(self._source), await _list_keys(self._target)
        missing = [key for key in sorted(source_keys - target_keys) if (await _read(self._source, key)).will_stay]
        extra = [key for key in sorted(target_keys - source_keys) if (await _read(self._target, key)).will_stay]
        both = sorted(source_keys & target_keys)
        samples = Random().sample(both, min(SAMPLES, len(both)))  # noqa: S311 - a sample, not a secret
        changed = [key for key in samples if key not in self._newer and not await self._is_same(key)]
        differing = [
            f"{_make_summary_key(key).decode(errors='backslashreplace')} {what}"
            for keys, what in (
                (sorted(self._newer), "went on in the target, and was left as it is there"),
                (missing, "is not in the target"),
                (extra, "is in the target alone"),
                (changed, "differs"),
            )
            for key in keys
        ]
        counts = len(both) + len(missing), len(both) + len(extra)
        return [StoreComparison(CONVERSATIONS, "conversations", *counts, len(samples), tuple(differing))]

    async def _copy(self, key: bytes) -> None:
        entries = await _read(self._source, key)
        if entries.fields and entries.left_ms != 0:
            left_ms = entries.left_ms if entries.left_ms > 0 else self._ttl_ms
            updated = entries.values.get(b"@updated", b"")
            if not await _run_script(self._target, _WRITE, key, left_ms, updated, entries.summary, *entries.fields):
                self._newer.add(key)

    async def _is_same(self, key: bytes) -> bool:
        source, target = await _read(self._source, key), await _read(self._target, key)
        if not source.will_stay:
            return True
        expected_ms = source.left_ms if source.left_ms > 0 else self._ttl_ms
        same_life = target.left_ms > 0 and abs(target.left_ms - expected_ms) <= _DRIFT_MS
        return same_life and source.summary == target.summary and source.values == target.values


async def _list_keys(connections: Connections | None, pattern: str = STATE_PATTERN) -> set[bytes]:
    """The keys of *pattern*, on every node; SCAN may give one twice."""
    if connections is None:
        return set()
    return {key async for key in connections.asynchronous().scan_iter(match=pattern, count=1000)}


async def _count_either_key(connections: Connections | None) -> int:
    """Conversations of which either key is there; so are those of another program with keys named like ours."""
    states = {_make_summary_key(key) for key in await _list_keys(connections)}
    return len(states | await _list_keys(connections, _SUMMARY_PATTERN))


async def _read(connections: Connections | None, key: bytes) -> MovedConversation:
    summary, fields, left_ms = await _run_script(connections, _READ, key)
    return MovedConversation(summary or b"", tuple(fields), left_ms)


async def _run_script(connections: Connections | None, script: str, key: bytes, *arguments: bytes | int) -> Any:
    if connections is None:
        raise LookupError("There is no server to ask.")
    return await connections.asynchronous().eval(script, 2, _make_summary_key(key), key, *arguments)


def _make_summary_key(key: bytes) -> bytes:
    """The readable key of a state's key: what is between the braces."""
    return key.removeprefix(b"state:{").removesuffix(b"}")
