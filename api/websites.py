"""`POST /v1/visitors`: what a bot on an institution's website is asked with, in place of a key."""

import time
from datetime import UTC, datetime

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from agents.bots import BotConfig
from api.access import open_with_body
from api.cors import AllowedOrigins
from api.dataset_schemas import Strict
from api.problem_schemas import Problem
from api.responses import respond
from api.schemas import PublicId
from api.services import services
from api.terms import find_keep_seconds
from api.visitor_tokens import ORIGIN_REFUSED, WebsiteVisitor
from api.visitors import find_client_network
from auth.credentials import make_website_visitor
from auth.principal import Principal
from utils.errors import Conflict, NotFound, OriginRefused

websites_blueprint = APIBlueprint(
    "websites", __name__, abp_tags=[Tag(name="Websites", description="A bot on pages of an institution's website.")]
)
_REFUSED = (
    "No bot of this name is open to visitors of this website. Whoever manages the bot can open it: allowed_origins."
)


class VisitorIn(Strict):
    """Which bot somebody visits."""

    public_id: PublicId
    token: str | None = Field(
        None, max_length=400, description="The one before: who had it is the same visitor, also soon after its end."
    )


class VisitorOut(BaseModel):
    """A visitor's token, and what visitors are to be told."""

    token: str = Field(description="Sent as `Authorization: Bearer`, by pages of this website alone.")
    expires_at: datetime
    bot_id: str
    institution: str | None = Field(description="Whose documents the bot answers from; null where that is not set.")
    kept_s: int = Field(description="For how long after its last use a conversation is kept.", examples=[86_400])


@websites_blueprint.post(
    "/v1/visitors",
    operation_id="openVisit",
    summary="Get a visitor's token for a bot on a website",
    description="For pages of websites, which have no key: the bot's `allowed_origins` say which websites. The token "
    "lasts an hour. It may ask this bot, read its own conversations and attach files to them, and nothing else.",
    responses={200: VisitorOut, 403: Problem, 413: Problem, 415: Problem, 429: Problem},
)
@open_with_body
async def open_visit(body: VisitorIn) -> Response:
    """A token. 403 where the bot is not open to pages of the `Origin` that asks."""
    limits = services().visitor_limits
    headers = (await limits.spend_visit(find_client_network(request))).headers if limits else {}
    visitor = _find_visitor(body)
    ctx = make_website_visitor(visitor.tenant_id, visitor.bot_id, visitor.visitor_id)
    bot = await _find_open_bot(ctx, body.public_id)
    view = VisitorOut(
        token=services().authenticator.visitors.sign(visitor),
        expires_at=datetime.fromtimestamp(visitor.expires_at, UTC),
        bot_id=visitor.bot_id,
        institution=bot.institution or None,
        kept_s=await find_keep_seconds(ctx),
    )
    response = respond(view)
    response.headers.update(headers)
    return response


def _find_visitor(body: VisitorIn) -> WebsiteVisitor:
    """The visitor who had the former token, or a new one."""
    tenant_id, _, bot_id = body.public_id.partition("/")
    origin = request.headers.get("Origin", "")
    former = services().authenticator.visitors.read(body.token or "")
    if former is not None and former.is_same_site(tenant_id, bot_id, origin) and _may_return(former):
        return WebsiteVisitor.make(tenant_id, bot_id, origin, former.visitor_id)
    return WebsiteVisitor.make(tenant_id, bot_id, origin)


def _may_return(former: WebsiteVisitor) -> bool:
    return time.time() < former.expires_at + services().settings.conversation_ttl


async def _find_open_bot(ctx: Principal, public_id: str) -> BotConfig:
    """The bot, if pages of the present `Origin` may ask it. No refusal tells whether there is such a tenant or bot."""
    try:
        bot = await services().bots.get(ctx)
    except (NotFound, Conflict):
        bot = None
    origin = request.headers.get("Origin")
    if bot is None or origin is None or not AllowedOrigins(bot.allowed_origins).allow(origin):
        request.environ[ORIGIN_REFUSED] = public_id
        raise OriginRefused(_REFUSED)
    return bot
