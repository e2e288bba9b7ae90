"""`/v1/tenant/bots`: a tenant's bots; and which of them a request is for."""

from datetime import datetime
from typing import Annotated, Any, Literal, cast

from flask import Response, url_for
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from sqlalchemy.orm import Session

from agents.bots import BotConfig
from agents.tools.tool import NAME
from api.access import checks_if_match, requires
from api.conditional import check_unchanged, make_etag
from api.dataset_schemas import Name, Strict
from api.datasets import make_responses
from api.description_parts import RESPONSE_HEADERS
from api.paging import PageOut, PageQuery, make_page_members, read_part_query
from api.responses import respond
from api.schemas import NON_BLANK, WHOLE, BotId
from api.services import services
from auth.principal import DEFAULT_BOT, Principal
from auth.scopes import Scope
from domain import bots
from domain.bots import BotAnswers
from domain.models import Bot
from utils.validation import ORIGIN, check_text

bots_blueprint = APIBlueprint("bots", __name__, abp_tags=[Tag(name="Bots", description="Assistants of a tenant.")])
_ALL, _ONE = "/v1/tenant/bots", "/v1/tenant/bots/<bot_id>"
_ETAG = {RESPONSE_HEADERS: ["ETag"]}

_Text = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(lambda text: text and check_text(text))]
_Institution = Annotated[_Text, Field(max_length=200, description="Whose documents it answers from.")]
_LanguagePolicy = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500),
    AfterValidator(check_text),
    NON_BLANK,
    Field(description="In which language it answers."),
]
_Instructions = Annotated[
    _Text,
    Field(
        max_length=8_000,
        description="What its language model is told beside the rules. Quotes know nothing of it.",
    ),
]
_Datasets = Annotated[list[str], Field(max_length=100, description="What it answers from; empty: all of the tenant's.")]
_TopK = Annotated[
    int,
    Field(ge=1, le=20, description="Passages an answer rests on at most."),
    WHOLE,
]
_Model = Annotated[BotId, Field(description="The model that it answers by; null: the service's own.")]
_ToolNames = Annotated[list[Annotated[str, Field(pattern=f"^{NAME.pattern}$")]], Field(max_length=32)]
_Tools = Annotated[_ToolNames, Field(description="Tools it may use beside the search of its documents; empty: none.")]
_Approvals = Annotated[_ToolNames, Field(description="Those of its tools that wait until the person has approved.")]
_Origins = Annotated[
    list[Annotated[str, Field(pattern=f"^(?:{ORIGIN.pattern})$")]],
    Field(
        max_length=50,
        description="Websites whose visitors may ask it without a key, as https://www.example.org or "
        "https://*.example.org; `*`: all. Empty: none.",
    ),
]
_Unsupported = Annotated[
    Literal["mark", "drop", "refuse"], Field(description="What becomes of sentences that nothing supports.")
]


class BotPatch(Strict):
    """What to change; what is left out stays, and null is as the settings say."""

    name: Name = Field(default_factory=str)  # null is none
    enabled: bool = Field(default_factory=bool, description="Whether it answers.")
    institution: _Institution | None = None
    language_policy: _LanguagePolicy | None = None
    instructions: _Instructions | None = None
    dataset_ids: _Datasets | None = None
    top_k: _TopK | None = None
    model_id: _Model | None = None
    unsupported_sentences: _Unsupported | None = None
    tools: _Tools | None = None
    approvals: _Approvals | None = None
    allowed_origins: _Origins | None = None

    def merge(self, former: BotAnswers) -> BotAnswers:
        """How the bot answers after it.

        Raises:
            BadInput: it names a tool that is not there.
        """
        services().tools.check(self.tools or (), field="tools")
        sent = self.model_dump(include=self.model_fields_set - {"id", "name", "enabled"})
        if self.tools is not None and self.approvals is None and "approvals" in former:
            sent["approvals"] = [name for name in former["approvals"] if name in self.tools]
        merged = {name: value for name, value in {**former, **sent}.items() if value is not None}
        return cast(BotAnswers, merged)


class BotIn(BotPatch):
    """A new bot. Of what is left out, or null, the settings say how it is."""

    id: BotId = Field(description="How requests name it; it stays.", examples=["admissions"])
    name: Name = Field(examples=["Admissions office"])
    enabled: bool = Field(True, description="Whether it answers.")


class BotPath(BaseModel):
    """Which bot."""

    bot_id: str


class BotOut(BaseModel):
    """A bot. null: as the settings say."""

    id: str
    name: str
    tenant_id: str
    enabled: bool
    version: int = Field(description="One more with each change of how it answers.")
    institution: str | None
    language_policy: str | None
    instructions: str | None
    dataset_ids: list[str] | None
    top_k: int | None
    model_id: str | None
    unsupported_sentences: Literal["mark", "drop", "refuse"] | None
    tools: list[str] | None
    approvals: list[str] | None
    allowed_origins: list[str] | None
    public_id: str = Field(description="Names it on websites; no secret.", examples=["acme/admissions"])
    created_at: datetime
    updated_at: datetime


class BotsOut(PageOut):
    """A part of the bots, oldest first."""

    bots: list[BotOut]


async def load_bot(ctx: Principal, bot_id: str | None) -> tuple[Principal, BotConfig]:
    """The bot that a request is for, by its field `bot_id` or by its key, and the caller talking to it.

    Raises:
        NotFound: the tenant has no such bot, or the key is for another one alone.
        Conflict: it is switched off.
        NotReady: its model is not there.
        StoreUnavailable: it cannot be known now.
    """
    ctx = select_bot(ctx, bot_id)
    return ctx, await services().bots.get(ctx)


def select_bot(ctx: Principal, bot_id: str | None) -> Principal:
    """The caller talking to the bot of that id, whether there is one or not; None: to that of its key, or the default.

    Raises:
        NotFound: the key is for another bot alone.
    """
    if ctx.bot_id is not None:
        if bot_id not in (None, ctx.bot_id):
            raise bots.make_missing_error(str(bot_id))
        return ctx
    return ctx if bot_id in (None, DEFAULT_BOT) else ctx.with_bot(str(bot_id))


@bots_blueprint.post(
    _ALL,
    operation_id="createBot",
    summary="Make a bot",
    responses=make_responses(201, BotOut, 404, 409),
    openapi_extensions=_ETAG,
)
@requires(Scope.BOTS_WRITE)
def create(ctx: Principal, body: BotIn) -> Response:
    """201; 409 if there is one of this id, 404 where a dataset or the model is not found.

    A bot `default` says how the tenant's default bot answers.
    """
    with services().database.open_write_session() as session:
        stored = bots.create_bot(session, ctx, body.id, body.name, body.merge({}))
        stored.bot.is_enabled = body.enabled
        session.flush()
        view = _describe(stored.bot, stored.answers)
    return respond(view, 201, etag=_compute_etag(view), location=url_for("bots.show", bot_id=view.id))


@bots_blueprint.get(_ALL, operation_id="listBots", summary="List the bots", responses=make_responses(200, BotsOut))
@requires(Scope.BOTS_READ)
def index(ctx: Principal, query: PageQuery) -> Response:
    """A part of them, oldest first. The default bot is among them once something is said of it."""
    part = read_part_query(query, datetime, str)
    with services().database.open_read_session() as session:
        own_bots = bots.list_bots(session, ctx, part)
        stored = bots.list_answers(session, ctx, own_bots.rows)
        rows = [_describe(bot, stored.get(bot.bot_id, {})) for bot in own_bots.rows]
    return respond(BotsOut(bots=rows, **make_page_members(own_bots, part)))


@bots_blueprint.get(
    _ONE,
    operation_id="getBot",
    summary="Look at a bot",
    responses=make_responses(200, BotOut, 404),
    openapi_extensions=_ETAG,
)
@requires(Scope.BOTS_READ)
def show(ctx: Principal, path: BotPath) -> Response:
    """The bot. 404 if the caller has none of this id."""
    with services().database.open_read_session() as session:
        stored = bots.get_bot(session, ctx, path.bot_id)
        view = _describe(stored.bot, stored.answers)
    return respond(view, etag=_compute_etag(view))


@bots_blueprint.patch(
    _ONE,
    operation_id="updateBot",
    summary="Change a bot",
    responses=make_responses(200, BotOut, 404),
    openapi_extensions=_ETAG,
)
@requires(Scope.BOTS_WRITE)
@checks_if_match
def change(ctx: Principal, path: BotPath, body: BotPatch) -> Response:
    """The bot as it is now, which holds from its next answer on; answers under way go on as they began."""
    with services().database.open_write_session() as session:
        former = _lock_unchanged(session, ctx, path.bot_id)
        sent = body.model_fields_set
        stored = bots.change_bot(
            session,
            ctx,
            path.bot_id,
            name=body.name if "name" in sent else None,
            is_enabled=body.enabled if "enabled" in sent else None,
            answers=body.merge(former),
        )
        view = _describe(stored.bot, stored.answers)
    return respond(view, etag=_compute_etag(view))


@bots_blueprint.delete(
    _ONE, operation_id="deleteBot", summary="Delete a bot", responses=make_responses(204, None, 404, 409)
)
@requires(Scope.BOTS_WRITE)
@checks_if_match
def remove(ctx: Principal, path: BotPath) -> Response:
    """204; 404 if the caller has none of this id, 409 where keys are for it alone. `"enabled": false` can be undone."""
    with services().database.open_write_session() as session:
        _lock_unchanged(session, ctx, path.bot_id)
        bots.remove_bot(session, ctx, path.bot_id)
    return Response(status=204)


def _lock_unchanged(session: Session, ctx: Principal, bot_id: str) -> BotAnswers:
    """How the bot answers, which is locked, if `If-Match` lets it be changed."""
    stored = bots.lock_bot(session, ctx, bot_id)
    view = _describe(stored.bot, stored.answers)
    check_unchanged(_compute_etag(view), view.model_dump())
    return stored.answers


def _describe(bot: Bot, answers: BotAnswers) -> BotOut:
    facts: dict[str, Any] = {
        "id": bot.bot_id,
        "name": bot.name,
        "tenant_id": bot.tenant_id,
        "public_id": f"{bot.tenant_id}/{bot.bot_id}",
        "enabled": bot.is_enabled,
        "version": bot.version,
        "created_at": bot.created_at,
        "updated_at": bot.updated_at,
    }
    return BotOut.model_validate({**dict.fromkeys(BotAnswers.__annotations__), **answers, **facts})


def _compute_etag(view: BotOut) -> str:
    return make_etag(view.model_dump(include={"name", "enabled", "version"}))
