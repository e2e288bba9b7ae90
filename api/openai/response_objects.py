"""A run as a response of OpenAI's API, and its id.

Source: https://platform.openai.com/docs/api-reference/responses/object
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.openai.answers import (
    OpenAiExtras,
    OpenAiUrlCitation,
    describe_extras,
    find_annotations,
    read_seconds,
    read_usage,
)
from api.openai.parameters import OpenAiTextFormat
from api.schemas import WaitingCallOut
from utils.errors import NotFound

_ID = re.compile(r"resp_(?:([A-Za-z0-9_-]{1,128})_)?([0-9a-f]{32})", re.ASCII)
_STATUSES = {"processing": "in_progress", "waiting": "incomplete"}
# What holds for every response: how a bot answers is no matter of the request. The numbers are those of a request that
# names none: Open Responses, https://www.openresponses.org/specification, wants all of these members.
_FIXED: Mapping[str, Any] = {
    "object": "response",
    "frequency_penalty": 0.0,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": False,
    "presence_penalty": 0.0,
    "prompt_cache_key": None,
    "reasoning": None,
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "none",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
}


@dataclass(frozen=True, slots=True)
class Sent:
    """What a request said of its response, which is not kept."""

    background: bool | None = None
    previous_response_id: str | None = None


class OpenAiOutputText(BaseModel):
    """The answer, with a mark such as [1] after each sentence."""

    type: Literal["output_text"]
    text: str
    annotations: list[OpenAiUrlCitation]
    logprobs: list[None] = Field(max_length=0)


class OpenAiOutputMessage(BaseModel):
    """The answer."""

    type: Literal["message"]
    id: str
    status: Literal["in_progress", "completed"]
    role: Literal["assistant"]
    content: list[OpenAiOutputText]


class OpenAiResponseError(BaseModel):
    """Why it failed."""

    code: str = Field(examples=["server_error"])
    message: str


class OpenAiTextOptions(BaseModel):
    """How the answer is written."""

    model_config = ConfigDict(strict=True, extra="forbid")

    format: OpenAiTextFormat | None = None


class OpenAiInputDetails(BaseModel):
    """Not told apart here."""

    cached_tokens: int
    cache_write_tokens: int


class OpenAiOutputDetails(BaseModel):
    """Not told apart here."""

    reasoning_tokens: int


class OpenAiResponseUsage(BaseModel):
    """Tokens of the language model; none where quotes answer."""

    input_tokens: int
    input_tokens_details: OpenAiInputDetails
    output_tokens: int
    output_tokens_details: OpenAiOutputDetails
    total_tokens: int


class OpenAiResponseOut(OpenAiExtras):
    """A response; `incomplete`, with `waiting_for`, while a call of a tool waits for approval."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Literal["in_progress", "completed", "failed", "cancelled", "incomplete"]
    background: bool | None = Field(description="As it was sent; null where the response is read again.")
    previous_response_id: str | None = Field(description="As it was sent; null where the response is read again.")
    model: str
    output: list[OpenAiOutputMessage]
    error: OpenAiResponseError | None
    waiting_for: WaitingCallOut | None = None
    frequency_penalty: float
    incomplete_details: None
    instructions: None
    max_output_tokens: None
    max_tool_calls: None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    presence_penalty: float
    prompt_cache_key: None
    reasoning: None
    safety_identifier: None
    service_tier: Literal["default"]
    store: Literal[True]
    temperature: float = Field(description="Always 1: how a bot answers is set by its administrator.")
    text: OpenAiTextOptions
    tool_choice: Literal["none"]
    tools: list[None] = Field(max_length=0)
    top_logprobs: int
    top_p: float
    truncation: Literal["disabled"]
    usage: OpenAiResponseUsage | None


def make_response_id(conversation_id: str, run_id: str) -> str:
    """The id of the response that a run gives: it names its conversation, which is kept for longer than the run."""
    return f"resp_{run_id}" if conversation_id == run_id else f"resp_{conversation_id}_{run_id}"


def read_response_id(response_id: str) -> tuple[str, str]:
    """The conversation and the run of a response.

    Raises:
        NotFound: it is no id of a response.
    """
    match = _ID.fullmatch(response_id)
    if match is None:
        raise NotFound("Response not found.")
    return match[1] or match[2], match[2]


def describe_response(
    run: Mapping[str, Any], base: str, sent: Sent | None = None, *, text: str | None = None
) -> dict[str, Any]:
    """The members of a response; *run* as `describe_run` tells of it, *text* the answer as it was streamed, if so.

    *base*: what addresses of the API begin with.
    """
    result, problem = run["result"], run["problem"]
    extras = {"citations": [], "answered": None, "conversation_id": run["conversation_id"], "run_id": run["id"]}
    return {
        **_FIXED,
        **(describe_extras(result) if result else extras),
        "id": make_response_id(run["conversation_id"], run["id"]),
        "created_at": read_seconds(run["created_at"]),
        "completed_at": read_seconds(result["created_at"]) if result else None,
        "status": _STATUSES.get(run["status"], run["status"]),
        **asdict(sent or Sent()),
        "model": run["bot_id"],
        "output": [describe_message(result, base, text)] if result else [],
        "error": {"code": "server_error", "message": problem["detail"]} if problem else None,
        "waiting_for": run["waiting_for"],
        "usage": _describe_usage(result) if result else None,
    }


def _describe_usage(result: Mapping[str, Any]) -> dict[str, Any]:
    read, written = read_usage(result)
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": read + written,
    }


def describe_message(result: Mapping[str, Any], base: str, text: str | None = None) -> dict[str, Any]:
    """The answer as an item of the output."""
    answer = result["answer"] if text is None else text
    part = describe_part(answer, list(find_annotations(answer, result, base)))
    return {**begin_message(result["run_id"]), "status": "completed", "content": [part]}


def begin_message(run_id: str) -> dict[str, Any]:
    """The item while it is empty."""
    return {"type": "message", "id": f"msg_{run_id}", "status": "in_progress", "role": "assistant", "content": []}


def describe_part(text: str, annotations: list[dict[str, Any]]) -> dict[str, Any]:
    """The one part of the answer."""
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}
