"""`/v1/sessions` and `/v1/download`: conversations, and files that answers came with, as the maintenance guide has it.

A session is a conversation, and nothing here is kept beside it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from agents.artifacts import Kind, SessionArtifacts, make_file
from api.access import requires
from api.bots import select_bot
from api.conversations import delete_conversation
from api.paging import PageOut, PageQuery, make_page_members, read_part_query
from api.problem_schemas import Problem
from api.responses import respond
from api.schemas import BotQuery, ConversationId
from api.services import services
from auth.principal import Principal
from auth.scopes import Scope
from utils.errors import NotFound, NotReady
from utils.moments import format_moment
from utils.validation import check_conversation_id

_ABOUT = "Conversations by the names of the maintenance guide, and the files that their answers came with."
sessions_blueprint = APIBlueprint("sessions", __name__, abp_tags=[Tag(name="Sessions", description=_ABOUT)])
_REFUSALS: dict[Any, Any] = {401: Problem, 404: Problem, 429: Problem, 503: Problem}
_MEDIA: dict[Kind, tuple[Literal["csv", "png", "python"], str]] = {
    "data": ("csv", "text/csv"),
    "image": ("png", "image/png"),
    "code": ("python", "text/x-python"),
}


class SessionPath(BaseModel):
    """Which session."""

    session_id: ConversationId = Field(description="The id of the conversation.")


class DownloadPath(SessionPath):
    """Which file of it."""

    file_type: Kind


class SessionsQuery(PageQuery, BotQuery):
    """Which of them, a part at a time."""


class SessionOut(BaseModel):
    """A conversation."""

    session_id: str
    created: str = Field(examples=["2026-11-23T01:21:19.042Z"])
    last_activity: str = Field(description="When its last turn ended.", examples=["2026-11-23T01:21:19.042Z"])


class SessionsOut(PageOut):
    """A part of the caller's sessions, the last used first."""

    active_sessions: int = Field(description="How many there are in all parts.")
    sessions: list[SessionOut]


class ArtifactOut(BaseModel):
    """A file that can be downloaded."""

    file: str
    size: int | None = Field(description="Bytes; null where it cannot be given at present.")
    type: Literal["csv", "png", "python"]


class ArtifactsOut(BaseModel):
    """The newest of each kind; null where there is none."""

    data: ArtifactOut | None = None
    image: ArtifactOut | None = None
    code: ArtifactOut | None = None


class SessionArtifactsOut(BaseModel):
    """The files of a session."""

    session_id: str
    artifacts: ArtifactsOut


class DeletedSessionOut(BaseModel):
    """What was done."""

    message: str


@sessions_blueprint.get(
    "/v1/sessions",
    operation_id="getSessions",
    summary="List the sessions",
    responses={200: SessionsOut, **_REFUSALS},
)
@requires(Scope.CONVERSATIONS_READ)
async def index(ctx: Principal, query: SessionsQuery) -> Response:
    """The caller's own conversations that were used within CONVERSATION_TTL, a moment after each turn."""
    part = read_part_query(query, datetime, str)
    within_s = services().settings.conversation_ttl
    result, listed = await services().transcripts.list_own(select_bot(ctx, query.bot_id), part, within_s=within_s)
    rows = [
        SessionOut(
            session_id=each.row.conversation_id,
            created=format_moment(each.row.created_at),
            last_activity=format_moment(each.row.updated_at),
        )
        for each in listed
    ]
    return respond(SessionsOut(active_sessions=result.total, sessions=rows, **make_page_members(result, part)))


@sessions_blueprint.delete(
    "/v1/sessions/<session_id>",
    operation_id="deleteSession",
    summary="Delete a session",
    responses={200: DeletedSessionOut, 409: Problem, **_REFUSALS},
)
@requires(Scope.CONVERSATIONS_WRITE)
async def delete(ctx: Principal, path: SessionPath, query: BotQuery) -> Response:
    """The conversation is erased at once, with its files. 404 if there is none, 409 while it is being answered."""
    session_id = check_conversation_id(path.session_id, field="session_id")
    with _name_session(session_id):
        await delete_conversation(select_bot(ctx, query.bot_id), session_id, erases=True)
    return respond(DeletedSessionOut(message=f"Session {session_id} deleted."))


@sessions_blueprint.get(
    "/v1/sessions/<session_id>/artifacts",
    operation_id="getSessionArtifacts",
    summary="Look at the files of a session",
    responses={200: SessionArtifactsOut, **_REFUSALS},
)
@requires(Scope.CONVERSATIONS_READ)
async def show_artifacts(ctx: Principal, path: SessionPath, query: BotQuery) -> Response:
    """The newest table, chart and script that answers came with, until the conversation expires."""
    session_id, found = await _find(ctx, path, query)
    artifacts = {kind: await _describe_artifact(found, kind) for kind in found.names}
    return respond(SessionArtifactsOut(session_id=session_id, artifacts=ArtifactsOut.model_validate(artifacts)))


@sessions_blueprint.get(
    "/v1/download/<file_type>/<session_id>",
    operation_id="downloadArtifact",
    summary="Download a file of a session",
    responses={
        200: {
            "description": "The newest file of this kind.",
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                "image/png": {"schema": {"type": "string", "format": "binary"}},
                "text/x-python": {"schema": {"type": "string"}},
            },
        },
        400: Problem,
        **_REFUSALS,
    },
)
@requires(Scope.CONVERSATIONS_READ)
async def download(ctx: Principal, path: DownloadPath, query: BotQuery) -> Response:
    """The table as CSV, the chart as PNG, or a Python program that draws it. 404 where no answer came with one."""
    session_id, result = await _find(ctx, path, query)
    if path.file_type not in result.names:
        raise NotFound(f"No answer of the session {session_id} came with a file of this kind ({path.file_type}).")
    name = result.names[path.file_type].rpartition("/")[2]
    headers = {"Content-Disposition": f"attachment; filename={name}"}
    return Response(await _make_file(result, path.file_type), mimetype=_MEDIA[path.file_type][1], headers=headers)


async def _find(ctx: Principal, path: SessionPath, query: BotQuery) -> tuple[str, SessionArtifacts]:
    session_id = check_conversation_id(path.session_id, field="session_id")
    with _name_session(session_id):
        return session_id, await services().conversations.find_artifacts(select_bot(ctx, query.bot_id), session_id)


@contextmanager
def _name_session(session_id: str) -> Iterator[None]:
    """Where there is none, it is told of a session, not of a conversation."""
    try:
        yield
    except NotFound as exc:
        raise NotFound(f"Session {session_id} not found.") from exc


async def _make_file(artifacts: SessionArtifacts, kind: Kind) -> bytes:
    return await make_file(artifacts, kind, files=services().result_files, charts=services().charts)


async def _describe_artifact(artifacts: SessionArtifacts, kind: Kind) -> ArtifactOut:
    try:
        size = len(await _make_file(artifacts, kind))
    except (NotFound, NotReady):
        size = None
    return ArtifactOut(file=artifacts.names[kind], size=size, type=_MEDIA[kind][0])
