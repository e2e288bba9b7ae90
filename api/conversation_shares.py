"""`…/shares`: links that show a conversation to whoever has them; and `/v1/shared`, the page that they lead to."""

from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

from flask import Response, request, url_for
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from api.access import open_to_all, requires
from api.bots import select_bot
from api.conversation_schemas import ConversationPath
from api.dataset_schemas import Strict
from api.datasets import make_responses
from api.description_parts import describe_file_response
from api.links import link_citations
from api.paging import PageOut, PageQuery, make_page_members, read_part_query
from api.problem_schemas import Problem
from api.responses import respond
from api.schemas import WHOLE, BotQuery, RunId
from api.services import services
from api.shared_page import LANGUAGES, render_shared
from api.view import answer_browsers, respond_page
from api.visitors import find_client_network
from auth.authorisation import authorise
from auth.credentials import make_link_bearer
from auth.principal import Principal
from auth.scopes import Scope
from domain.conversation_shares import SharedConversation
from domain.models import ConversationShare
from domain.transcript_retention import DAY_S
from server.request_body import call_at_end
from utils.errors import Conflict, NotFound
from utils.long_texts import process_text
from utils.validation import check_conversation_id, check_run_id, refuse_field

_ABOUT = "Links that show a conversation to whoever has them."
conversation_shares_blueprint = APIBlueprint(
    "conversation_shares", __name__, abp_tags=[Tag(name="Shared conversations", description=_ABOUT)]
)
_ALL = "/v1/conversations/<conversation_id>/shares"
_ONE = f"{_ALL}/<share_id>"
_PAGE = "/v1/shared"
_OFF = "Conversations are not shared here: the operator has not turned it on (CONVERSATION_SHARING)."
_GONE = "No conversation is shared by this link. It may have expired, or been revoked."


class ShareIn(Strict):
    """A new link."""

    expires_in_s: Annotated[int, Field(ge=60, le=31_536_000), WHOLE] | None = Field(
        None, description="Seconds that it shows the conversation; null: as long as SHARE_DAYS says, which is the most."
    )
    branch: RunId | None = Field(
        None, description="A run on the branch that it shows, to its last turn; null: the one used last."
    )


class SharePath(ConversationPath):
    """Which link."""

    share_id: str = Field(max_length=36)


class ShareListQuery(PageQuery, BotQuery):
    """Which of the links, a part at a time."""


class ShareOut(BaseModel):
    """A link to a conversation, which shows it as it was when the link was made."""

    id: str
    conversation_id: str
    created_at: datetime
    expires_at: datetime = Field(description="Until then it shows the conversation, while that is kept.")


class NewShareOut(ShareOut):
    """A new link."""

    url: str = Field(description="The page. Not shown again: whoever has it can read the conversation.")


class SharesOut(PageOut):
    """A part of the links that show the conversation, oldest first."""

    shares: list[ShareOut]


class SharedQuery(BaseModel):
    """Which link, and which part of the conversation."""

    token: str = Field(max_length=100, description="Part of the `url` of a link.")
    page: int = Field(1, ge=1, le=100_000, description="Counted from 1.")


@conversation_shares_blueprint.post(
    _ALL,
    operation_id="shareConversation",
    summary="Share a conversation by a link",
    responses=make_responses(201, NewShareOut, 404, 409),
)
@requires(Scope.CONVERSATIONS_WRITE)
async def create(ctx: Principal, path: ConversationPath, query: BotQuery, body: ShareIn) -> Response:
    """201: a page shows one branch up to its last answer, and nothing that is said later, to whoever has `url`.

    404 if the caller has none of this id, or nothing of it is stored; 409 where conversations are not shared, or there
    are as many links as there may be.
    """
    authorise(ctx, Scope.CONVERSATIONS_READ)  # the page shows what was said
    conversation_id = check_conversation_id(path.conversation_id, field="conversation_id")
    keep_s = _check_time(body)
    branch = "" if body.branch is None else check_run_id(body.branch, field="branch")
    ctx = select_bot(ctx, query.bot_id)
    share, token = await services().sharing.create(ctx, conversation_id, keep_s=keep_s, branch=branch)
    url = f"{services().links.get_base_url()}{_PAGE}?{urlencode({'token': token})}"
    view = NewShareOut(**_describe(share).model_dump(), url=url)
    location = url_for("conversation_shares.show", conversation_id=conversation_id, share_id=share.share_id)
    return respond(view, 201, location=location, is_secret=True)


@conversation_shares_blueprint.get(
    _ALL,
    operation_id="listConversationShares",
    summary="List the links to a conversation",
    responses=make_responses(200, SharesOut, 404),
)
@requires(Scope.CONVERSATIONS_READ)
async def index(ctx: Principal, path: ConversationPath, query: ShareListQuery) -> Response:
    """Its links, oldest first, without their addresses. 404 if the caller has no conversation of this id."""
    conversation_id = check_conversation_id(path.conversation_id, field="conversation_id")
    part = read_part_query(query, datetime, str)
    result = await services().sharing.list_own(select_bot(ctx, query.bot_id), conversation_id, part)
    rows = [_describe(row) for row in result.rows]
    return respond(SharesOut(shares=rows, **make_page_members(result, part)))


@conversation_shares_blueprint.get(
    _ONE,
    operation_id="getConversationShare",
    summary="Look at a link to a conversation",
    responses=make_responses(200, ShareOut, 404),
)
@requires(Scope.CONVERSATIONS_READ)
async def show(ctx: Principal, path: SharePath, query: BotQuery) -> Response:
    """The link without its address. 404 if there is none of this id that shows the conversation."""
    conversation_id = check_conversation_id(path.conversation_id, field="conversation_id")
    result = await services().sharing.find(select_bot(ctx, query.bot_id), conversation_id, path.share_id)
    return respond(_describe(result))


@conversation_shares_blueprint.delete(
    _ONE,
    operation_id="revokeConversationShare",
    summary="Revoke a link to a conversation",
    responses=make_responses(204, None, 404),
)
@requires(Scope.CONVERSATIONS_WRITE)
async def revoke(ctx: Principal, path: SharePath, query: BotQuery) -> Response:
    """204: it shows nothing from now on. 404 if there is none of this id that shows the conversation."""
    conversation_id = check_conversation_id(path.conversation_id, field="conversation_id")
    await services().sharing.revoke(select_bot(ctx, query.bot_id), conversation_id, path.share_id)
    return Response(status=204)


@conversation_shares_blueprint.get(
    _PAGE,
    operation_id="viewSharedConversation",
    summary="Read a shared conversation",
    description="A page for people, without a key; the `url` of a link leads to it. Answers stand with the quotes that "
    "they rest on. 404 once the link is revoked or has expired, or the conversation is deleted.",
    responses={
        200: describe_file_response("text/html", "The page."),
        **dict.fromkeys((400, 404, 429, 503), Problem),
    },
)
@answer_browsers
@open_to_all
async def view(query: SharedQuery) -> Response:
    """The page."""
    await _count_address()
    shared = await _open(query)
    bearer = make_link_bearer(shared.tenant_id)
    call_at_end(request, services().admission.request_of(bearer).release)
    if limits := services().link_limits:
        await limits.spend_tenant(shared.tenant_id)
    with_links = services().settings.conversation_sharing == "sources"
    base = services().links.get_base_url()
    answered = [await link_citations(bearer, turn.texts, base) if with_links else turn.texts for turn in shared.turns]
    language = request.accept_languages.best_match(LANGUAGES) or LANGUAGES[0]
    characters = sum(len(texts["question"]) + len(texts["answer"] or "") for texts in answered)
    async with services().view_texts.place(shared.tenant_id):
        html = await process_text(
            lambda: render_shared(shared, answered, token=query.token, language=language), characters=characters
        )
    return respond_page(html)


async def _count_address() -> None:
    """Before the database is asked: who guesses tokens is counted as well."""
    if limits := services().link_limits:
        network = find_client_network(request)
        call_at_end(request, limits.enter(network))
        await limits.spend_address(network)


async def _open(query: SharedQuery) -> SharedConversation:
    is_on = services().settings.conversation_sharing != "off"
    shared = await services().sharing.open(query.token, query.page) if is_on else None
    if shared is None:
        raise NotFound(_GONE)
    return shared


def _check_time(body: ShareIn) -> float:
    """For how many seconds a new link is to be valid.

    Raises:
        Conflict: conversations are not shared.
        BadInput: it is to be valid for longer than links may be.
    """
    settings = services().settings
    if settings.conversation_sharing == "off":
        raise Conflict(_OFF)
    max_s = settings.share_days * DAY_S
    if body.expires_in_s is not None and body.expires_in_s > max_s:
        raise refuse_field(f"At most {max_s:.0f} seconds: SHARE_DAYS is {settings.share_days:g}.", "expires_in_s")
    return body.expires_in_s or max_s


def _describe(row: ConversationShare) -> ShareOut:
    facts = {name: getattr(row, name) for name in ("conversation_id", "created_at", "expires_at")}
    return ShareOut(id=row.share_id, **facts)
