"""`/v1/responses`: answers of a bot that go on with a conversation, or are written in the background.

Source: https://platform.openai.com/docs/api-reference/responses
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Literal

from flask import Response, request
from pydantic import BaseModel, Discriminator, Field, Tag

from agents.messages import MESSAGES_REMEMBERED
from agents.runs.handle import RunHandle
from agents.runs.record import RunRecord
from api.access import requires
from api.bots import select_bot
from api.chat import stream_run
from api.description_parts import EVENTS, OPENAI_ERRORS, RESPONSE_HEADERS, STREAMS
from api.idempotency import IDEMPOTENCY_HEADER, identify
from api.openai.blueprint import openai_blueprint
from api.openai.messages import Items, OpenAiItemReference, OpenAiMessageIn, QuestionText, name_form, read_question
from api.openai.parameters import Ignored, ModelName, Parameters, give_example
from api.openai.response_objects import OpenAiResponseOut, OpenAiTextOptions, Sent, describe_response, read_response_id
from api.openai.response_stream import ResponseWriter
from api.responses import respond
from api.run_views import describe_run
from api.services import services
from api.turns import CONVERSATION_HEADER, RUN_HEADER, Question, Turn, begin_turn
from auth.principal import Principal
from auth.scopes import Scope
from utils.errors import Conflict, NotFound, ProblemError
from utils.validation import refuse_field

_ONE = "/v1/responses/<response_id>"
_CANCEL_WAIT_S = 2.0
_MAX_ITEMS = 2 * MESSAGES_REMEMBERED  # messages of the system among them
_LOOKED_THROUGH = 8  # messages from the end: questions that failed may stand behind the last answer
_EXAMPLE = {"model": "default", "input": "How do I apply?"}
_STREAM = {
    "schema": {
        "type": "string",
        "description": "Server-Sent Events, from response.created to response.completed, as OpenAI's.",
        "contentMediaType": EVENTS,
    },
    "example": 'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"A room"}\n\n',
}

Input = Annotated[
    Annotated[QuestionText, Tag("text")] | Annotated[Items, Tag("parts")],
    Discriminator(name_form),
]


class OpenAiResponseIn(Parameters):
    """A question, as text or as the last of some messages."""

    model_config = give_example(_EXAMPLE)

    model: ModelName
    input: Input
    previous_response_id: str | None = Field(
        None, max_length=200, description="The last response of the conversation to go on with, by the same bot."
    )
    background: bool | None = Field(None, description="Answer at once, and go on when the caller leaves.")
    stream: bool | None = None
    store: Literal[True] | None = None
    text: OpenAiTextOptions | None = None
    include: Ignored = None
    instructions: Ignored = None
    max_output_tokens: Ignored = None
    max_tool_calls: Ignored = None
    reasoning: Ignored = None
    stream_options: Ignored = None
    truncation: Ignored = None


class ResponsePath(BaseModel):
    """Which response."""

    response_id: str = Field(description="As a response tells it.")


@openai_blueprint.post(
    "/v1/responses",
    operation_id="createResponse",
    summary="Ask a bot as OpenAI's newer clients do",
    description="With `previous_response_id` it goes on with that conversation, else it begins one. See "
    "`docs/openai.md`. 409: the previous response is in progress.",
    responses={200: OpenAiResponseOut, 404: None, 409: None},
    openapi_extensions={RESPONSE_HEADERS: [CONVERSATION_HEADER, RUN_HEADER], STREAMS: _STREAM, OPENAI_ERRORS: True},
)
@requires(Scope.CHAT_WRITE, repeats="own")
async def create_response(ctx: Principal, body: OpenAiResponseIn) -> Response:
    """Answer the question."""
    message, past = read_question(await _list_messages(ctx, body.input), field="input")
    conversation_id = None
    if body.previous_response_id is not None:
        if past:
            raise refuse_field("With previous_response_id, send the new question alone.", "input")
        conversation_id = await _find_conversation(select_bot(ctx, body.model), body.previous_response_id)
    question = Question(
        message,
        conversation_id,
        body.model,
        past,
        streams=bool(body.stream),
        on_disconnect="continue" if body.background else None,
    )
    turn = await begin_turn(ctx, question)
    sent = Sent(bool(body.background), body.previous_response_id)
    if body.stream:
        writer = ResponseWriter(turn, services().links.get_base_url(), sent)
        response = stream_run(turn.ctx, turn.run, leaving=turn.leaving, write=writer.write)
    else:
        response = await _respond(turn, sent)
    response.headers.update(turn.headers)
    return response


@openai_blueprint.get(
    _ONE,
    operation_id="getResponse",
    summary="Read a response again",
    responses={200: OpenAiResponseOut, 404: None},
    openapi_extensions={OPENAI_ERRORS: True},
)
@requires(Scope.CHAT_WRITE)
async def show_response(ctx: Principal, path: ResponsePath) -> Response:
    """How far it is, and the answer once it is there. It is kept as long as its run."""
    return await _show(ctx, *await _find(ctx, path))


@openai_blueprint.post(
    f"{_ONE}/cancel",
    operation_id="cancelResponse",
    summary="End a response before its time",
    responses={200: OpenAiResponseOut, 404: None},
    openapi_extensions={OPENAI_ERRORS: True},
)
@requires(Scope.CHAT_WRITE)
async def cancel_response(ctx: Principal, path: ResponsePath) -> Response:
    """Stop the model; a response that has ended stays as it is."""
    record, run = await _find(ctx, path)
    await services().runs.cancel(record)
    with suppress(TimeoutError, ProblemError):  # a worker that hangs ends it later
        async with asyncio.timeout(_CANCEL_WAIT_S):
            await run.wait()
    return await _show(ctx, *await _find(ctx, path))


async def _list_messages(
    ctx: Principal, sent: str | Sequence[OpenAiMessageIn | OpenAiItemReference]
) -> list[OpenAiMessageIn]:
    """What was sent as messages: the last ones alone, as those before them are not looked at.

    Raises:
        NotFound: it refers to an answer that is not the caller's, or not kept any more.
    """
    if isinstance(sent, str):
        return [OpenAiMessageIn(role="user", content=sent)]
    return [
        item if isinstance(item, OpenAiMessageIn) else await _read_reference(ctx, item) for item in sent[-_MAX_ITEMS:]
    ]


async def _read_reference(ctx: Principal, item: OpenAiItemReference) -> OpenAiMessageIn:
    last = None
    with suppress(NotFound):
        _, run = await services().runs.find(ctx, item.id.removeprefix("msg_"))
        last = await run.end()
    if last is None or last["type"] != "done":
        detail = "An answer that is referred to was not found. Send its text instead."
        raise NotFound(detail, members={"errors": [{"field": "input", "message": detail}]})
    return OpenAiMessageIn(role="assistant", content=last["answer"])


async def _respond(turn: Turn, sent: Sent) -> Response:
    """The response once it has ended, or at once where it is made in the background."""
    last = None if sent.background else await turn.wait_for_end()
    if last is None or last["type"] == "waiting":
        return await _show(turn.ctx, *await services().runs.find(turn.ctx, turn.run.id), sent)
    members = await describe_run(turn.ctx, turn.record, last)
    return respond(OpenAiResponseOut.model_validate(describe_response(members, services().links.get_base_url(), sent)))


async def _show(ctx: Principal, record: RunRecord, run: RunHandle, sent: Sent | None = None) -> Response:
    members = await describe_run(ctx, record, await run.end())
    return respond(OpenAiResponseOut.model_validate(describe_response(members, services().links.get_base_url(), sent)))


async def _find(ctx: Principal, path: ResponsePath) -> tuple[RunRecord, RunHandle]:
    conversation_id, run_id = read_response_id(path.response_id)
    record, run = await services().runs.find(ctx, run_id)
    if record.conversation_id != conversation_id:
        raise NotFound("Response not found.")
    return record, run


async def _find_conversation(ctx: Principal, response_id: str) -> str:
    """The conversation whose last answer this response is.

    Raises:
        NotFound: the caller has no such conversation with this bot.
        Conflict: it is being answered.
        BadInput: its last answer is another one.
    """
    try:
        conversation_id, run_id = read_response_id(response_id)
        page = await services().conversations.read(ctx, conversation_id, limit=_LOOKED_THROUGH)
    except NotFound:
        detail = "The previous response was not found: it is too old, or another bot's."
        errors = [{"field": "previous_response_id", "message": detail}]
        raise NotFound(detail, members={"errors": errors}) from None
    own = identify(ctx, request.headers.get(IDEMPOTENCY_HEADER), ()).run_id  # of this very request, if sent before
    if page["running"] and page["run_id"] != own:
        raise Conflict("The conversation of the previous response is being answered. Wait for its end.")
    answers = [message["run_id"] for message in page["messages"] if message["role"] == "assistant"]
    if own not in (page["run_id"], *answers) and answers[-1:] != [run_id]:
        detail = "This is not the last answer of its conversation. Name that one, or begin a new conversation."
        raise refuse_field(detail, "previous_response_id")
    return conversation_id
