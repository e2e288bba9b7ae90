"""Runs as the API shows them."""

from typing import Any

from flask import Response, url_for

from agents.runs.record import Event, RunRecord, extract_result
from api.links import link_citations
from api.responses import respond
from api.run_schemas import AcceptedRunOut
from api.services import services
from auth.principal import DEFAULT_BOT, Principal


async def describe_run(ctx: Principal, record: RunRecord, last: Event | None) -> dict[str, Any]:
    """The members of a run; *last* is its last event, where that was an end."""
    if last and last["type"] == "waiting" and record.status == "running":
        last = None  # the decision was made since, and it goes on
    status = record.with_end(last).status if last else record.status
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
        "waiting_for": None,
        "result": None,
        "problem": None,
    }
    if last and last["type"] == "done":
        view["result"] = await link_citations(ctx, extract_result(last), services().links.get_base_url())
    elif last and last["type"] == "error":
        view["problem"] = last["problem"]
    elif last and last["type"] == "waiting":
        view["waiting_for"] = last["call"]
    return view


def accept_run(members: dict[str, Any]) -> Response:
    """A run that goes on, or that waits: 202."""
    status_url = url_for("runs.show_run", run_id=members["id"])
    view = AcceptedRunOut.model_validate({**members, "status_url": status_url})
    return respond(view, 202, location=status_url)
