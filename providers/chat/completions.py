"""What `ChatOpenAI` is given for OpenAI's client in its field `async_client`: chat completions over `OpenAIWire`.

The client costs three times the CPU of a call (`benchmarks/model_client.py`), most of it for typed objects that
LangChain takes apart again. What LangChain asks of it, tests/providers/test_completions.py holds to its version.

Wire format: https://platform.openai.com/docs/api-reference/chat
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field

from providers.openai_wire import EventStream, Json, OpenAIWire

_PATH = "/chat/completions"
_OTHER_NAMES = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_DETAILS = ("prompt_tokens_details", "completion_tokens_details")
# Nobody reads faster along, and what comes in between is one chunk: each costs far more than its text.
_READ_EVERY_S = 0.1


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
        return RawAnswer(_leave_out_nonsense(await self.completions.wire.ask(_PATH, sent)))


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
        """The events of the answer to *body*; those that only add text, and came together, are one."""
        return self._stream(body)

    @asynccontextmanager
    async def _stream(self, body: Json) -> AsyncIterator[AsyncIterator[Json]]:
        async with (
            self.wire.open_events(_PATH, self.trim(body)) as stream,
            aclosing(_read_now_and_then(stream)) as events,
        ):
            yield events


async def _read_now_and_then(stream: EventStream) -> AsyncGenerator[Json, None]:
    has_begun = has_ended = False
    async for events in stream:
        for event in joined(map(_leave_out_nonsense, events)):
            for choice in event.get("choices") or ():
                delta = choice.get("delta") or {}
                has_begun = has_begun or any(value for name, value in delta.items() if name != "role")
                has_ended = has_ended or bool(choice.get("finish_reason"))
            yield event
        if has_begun and not has_ended:
            await stream.look_away(_READ_EVERY_S)


def _leave_out_nonsense(answer: Json) -> Json:
    """*answer*, changed: without a `usage` that is none. It is no reason to throw the text away."""
    if answer.get("usage") is not None and not _is_usage(answer["usage"]):
        answer["usage"] = None
    return answer


def _is_usage(usage: object) -> bool:
    if not isinstance(usage, dict):
        return False
    counts = [usage.get(name) for name in _COUNTS]
    for name in _DETAILS:
        details = usage.get(name) or {}
        if not isinstance(details, dict):
            return False
        counts.extend(details.values())
    return all(count is None or (type(count) is int and count >= 0) for count in counts)


def joined(events: Iterable[Json]) -> Iterator[Json]:
    """*events* in order, with neighbours that only add text made one; the first of them is changed.

    Each event costs the same, however short its text is.
    """
    held: Json | None = None
    for event in events:
        if (text := _plain_text(event)) is None:
            if held is not None:
                yield held
            held = None
            yield event
        elif held is None:
            held = event
        else:
            held["choices"][0]["delta"]["content"] += text
    if held is not None:
        yield held


def _plain_text(event: Json) -> str | None:
    """The text that is all *event* says, None if it says anything else."""
    match event:
        case {"choices": [{"delta": {"content": str(text), **delta}, **choice}]} if not event.get("usage"):
            silent = not choice.get("finish_reason") and not choice.get("logprobs")
            return text if silent and delta.keys() <= {"role"} else None
    return None
