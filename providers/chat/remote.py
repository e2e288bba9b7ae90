"""A chat model at an endpoint that is not given up at once: retries, deadlines, a fallback model, a circuit, a gate."""

import asyncio
import logging
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any, TypeVar, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import Field, SkipValidation

from providers.answer_limits import is_count
from providers.gate import Gate
from providers.openai_errors import (
    CALL_ERRORS,
    AnswerCut,
    AnswerEmpty,
    AnswerEndless,
    CallFailure,
    EndpointInfo,
    StatusError,
    describe_failure,
)
from providers.retries import CallFailed, CallLimits, retry
from utils.checkpointer.circuit import Circuit
from utils.errors import ProviderError, ProviderUnavailable
from utils.token_usage import add_tokens, estimate_tokens

logger = logging.getLogger(__name__)

T = TypeVar("T")
_ASYNCHRONOUS = "Use the asynchronous methods: the others know neither retries nor deadlines."
Stream = AsyncGenerator[ChatGenerationChunk, None]


class AskedModel(BaseChatModel):
    """One model of an endpoint, asked once. Its errors are those of `providers.openai_errors.CALL_ERRORS`."""

    side: SkipValidation[EndpointInfo] = Field(exclude=True, repr=False)

    @abstractmethod
    async def ask_once(self, messages: list[BaseMessage], options: dict[str, Any]) -> ChatResult:
        """A whole answer."""

    @abstractmethod
    def stream_once(self, messages: list[BaseMessage], options: dict[str, Any]) -> Stream:
        """An answer in chunks; the last one has a `finish_reason` in its `generation_info`."""

    @abstractmethod
    def leave_out(self, parameter: str) -> bool:
        """Send no such parameter any more, which the endpoint does not take; whether that is new."""


class RemoteModel(AskedModel):
    """A model that does not give up at once and fails in our terms. Asynchronous only.

    To stand before an `AskedModel` of a vendor among the bases of a class. Rate limits, server errors and lost
    connections are retried, then the fallback model is asked; never once a token has been passed on.
    `response_metadata` says who answered: `answered_by`, a model's name, and `is_fallback`.

    All calls raise:
        ProviderUnavailable: the endpoint refused, failed or broke off, and the fallback model did not answer either; or
            it did so lately, and was not asked.
        ProviderTimeout: the same, because it took too long.
        ProviderBusy: too many calls were under way for too long; nothing was asked.
    """

    limits: CallLimits
    gate: SkipValidation[Gate] = Field(exclude=True, repr=False)
    circuit: SkipValidation[Circuit] = Field(exclude=True, repr=False)
    fallback: AskedModel | None = None
    close_connections: SkipValidation[Callable[[], Awaitable[None]]] = Field(exclude=True, repr=False)

    async def aclose(self) -> None:
        """Close the connections; in the event loop that used them."""
        await self.close_connections()

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        async def ask(model: AskedModel) -> ChatResult:
            result = await model.ask_once(messages, {"stop": stop, **kwargs})
            if not result.generations:
                raise AnswerEmpty
            return result

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
        async def ask(model: AskedModel) -> tuple[ChatGenerationChunk, Stream]:
            return await _begin(self._chunks(model, messages, {"stop": stop, **kwargs}))

        async with self._inside():
            (first, rest), model = await self._ask_in_turn(ask)
            size, has_usage = len(first.text), bool(cast(AIMessage, first.message).usage_metadata)
            try:
                async with aclosing(rest):
                    first.message.response_metadata |= self._signature(model)
                    yield first
                    async for chunk in self._continue(first, rest, model):
                        size += len(chunk.text)
                        has_usage = has_usage or bool(cast(AIMessage, chunk.message).usage_metadata)
                        yield chunk
            finally:
                if not has_usage:  # what was begun has been paid for, though its reader has left
                    _add_estimate(messages, size)

    async def _chunks(self, model: AskedModel, messages: list[BaseMessage], options: dict[str, Any]) -> Stream:
        async with aclosing(model.stream_once(messages, options)) as chunks:
            async for chunk in chunks:
                self._note_usage(chunk.message)
                yield chunk

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError(_ASYNCHRONOUS)

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        raise NotImplementedError(_ASYNCHRONOUS)

    @asynccontextmanager
    async def _inside(self) -> AsyncIterator[None]:
        """A place at the gate, unless the endpoint is known to be away; a block that comes to its end has worked."""
        if not self.circuit.may_try():
            raise ProviderUnavailable(f"The endpoint of the {self.side.name} is away. It is asked again in a moment.")
        async with self.gate.hold_place():
            yield
            self.circuit.note_success()

    def _note(self, failure: CallFailure) -> None:
        """Remember that a call has failed, unless what was asked may be why: that tells nothing of other calls."""
        cause = {"cause": failure.cause} if failure.cause else {}
        logger.warning("The %s failed: %s", self.side.name, failure.problem.detail, extra=cause)
        if failure.is_lasting:
            self.circuit.open(failure.problem)
        elif not failure.is_of_question:
            self.circuit.note_failure(failure.problem)

    async def _ask_in_turn(self, ask: Callable[[AskedModel], Awaitable[T]]) -> tuple[T, AskedModel]:
        """What *ask* gives for the main model, else for the fallback; and which of them it was."""
        try:
            return await self._ask(self, ask), self
        except CallFailed as exc:
            main, failure = exc.__cause__, exc.failure
        if self.fallback is None or not failure.replaceable:
            self._note(failure)
            raise failure.problem from main
        logger.warning(
            "Asking the fallback chat model", extra={"model": self.side.model, "reason": str(failure.problem)}
        )
        self.gate.observer.note_fallback()
        try:
            return await self._ask(self.fallback, ask), self.fallback
        except CallFailed as exc:
            self._note(failure)
            raise _both_failed(failure.problem, exc.failure.problem) from exc.__cause__

    async def _ask(self, model: AskedModel, ask: Callable[[AskedModel], Awaitable[T]]) -> T:
        return await retry(partial(_ask_for_less, ask, model), model.side, self.limits, self.gate.observer)

    async def _continue(self, first: ChatGenerationChunk, rest: Stream, model: AskedModel) -> Stream:
        """The chunks after the first; errors are final now."""
        now = asyncio.get_running_loop().time
        deadline = now() + self.limits.total_timeout_s
        finished = _is_last(first)
        while chunk := await self._next(rest, model, deadline):
            finished = finished or _is_last(chunk)
            yield chunk
        if not finished:
            raise self._failed(AnswerCut(), model)

    async def _next(self, stream: Stream, model: AskedModel, deadline: float) -> ChatGenerationChunk | None:
        """The next chunk, None at the end; *deadline* of the whole stream is a time of the event loop."""
        silent_until = asyncio.get_running_loop().time() + self.limits.gap_timeout_s
        try:
            async with asyncio.timeout_at(min(silent_until, deadline)):
                return await anext(stream, None)
        except CALL_ERRORS as exc:
            is_endless = isinstance(exc, TimeoutError) and deadline < silent_until
            raise self._failed(AnswerEndless() if is_endless else exc, model) from exc

    def _failed(self, exc: Exception, model: AskedModel) -> ProviderError:
        failure = describe_failure(exc, model.side)
        self.gate.observer.note_failed_try(failure.reason)
        self._note(failure)
        return failure.problem

    def _note_usage(self, message: BaseMessage) -> bool:
        """Count what *message* says it has cost, if it says so."""
        usage = cast(AIMessage, message).usage_metadata
        if not usage or not (is_count(usage["input_tokens"]) and is_count(usage["output_tokens"])):
            return False
        self.gate.observer.note_tokens(input_tokens=usage["input_tokens"], output_tokens=usage["output_tokens"])
        add_tokens(usage["input_tokens"], usage["output_tokens"])
        return True

    def _signature(self, model: AskedModel) -> dict[str, object]:
        return {"answered_by": model.side.model, "is_fallback": model is not self}


async def _ask_for_less(ask: Callable[[AskedModel], Awaitable[T]], model: AskedModel) -> T:
    """What *ask* gives for *model*, from now on without the parameters that its endpoint does not take."""
    refused: set[str] = set()
    while True:
        try:
            return await ask(model)
        except StatusError as exc:
            if not exc.unwanted or exc.unwanted in refused:
                raise
            refused.add(exc.unwanted)
            if model.leave_out(exc.unwanted):
                named = model.side.name, model.side.model, exc.unwanted
                logger.warning("The %s (%r) does not take %s: it is asked without it from now on.", *named)


async def _begin(stream: Stream) -> tuple[ChatGenerationChunk, Stream]:
    """The first chunk that says something, and the stream after it: until then another try does no harm.

    Raises:
        AnswerCut: there was none.
    """
    async for chunk in stream:
        if _has_content(chunk) or _is_last(chunk):
            return chunk, stream
    raise AnswerCut


def _has_content(chunk: ChatGenerationChunk) -> bool:
    message = cast(AIMessageChunk, chunk.message)
    return bool(message.content or message.tool_call_chunks or message.additional_kwargs)


def _is_last(chunk: ChatGenerationChunk) -> bool:
    return "finish_reason" in (chunk.generation_info or {})


def _both_failed(main: ProviderError, fallback: ProviderError) -> ProviderError:
    return type(main)(f"{main.detail} The fallback model failed too: {fallback.detail}", headers=fallback.headers)


def _add_estimate(messages: list[BaseMessage], size: int) -> None:
    add_tokens(estimate_tokens(sum(len(message.text) for message in messages)), estimate_tokens(size))
