"""A chat model at any OpenAI-compatible endpoint, with retries, deadlines and a fallback model.

Wire format: https://platform.openai.com/docs/api-reference/chat
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any, TypeVar, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from pydantic import Field, SecretStr, SkipValidation

from providers.chat.completions import Completions
from providers.gate import Gate
from providers.openai_errors import CALL_ERRORS, AnswerCut, CallFailure, Side, describe_failure
from providers.openai_wire import MOST_CONNECTIONS, OpenAIWire
from providers.retries import CallFailed, CallLimits, retry
from utils.checkpointer.circuit import Circuit
from utils.errors import ProviderError, ProviderUnavailable
from utils.token_usage import add_tokens, estimate_tokens

logger = logging.getLogger(__name__)

T = TypeVar("T")
_FAILURES = 3  # in a row, and the endpoint counts as away
_AWAY = "The chat model does not answer: answers are quotes from the documents"
_BACK = "The chat model answers again"
_Stream = AsyncGenerator[ChatGenerationChunk, None]


class EndpointModel(ChatOpenAI):
    """One model of an endpoint, asked once; its requests and answers are LangChain's."""

    async def ask_once(self, messages: list[BaseMessage], options: dict[str, Any]) -> ChatResult:
        """A whole answer."""
        return await super()._agenerate(messages, **options)

    def stream_once(self, messages: list[BaseMessage], options: dict[str, Any]) -> _Stream:
        """An answer in chunks."""
        # LangChain's core tells the run manager of each chunk; passing it on would report every token twice.
        return cast(_Stream, super()._astream(messages, stream_usage=True, **options))


class RemoteChatModel(EndpointModel):
    """`ChatOpenAI` that does not give up at once and fails in our terms. Asynchronous only; see `open_chat_model`.

    Its requests travel over `OpenAIWire` instead of OpenAI's client. Pieces of a stream that have come in together are
    one chunk.

    Rate limits, server errors and lost connections are retried, then the fallback model is asked; never once a token
    has been passed on. `response_metadata` says who answered: `answered_by`, a model's name, and `is_fallback`.

    All calls raise:
        ProviderUnavailable: the endpoint refused, failed or broke off, and the fallback model did not answer either; or
            it did so lately, and was not asked.
        ProviderTimeout: the same, because it took too long.
        ProviderBusy: too many calls were under way for too long; nothing was asked.
    """

    limits: CallLimits
    wire: SkipValidation[OpenAIWire] = Field(exclude=True, repr=False)
    gate: SkipValidation[Gate] = Field(exclude=True, repr=False)
    circuit: SkipValidation[Circuit] = Field(exclude=True, repr=False)
    fallback: EndpointModel | None = None

    async def aclose(self) -> None:
        """Close the connections; in the event loop that used them."""
        await self.wire.aclose()

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        async def ask(model: EndpointModel) -> ChatResult:
            return await model.ask_once(messages, {"stop": stop, **kwargs})

        async with self._inside():
            result, model = await self._ask_in_turn(ask)
            for generation in result.generations:
                generation.message.response_metadata |= self._signature(model)
                if not self._note_usage(generation.message):
                    _add_estimate(messages, len(generation.message.text))
        return result

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async def ask(model: EndpointModel) -> tuple[ChatGenerationChunk, _Stream]:
            return await _begin(self._chunks(model, messages, {"stop": stop, **kwargs}))

        async with self._inside():
            (first, rest), model = await self._ask_in_turn(ask)
            said, is_told = len(first.text), bool(cast(AIMessage, first.message).usage_metadata)
            try:
                async with aclosing(rest):
                    first.message.response_metadata |= self._signature(model)
                    yield first
                    async for chunk in self._continue(first, rest, model):
                        said += len(chunk.text)
                        is_told = is_told or bool(cast(AIMessage, chunk.message).usage_metadata)
                        yield chunk
            finally:
                if not is_told:  # what was begun has been paid for, though its reader has left
                    _add_estimate(messages, said)

    async def _chunks(self, model: EndpointModel, messages: list[BaseMessage], options: dict[str, Any]) -> _Stream:
        async with aclosing(model.stream_once(messages, options)) as chunks:
            async for chunk in chunks:
                self._note_usage(chunk.message)
                yield chunk

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError("Use the asynchronous methods: the others know neither retries nor deadlines.")

    _stream = _generate  # type: ignore[assignment] # both only refuse

    @asynccontextmanager
    async def _inside(self) -> AsyncIterator[None]:
        """A place at the gate, unless the endpoint is known to be away; a block that comes to its end has worked."""
        if not self.circuit.may_try():
            raise ProviderUnavailable("The chat model endpoint is away. It is asked again in a moment.")
        async with self.gate.hold_place():
            yield
            self.circuit.note_success()

    def _note(self, failure: CallFailure) -> None:
        """Remember that a call has failed; a request that is refused tells nothing of others."""
        logger.warning("The chat model failed: %s", failure.problem.detail)
        if failure.is_lasting:
            self.circuit.open(failure.problem)
        elif failure.reason != "refused":
            self.circuit.note_failure(failure.problem)

    async def _ask_in_turn(self, ask: Callable[[EndpointModel], Awaitable[T]]) -> tuple[T, EndpointModel]:
        """What *ask* gives for the main model, else for the fallback; and which of them it was."""
        try:
            return await self._ask(self, ask), self
        except CallFailed as exc:
            main, failure = exc.__cause__, exc.failure
        if self.fallback is None or not failure.replaceable:
            self._note(failure)
            raise failure.problem from main
        logger.warning(
            "Asking the fallback chat model", extra={"model": self.model_name, "reason": str(failure.problem)}
        )
        self.gate.observer.note_fallback()
        try:
            return await self._ask(self.fallback, ask), self.fallback
        except CallFailed as exc:
            self._note(failure)
            raise _both_failed(failure.problem, exc.failure.problem) from exc.__cause__

    async def _ask(self, model: EndpointModel, ask: Callable[[EndpointModel], Awaitable[T]]) -> T:
        return await retry(partial(ask, model), _side(model), self.limits, self.gate.observer)

    async def _continue(self, first: ChatGenerationChunk, rest: _Stream, model: EndpointModel) -> _Stream:
        """The chunks after the first; errors are final now."""
        now = asyncio.get_running_loop().time
        deadline = now() + self.limits.total_timeout_s
        finished = _is_last(first)
        while chunk := await self._next(rest, model, min(now() + self.limits.gap_timeout_s, deadline)):
            finished = finished or _is_last(chunk)
            yield chunk
        if not finished:
            raise self._failed(AnswerCut(), model)

    async def _next(self, stream: _Stream, model: EndpointModel, until: float) -> ChatGenerationChunk | None:
        """The next chunk, None at the end; *until* is a time of the event loop."""
        try:
            async with asyncio.timeout_at(until):
                return await anext(stream, None)
        except CALL_ERRORS as exc:
            raise self._failed(exc, model) from exc

    def _failed(self, exc: Exception, model: EndpointModel) -> ProviderError:
        failure = describe_failure(exc, _side(model))
        self.gate.observer.note_failed_try(failure.reason)
        self._note(failure)
        return failure.problem

    def _note_usage(self, message: BaseMessage) -> bool:
        """Count what *message* says it has cost, if it says so."""
        usage = cast(AIMessage, message).usage_metadata
        if not usage:
            return False
        self.gate.observer.note_tokens(input_tokens=usage["input_tokens"], output_tokens=usage["output_tokens"])
        add_tokens(usage["input_tokens"] + usage["output_tokens"])
        return True

    def _signature(self, model: EndpointModel) -> dict[str, object]:
        return {"answered_by": model.model_name, "is_fallback": model is not self}


async def open_chat_model(
    *,
    base_url: str,
    api_key: SecretStr,
    model: str,
    temperature: float | None = None,
    fallback_model: str | None = None,
    limits: CallLimits | None = None,
    gate: Gate | None = None,
    retry_after_s: float = 0.0,
) -> RemoteChatModel:
    """A chat model for the running event loop only; `aclose` it there.

    *base_url* is the part before `/chat/completions`. *temperature* None leaves it to the endpoint. *fallback_model* is
    another model of the same endpoint. *gate* bounds the calls at once; without it the connections do. An endpoint that
    has failed three times in a row is asked once in *retry_after_s*, until it has answered.
    """
    limits = limits or CallLimits()
    wire = OpenAIWire(base_url, api_key, connect_timeout_s=min(limits.connect_timeout_s, limits.timeout_s))
    common: dict[str, Any] = {
        "async_client": Completions(wire),
        "stream_chunk_timeout": 0,  # `limits` bound that
        "base_url": base_url,
        "api_key": api_key,
        "temperature": temperature,
        "use_responses_api": False,
        "openai_proxy": None,
    }
    return RemoteChatModel(
        model=model,
        limits=limits,
        wire=wire,
        gate=gate or Gate(MOST_CONNECTIONS, wait_s=limits.timeout_s, name="chat model"),
        circuit=Circuit(retry_s=retry_after_s, threshold=_FAILURES, away=_AWAY, back=_BACK),
        fallback=EndpointModel(model=fallback_model, **common) if fallback_model else None,
        **common,
    )


async def _begin(stream: _Stream) -> tuple[ChatGenerationChunk, _Stream]:
    """The first chunk that says something, and the stream after it: until then another try does no harm.

    Raises:
        AnswerCut: there was none.
    """
    async for chunk in stream:
        if _says_something(chunk) or _is_last(chunk):
            return chunk, stream
    raise AnswerCut


def _says_something(chunk: ChatGenerationChunk) -> bool:
    message = cast(AIMessageChunk, chunk.message)
    return bool(message.content or message.tool_call_chunks or message.additional_kwargs)


def _is_last(chunk: ChatGenerationChunk) -> bool:
    return "finish_reason" in (chunk.generation_info or {})


def _side(model: EndpointModel) -> Side:
    return Side("chat model", "LLM", model.model_name)


def _both_failed(main: ProviderError, fallback: ProviderError) -> ProviderError:
    return type(main)(f"{main.detail} The fallback model failed too: {fallback.detail}", headers=fallback.headers)


def _add_estimate(messages: list[BaseMessage], said: int) -> None:
    add_tokens(estimate_tokens(sum(len(message.text) for message in messages) + said))
