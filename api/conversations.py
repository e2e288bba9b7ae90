"""`/v1/conversations`: one's own, listed, searched, read again, renamed, deleted and restored."""

from contextlib import suppress
from datetime import datetime

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag
from pydantic import Field

from api.access import requires
from api.bots import select_bot
from api.conversation_schemas import (
    ClearedOut,
    ClearingIn,
    ConversationPatch,
    ConversationPath,
    ConversationsOut,
    ConversationsQuery,
    DeletionQuery,
    ListedConversationOut,
    describe_listed,
)
from api.links import link_conversation
from api.paging import MAX_A_PAGE, make_own_address, make_page_members, read_part_query
from api.problem_schemas import Problem
from api.ratings import add_ratings, delete_ratings
from api.responses import respond
from api.schemas import BotQuery, ConversationOut, RunId
from api.services import services
from auth.principal import Principal
from auth.scopes import Scope
from domain.paging import Part
from domain.transcript import make_missing_error
from utils.errors import Conflict, NotFound, StoreUnavailable
from utils.validation import check_conversation_id, check_run_id

conversations_blueprint = APIBlueprint(
    "conversations", __name__, abp_tags=[Tag(name="Conversations", description="Past talk, while it is kept.")]
)
_CLEARED_AT_ONCE = 100  # some seconds of work
_ALL, _ONE = "/v1/conversations", "/v1/conversations/<conversation_id>"


class ConversationQuery(BotQuery):
    """Which of its messages."""

    limit: int = Field(50, ge=1, le=MAX_A_PAGE)
    before: int | None = Field(
        None, ge=1, le=10_000_000, description="Those before the message at this place, as `next` has it."
    )
    branch: RunId | None = Field(
        None, description="A run on the branch to read, to its last turn; default: the one used last."
    )


@conversations_blueprint.get(
    _ALL,
    operation_id="listConversations",
    summary="List the conversations",
    responses={200: ConversationsOut, 401: Problem, 404: Problem, 429: Problem, 503: Problem},
)
@requires(Scope.CONVERSATIONS_READ)
async def index(ctx: Principal, query: ConversationsQuery) -> Response:
    """The caller's own, the last used first, a moment after each turn; `q` finds some by their words."""
    part = read_part_query(query, datetime, str)
    result, listed = await services().transcripts.list_own(select_bot(ctx, query.bot_id), part, query.q.strip())
    rows = [describe_listed(one) for one in listed]
    return respond(ConversationsOut(conversations=rows, **make_page_members(result, part)))


@conversations_blueprint.post(
    f"{_ALL}/clear",
    operation_id="clearConversations",
    summary="Delete all conversations",
    responses={200: ClearedOut, 401: Problem, 429: Problem, 503: Problem},
)
@requires(Scope.CONVERSATIONS_WRITE)
async def clear(ctx: Principal, query: BotQuery, body: ClearingIn) -> Response:
    """Deletes the caller's conversations with one bot, 100 at a time, the last used first.

    Ask again while `remaining_count` is more than `busy_count`. Those that are being answered stay.
    """
    ctx, busy = select_bot(ctx, query.bot_id), 0
    found, _ = await services().transcripts.list_own(ctx, Part(_CLEARED_AT_ONCE))
    for row in found.rows:
        try:
            await delete_conversation(ctx, row.conversation_id, erases=body.permanent, wait_s=0)
        except NotFound:  # somebody else was first
            continue
        except Conflict:
            busy += 1
    deleted = len(found.rows) - busy
    remaining = found.total - deleted
    return respond(ClearedOut(deleted_count=deleted, busy_count=busy, remaining_count=remaining))


@conversations_blueprint.get(
    _ONE,
    operation_id="getConversation",
    summary="Read a conversation",
    responses={200: ConversationOut, 401: Problem, 404: Problem, 429: Problem},
)
@requires(Scope.CONVERSATIONS_READ)
async def show(ctx: Principal, path: ConversationPath, query: ConversationQuery) -> Response:
    """The last messages of a branch with their citations, the newest last; `next` leads to those before them.

    404 if there is none of this id for the caller, or the branch is not one of it.
    """
    conversation_id = check_conversation_id(path.conversation_id, field="conversation_id")
    ctx = select_bot(ctx, query.bot_id)
    branch = "" if query.branch is None else check_run_id(query.branch, field="branch")
    part = await services().conversations.read(
        ctx, conversation_id, limit=query.limit, before=query.before, branch=branch
    )
    view = await link_conversation(ctx, await add_ratings(ctx, part))
    with suppress(StoreUnavailable):
        listed = await services().transcripts.note_reading(ctx, conversation_id)
        view["title"] = listed.title if listed else None
    chosen = {name: value for name, value in (("bot_id", query.bot_id), ("branch", branch)) if value}
    earlier = make_own_address({**chosen, "limit": query.limit, "before": part["offset"]})
    return jsonify({**view, "next": earlier if part["offset"] else None})


@conversations_blueprint.patch(
    _ONE,
    operation_id="renameConversation",
    summary="Rename a conversation",
    responses={200: ListedConversationOut, 401: Problem, 404: Problem, 429: Problem, 503: Problem},
)
@requires(Scope.CONVERSATIONS_WRITE)
async def rename(ctx: Principal, path: ConversationPath, query: BotQuery, body: ConversationPatch) -> Response:
    """Give it a title; null: made of its first question again. 404 if the caller's list has none of this id."""
    conversation_id = check_conversation_id(path.conversation_id, field="conversation_id")
    ctx = select_bot(ctx, query.bot_id)
    if "title" in body.model_fields_set:
        return respond(describe_listed(await services().conversations.rename(ctx, conversation_id, body.title)))
    result = await services().transcripts.note_reading(ctx, conversation_id)
    if result is None:
        raise make_missing_error()
    return respond(describe_listed(result))


@conversations_blueprint.post(
    f"{_ONE}/restore",
    operation_id="restoreConversation",
    summary="Restore a deleted conversation",
    responses={200: ListedConversationOut, 401: Problem, 404: Problem, 409: Problem, 429: Problem, 503: Problem},
)
@requires(Scope.CONVERSATIONS_WRITE)
async def restore(ctx: Principal, path: ConversationPath, query: BotQuery) -> Response:
    """Take back that it was deleted, without its ratings. 404 if it is erased, 409 if another of its id has begun."""
    conversation_id = check_conversation_id(path.conversation_id, field="conversation_id")
    restored = await services().conversations.restore(select_bot(ctx, query.bot_id), conversation_id)
    return respond(describe_listed(restored))


@conversations_blueprint.delete(
    _ONE,
    operation_id="deleteConversation",
    summary="Delete a conversation",
    responses={204: None, 401: Problem, 404: Problem, 409: Problem, 429: Problem},
)
@requires(Scope.CONVERSATIONS_WRITE)
async def delete(ctx: Principal, path: ConversationPath, query: DeletionQuery) -> Response:
    """It is gone at once, with its ratings, and erased once it cannot be restored any more, after CONVERSATION_UNDO
    seconds, or now (`permanent`). 204; 404 if there is none, 409 while it is being answered."""
    conversation_id = check_conversation_id(path.conversation_id, field="conversation_id")
    await delete_conversation(select_bot(ctx, query.bot_id), conversation_id, erases=query.permanent)
    return Response(status=204)


async def delete_conversation(
    ctx: Principal, conversation_id: str, *, erases: bool, wait_s: float | None = None
) -> None:
    """Delete the caller's conversation, with its ratings; see `Conversations.delete`."""
    try:
        await services().conversations.delete(ctx, conversation_id, erases=erases, wait_s=wait_s)
    except NotFound:  # it has expired, or the database was away when it was removed
        if not await delete_ratings(ctx, conversation_id):
            raise
    else:
        await delete_ratings(ctx, conversation_id)
