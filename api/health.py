"""`/health` for people and monitors, `/ready` for load balancers. Neither asks anything: a monitor has asked before."""

import time

from flask import Response, current_app, jsonify
from flask_openapi3 import APIBlueprint, Tag

from api.access import open_to_all
from api.admission import Admission
from bootstrap.monitor import Status
from bootstrap.services import Services
from config import VERSION
from utils.errors import NotReady

health_blueprint = APIBlueprint("health", __name__, abp_tags=[Tag(name="Operation")])


@health_blueprint.get("/health", summary="How the service is")
@open_to_all
async def health() -> Response:
    """200 as long as the process lives; `status` is degraded when something it needs is away."""
    services: Services = current_app.extensions["services"]
    status = services.monitor.status
    return jsonify(
        status="degraded" if status.problems else "healthy",
        version=VERSION,
        redis=status.redis,
        timestamp=int(time.time()),
        service="pustaka",
        environment=services.settings.flask_env,
        persistence=services.checkpointer.persistence,
        dependencies=_dependencies(status),
        admission=_admission(current_app.extensions["admission"]),
        indexing={"pending": services.monitor.pending()},
        language_model=services.model.is_language_model,
        problems=status.problems,
    )


@health_blueprint.get("/ready", summary="Whether to send requests here")
@open_to_all
async def ready() -> Response:
    """200 when a turn can be served; 503 with the reasons when it cannot."""
    services: Services = current_app.extensions["services"]
    reasons = services.monitor.status.blocking
    if services.runs.is_draining:
        reasons = [*reasons, "This worker is about to stop."]
    if reasons:
        raise NotReady(" ".join(reasons), headers={"Retry-After": "5"}, members={"reasons": reasons})
    return jsonify(status="ready")


def _admission(admission: Admission) -> dict[str, int]:
    """What this worker has under way, and has refused for want of room since its start."""
    return {
        "requests": admission.requests,
        "turns": admission.turns,
        "waiting_turns": admission.waiting_turns,
        "refused": admission.refused,
    }


def _dependencies(status: Status) -> dict[str, str]:
    return {"redis": status.redis, "database": status.database, "index": status.index}
