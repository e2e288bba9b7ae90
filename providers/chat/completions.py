"""What `ChatOpenAI` is given for OpenAI's client in its field `async_client`: chat completions over `OpenAIWire`.

The client costs three times the CPU of a call (`benchmarks/model_client.py`), most of it for typed objects that
LangChain takes apart again. What LangChain asks of it, tests/providers/test_completions.py holds to its version.

Wire format: https://platform.openai.com/docs/api-reference/chat
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from providers.answer_limits import is_count
from providers.chat.pieces import Piece, Usage, read_calls, read_pieces, read_text, read_usage, read_word
from providers.openai_wire import Json, OpenAIWire

_PATH = "/chat/completions"
_OTHER_NAMES = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_DETAILS = ("prompt_tokens_details", "completion_tokens_details")


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """A whole answer, as the endpoint gave it."""

    answer: Json

    def parse(self) -> Json:
        """It."""
        return self.answer


@dataclass(frozen=True, slots=True)
class RawCompletions:
    """Asks for whole answers."""

    completions: "Completions"

    async def create(self, **body: object) -> RawAnswer:
        """The answer to *body*."""
        sent = self.completions.trim(body)
        return RawAnswer(make_plain(await self.completions.wire.ask(_PATH, sent)))


@dataclass(frozen=True, slots=True)
class Completions:
    """Asks for streamed answers, and by `with_raw_response` for whole ones."""

    wire: OpenAIWire
    _unwanted: set[str] = field(default_factory=set)

    @property
    def with_raw_response(self) -> RawCompletions:
        """For whole answers."""
        return RawCompletions(self)

    def leave_out(self, parameter: str) -> bool:
        """Send no such parameter any more; whether that is new. What has two names is sent by the other one then."""
        is_new = parameter not in self._unwanted
        self._unwanted.add(parameter)
        return is_new

    def trim(self, body: Json) -> Json:
        """*body* without what the endpoint does not take."""
        if not self._unwanted:
            return body
        named = {name if name not in self._unwanted else _OTHER_NAMES.get(name, name): body[name] for name in body}
        return {name: value for name, value in named.items() if name not in self._unwanted}

    async def create(self, **body: object) -> AbstractAsyncContextManager[AsyncIterator[Json]]:
        """The events of the answer to *body*; those that came together are one."""
        return self._stream(body)

    @asynccontextmanager
    async def _stream(self, body: Json) -> AsyncIterator[AsyncIterator[Json]]:
        async with (
            self.wire.open_events(_PATH, self.trim(body)) as stream,
            aclosing(read_pieces(stream, _read_event)) as pieces,
        ):
            yield (_make_event(piece) async for piece in pieces)


def make_plain(answer: Json) -> Json:
    """What is used of a whole *answer*.

    Raises:
        KeyError, TypeError, AttributeError: it is in another format.
    """
    choices = [_make_plain_choice(choice) for choice in answer["choices"][:1]]  # one was asked for
    return {"choices": choices, "usage": _read_usage(answer) or None}


def _make_plain_choice(choice: Json) -> Json:
    message = choice["message"]
    functions = [call["function"] for call in message.get("tool_calls") or ()]
    calls = read_calls((function.get("name"), function.get("arguments")) for function in functions)
    plain: Json = {"role": "assistant", "content": read_text(message.get("content"))}
    if calls:
        plain["tool_calls"] = [
            {"id": f"call-{at}", "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for at, call in enumerate(calls)
        ]
    return {"index": 0, "message": plain, "finish_reason": read_word(choice.get("finish_reason")) or None}


def _read_usage(answer: Json) -> Usage:
    """None where any of it is nonsense. It is no reason to throw the text away."""
    usage = answer.get("usage")
    details = [usage.get(name) or {} for name in _DETAILS] if isinstance(usage, dict) else []
    if not all(isinstance(each, dict) for each in details):
        return {}
    counts = [count for each in details for count in each.values()]
    return read_usage(usage, _COUNTS) if all(count is None or is_count(count) for count in counts) else {}


def _read_event(event: Json) -> Piece:
    usage = _read_usage(event)
    for choice in event.get("choices") or ():
        delta: dict[str, Any] = choice.get("delta") or {}
        return Piece(read_text(delta.get("content")), read_word(choice.get("finish_reason")), usage)
    return Piece(usage=usage)


def _make_event(piece: Piece) -> Json:
    choice = {"index": 0, "delta": {"role": "assistant", "content": piece.text}, "finish_reason": piece.reason or None}
    return {"choices": [choice], "usage": piece.usage or None}
