"""`/v1/tenant/conflicts`: what documents of a tenant say differently of the same thing."""

from datetime import datetime
from typing import Literal

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from api.access import checks_if_match, requires
from api.conditional import check_unchanged, make_etag
from api.dataset_schemas import Strict
from api.datasets import make_responses
from api.description_parts import RESPONSE_HEADERS
from api.paging import PageOut, PageQuery, make_page_members, read_part_query
from api.responses import respond
from api.schemas import Day
from api.services import services
from auth.principal import Principal
from auth.scopes import Scope
from domain import conflicts
from domain.conflict_views import describe_conflicts
from domain.in_thread import read
from domain.models import Conflict

conflicts_blueprint = APIBlueprint(
    "conflicts", __name__, abp_tags=[Tag(name="Conflicts", description="What documents say differently.")]
)
_ONE = "/v1/tenant/conflicts/<conflict_id>"
ConflictState = Literal["open", "dismissed", "gone"]


class ConflictsQuery(PageQuery):
    """Which of them, a part at a time."""

    status: ConflictState = "open"


class ConflictPath(BaseModel):
    """Which conflict."""

    conflict_id: str


class ConflictPatch(Strict):
    """What is to become of it."""

    status: Literal["open", "dismissed"] = Field(description="dismissed: it is none, or may stay as it is.")


class ConflictSideOut(BaseModel):
    """A sentence of a document, as it stands there; what is said of the document is null once that is removed."""

    document_id: str
    version: int
    title: str
    source: str | None
    date: Day | None = Field(description="The day of the document.")
    valid_until: Day | None
    precedence: float | None
    sentence: str


class ConflictOut(BaseModel):
    """Two sentences of different documents that say different things of the same."""

    id: str
    status: ConflictState = Field(
        description="gone: a document has changed, was removed, or does not hold any more; kept for 90 days."
    )
    kind: str = Field(description="What they differ in.", examples=["clock"])
    statements: list[ConflictSideOut] = Field(description="Both.")
    preferred_document_id: str | None = Field(description="Which one answers say holds; null where nothing says so.")
    decided_by: Literal["precedence", "date"] | None = Field(
        description="Why: it has the higher precedence, or is the newer one."
    )
    found_at: datetime
    dismissed_at: datetime | None
    gone_at: datetime | None


class ConflictsOut(PageOut):
    """A part of them, those found last first."""

    conflicts: list[ConflictOut]


@conflicts_blueprint.get(
    "/v1/tenant/conflicts",
    operation_id="listConflicts",
    summary="List conflicts between documents",
    description="Found in the background, some seconds after documents are indexed.",
    responses=make_responses(200, ConflictsOut),
)
@requires(Scope.DOCUMENTS_READ)
async def list_all(ctx: Principal, query: ConflictsQuery) -> Response:
    """The open ones, those found last first, unless others are asked for."""
    part = read_part_query(query, datetime, str)

    def work(session: Session) -> ConflictsOut:
        part_rows = conflicts.list_conflicts(session, ctx, part, status=query.status)
        rows = describe_conflicts(session, ctx, part_rows.rows)
        return ConflictsOut.model_validate({"conflicts": rows, **make_page_members(part_rows, part)})

    return respond(await read(services().database, work))


@conflicts_blueprint.get(
    _ONE,
    operation_id="getConflict",
    summary="Look at a conflict",
    responses=make_responses(200, ConflictOut, 404),
    openapi_extensions={RESPONSE_HEADERS: ["ETag"]},
)
@requires(Scope.DOCUMENTS_READ)
async def show(ctx: Principal, path: ConflictPath) -> Response:
    """Both sentences, with what is known of their documents now. 404 if the caller has none of this id."""

    def work(session: Session) -> ConflictOut:
        return _describe(session, ctx, conflicts.get_conflict(session, ctx, path.conflict_id))

    view = await read(services().database, work)
    return respond(view, etag=_compute_etag(view))


@conflicts_blueprint.patch(
    _ONE,
    operation_id="updateConflict",
    summary="Dismiss a conflict",
    responses=make_responses(200, ConflictOut, 404, 409),
    openapi_extensions={RESPONSE_HEADERS: ["ETag"]},
)
@requires(Scope.DOCUMENTS_WRITE)
@checks_if_match
def change(ctx: Principal, path: ConflictPath, body: ConflictPatch) -> Response:
    """Dismissed, it stays so while both documents say this. 404 if there is none of this id, 409 if it is gone."""

    with services().database.open_write_session() as session:
        former = _describe(session, ctx, conflicts.get_conflict(session, ctx, path.conflict_id, for_update=True))
        check_unchanged(_compute_etag(former), former.model_dump())
        row = conflicts.set_dismissed(session, ctx, path.conflict_id, dismissed=body.status == "dismissed")
        view = _describe(session, ctx, row)
    return respond(view, etag=_compute_etag(view))


def _describe(session: Session, ctx: Principal, row: Conflict) -> ConflictOut:
    return ConflictOut.model_validate(describe_conflicts(session, ctx, [row])[0])


def _compute_etag(view: ConflictOut) -> str:
    return make_etag(view.model_dump(include={"status"}))
