"""`POST /v1/chat`: one question, one answer, as JSON or as a stream of events."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any
from uuid import uuid4

from flask import Response, current_app, jsonify, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agents.runner import Turn
from api.access import needs_key
from api.schemas import ChatOut, Problem
from api.sse import as_sse
from api.streaming import AsyncStream
from bootstrap.services import Services
from utils.context import TenantContext
from utils.errors import BadInput
from utils.logging_config import request_id
from utils.validation import LONGEST_MESSAGE, check_conversation_id, check_text

CONVERSATION_HEADER = "X-Conversation-Id"
_QUIET_S = 15.0  # proxies close a connection that says nothing for longer, often after 60 s

chat_blueprint = APIBlueprint("chat", __name__, abp_tags=[Tag(name="Chat", description="Ask the documents.")])


class ChatIn(BaseModel):
    """A question. The conversation is named by the X-Conversation-Id header or by session_id; null begins a new one."""

    model_config = ConfigDict(strict=True, extra="forbid")

    message: Annotated[str, AfterValidator(check_text)] = Field(
        min_length=1, max_length=LONGEST_MESSAGE, examples=["How do I apply?"]
    )
    session_id: str | None = Field(None, examples=["visitor-42"])


@chat_blueprint.post(
    "/v1/chat",
    summary="Ask a question",
    description="`Accept: text/event-stream` gives it as events: start, status, token, citation, done, error.",
    security=[{"key": []}, {"bearer": []}],
    responses={200: ChatOut, 401: Problem, 409: Problem, 413: Problem, 429: Problem, 502: Problem, 504: Problem},
)
@needs_key
async def chat(ctx: TenantContext, body: ChatIn) -> Response:
    """Answer one question. 400 names the field, 409: the conversation is busy, 502 and 504: the model failed."""
    services: Services = current_app.extensions["services"]
    streams = _wants_events()
    turn = Turn(_conversation_id(body), body.message, request_id.get() or uuid4().hex, streams)
    events = services.runner.stream(ctx, turn)
    if streams:
        return _streamed(events, turn)
    async with aclosing(events):
        async for event in events:
            last = event
    result = {name: value for name, value in last.items() if name != "type"}
    response = jsonify(result)
    response.headers[CONVERSATION_HEADER] = turn.conversation_id
    return response


def _streamed(events: AsyncGenerator[dict[str, Any], None], turn: Turn) -> Response:
    response = AsyncStream(as_sse(events, run_id=turn.request_id, quiet_s=_QUIET_S), mimetype="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"  # Nginx would hold the events back
    response.headers[CONVERSATION_HEADER] = turn.conversation_id
    return response


def _conversation_id(body: ChatIn) -> str:
    header = request.headers.get(CONVERSATION_HEADER)
    if header is not None:
        header = check_conversation_id(header, field=CONVERSATION_HEADER)
    if body.session_id is not None:
        named = check_conversation_id(body.session_id, field="session_id")
        if header not in (None, named):
            raise _unclear(f"The {CONVERSATION_HEADER} header and session_id name different conversations; send one.")
        return named
    if header is None and "session_id" not in body.model_fields_set:
        raise _unclear(
            f"Name the conversation in the {CONVERSATION_HEADER} header or in session_id; "
            '"session_id": null begins a new one.'
        )
    return header or uuid4().hex


def _unclear(detail: str) -> BadInput:
    fields = (CONVERSATION_HEADER, "session_id")
    return BadInput(detail, members={"errors": [{"field": field, "message": detail} for field in fields]})


def _wants_events() -> bool:
    return request.accept_mimetypes.best_match(["application/json", "text/event-stream"]) == "text/event-stream"
