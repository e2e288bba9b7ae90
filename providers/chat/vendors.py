"""What chat models of vendors with formats of their own share: connections, errors, limits and reasons to end.

The vendors' clients send over the connections of all models, so that the guard against private addresses, proxies,
limits and errors are the same for every provider. Of an answer they are given what is used of it, written anew.
"""

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, ClassVar, Protocol, cast

import aiohttp
import httpx
import httpx2
import orjson
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field, SkipValidation

from providers.answer_limits import CHAT
from providers.chat.pieces import Piece, read_pieces
from providers.chat.remote import AskedModel, Stream
from providers.openai_errors import CALL_ERRORS, EndpointError, StatusError
from providers.openai_wire import KEPT_IDLE_S, MAX_CONNECTIONS, EventStream, Json, read_answer, read_refusal
from utils.outbound import AnswerTooLarge, Guard, find_proxy, open_session

_SET_BY_AIOHTTP = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding"}


class VendorModel(AskedModel):
    """One model of a vendor, asked once, over `transport`.

    `attributes` says which of its fields holds what may be left out, `reasons` what ends an answer in OpenAI's words.
    """

    transport: SkipValidation["SessionTransport"] = Field(exclude=True, repr=False)
    left_out: set[str] = Field(default_factory=set, exclude=True, repr=False)
    attributes: ClassVar[Mapping[str, str]] = {}
    reasons: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def find_reason(self, generation: ChatGeneration, output: Mapping[str, Any]) -> str | None:
        """Why the answer ends with *generation*, in the vendor's words; None if not. *output*: of a whole answer."""

    async def ask_once(self, messages: list[BaseMessage], options: dict[str, Any]) -> ChatResult:
        """A whole answer."""
        with in_our_terms():
            result = await super()._agenerate(messages, **self.trim(options))
        for generation in result.generations:
            self.note_end(generation, self.find_reason(generation, result.llm_output or {}))
        return result

    async def stream_once(self, messages: list[BaseMessage], options: dict[str, Any]) -> Stream:
        """An answer in chunks."""
        with in_our_terms():
            chunks = super()._astream(messages, **self.trim(options))
            async with aclosing(cast(AsyncGenerator[ChatGenerationChunk], chunks)):
                async for chunk in chunks:
                    self.note_end(chunk, self.find_reason(chunk, {}))
                    yield chunk

    def leave_out(self, parameter: str) -> bool:
        """Send no such parameter any more; whether that is new."""
        is_new = parameter not in self.left_out
        self.left_out.add(parameter)
        if parameter in self.attributes:
            setattr(self, self.attributes[parameter], None)
        return is_new

    def trim(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """*options* without what the endpoint does not take."""
        return {name: value for name, value in options.items() if name not in self.left_out}

    def note_end(self, generation: ChatGeneration, reason: str | None) -> None:
        """Let *generation* tell that it ends the answer, if it does for a *reason* of the vendor's."""
        if reason:
            finish_reason = self.reasons.get(reason, "stop")
            generation.generation_info = {**(generation.generation_info or {}), "finish_reason": finish_reason}
            generation.message.response_metadata["finish_reason"] = finish_reason


class AnswerFormat(Protocol):
    """How a vendor says what a `Piece` is. Reading raises ValueError, TypeError, KeyError or AttributeError."""

    def read_answer(self, answer: Json) -> Piece:
        """What is used of a whole answer."""
        ...

    def read_event(self, event: Json) -> Piece:
        """What is used of an event."""
        ...

    def make_answer(self, piece: Piece) -> Json:
        """A whole answer that says *piece*."""
        ...

    def make_events(self, piece: Piece) -> list[Json]:
        """Events that say *piece*."""
        ...


class SessionTransport(httpx.AsyncBaseTransport, httpx2.AsyncBaseTransport):
    """A transport of httpx and httpx2 over an aiohttp session, for the running event loop alone.

    Which of them a vendor's client is made with changes from version to version. A refusal is a `StatusError` at once:
    what a vendor's client makes of it would say less.
    """

    def __init__(
        self, base_url: str, *, answer_format: AnswerFormat, connect_timeout_s: float, guard: Guard | None
    ) -> None:
        self._format = answer_format
        self._proxy = None if guard else find_proxy(base_url)  # a proxy would connect to any address
        self._session = open_session(
            base_url,
            headers={},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s),
            connections=MAX_CONNECTIONS,
            idle_s=KEPT_IDLE_S,
            guard=guard,
        )

    async def handle_async_request(self, request: Any) -> Any:
        """The answer to *request*.

        Raises:
            StatusError: the endpoint refuses, or sends elsewhere.
            AnswerTooLarge: a whole answer is too large.
        """
        sent = await request.aread()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _SET_BY_AIOHTTP}
        response = await self._session.request(
            request.method,
            str(request.url),
            headers=headers,
            data=sent,
            proxy=self._proxy,
            allow_redirects=False,
        )
        if response.status >= 300:
            async with response:
                raise await read_refusal(response)
        kind = httpx.Response if isinstance(request, httpx.Request) else httpx2.Response
        if _is_streamed(request, sent):
            named, events = {"content-type": "text/event-stream"}, _Events(response, self._format)
            return kind(response.status, headers=named, stream=events, request=request)
        async with response:
            piece = self._format.read_answer(await read_answer(response, CHAT))
        body, named = orjson.dumps(self._format.make_answer(piece)), {"content-type": "application/json"}
        return kind(response.status, headers=named, content=body, request=request)

    def close(self) -> None:
        """For clients that are not asynchronous: `aclose` closes the connections."""

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()


class _Events(httpx.AsyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse, answer_format: AnswerFormat) -> None:
        self._response, self._format = response, answer_format

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(read_pieces(EventStream(self._response), self._format.read_event)) as pieces:
            async for piece in pieces:
                for event in self._format.make_events(piece):
                    name = f"event: {event['type']}\n" if "type" in event else ""
                    yield b"%sdata: %s\n\n" % (name.encode(), orjson.dumps(event))

    async def aclose(self) -> None:
        self._response.close()


def _is_streamed(request: Any, sent: bytes) -> bool:
    """Whether an answer in events was asked for; the endpoint's own word for what it sends is not to be trusted."""
    return ":streamGenerateContent" in request.url.path or bool(orjson.loads(sent).get("stream"))


@contextmanager
def in_our_terms() -> Iterator[None]:
    """Within the block errors are those of `CALL_ERRORS`, whatever a vendor's client makes of them."""
    try:
        yield
    except Exception as exc:
        cause = _find_cause(exc)
        if cause is exc:
            raise
        raise cause from None


def _find_cause(exc: BaseException) -> Exception:
    """What of `CALL_ERRORS` led to *exc*; what the endpoint said inside its answer is an `EndpointError`."""
    chain: list[BaseException] = []
    at: BaseException | None = exc
    while at is not None and at not in chain:
        chain.append(at)
        at = at.__cause__ or at.__context__
    of_the_wire = (StatusError, EndpointError, AnswerTooLarge, aiohttp.ClientError, OSError)
    for kinds in (of_the_wire, CALL_ERRORS):
        if found := next((each for each in chain if isinstance(each, kinds)), None):
            return found
    return EndpointError()
