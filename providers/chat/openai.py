"""A chat model at any OpenAI-compatible endpoint, with retries, deadlines and a fallback model.

Wire format: https://platform.openai.com/docs/api-reference/chat
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import openai
from httpx2 import Limits
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from providers.openai_errors import CALL_ERRORS, AnswerCut, Failure, Side, failure_of
from utils.errors import ProviderError

logger = logging.getLogger(__name__)

T = TypeVar("T")
_Stream = AsyncGenerator[ChatGenerationChunk, None]
_LONGEST_PAUSE_S = 8.0
# aiohttp's pool; its default of 100 would queue the rest. Servers such as vLLM close idle connections after 5 seconds:
# letting go of them before avoids writing into a connection that is just being closed.
_CONNECTIONS = Limits(max_connections=4096, max_keepalive_connections=4096, keepalive_expiry=4.0)


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long and how often to try.

    `timeout_s` bounds the wait for a whole answer, or for the first token of a streamed one, over all tries of one
    model; the fallback model gets as much again. `gap_timeout_s` bounds the silence between two tokens,
    `total_timeout_s` a whole stream. `max_retries` counts the tries after the first; the pause before them starts at
    `backoff_s` and doubles.
    """

    timeout_s: float = 60.0
    connect_timeout_s: float = 5.0
    gap_timeout_s: float = 30.0
    total_timeout_s: float = 600.0
    max_retries: int = 2
    backoff_s: float = 0.5


class _CallFailed(Exception):
    """The tries of one model are used up."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.problem.detail)
        self.failure = failure


class RemoteChatModel(ChatOpenAI):
    """`ChatOpenAI` that does not give up at once and fails in our terms. Asynchronous only; see `open_chat_model`.

    Rate limits, server errors and lost connections are retried, then the fallback model is asked; never once a token
    has been passed on. `response_metadata` says who answered: `answered_by`, a model's name, and `is_fallback`.

    All calls raise:
        ProviderUnavailable: the endpoint refused, failed or broke off, and the fallback model did not answer either.
        ProviderTimeout: the same, because it took too long.
    """

    limits: CallLimits
    fallback: ChatOpenAI | None = None

    async def aclose(self) -> None:
        """Close the connections; in the event loop that used them."""
        await self.root_async_client.close()

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        result, model = await self._ask_in_turn(
            lambda model: ChatOpenAI._agenerate(model, messages, stop, run_manager, **kwargs)
        )
        for generation in result.generations:
            generation.message.response_metadata |= self._signature(model)
        return result

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        # LangChain's core tells the run manager of each chunk; passing it on would report every token twice.
        (first, rest), model = await self._ask_in_turn(
            lambda model: _begin(cast(_Stream, ChatOpenAI._astream(model, messages, stop, **kwargs)))
        )
        async with aclosing(rest):
            first.message.response_metadata |= self._signature(model)
            yield first
            async for chunk in self._continue(first, rest, model):
                yield chunk

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError("Use the asynchronous methods: the others know neither retries nor deadlines.")

    _stream = _generate  # type: ignore[assignment] # both only refuse

    async def _ask_in_turn(self, ask: Callable[[ChatOpenAI], Awaitable[T]]) -> tuple[T, ChatOpenAI]:
        """What *ask* gives for the main model, else for the fallback; and which of them it was."""
        try:
            return await self._ask(self, ask), self
        except _CallFailed as exc:
            main, failure = exc.__cause__, exc.failure
        if self.fallback is None or not failure.replaceable:
            raise failure.problem from main
        logger.warning(
            "Asking the fallback chat model", extra={"model": self.model_name, "reason": str(failure.problem)}
        )
        try:
            return await self._ask(self.fallback, ask), self.fallback
        except _CallFailed as exc:
            raise _both_failed(failure.problem, exc.failure.problem) from exc.__cause__

    async def _ask(self, model: ChatOpenAI, ask: Callable[[ChatOpenAI], Awaitable[T]]) -> T:
        """What *ask* gives for *model*, tried as often as the limits allow.

        Raises:
            _CallFailed: no try succeeded; its cause is the last error.
        """
        now = asyncio.get_running_loop().time
        deadline = now() + self.limits.timeout_s
        tries, last = 0, None
        while True:
            tries += 1
            try:
                async with asyncio.timeout_at(deadline):
                    return await ask(model)
            except CALL_ERRORS as exc:
                # A try that the deadline ends says less than what the endpoint answered before.
                failure = last if last and now() >= deadline else failure_of(exc, _side(model))
                last, pause_s = failure, self._pause_s(failure, tries)
                if not failure.passing or tries > self.limits.max_retries or now() + pause_s >= deadline:
                    raise _CallFailed(failure) from exc
            details = {"model": model.model_name, "reason": failure.problem.detail, "tries": tries, "pause_s": pause_s}
            logger.warning("Trying the chat model again", extra=details)
            await asyncio.sleep(pause_s)

    def _pause_s(self, failure: Failure, tries: int) -> float:
        """Seconds before the next try: as the endpoint asks, else doubling and random, so that clients spread."""
        if failure.retry_after_s is not None:
            return failure.retry_after_s
        longest = min(_LONGEST_PAUSE_S, self.limits.backoff_s * 2 ** (tries - 1))
        return random.uniform(longest / 2, longest)  # noqa: S311 - no secret

    async def _continue(self, first: ChatGenerationChunk, rest: _Stream, model: ChatOpenAI) -> _Stream:
        """The chunks after the first; errors are final now."""
        now = asyncio.get_running_loop().time
        deadline = now() + self.limits.total_timeout_s
        finished = _is_last(first)
        while chunk := await _next(rest, model, min(now() + self.limits.gap_timeout_s, deadline)):
            finished = finished or _is_last(chunk)
            yield chunk
        if not finished:
            raise failure_of(AnswerCut(), _side(model)).problem

    def _signature(self, model: ChatOpenAI) -> dict[str, object]:
        return {"answered_by": model.model_name, "is_fallback": model is not self}


async def open_chat_model(
    *,
    base_url: str,
    api_key: SecretStr,
    model: str,
    temperature: float | None = None,
    fallback_model: str | None = None,
    limits: CallLimits | None = None,
) -> RemoteChatModel:
    """A chat model for the running event loop only; `aclose` it there.

    *base_url* is the part before `/chat/completions`. *temperature* None leaves it to the endpoint. *fallback_model* is
    another model of the same endpoint.
    """
    limits = limits or CallLimits()
    connect_s = min(limits.connect_timeout_s, limits.timeout_s)
    # Made here because LangChain's default client is cached over event loops and fails in the second one; on aiohttp
    # because httpx degrades with many calls in flight (9.0 against 3.7 CPU ms a call at 1000).
    http = openai.DefaultAioHttpClient(limits=_CONNECTIONS, timeout=openai.Timeout(None, connect=connect_s))
    common: dict[str, Any] = {
        "base_url": base_url,
        "api_key": api_key,
        "temperature": temperature,
        "timeout": openai.Timeout(None, connect=connect_s),  # the other deadlines are ours
        "max_retries": 0,  # so are the retries: the client's begin anew after every timeout
        "stream_usage": True,
        "stream_chunk_timeout": 0,  # LangChain's makes a task for every token
        "use_responses_api": False,
        "openai_proxy": None,
        "http_async_client": http,
    }
    fallback = ChatOpenAI(model=fallback_model, **common) if fallback_model else None
    return RemoteChatModel(model=model, limits=limits, fallback=fallback, **common)


async def _begin(stream: _Stream) -> tuple[ChatGenerationChunk, _Stream]:
    """The first chunk that says something, and the stream after it: until then another try does no harm.

    Raises:
        AnswerCut: there was none.
    """
    async for chunk in stream:
        if _says_something(chunk) or _is_last(chunk):
            return chunk, stream
    raise AnswerCut


async def _next(stream: _Stream, model: ChatOpenAI, until: float) -> ChatGenerationChunk | None:
    """The next chunk, None at the end; *until* is a time of the event loop."""
    try:
        async with asyncio.timeout_at(until):
            return await anext(stream, None)
    except CALL_ERRORS as exc:
        raise failure_of(exc, _side(model)).problem from exc


def _says_something(chunk: ChatGenerationChunk) -> bool:
    message = cast(AIMessageChunk, chunk.message)
    return bool(message.content or message.tool_call_chunks or message.additional_kwargs)


def _is_last(chunk: ChatGenerationChunk) -> bool:
    return "finish_reason" in (chunk.generation_info or {})


def _side(model: ChatOpenAI) -> Side:
    return Side("chat model", "LLM", model.model_name)


def _both_failed(main: ProviderError, fallback: ProviderError) -> ProviderError:
    return type(main)(f"{main.detail} The fallback model failed too: {fallback.detail}", headers=fallback.headers)
