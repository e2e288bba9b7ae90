"""`/v1/runs/{id}`: how a run is, its events again from any place on, and its end before its time."""

from dataclasses import replace
from typing import Any, Literal

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from agents.runs.handle import RunHandle
from agents.runs.record import Event, RunRecord, extract_result
from agents.tools.turn import Approval
from api.access import requires
from api.chat import stream_run
from api.dataset_schemas import Strict
from api.description_parts import REQUEST_HEADERS, RESPONSE_HEADERS, STREAMS, describe_event_stream, request_header
from api.problem_schemas import Problem
from api.responses import respond
from api.run_schemas import AcceptedRunOut, RunOut
from api.run_views import accept_run, describe_run
from api.schemas import RunId
from api.services import services
from api.sse import LAST_EVENT, number_after
from api.turns import CONVERSATION_HEADER, RUN_HEADER, make_end
from auth.principal import Principal
from auth.scopes import Scope
from utils.errors import Conflict, Forbidden, NotFound
from utils.validation import REQUEST_ID, check_run_id

runs_blueprint = APIBlueprint("runs", __name__, abp_tags=[Tag(name="Runs", description="Answers under way.")])
_REFUSALS: dict[Any, Any] = {400: Problem, 401: Problem, 404: Problem, 429: Problem, 503: Problem}


class ResumeIn(Strict):
    """The decision about the call that a run waits with."""

    call_id: str = Field(min_length=1, max_length=200, description="As `waiting_for` and the event `waiting` name it.")
    decision: Literal["approve", "reject"]


class RunPath(BaseModel):
    """Which run."""

    run_id: RunId = Field(description="As X-Run-Id and every event say.")


class ChartPath(RunPath):
    """Which chart of which run."""

    number: int = Field(ge=1, le=100, description="Counted from 1, in the order of `tool_calls`.")


@runs_blueprint.get(
    "/v1/runs/<run_id>", operation_id="getRun", summary="Get the state of a run", responses={200: RunOut, **_REFUSALS}
)
@requires(Scope.CHAT_WRITE)
async def show_run(ctx: Principal, path: RunPath) -> Response:
    """Its status and its result. It expires RUN_TTL seconds after its last event, with an Idempotency-Key a day."""
    record, run = await _find(ctx, path)
    return respond(RunOut.model_validate(await describe_run(ctx, record, await run.end())))


@runs_blueprint.get(
    "/v1/runs/<run_id>/events",
    operation_id="followRun",
    summary="Follow a run",
    description="Server-Sent Events as of `POST /v1/chat/stream`: all of them, or those after `Last-Event-ID`. "
    "`resumed` says that another worker begins the answer anew: the text so far is void.",
    responses={200: {"description": "The events, to the end of the run."}, **_REFUSALS},
    openapi_extensions={
        REQUEST_HEADERS: [
            request_header(
                LAST_EVENT,
                "The id of the last event that was read; empty: none.",
                pattern=f"({REQUEST_ID.pattern}-[0-9]{{1,15}})?",
            )
        ],
        RESPONSE_HEADERS: [CONVERSATION_HEADER, RUN_HEADER],
        STREAMS: describe_event_stream(),
    },
)
@requires(Scope.CHAT_WRITE)
async def follow_run(ctx: Principal, path: RunPath) -> Response:
    """Its events to the end, on whichever worker it is. Leaving does not cancel it."""
    record, run = await _find(ctx, path)
    response = stream_run(ctx, run, number_after(request.headers.get(LAST_EVENT), record.id))
    response.headers.update({CONVERSATION_HEADER: record.conversation_id, RUN_HEADER: run.id})
    return response


@runs_blueprint.get(
    "/v1/runs/<run_id>/charts/<int:number>",
    operation_id="getRunChart",
    summary="Get a chart of an answer as a picture",
    responses={
        200: {
            "description": "The picture.",
            "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
        },
        **_REFUSALS,
    },
)
@requires(Scope.CHAT_WRITE)
async def show_chart(ctx: Principal, path: ChartPath) -> Response:
    """A PNG; 404 where the answer has no such chart, 503 where none can be drawn."""
    _, run = await _find(ctx, path)
    last = await run.end()
    result = extract_result(last) if last and last["type"] == "done" else {}
    charts = [call["chart"] for call in result.get("tool_calls", []) if call.get("chart")]
    if not 0 < path.number <= len(charts):
        raise NotFound(f"The answer has no chart {path.number}: it has {len(charts)}.")
    picture = await services().charts.draw(charts[path.number - 1]["spec"])
    return Response(picture, mimetype="image/png", headers={"Content-Disposition": "inline; filename=chart.png"})


@runs_blueprint.post(
    "/v1/runs/<run_id>/cancel",
    operation_id="cancelRun",
    summary="End a run before its time",
    responses={202: AcceptedRunOut, **_REFUSALS},
)
@requires(Scope.CHAT_WRITE)
async def cancel_run(ctx: Principal, path: RunPath) -> Response:
    """Stop the model, on whichever worker. The question stays in the conversation. A run that has ended stays so."""
    record, _ = await _find(ctx, path)
    record, run = await services().runs.cancel(record)
    return accept_run(await describe_run(ctx, record, await run.end()))


@runs_blueprint.post(
    "/v1/runs/<run_id>/resume",
    operation_id="resumeRun",
    summary="Approve or reject a call of a tool",
    description="A run with the status `waiting` goes on: with the call, or without. Only whoever asked may decide. "
    "409: it does not wait for this call, or the decision was already made; or the call is approved, but the bot is "
    "switched off or no longer uses the tool. Its events go on at `GET /v1/runs/{run_id}/events`.",
    responses={202: AcceptedRunOut, 403: Problem, 409: Problem, **_REFUSALS},
)
@requires(Scope.CHAT_WRITE)
async def resume_run(ctx: Principal, path: RunPath, body: ResumeIn) -> Response:
    """Go on with a run that waits, on this worker, whichever it was on before."""
    record, run = await _find(ctx, path)
    if record.ctx.subject != ctx.subject:
        raise Forbidden("Only whoever asked may approve or reject this call.")
    approval = Approval(body.call_id, body.decision == "approve")
    if approval.approved:
        await _check_bot(record, await run.end())
    permit = await services().admission.admit_turn(ctx)
    run = await services().runs.resume(record, approval, on_end=make_end(ctx, permit))
    return accept_run(await describe_run(ctx, replace(record, status="running"), await run.end()))


async def _check_bot(record: RunRecord, last: Event | None) -> None:
    """Return if the bot may still make the call that waits, as it is now: it may have waited for a day.

    Raises:
        NotFound: the bot was removed.
        Conflict: it is switched off, or does not use the tool any more.
    """
    bot = await services().bots.get(record.ctx)
    if last is not None and last["type"] == "waiting" and last["call"]["name"] not in bot.tools:
        name = last["call"]["name"]
        raise Conflict(f"The bot no longer uses the tool {name!r}. Reject this call, or ask again.")


async def _find(ctx: Principal, path: RunPath) -> tuple[RunRecord, RunHandle]:
    return await services().runs.find(ctx, check_run_id(path.run_id))
