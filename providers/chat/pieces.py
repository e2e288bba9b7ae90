"""What is used of the answers of chat models, whatever else is in them: text, why it ends, calls of tools, tokens.

LangChain and the clients of vendors are given this alone. They look at much more, at a cost that an endpoint could make
as high as it likes, and fail in ways of their own where something is of another kind than it should be.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import orjson

from providers.answer_limits import LONGEST_ARGUMENTS, MAX_CALLS, is_count
from providers.openai_wire import EventStream, Json
from utils.errors import BadInput
from utils.strict_json import read_storable

Usage = dict[str, int]
BROKEN = "{"
# Nobody reads faster along, and what comes in between is one piece: each costs far more than its text.
_READ_EVERY_S = 0.1
# Before the first text and after the last an endpoint has little to say; after that many times it is read less often.
_QUIET_READS, _QUIET_S = 8, 0.02
_LONGEST_SILENCE_S = 1.0  # between two pieces while events come that say nothing, such as thoughts
_LONGEST_WORD = 64  # characters of what a vendor calls something


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool; `arguments` are JSON of an object, `BROKEN` where they were none, or too long."""

    name: str
    arguments: str

    def read(self) -> tuple[str, dict[str, Any]]:
        """The name and the arguments as an object; no name where these are `BROKEN`: there is nothing to call then."""
        return ("", {}) if self.arguments == BROKEN else (self.name, orjson.loads(self.arguments))


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer, or all of it: `reason` is why it ends, in the vendor's words, "" where it does not."""

    text: str = ""
    reason: str = ""
    usage: Usage = field(default_factory=dict)
    calls: tuple[Call, ...] = ()


async def read_pieces(stream: EventStream, read: Callable[[Json], Piece]) -> AsyncGenerator[Piece]:
    """The pieces that *read* finds in the events of *stream*, those that came together as one; usage once, at the end.

    Calls of tools are left out: no streamed answer is asked for with tools, and reading arguments piece by piece takes
    LangChain the square of their length.
    """
    now = asyncio.get_running_loop().time
    usage, reported, has_begun, has_ended = Usage(), Usage(), False, False
    reads, reported_at = 0, now()
    async for events in stream:
        pieces = [read(event) for event in events]
        for piece in pieces:
            usage.update(piece.usage)
        text = "".join(piece.text for piece in pieces)
        reason = "" if has_ended else next((piece.reason for piece in pieces if piece.reason), "")
        has_begun, has_ended = has_begun or bool(text), has_ended or bool(reason)
        if text or reason or now() - reported_at > _LONGEST_SILENCE_S:
            reported, reported_at = (dict(usage), now()) if reason else (reported, now())
            yield Piece(text, reason, reported if reason else {})
        reads += 1
        if has_begun and not has_ended:
            reads = 0
            await stream.look_away(_READ_EVERY_S)
        elif reads > _QUIET_READS:
            await stream.look_away(_QUIET_S)
    if usage != reported:
        yield Piece(usage=usage)


def read_text(content: object) -> str:
    """The text in *content*, which may be a list of parts.

    Raises:
        TypeError: it is of another kind.
    """
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise TypeError("the content is no text")
    parts = [part for part in content if isinstance(part, dict) and part.get("type", "text") == "text"]
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))


def read_word(value: object, default: str = "stop") -> str:
    """*value* where it is a word, "" where it says nothing, else *default*."""
    if isinstance(value, str) and len(value) <= _LONGEST_WORD and value.isprintable():
        return value
    return default if value else ""


def read_calls(calls: Iterable[tuple[object, object]]) -> tuple[Call, ...]:
    """The first calls with these names and arguments; whatever is no name is none, and arguments too long are `BROKEN`.

    A person may have asked for them: that is no failure of the endpoint.
    """
    found: list[Call] = []
    size = 0
    for name, arguments in islice(calls, MAX_CALLS):
        text = _write_arguments(arguments)
        size += len(text)
        read = _read_arguments(text) if size <= LONGEST_ARGUMENTS else BROKEN
        found.append(Call(name if isinstance(name, str) else "", read))
    return tuple(found)


def _write_arguments(arguments: object) -> str:
    """Their JSON; `BROKEN` where they are nested more than 250 times."""
    if isinstance(arguments, str | None):
        return arguments or ""
    try:
        return orjson.dumps(arguments).decode()
    except TypeError:
        return BROKEN


def _read_arguments(text: str) -> str:
    """*text*, where it is JSON that can be stored: of no depth, number or text that something else stumbles over."""
    try:
        value = read_storable(text.encode()) if text.strip() else {}
        return orjson.dumps(value).decode() if isinstance(value, dict) else BROKEN
    except (ValueError, BadInput):
        return BROKEN


def read_usage(usage: object, names: Iterable[str]) -> Usage:
    """The counts of these *names* in *usage*; none at all where one of them is none."""
    counts: Mapping[str, Any] = usage if isinstance(usage, dict) else {}
    found = {name: counts[name] for name in names if counts.get(name) is not None}
    return found if all(map(is_count, found.values())) else {}
