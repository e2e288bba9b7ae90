"""`/v1/conversations/{id}`: read a conversation again, or forget it."""

from urllib.parse import urlencode

from flask import Response, jsonify, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from api.access import requires
from api.bots import at_bot
from api.links import link_conversation
from api.paging import MOST_A_PAGE
from api.ratings import add_ratings, forget_ratings
from api.schemas import BotQuery, ConversationId, ConversationOut, Problem
from api.services import services
from auth.principal import Principal
from auth.scopes import Scope
from utils.errors import NotFound
from utils.validation import check_conversation_id

conversations_blueprint = APIBlueprint(
    "conversations", __name__, abp_tags=[Tag(name="Conversations", description="Past talk, while it is kept.")]
)


class ConversationPath(BaseModel):
    """Which conversation."""

    conversation_id: ConversationId = Field(description="As it was named when it began.")


class ConversationQuery(BotQuery):
    """Which of its messages."""

    limit: int = Field(50, ge=1, le=MOST_A_PAGE)
    before: int | None = Field(
        None, ge=1, le=10_000_000, description="Those before the message at this place, as `next` has it."
    )


class DeletionQuery(BotQuery):
    """How it is deleted."""

    permanent: bool = Field(False, description="Erase its texts at once: then it cannot be restored.")


@conversations_blueprint.get(
    "/v1/conversations/<conversation_id>",
    operation_id="getConversation",
    summary="Read a conversation",
    responses={200: ConversationOut, 401: Problem, 404: Problem, 429: Problem},
)
@requires(Scope.CONVERSATIONS_READ)
async def show(ctx: Principal, path: ConversationPath, query: ConversationQuery) -> Response:
    """Its last messages with their citations, the newest last; `next` leads to those before them.

    404 if there is none of this id for the caller.
    """
    conversation_id = check_conversation_id(path.conversation_id, field="conversation_id")
    ctx = at_bot(ctx, query.bot_id)
    part = await services().runs.conversation(ctx, conversation_id, limit=query.limit, before=query.before)
    shown = await link_conversation(ctx, await add_ratings(ctx, part))
    of_bot = {"bot_id": query.bot_id} if query.bot_id else {}
    earlier = f"{request.path}?{urlencode({**of_bot, 'limit': query.limit, 'before': part['offset']})}"
    return jsonify({**shown, "next": earlier if part["offset"] else None})


@conversations_blueprint.delete(
    "/v1/conversations/<conversation_id>",
    operation_id="deleteConversation",
    summary="Forget a conversation",
    responses={204: None, 401: Problem, 404: Problem, 409: Problem, 429: Problem},
)
@requires(Scope.CONVERSATIONS_WRITE)
async def forget(ctx: Principal, path: ConversationPath, query: DeletionQuery) -> Response:
    """Remove it for good, and all ratings in it. 204; 404 if there is none, 409 while it is being answered."""
    conversation_id, ctx = (
        check_conversation_id(path.conversation_id, field="conversation_id"),
        at_bot(ctx, query.bot_id),
    )
    try:
        await services().runs.delete(ctx, conversation_id, erases=query.permanent)
    except NotFound:  # it has expired, or the database was away when it was removed
        if not await forget_ratings(ctx, conversation_id):
            raise
    else:
        await forget_ratings(ctx, conversation_id)
    return Response(status=204)
