"""`POST /v1/chat/completions`: an answer of a bot, as a chat completion or as its chunks.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from agents.runs.record import Event, extract_result
from api.access import requires
from api.chat import stream_run
from api.description_parts import EVENTS, OPENAI_ERRORS, RESPONSE_HEADERS, STREAMS
from api.links import link_citations
from api.openai.answers import (
    OpenAiExtras,
    OpenAiUrlCitation,
    continue_text,
    describe_extras,
    find_annotations,
    read_seconds,
    read_usage,
)
from api.openai.blueprint import describe_openai_error, make_void_error, openai_blueprint
from api.openai.messages import Messages, read_question
from api.openai.parameters import Ignored, ModelName, OpenAiTextFormat, Parameters, give_example
from api.responses import respond
from api.services import services
from api.sse import encode_data
from api.turns import CONVERSATION_HEADER, RUN_HEADER, Question, Turn, begin_turn
from auth.principal import DEFAULT_BOT, Principal
from auth.scopes import Scope
from utils.errors import Conflict, describe_problem

_DONE = b"data: [DONE]\n\n"
_EXAMPLE = {"model": "default", "messages": [{"role": "user", "content": "How do I apply?"}]}
_STREAM = {
    "schema": {
        "type": "string",
        "description": "Server-Sent Events: chunks as OpenAI's, the last one with annotations and citations; [DONE].",
        "contentMediaType": EVENTS,
    },
    "example": 'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"A room"}}]}\n\n',
}


class OpenAiStreamOptions(BaseModel):
    """Other members are ignored."""

    model_config = ConfigDict(strict=True)

    include_usage: bool | None = Field(None, description="Whether a chunk with the usage follows the last one.")


class OpenAiCompletionIn(Parameters):
    """A question, with what was said before it."""

    model_config = give_example(_EXAMPLE)

    model: ModelName
    messages: Messages
    stream: bool | None = None
    stream_options: OpenAiStreamOptions | None = None
    frequency_penalty: Ignored = None
    logit_bias: Ignored = None
    max_completion_tokens: Ignored = None
    max_tokens: Ignored = None
    presence_penalty: Ignored = None
    reasoning_effort: Ignored = None
    seed: Ignored = None
    stop: Ignored = None
    store: Ignored = None
    verbosity: Ignored = None
    logprobs: Literal[False] | None = None
    modalities: Annotated[list[Literal["text"]], Field(max_length=1)] | None = None
    n: Literal[1] | None = None
    response_format: OpenAiTextFormat | None = None


class OpenAiAnnotation(BaseModel):
    """A mark of the answer."""

    type: Literal["url_citation"]
    url_citation: OpenAiUrlCitation


class OpenAiAnswer(BaseModel):
    """The answer, with a mark such as [1] after each sentence."""

    role: Literal["assistant"]
    content: str
    refusal: None = None
    annotations: list[OpenAiAnnotation]


class OpenAiChoice(BaseModel):
    """There is one."""

    index: int
    message: OpenAiAnswer
    logprobs: None = None
    finish_reason: Literal["stop"]


class OpenAiCompletionUsage(BaseModel):
    """Tokens of the language model; none where quotes answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class OpenAiCompletionOut(OpenAiExtras):
    """An answer."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[OpenAiChoice] = Field(min_length=1, max_length=1)
    usage: OpenAiCompletionUsage


@openai_blueprint.post(
    "/v1/chat/completions",
    operation_id="createChatCompletion",
    summary="Ask a bot as OpenAI's clients do",
    description="The last message is the question; those before it are what was said in a new conversation. "
    "409: the answer waits until a call of a tool is approved. See `docs/openai.md`.",
    responses={200: OpenAiCompletionOut, 404: None, 409: None},
    openapi_extensions={
        RESPONSE_HEADERS: [CONVERSATION_HEADER, RUN_HEADER],
        STREAMS: _STREAM,
        OPENAI_ERRORS: True,
    },
)
@requires(Scope.CHAT_WRITE, repeats="own")
async def create_completion(ctx: Principal, body: OpenAiCompletionIn) -> Response:
    """Answer the last message."""
    message, past = read_question(body.messages, field="messages")
    turn = await begin_turn(ctx, Question(message, None, body.model, past=past, streams=bool(body.stream)))
    if body.stream:
        sends_usage = bool(body.stream_options and body.stream_options.include_usage)
        writer = CompletionWriter(turn, services().links.get_base_url(), sends_usage=sends_usage)
        response = stream_run(turn.ctx, turn.run, leaving=turn.leaving, write=writer.write)
    else:
        response = await _respond(turn)
    response.headers.update(turn.headers)
    return response


async def _respond(turn: Turn) -> Response:
    last = await turn.wait_for_end()
    if last["type"] == "waiting":
        raise make_waiting_error(turn.run.id)
    base = services().links.get_base_url()
    result = await link_citations(turn.ctx, extract_result(last), base)
    answer = {"role": "assistant", "content": result["answer"], "refusal": None}
    choice = {
        "index": 0,
        "message": {**answer, "annotations": _annotate(result["answer"], result, base)},
        "logprobs": None,
        "finish_reason": "stop",
    }
    head = _describe_head(turn, "chat.completion")
    members = {**head, "choices": [choice], "usage": _describe_usage(result), **describe_extras(result)}
    return respond(OpenAiCompletionOut.model_validate(members))


class CompletionWriter:
    """Writes the events of a run as chunks of a completion. *base*: what addresses of the API begin with."""

    def __init__(self, turn: Turn, base: str, *, sends_usage: bool) -> None:
        self._base, self._sends_usage = base, sends_usage
        self._head = _describe_head(turn, "chat.completion.chunk")
        self._run_id = turn.run.id
        self._text = ""
        self._has_begun = self._is_over = False

    def write(self, event_id: str, event: Event) -> bytes | None:
        """The chunks that tell *event*; None where there is nothing more to tell, though the run goes on."""
        if self._is_over:
            return None
        match event["type"]:
            case "start" if not self._has_begun:
                self._has_begun = True
                return self._make_chunk({"role": "assistant", "content": ""})
            case "token":
                self._text += event["content"]
                return self._make_chunk({"content": event["content"]})
            case "fallback" | "resumed" if self._text:
                self._is_over = True
                return _encode_error(describe_problem(make_void_error(f"/v1/runs/{self._run_id}")))
            case "done":
                return self._end(event)
            case "error":
                return _encode_error(event["problem"])
            case "cancelled":
                return _encode_error(describe_problem(Conflict("This run was cancelled.")))
            case "waiting":
                return _encode_error(describe_problem(make_waiting_error(self._run_id)))
        return b""

    def _end(self, result: Mapping[str, Any]) -> bytes:
        rest = continue_text(self._text, result["answer"])
        annotations = _annotate(self._text + rest, result, self._base)
        last = self._make_chunk({"annotations": annotations}, finish_reason="stop", **describe_extras(result))
        if self._sends_usage:
            last += encode_data({**self._head, "choices": [], "usage": _describe_usage(result)})
        return (self._make_chunk({"content": rest}) if rest else b"") + last + _DONE

    def _make_chunk(self, delta: dict[str, Any], *, finish_reason: str | None = None, **extras: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return encode_data({**self._head, "choices": [choice], **extras})


def make_waiting_error(run_id: str) -> Conflict:
    """What is told where a person has to approve a call of a tool, which OpenAI's clients have no word for."""
    detail = f"A call of a tool waits for approval: see GET /v1/runs/{run_id}, and approve it there."
    # Their clients would ask again, and have another answer wait.
    return Conflict(detail, headers={"X-Should-Retry": "false"}, members={"run_id": run_id})


def _describe_head(turn: Turn, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{turn.run.id}",
        "object": kind,
        "created": read_seconds(turn.record.created_at),
        "model": turn.ctx.bot_id or DEFAULT_BOT,
    }


def _describe_usage(result: Mapping[str, Any]) -> dict[str, int]:
    read, written = read_usage(result)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _annotate(text: str, result: Mapping[str, Any], base: str) -> list[dict[str, Any]]:
    return [{"type": "url_citation", "url_citation": one} for one in find_annotations(text, result, base)]


def _encode_error(problem: Mapping[str, Any]) -> bytes:
    return encode_data({"error": describe_openai_error(problem)})
