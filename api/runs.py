"""`/v1/runs/{id}`: how a run is, its events again from any place on, and its end before its time."""

from typing import Any

from flask import Response, request, url_for
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from agents.runs.handle import RunHandle
from agents.runs.record import Event, RunRecord, result_in
from api.access import requires
from api.chat import CONVERSATION_HEADER, RUN_HEADER, stream_run
from api.description_parts import REQUEST_HEADERS, RESPONSE_HEADERS, STREAMS, request_header
from api.links import link_citations
from api.responses import respond
from api.schemas import AcceptedRunOut, Problem, RunId, RunOut
from api.services import services
from api.sse import LAST_EVENT, number_after
from auth.principal import DEFAULT_BOT, Principal
from auth.scopes import Scope
from utils.validation import REQUEST_ID, check_run_id

runs_blueprint = APIBlueprint("runs", __name__, abp_tags=[Tag(name="Runs", description="Answers under way.")])
_REFUSALS: dict[Any, Any] = {400: Problem, 401: Problem, 404: Problem, 429: Problem, 503: Problem}


class RunPath(BaseModel):
    """Which run."""

    run_id: RunId = Field(description="As X-Run-Id and every event say.")


@runs_blueprint.get(
    "/v1/runs/<run_id>", operation_id="getRun", summary="Get the state of a run", responses={200: RunOut, **_REFUSALS}
)
@requires(Scope.CHAT_WRITE)
async def show_run(ctx: Principal, path: RunPath) -> Response:
    """Its state, and what it came to. Runs are kept for a while after their end."""
    record, run = await _find(ctx, path)
    return respond(RunOut.model_validate(await _describe(ctx, record, await run.end())))


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
        STREAMS: True,
    },
)
@requires(Scope.CHAT_WRITE)
async def follow_run(ctx: Principal, path: RunPath) -> Response:
    """Its events to the end, on whichever worker it is. Leaving does not cancel it."""
    record, run = await _find(ctx, path)
    response = stream_run(ctx, run, number_after(request.headers.get(LAST_EVENT), record.id))
    response.headers.update({CONVERSATION_HEADER: record.conversation_id, RUN_HEADER: run.id})
    return response


@runs_blueprint.post(
    "/v1/runs/<run_id>/cancel",
    operation_id="cancelRun",
    summary="End a run before its time",
    responses={202: AcceptedRunOut, **_REFUSALS},
)
@requires(Scope.CHAT_WRITE)
async def cancel_run(ctx: Principal, path: RunPath) -> Response:
    """Stop the model, on whichever worker it is. What was asked stays in the conversation; an end stays an end."""
    record, run = await _find(ctx, path)
    await services().runs.cancel(run.id)
    members, status_url = await _describe(ctx, record, await run.end()), url_for("runs.show_run", run_id=record.id)
    shown = AcceptedRunOut.model_validate({**members, "status_url": status_url})
    return respond(shown, 202, location=status_url)


async def _find(ctx: Principal, path: RunPath) -> tuple[RunRecord, RunHandle]:
    return await services().runs.find(ctx, check_run_id(path.run_id))


async def _describe(ctx: Principal, record: RunRecord, last: Event | None) -> dict[str, Any]:
    status = record.ended(last).status if last else record.status
    view = {
        "id": record.id,
        "run_id": record.id,
        "conversation_id": record.conversation_id,
        "bot_id": record.ctx.bot_id or DEFAULT_BOT,
        "bot_version": record.bot_version,
        "model_id": record.model_id or None,
        "model_version": record.model_version,
        "status": "processing" if status == "running" else status,
        "created_at": record.created_at,
        "attempt_count": record.attempts,
        "attempts": record.attempts,
        "result": None,
        "problem": None,
    }
    if last and last["type"] == "done":
        view["result"] = await link_citations(ctx, result_in(last), services().links.base())
    elif last and last["type"] == "error":
        view["problem"] = last["problem"]
    return view
