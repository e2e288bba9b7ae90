"""The conversations: both keys of each, their bytes as they are, and the life they have left.

Not by DUMP and RESTORE, whose format is the server's version's: what a new Valkey writes an older Redis does not read.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from random import Random
from typing import Any, NamedTuple

from bootstrap.relocation.places import Place, once, without_secrets
from bootstrap.relocation.report import CONVERSATIONS, SAMPLES, Check, Look, Progress
from bootstrap.valkey import ValkeyChild
from config import Settings
from utils.checkpointer import Connections
from utils.checkpointer.keys import STATE_PATTERN
from utils.errors import StoreRefused, StoreUnavailable

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


class Conversation(NamedTuple):
    """What both keys of a conversation hold, and how long they live; `summary` is empty where somebody removed it."""

    summary: bytes
    fields: tuple[bytes, ...]  # name, value, name, value, …
    left_ms: int  # -1: without an end, -2: there is none

    @property
    def values(self) -> dict[bytes, bytes]:
        """The fields by name."""
        return dict(zip(self.fields[::2], self.fields[1::2], strict=True))


def embedded_conversations(stack: AsyncExitStack, settings: Settings) -> Place[Connections]:
    """The Valkey in the data folder, run as a child while it is needed."""
    folder = settings.data_dir / "appendonlydir"

    async def start() -> Connections:
        valkey = ValkeyChild(settings.data_dir)
        await asyncio.to_thread(valkey.start)
        stack.push_async_callback(asyncio.to_thread, valkey.stop)
        return _connections(stack, valkey.url)

    make = once(start)

    async def find() -> Connections | None:
        return await make() if folder.exists() else None

    return Place(str(folder), f"move {folder} away", find, make)


def configured_conversations(stack: AsyncExitStack, settings: Settings) -> Place[Connections]:
    """The Redis of REDIS_URL, or of REDIS_HOST and its like."""
    address = settings.redis_address or ""
    connections = _connections(stack, address)

    async def checked() -> Connections:
        try:
            await connections.check()
        except StoreUnavailable as exc:
            raise StoreUnavailable(f"REDIS_URL: {exc.detail}") from exc
        return connections

    make = once(checked)
    way_out = "let REDIS_URL name an empty server, or another database number"
    return Place(without_secrets(address), way_out, make, make)


def _connections(stack: AsyncExitStack, url: str) -> Connections:
    try:
        connections = Connections(url, timeout_s=_TIMEOUT_S)
    except ValueError as exc:
        raise StoreRefused(f"REDIS_URL: {exc}") from exc
    stack.push_async_callback(connections.aclose)
    return connections


class ConversationsMove:
    """Every conversation; *ttl_s* is the life of one that has no end, which none should be."""

    role = CONVERSATIONS

    def __init__(self, source: Place[Connections], target: Place[Connections], *, ttl_s: int) -> None:
        self._places, self._ttl_ms = (source, target), ttl_s * 1000
        self._newer: set[bytes] = set()

    async def look(self) -> Look:
        """How many conversations both sides have; nothing is changed."""
        source, target = self._places
        return Look(
            role=CONVERSATIONS,
            from_place=source.name,
            to_place=target.name,
            source={"conversations": len(await _keys(await source.find()))},
            target={"conversations": await _held(await target.find())},
            way_out=target.way_out,
        )

    async def prepare(self) -> None:
        """Start what is to be filled."""
        self._source, self._target = await self._places[0].find(), await self._places[1].make()

    async def copy(self, progress: Progress) -> None:
        """Copy every conversation, also over an earlier copy, but not over one that went on in the target."""
        keys = sorted(await _keys(self._source))
        for done, part in _parts(keys):
            await asyncio.gather(*(self._copy(key) for key in part))
            progress(CONVERSATIONS, done, len(keys))

    async def check(self) -> list[Check]:
        """Both sides compared: which conversations there are, and some of them whole."""
        ours, theirs = await _keys(self._source), await _keys(self._target)
        missing = [key for key in sorted(ours - theirs) if await _lives(self._source, key)]
        extra = [key for key in sorted(theirs - ours) if await _lives(self._target, key)]
        both = sorted(ours & theirs)
        newer = sorted(self._newer)
        samples = Random().sample(both, min(SAMPLES, len(both)))  # noqa: S311 - a sample, not a secret
        changed = [key for key in samples if key not in self._newer and not await self._is_same(key)]
        differing = [f"{_name(key)} went on in the target, and was left as it is there" for key in newer]
        differing += [f"{_name(key)} is not in the target" for key in missing]
        differing += [f"{_name(key)} is in the target alone" for key in extra]
        differing += [f"{_name(key)} differs" for key in changed]
        alike = len(both)
        counts = alike + len(missing), alike + len(extra)
        return [Check(CONVERSATIONS, "conversations", *counts, len(samples), tuple(differing))]

    async def _copy(self, key: bytes) -> None:
        found = await _read(self._source, key)
        if found.fields and found.left_ms != 0:
            left_ms = found.left_ms if found.left_ms > 0 else self._ttl_ms
            updated = found.values.get(b"@updated", b"")
            if not await _eval(self._target, _WRITE, key, left_ms, updated, found.summary, *found.fields):
                self._newer.add(key)

    async def _is_same(self, key: bytes) -> bool:
        ours, theirs = await _read(self._source, key), await _read(self._target, key)
        if 0 <= ours.left_ms <= _ENDING_MS or ours.left_ms == -2:
            return True
        expected_ms = ours.left_ms if ours.left_ms > 0 else self._ttl_ms
        same_life = theirs.left_ms > 0 and abs(theirs.left_ms - expected_ms) <= _DRIFT_MS
        return same_life and ours.summary == theirs.summary and ours.values == theirs.values


async def _keys(connections: Connections | None, pattern: str = STATE_PATTERN) -> set[bytes]:
    """The keys of *pattern*, on every node; SCAN may give one twice."""
    if connections is None:
        return set()
    return {key async for key in connections.asynchronous().scan_iter(match=pattern, count=1000)}


async def _held(connections: Connections | None) -> int:
    """Conversations of which either key is there; so are those of another program with keys named like ours."""
    states = {_summary_of(key) for key in await _keys(connections)}
    return len(states | await _keys(connections, _SUMMARY_PATTERN))


async def _read(connections: Connections | None, key: bytes) -> Conversation:
    summary, fields, left_ms = await _eval(connections, _READ, key)
    return Conversation(summary or b"", tuple(fields), left_ms)


async def _eval(connections: Connections | None, script: str, key: bytes, *arguments: bytes | int) -> Any:
    if connections is None:
        raise LookupError("There is no server to ask.")
    return await connections.asynchronous().eval(script, 2, _summary_of(key), key, *arguments)


async def _lives(connections: Connections | None, key: bytes) -> bool:
    """Whether a conversation is there and about to stay, which leaves out those that ended between two looks."""
    left_ms = (await _read(connections, key)).left_ms
    return left_ms == -1 or left_ms > _ENDING_MS


def _summary_of(key: bytes) -> bytes:
    """The readable key of a state's key: what is between the braces."""
    return key.removeprefix(b"state:{").removesuffix(b"}")


def _name(key: bytes) -> str:
    return _summary_of(key).decode(errors="backslashreplace")


def _parts(keys: Sequence[bytes]) -> Iterator[tuple[int, Sequence[bytes]]]:
    """Slices of *keys*, each with how many there are up to its end."""
    for start in range(0, len(keys), _AT_ONCE):
        part = keys[start : start + _AT_ONCE]
        yield start + len(part), part
