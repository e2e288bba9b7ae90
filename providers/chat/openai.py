"""A chat model at any OpenAI-compatible endpoint.

Wire format: https://platform.openai.com/docs/api-reference/chat
"""

import asyncio
from dataclasses import replace
from typing import Any, cast

from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from providers.chat.completions import Completions
from providers.chat.remote import AskedModel, RemoteModel, Stream
from providers.gate import Gate
from providers.openai_errors import EndpointInfo
from providers.openai_wire import MAX_CONNECTIONS, OpenAIWire
from providers.retries import CallLimits
from utils.checkpointer.circuit import Circuit
from utils.outbound import Guard

FAILURES = 3  # in a row, and the endpoint counts as away
_AWAY = "The chat model does not answer: answers are quotes from the documents"
_BACK = "The chat model answers again"


class EndpointModel(AskedModel, ChatOpenAI):
    """One model of an endpoint, asked once; its requests and answers are LangChain's.

    Its requests travel over `OpenAIWire` instead of OpenAI's client. Pieces of a stream that have come in together are
    one chunk.
    """

    async def ask_once(self, messages: list[BaseMessage], options: dict[str, Any]) -> ChatResult:
        """A whole answer."""
        return await super()._agenerate(messages, **options)

    def stream_once(self, messages: list[BaseMessage], options: dict[str, Any]) -> Stream:
        """An answer in chunks."""
        # LangChain's core tells the run manager of each chunk; passing it on would report every token twice.
        return cast(Stream, super()._astream(messages, stream_usage=True, **options))

    def leave_out(self, parameter: str) -> bool:
        """Send no such parameter any more; whether that is new. The names of the limit stand in for each other."""
        return cast(Completions, self.async_client).leave_out(parameter)


class RemoteChatModel(RemoteModel, EndpointModel):
    """A model of an OpenAI-compatible endpoint; see `open_chat_model`."""


async def open_chat_model(
    *,
    base_url: str,
    api_key: SecretStr,
    model: str,
    temperature: float | None = None,
    max_tokens: int | None = None,
    fallback_model: str | None = None,
    limits: CallLimits | None = None,
    gate: Gate | None = None,
    retry_after_s: float = 0.0,
    circuit: Circuit | None = None,
    side: EndpointInfo | None = None,
    guard: Guard | None = None,
) -> RemoteChatModel:
    """A chat model for the running event loop only; `aclose` it there.

    *base_url* is the part before `/chat/completions`. *temperature* and *max_tokens* None leave it to the endpoint.
    *fallback_model* is another model of the same endpoint. *gate* bounds the calls at once; without it the connections
    do. An endpoint that has failed three times in a row is asked once in *retry_after_s*, until it has answered, unless
    there is a *circuit*. *side* is what messages call it, *guard* keeps it from private addresses.
    """
    limits, side = limits or CallLimits(), side or EndpointInfo("chat model", "LLM", model)
    connect_timeout_s = min(limits.connect_timeout_s, limits.timeout_s)
    wire = OpenAIWire(base_url, api_key, connect_timeout_s=connect_timeout_s, guard=guard)
    common: dict[str, Any] = {
        "stream_chunk_timeout": 0,  # `limits` bound that
        "base_url": base_url,
        "api_key": api_key,
        "temperature": temperature,
        "max_completion_tokens": max_tokens,
        "use_responses_api": False,
        "openai_proxy": None,
    }
    # In a thread: the first one imports more of OpenAI's package.
    return await asyncio.to_thread(
        lambda: RemoteChatModel(
            model=model,
            side=side,
            async_client=Completions(wire),
            limits=limits,
            close_connections=wire.aclose,
            gate=gate or Gate(MAX_CONNECTIONS, wait_s=limits.timeout_s, name=side.name),
            circuit=circuit or Circuit(retry_s=retry_after_s, threshold=FAILURES, away=_AWAY, back=_BACK),
            fallback=_make_fallback(fallback_model, side, wire, common) if fallback_model else None,
            **common,
        )
    )


def _make_fallback(model: str, side: EndpointInfo, wire: OpenAIWire, common: dict[str, Any]) -> EndpointModel:
    return EndpointModel(model=model, side=replace(side, model=model), async_client=Completions(wire), **common)
