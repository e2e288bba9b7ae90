"""`/v1/tasks`: work in the background, of every kind, by the id of its job."""

from datetime import UTC, datetime, timedelta

from flask import Response, url_for
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from api.access import requires
from api.dataset_schemas import DocumentErrorOut, Status
from api.datasets import make_responses
from api.description_parts import RESPONSE_HEADERS
from api.responses import respond
from api.services import services
from auth.principal import Principal
from auth.scopes import Scope
from domain import tasks
from domain.in_thread import read
from domain.job_leases import OPEN
from domain.tasks import Task

tasks_blueprint = APIBlueprint("tasks", __name__, abp_tags=[Tag(name="Tasks", description="Work in the background.")])


_SOONEST_S, _LATEST_S = 1, 30


class TaskPath(BaseModel):
    """Which task."""

    task_id: str


class TaskOut(BaseModel):
    """A piece of work in the background."""

    id: str = Field(description="`job_id` where it was asked for.")
    kind: str = Field(description="document, crawl; others may come.", examples=["document"])
    status: Status
    status_url: str
    stage: str | None = Field(description="What is done now; null once it is over.")
    progress: float = Field(description="Of its stage, 0 to 1.")
    attempt_count: int = Field(description="Of its stage.")
    error: DocumentErrorOut | None = Field(description="Why it failed, or has to wait.")
    document_id: str | None = Field(description="What it is about; null where it is about something else.")
    web_source_id: str | None = Field(description="As document_id.")
    created_at: datetime
    updated_at: datetime


@tasks_blueprint.get(
    "/v1/tasks/<task_id>/status",
    operation_id="getTaskStatus",
    summary="How far work in the background is",
    description="A key sees the tasks it asked for, those about documents with documents:read and crawls with "
    "web-sources:read. `Retry-After` says when to ask again, until the task is over. A newer task about the same "
    "document or web source takes the place of the former one, which is 404 then.",
    responses=make_responses(200, TaskOut, 404),
    openapi_extensions={RESPONSE_HEADERS: ["Retry-After"]},
)
@requires(Scope.TASKS_READ)
async def show(ctx: Principal, path: TaskPath) -> Response:
    """The task. 404 if the caller may not see one of this id."""
    task = await read(services().database, lambda session: tasks.get_task(session, ctx, path.task_id))
    response = respond(_describe(task))
    if task.job.status in OPEN:
        response.headers["Retry-After"] = str(compute_wait_s(datetime.now(UTC) - task.job.created_at))
    return response


def compute_wait_s(age: timedelta) -> int:
    """Seconds until a task is to be asked for again: a tenth of what it has taken so far, 1 to 30."""
    return max(_SOONEST_S, min(_LATEST_S, round(age.total_seconds() / 10)))


def _describe(task: Task) -> TaskOut:
    job = task.job
    same = ("kind", "status", "document_id", "web_source_id", "created_at", "updated_at")
    return TaskOut.model_validate(
        {
            **{name: getattr(job, name) for name in same},
            "id": job.job_id,
            "status_url": url_for("tasks.show", task_id=job.job_id),
            "stage": task.stage,
            "progress": round(task.progress, 3),
            "attempt_count": job.attempts,
            "error": {"detail": job.error, "advice": job.advice} if job.error else None,
        }
    )
