"""`POST /v1/chat`: one question, one answer, as JSON or as a stream of events."""

from functools import partial
from typing import Annotated, Any, Literal

from flask import Response, jsonify, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agents.runs.handle import RunHandle
from agents.runs.record import extract_result
from api.access import requires
from api.description_parts import REQUEST_HEADERS, RESPONSE_HEADERS, STREAMS, describe_event_stream, request_header
from api.links import link_citations
from api.problem_schemas import Problem
from api.run_schemas import AcceptedRunOut
from api.run_views import accept_run, describe_run
from api.schemas import NON_BLANK, BotId, ChatOut, ConversationId, RunId, SourceId
from api.services import services
from api.sse import QUIET_S, Write, encode_event, encode_events, respond_with_events, wants_events
from api.turns import CONVERSATION_HEADER, RUN_HEADER, TRACE_HEADER, Question, Turn, begin_turn
from auth.principal import Principal
from auth.scopes import Scope
from utils.errors import BadInput
from utils.validation import (
    CONVERSATION_ID,
    LONGEST_MESSAGE,
    check_conversation_id,
    check_run_id,
    check_text,
    refuse_field,
)

# For the description of the API alone: flask-openapi3 would make the JSON schema of a model of them at every request.
_HEADERS = [
    request_header(
        CONVERSATION_HEADER,
        "The conversation that the question belongs to; session_id in the body does as well.",
        pattern=CONVERSATION_ID.pattern,
    ),
    request_header(TRACE_HEADER, "The caller's trace (W3C Trace Context), which the trace of the answer continues."),
]

_REFUSALS: dict[Any, Any] = dict.fromkeys((403, 404, 409), Problem)

chat_blueprint = APIBlueprint("chat", __name__, abp_tags=[Tag(name="Chat", description="Ask the documents.")])


class ChatIn(BaseModel):
    """A question. The conversation is named by the X-Conversation-Id header or by session_id; null begins a new one."""

    model_config = ConfigDict(strict=True, extra="forbid")

    message: Annotated[str, AfterValidator(check_text), NON_BLANK] = Field(
        min_length=1, max_length=LONGEST_MESSAGE, examples=["How do I apply?"]
    )
    session_id: ConversationId | None = Field(None, examples=["visitor-42"])
    bot_id: BotId | None = Field(None, description="Which bot is asked; left out: the key's, or the default one.")
    data_source_id: SourceId | None = Field(
        None, description="The data source that is asked, alone: neither documents nor other data sources answer."
    )
    parent_run_id: RunId | None = Field(
        None,
        description="The run of the turn that the question follows; left out or null: the last one. Another turn than "
        "the last makes a branch: with the `parent_run_id` of a question, that question is asked anew, changed or not, "
        'and the former one stays beside it. "start": it is a first question.',
    )
    on_disconnect: Literal["cancel", "continue"] | None = Field(
        None,
        description="What becomes of the run when the caller leaves before its end. Default: cancel; continue for a "
        "request with an Idempotency-Key.",
    )


@chat_blueprint.post(
    "/v1/chat",
    operation_id="askQuestion",
    summary="Ask a question",
    description="409: the conversation is busy, or has as many versions of this turn as there may be. Where the "
    "language model fails, quotes from the documents answer: `fallback_reason` says why. 202: the run waits until a "
    "call of a tool is approved, at `POST /v1/runs/{run_id}/resume`. With `Accept: text/event-stream` it does what "
    "`POST /v1/chat/stream` does.",
    responses={200: ChatOut, 202: AcceptedRunOut, **_REFUSALS},
    openapi_extensions={REQUEST_HEADERS: _HEADERS, RESPONSE_HEADERS: [CONVERSATION_HEADER, RUN_HEADER]},
)
@requires(Scope.CHAT_WRITE, repeats="own")
async def chat(ctx: Principal, body: ChatIn) -> Response:
    """Answer one question, as JSON, or as events for whoever prefers them."""
    return await _answer(ctx, body, streams=wants_events())


@chat_blueprint.post(
    "/v1/chat/stream",
    operation_id="streamAnswer",
    summary="Ask a question, and watch the answer come",
    description="The events start, status, tool_start, tool_result, token, support, citation, and at the end done, "
    "error or waiting (for the approval of a call); after fallback and resumed, tokens before are void. One that "
    "breaks off goes on at `GET /v1/runs/{run_id}/events`.",
    responses={200: {"description": "The events, to the end of the run."}, **_REFUSALS},
    openapi_extensions={
        REQUEST_HEADERS: _HEADERS,
        RESPONSE_HEADERS: [CONVERSATION_HEADER, RUN_HEADER],
        STREAMS: describe_event_stream(),
    },
)
@requires(Scope.CHAT_WRITE, repeats="own")
async def stream_chat(ctx: Principal, body: ChatIn) -> Response:
    """Answer one question as events, at an address of its own: clients that are made of a description choose by it."""
    return await _answer(ctx, body, streams=True)


async def _answer(ctx: Principal, body: ChatIn, *, streams: bool) -> Response:
    question = Question(
        body.message,
        _read_conversation_id(body),
        body.bot_id,
        streams=streams,
        on_disconnect=body.on_disconnect,
        data_source_id=body.data_source_id,
        parent_run_id=_check_parent(body),
    )
    turn = await begin_turn(ctx, question)
    response = stream_run(turn.ctx, turn.run, leaving=turn.leaving) if streams else await _respond(turn)
    response.headers.update(turn.headers)
    return response


async def _respond(turn: Turn) -> Response:
    """The answer as a whole; 202 with the run, where it waits for a person."""
    last = await turn.wait_for_end()
    if last["type"] == "waiting":
        result, _ = await services().runs.find(turn.ctx, turn.record.id)
        return accept_run(await describe_run(turn.ctx, result, last))
    return jsonify(await link_citations(turn.ctx, extract_result(last), services().links.get_base_url()))


def stream_run(
    ctx: Principal, run: RunHandle, after: int = 0, *, leaving: bool = False, write: Write = encode_event
) -> Response:
    """The events of a run after number *after*, as *write* makes bytes of them; with *leaving*, it is cancelled when
    its reader leaves."""
    prepare = partial(link_citations, ctx, base=services().links.get_base_url())
    events = encode_events(run, after, quiet_s=QUIET_S, leaving=leaving, prepare=prepare, write=write)
    return respond_with_events(events)


def _read_conversation_id(body: ChatIn) -> str | None:
    """The conversation that the request names, None for a new one."""
    header = request.headers.get(CONVERSATION_HEADER)
    if header is not None:
        header = check_conversation_id(header, field=CONVERSATION_HEADER)
    if body.session_id is not None:
        named = check_conversation_id(body.session_id, field="session_id")
        if header not in (None, named):
            raise _refuse(f"The {CONVERSATION_HEADER} header and session_id name different conversations; send one.")
        return named
    if header is None and "session_id" not in body.model_fields_set:
        raise _refuse(
            f"Name the conversation in the {CONVERSATION_HEADER} header or in session_id; "
            '"session_id": null begins a new one.'
        )
    return header


def _check_parent(body: ChatIn) -> str:
    return "" if body.parent_run_id is None else check_run_id(body.parent_run_id, field="parent_run_id")


def _refuse(detail: str) -> BadInput:
    return refuse_field(detail, CONVERSATION_HEADER, "session_id")
