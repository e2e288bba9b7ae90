"""`/health` for people and monitors, `/ready` for load balancers. Neither asks anything: a monitor has asked before.

Strangers learn whether the service works, and nothing about how it is built, set up or used.
"""

import time
from typing import Any, Literal

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field, field_validator

from api.access import open_to_all
from api.problem_schemas import Problem
from api.responses import respond
from api.services import services
from auth.scopes import Scope
from bootstrap.monitor import Status
from config import VERSION
from utils.disk import SpaceState
from utils.errors import NotReady

health_blueprint = APIBlueprint("health", __name__, abp_tags=[Tag(name="Operation", description="Health.")])


class HealthQuery(BaseModel):
    """How much is to be told."""

    verbose: bool | Literal[""] = Field(
        False, description="Tell more than strangers may know; needs a key. Also without a value."
    )

    @field_validator("verbose", mode="before")
    @classmethod
    def _is_set_by_its_name(cls, value: Any) -> Any:
        return True if value == "" else value


class DependenciesOut(BaseModel):
    """Whether the stores answer: `ok`, or what is wrong."""

    redis: str
    database: str
    index: str
    chat_model: str | None = Field(None, description="Null where none is configured. It is not asked for this.")


class IndexingOut(BaseModel):
    """How far the index is behind the documents."""

    pending_count: int = Field(description="Passages that wait for their vectors.")
    pending: int = Field(0, description="pending_count, as it was called before.", deprecated=True)


class DiskOut(BaseModel):
    """The disk that DATA_DIR is on."""

    status: SpaceState = Field(
        description="`low`: documents are refused; `full`: questions, too, where the embedded Redis keeps them."
    )
    free_bytes: int
    reserve_bytes: int = Field(description="Kept free, as DISK_RESERVE_MB says.")


class SandboxOut(BaseModel):
    """The walls around the processes that read files."""

    walls: dict[str, str] = Field(description="Those that stand, and by which means.")
    missing: dict[str, str] = Field(description="Those that this system lacks, and why.")


class AdmissionOut(BaseModel):
    """What this worker has under way, and has refused for want of room since its start."""

    request_count: int
    turn_count: int
    waiting_turn_count: int
    refused_count: int
    requests: int = Field(0, description="request_count, as it was called before.", deprecated=True)
    turns: int = Field(0, description="turn_count, as it was called before.", deprecated=True)
    waiting_turns: int = Field(0, description="waiting_turn_count, as it was called before.", deprecated=True)
    refused: int = Field(0, description="refused_count, as it was called before.", deprecated=True)


class HealthOut(BaseModel):
    """How the service is; from `service` on only with `verbose`, from `environment` on with `health:read`."""

    status: Literal["healthy", "degraded"]
    version: str
    redis: str = Field(description="`ok`, or what is wrong.")
    timestamp: int = Field(description="Seconds since 1970.")
    service: str | None = None
    language_model: bool | None = Field(None, description="Whether a language model writes the answers, now.")
    persistence: str | None = Field(None, description="Where conversations are kept now: redis, or memory.")
    environment: str | None = None
    ready: bool | None = Field(None, description="As `/ready` says.")
    dependencies: DependenciesOut | None = None
    problems: list[str] | None = Field(None, description="What is away, and why.")
    indexing: IndexingOut | None = None
    disk: DiskOut | None = None
    admission: AdmissionOut | None = None
    sandbox: SandboxOut | None = None


class ReadyOut(BaseModel):
    """The service can serve a turn."""

    status: Literal["ready"]


@health_blueprint.get(
    "/health",
    operation_id="getHealth",
    summary="Get the state of the service",
    responses={200: HealthOut, 401: Problem},
    security=[{}, {"key": []}, {"bearer": []}],
)
@open_to_all
async def health(query: HealthQuery) -> Response:
    """200 as long as the process lives; `status` is degraded when something it needs is away.

    With `verbose` and a key: how answers are made. With a key that has the scope `health:read`: also what is away and
    why, what is under way, and whether turns can be served (`ready`), all of which the metrics tell as well.
    """
    status = services().monitor.status
    body: dict[str, Any] = {
        "status": "degraded" if status.problems else "healthy",
        "version": VERSION,
        "redis": status.redis,
        "timestamp": int(time.time()),
    }
    if query.verbose:
        # Not counted as a request of the key: monitors ask often.
        ctx = await services().authenticator.authenticate(request)
        body |= {
            "service": "pustaka",
            "language_model": services().model.is_language_model and not services().model.is_away,
            "persistence": services().checkpointer.persistence,
        }
        if Scope.HEALTH_READ in ctx.scopes:
            body |= _describe_details(status)
    return respond(HealthOut.model_validate(body))


@health_blueprint.get(
    "/ready",
    operation_id="getReadiness",
    summary="Whether to send requests here",
    responses={200: ReadyOut, 503: Problem},
)
@open_to_all
async def ready() -> Response:
    """200 when a turn can be served, 503 when it cannot; `/health?verbose` names the reasons to those with a key."""
    if reason := _explain_not_ready():
        raise NotReady(reason, headers={"Retry-After": "5"})
    return respond(ReadyOut(status="ready"))


def _explain_not_ready() -> str:
    status = services().monitor.status
    if services().runs.is_draining:
        return "This process is about to stop."
    if status.space == "full" and services().monitor.keeps_turns_on_disk:
        return "Not enough disk space: questions are not answered until there is more."
    if status.has_looked and status.blocking:
        return "A store that the service needs is away."
    return "The service is starting." if status.blocking else ""


def _describe_details(status: Status) -> dict[str, Any]:
    admission, walls, disk = services().admission, services().walls, services().disk
    pending = services().monitor.count_pending()
    return {
        "environment": services().settings.flask_env,
        "ready": not _explain_not_ready(),
        "dependencies": {
            "redis": status.redis,
            "database": status.database,
            "index": status.index,
            "chat_model": status.chat_model,
        },
        "problems": status.problems,
        "disk": {"status": status.space, "free_bytes": disk.measure_free_bytes(), "reserve_bytes": disk.reserve_bytes},
        "sandbox": {"walls": walls.standing, "missing": walls.missing},
        "indexing": {"pending_count": pending, "pending": pending},
        "admission": {
            "request_count": admission.requests,
            "turn_count": admission.turns,
            "waiting_turn_count": admission.waiting_turns,
            "refused_count": admission.refused,
            "requests": admission.requests,
            "turns": admission.turns,
            "waiting_turns": admission.waiting_turns,
            "refused": admission.refused,
        },
    }
