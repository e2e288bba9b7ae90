"""A chat model of Anthropic, or of whoever speaks its format.

Wire format: https://docs.anthropic.com/en/api/messages
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import cached_property
from typing import Any, ClassVar, cast

import anthropic
import httpx2
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import SecretStr

from providers.chat.remote import RemoteModel, Stream
from providers.chat.vendors import SessionTransport, VendorModel, in_our_terms
from providers.gate import Gate
from providers.openai_errors import EndpointInfo
from providers.retries import CallLimits
from utils.checkpointer.circuit import Circuit
from utils.outbound import Guard


class AnthropicModel(VendorModel, ChatAnthropic):
    """One model, asked once; its requests and answers are LangChain's."""

    attributes: ClassVar = {"temperature": "temperature"}
    reasons: ClassVar = {
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "refusal": "content_filter",
        "tool_use": "tool_calls",
    }

    @cached_property
    def _async_client(self) -> anthropic.AsyncAnthropic:
        # LangChain lets nobody choose what its client sends over; tests/providers/test_vendors.py holds it to the name.
        client = anthropic.AsyncAnthropic(
            api_key=self.anthropic_api_key.get_secret_value(),
            base_url=self.anthropic_api_url,
            max_retries=0,
            timeout=None,  # `limits` bound that
            http_client=httpx2.AsyncClient(transport=self.transport, trust_env=False, timeout=None),
        )
        client.auth_token = None  # that of the environment is the operator's
        return client

    async def ask_once(self, messages: list[BaseMessage], options: dict[str, Any]) -> ChatResult:
        """A whole answer."""
        with in_our_terms():
            result = await super()._agenerate(messages, **self.trim(options))
        for said in result.generations:
            self.note_end(said, (result.llm_output or {}).get("stop_reason") or "end_turn")
        return result

    async def stream_once(self, messages: list[BaseMessage], options: dict[str, Any]) -> Stream:
        """An answer in chunks."""
        with in_our_terms():
            chunks = super()._astream(messages, **self.trim(options))
            async with aclosing(cast(AsyncGenerator[ChatGenerationChunk], chunks)):
                async for chunk in chunks:
                    self.note_end(chunk, chunk.message.response_metadata.get("stop_reason"))
                    yield chunk


class RemoteAnthropicModel(RemoteModel, AnthropicModel):
    """A model at an endpoint of Anthropic's format; see `open_chat_model`."""


async def open_chat_model(
    *,
    base_url: str,
    api_key: SecretStr,
    model: str,
    temperature: float | None,
    max_tokens: int | None,
    limits: CallLimits,
    gate: Gate,
    circuit: Circuit,
    side: EndpointInfo,
    guard: Guard | None,
) -> RemoteAnthropicModel:
    """See `providers.chat.openai.open_chat_model`; *base_url* is the part before `/v1/messages`."""
    connect_timeout_s = min(limits.connect_timeout_s, limits.timeout_s)
    transport = SessionTransport(base_url, connect_timeout_s=connect_timeout_s, guard=guard)
    return await asyncio.to_thread(
        lambda: RemoteAnthropicModel(  # type: ignore[call-arg] # mypy does not know all names of the fields
            model=model,
            base_url=base_url,
            api_key=api_key,
            temperature=temperature,
            max_tokens=max_tokens,
            stream_usage=True,
            anthropic_proxy=None,
            transport=transport,
            close_connections=transport.aclose,
            limits=limits,
            gate=gate,
            circuit=circuit,
            side=side,
        )
    )
