"""A chat model of Anthropic, or of whoever speaks its format.

Wire format: https://docs.anthropic.com/en/api/messages
"""

import asyncio
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import anthropic
import httpx2
from langchain_anthropic import ChatAnthropic
from langchain_core.outputs import ChatGeneration
from pydantic import SecretStr

from providers.chat.pieces import Piece, Usage, read_calls, read_text, read_usage, read_word
from providers.chat.remote import RemoteModel
from providers.chat.vendors import SessionTransport, VendorModel
from providers.gate import Gate
from providers.openai_errors import EndpointInfo
from providers.openai_wire import Json
from providers.retries import CallLimits
from utils.checkpointer.circuit import Circuit
from utils.outbound import Guard

_COUNTS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


class AnthropicFormat:
    """See `AnswerFormat`; source: https://docs.anthropic.com/en/api/messages-streaming."""

    def read_answer(self, answer: Json) -> Piece:
        """See `AnswerFormat.read_answer`."""
        blocks = answer["content"]
        calls = [(block.get("name"), block.get("input")) for block in blocks if block.get("type") == "tool_use"]
        usage = read_usage(answer.get("usage"), _COUNTS)
        return Piece(read_text(blocks), read_word(answer.get("stop_reason"), "end_turn"), usage, read_calls(calls))

    def read_event(self, event: Json) -> Piece:
        """See `AnswerFormat.read_event`."""
        match event.get("type"):
            case "message_start":
                return Piece(usage=read_usage(event["message"].get("usage"), _COUNTS))
            case "content_block_start":
                return Piece(read_text([event["content_block"]]))
            case "content_block_delta" if event["delta"].get("type") == "text_delta":
                return Piece(read_text(event["delta"].get("text")))
            case "message_delta":
                reason = read_word(event["delta"].get("stop_reason"), "end_turn")
                return Piece(reason=reason, usage=read_usage(event.get("usage"), _COUNTS))
        return Piece()

    def make_answer(self, piece: Piece) -> Json:
        """See `AnswerFormat.make_answer`."""
        content: list[Json] = [{"type": "text", "text": piece.text}] if piece.text else []
        for at, call in enumerate(piece.calls):
            name, arguments = call.read()
            content.append({"type": "tool_use", "id": f"call-{at}", "name": name, "input": arguments})
        return {
            "id": "answer", "type": "message", "role": "assistant", "model": "", "content": content,
            "stop_reason": piece.reason or None, "stop_sequence": None, "usage": _fill(piece.usage),
        }  # fmt: skip

    def make_events(self, piece: Piece) -> list[Json]:
        """See `AnswerFormat.make_events`."""
        delta = {"type": "text_delta", "text": piece.text}
        text_event: Json = {"type": "content_block_delta", "index": 0, "delta": delta}
        end = {"stop_reason": piece.reason or None, "stop_sequence": None}
        ended: Json = {"type": "message_delta", "delta": end, "usage": _fill(piece.usage)}
        return [text_event] * bool(piece.text or not piece.usage) + [ended] * bool(piece.reason or piece.usage)


def _fill(usage: Usage) -> Usage:
    return {"input_tokens": 0, "output_tokens": 0, **usage}


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

    def find_reason(self, generation: ChatGeneration, output: Mapping[str, Any]) -> str | None:
        """See `VendorModel.find_reason`."""
        reason: str | None = generation.message.response_metadata.get("stop_reason")
        return (output.get("stop_reason") or "end_turn") if output else reason


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
    transport = SessionTransport(
        base_url, answer_format=AnthropicFormat(), connect_timeout_s=connect_timeout_s, guard=guard
    )
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
