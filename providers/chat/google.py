"""A chat model of Google's Gemini API, or of whoever speaks its format.

Wire format: https://ai.google.dev/api/generate-content
"""

import asyncio
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

from google.genai import types
from langchain_core.outputs import ChatGeneration
from langchain_google_genai import ChatGoogleGenerativeAI
from pydantic import SecretStr

from providers.chat.pieces import Piece, read_calls, read_text, read_usage, read_word
from providers.chat.remote import RemoteModel
from providers.chat.vendors import SessionTransport, VendorModel
from providers.gate import Gate
from providers.openai_errors import EndpointInfo
from providers.openai_wire import Json
from providers.retries import CallLimits
from utils.checkpointer.circuit import Circuit
from utils.outbound import Guard

_FILTERS = ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII")

_COUNTS = (
    "promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount",
    "cachedContentTokenCount", "totalTokenCount",
)  # fmt: skip


class GoogleFormat:
    """See `AnswerFormat`; source: https://ai.google.dev/api/generate-content. An event is as a whole answer."""

    def read_answer(self, answer: Json) -> Piece:
        """See `AnswerFormat.read_answer`."""
        usage = read_usage(answer.get("usageMetadata"), _COUNTS)
        for candidate in answer.get("candidates") or ():
            parts = (candidate.get("content") or {}).get("parts") or []
            calls = [part["functionCall"] for part in parts if part.get("functionCall")]
            text = read_text([part for part in parts if not part.get("thought")])
            reason = read_word(candidate.get("finishReason"), "STOP")
            return Piece(text, reason, usage, read_calls((call.get("name"), call.get("args") or {}) for call in calls))
        blocked = (answer.get("promptFeedback") or {}).get("blockReason")  # by a filter: then there is no candidate
        return Piece(reason=read_word(blocked, "SAFETY"), usage=usage)

    read_event = read_answer

    def make_answer(self, piece: Piece) -> Json:
        """See `AnswerFormat.make_answer`."""
        parts: list[Json] = [{"text": piece.text}] if piece.text or not piece.calls else []
        for call in piece.calls:
            name, arguments = call.read()
            parts.append({"functionCall": {"name": name, "args": arguments}})
        end = {"finishReason": piece.reason} if piece.reason else {}
        candidate = {"content": {"parts": parts, "role": "model"}, "index": 0, **end}
        return {"candidates": [candidate], "usageMetadata": piece.usage}

    def make_events(self, piece: Piece) -> list[Json]:
        """See `AnswerFormat.make_events`."""
        return [self.make_answer(piece)]


class GoogleModel(VendorModel, ChatGoogleGenerativeAI):
    """One model, asked once; its requests and answers are LangChain's."""

    attributes: ClassVar = {
        "temperature": "temperature",
        "max_output_tokens": "max_output_tokens",
        "maxOutputTokens": "max_output_tokens",
    }
    reasons: ClassVar = {"MAX_TOKENS": "length", **dict.fromkeys(_FILTERS, "content_filter")}

    def find_reason(self, generation: ChatGeneration, output: Mapping[str, Any]) -> str | None:
        """See `VendorModel.find_reason`."""
        return (generation.generation_info or {}).get("finish_reason")


class RemoteGoogleModel(RemoteModel, GoogleModel):
    """A model at an endpoint of Google's format; see `open_chat_model`."""


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
) -> RemoteGoogleModel:
    """See `providers.chat.openai.open_chat_model`; *base_url* is the part before `/v1beta/models`."""
    connect_timeout_s = min(limits.connect_timeout_s, limits.timeout_s)
    transport = SessionTransport(
        base_url, answer_format=GoogleFormat(), connect_timeout_s=connect_timeout_s, guard=guard
    )
    await asyncio.to_thread(_build_types)
    return await asyncio.to_thread(
        lambda: RemoteGoogleModel(
            model=model,
            client_options=base_url,
            api_key=api_key,
            vertexai=False,  # whatever the environment says
            temperature=temperature,
            max_tokens=max_tokens,
            retries=1,  # no more than the first try
            # Its certificates are not used, and reading them anew would take 40 ms.
            client_args={"transport": transport, "trust_env": False, "verify": guard.certificates if guard else True},
            transport=transport,
            close_connections=transport.aclose,
            limits=limits,
            gate=gate,
            circuit=circuit,
            side=side,
        )
    )


@cache
def _build_types() -> None:
    """Let the client's types be built: at their first use that takes 40 ms, which no question may hold the loop for."""
    for kind in (types.Content, types.GenerateContentConfig, types.GenerateContentResponse, types.Tool):
        kind()
