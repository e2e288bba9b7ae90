"""`…/files`: files that are attached to a conversation, which answers in it alone may rest on."""

from datetime import datetime
from functools import partial

from flask import Response, request, url_for
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from agents.attached_files import AttachedFile, ParsedAttachment
from api import uploads
from api.access import requires, requires_before_body
from api.bots import load_bot, select_bot
from api.conversation_schemas import ConversationPath
from api.datasets import make_responses
from api.multipart import UploadedFile
from api.paging import PageOut, PageQuery, make_page_members, read_part_query
from api.responses import respond
from api.schemas import BotQuery
from api.services import services
from auth.principal import Principal, PrincipalKind
from auth.scopes import Scope
from domain.paging import cut_part
from server.sync_pool import get_sync_pool
from utils.validation import check_conversation_id, refuse_field

_ABOUT = "Files that people attach to a conversation, for its own answers alone."
conversation_files_blueprint = APIBlueprint(
    "conversation_files", __name__, abp_tags=[Tag(name="Conversation files", description=_ABOUT)]
)
_ALL = "/v1/conversations/<conversation_id>/files"
_ONE = f"{_ALL}/<file_id>"
_ENVELOPE_BYTES = 65_536  # of a body, beside its file
_BODY = uploads.describe_form({"files": uploads.describe_files("The file, with its name.", most=1)}, required=["files"])


class FilePath(ConversationPath):
    """Which file."""

    file_id: str = Field(max_length=36)


class ConversationFileOut(BaseModel):
    """A file that is attached to a conversation. Citations name it by its `id`, as `document_id`."""

    id: str
    name: str
    media_type: str
    size_bytes: int
    page_count: int | None = Field(description="null for kinds of files that have no pages.")
    note: str | None = Field(description="What was not read of it, and why; null: all was.")
    created_at: datetime


class ConversationFilesQuery(PageQuery, BotQuery):
    """Which of the files, a part at a time."""


class ConversationFilesOut(PageOut):
    """A part of the files of a conversation, oldest first."""

    files: list[ConversationFileOut]


@conversation_files_blueprint.post(
    _ALL,
    operation_id="attachFile",
    summary="Attach a file to a conversation",
    description="multipart/form-data with one part, `files`. The file is read at once. It is not one of the tenant's "
    "documents: answers in this conversation alone rest on it, and nobody else finds it. It is deleted with the "
    "conversation, and once that was not used for CONVERSATION_TTL seconds; the conversation need not have begun.",
    responses=make_responses(201, ConversationFileOut, 404, 409, 413, 422),
    openapi_extensions={"requestBody": _BODY},
)
@requires_before_body(Scope.CHAT_WRITE)
async def attach(ctx: Principal, path: ConversationPath, query: BotQuery) -> Response:
    """201 once the next question is answered from it, too.

    409 where files cannot be attached, or the conversation has as many as it may; 413 or 422 if it cannot be read.
    """
    conversation_id = check_conversation_id(path.conversation_id, field="conversation_id")
    services().attached_files.require()
    ctx, _ = await load_bot(ctx, query.bot_id)
    await _count_file(ctx)

    async def take(form: uploads.Form) -> Response:
        added = await services().attached_files.add(ctx, conversation_id, partial(_read, ctx, form))
        location = url_for("conversation_files.show", conversation_id=conversation_id, file_id=added.file_id)
        return respond(_describe(added), 201, location=location)

    max_bytes = services().settings.conversation_file_size + _ENVELOPE_BYTES
    return await uploads.receive(ctx, take, max_bytes=max_bytes)


@conversation_files_blueprint.get(
    _ALL,
    operation_id="listConversationFiles",
    summary="List the files of a conversation",
    responses=make_responses(200, ConversationFilesOut),
)
@requires(Scope.CONVERSATIONS_READ)
async def index(ctx: Principal, path: ConversationPath, query: ConversationFilesQuery) -> Response:
    """The files that are attached now, oldest first; none where the caller has no conversation of this id."""
    conversation_id = check_conversation_id(path.conversation_id, field="conversation_id")
    part = read_part_query(query, datetime, str)
    files = await services().attached_files.list_own(select_bot(ctx, query.bot_id), conversation_id)
    result = cut_part(sorted(files, key=_get_key), _get_key, part)
    return respond(ConversationFilesOut(files=list(map(_describe, result.rows)), **make_page_members(result, part)))


@conversation_files_blueprint.get(
    _ONE,
    operation_id="getConversationFile",
    summary="Look at a file of a conversation",
    responses=make_responses(200, ConversationFileOut, 404),
)
@requires(Scope.CONVERSATIONS_READ)
async def show(ctx: Principal, path: FilePath, query: BotQuery) -> Response:
    """What is known of it, without its content. 404 if the caller's conversation has none of this id."""
    conversation_id = check_conversation_id(path.conversation_id, field="conversation_id")
    ctx = select_bot(ctx, query.bot_id)
    return respond(_describe(await services().attached_files.find(ctx, conversation_id, path.file_id)))


@conversation_files_blueprint.delete(
    _ONE,
    operation_id="deleteConversationFile",
    summary="Delete a file of a conversation",
    responses=make_responses(204, None, 404),
)
@requires(Scope.CONVERSATIONS_WRITE)
async def delete(ctx: Principal, path: FilePath, query: BotQuery) -> Response:
    """204: no further answer rests on it. Answers that quote it stay. 404 if there is none of this id."""
    conversation_id = check_conversation_id(path.conversation_id, field="conversation_id")
    await services().attached_files.remove(select_bot(ctx, query.bot_id), conversation_id, path.file_id)
    return Response(status=204)


async def _count_file(ctx: Principal) -> None:
    """Count a visitor's file.

    Raises:
        RateLimited: it has attached as many as it may.
    """
    limits = services().visitor_limits
    if limits is not None and ctx.kind is PrincipalKind.VISITOR:
        await limits.spend_file(limits.find_visit(ctx, request))


async def _read(ctx: Principal, form: uploads.Form) -> ParsedAttachment:
    if len(form.files) != 1:
        raise refuse_field("Send one file, in a part called files.", "files")
    reader = services().attached_reader
    async with reader.turns.place(ctx.tenant_id):
        return await get_sync_pool().run(lambda: _read_one(form.files[0]))


def _read_one(file: UploadedFile) -> ParsedAttachment:
    name = uploads.clean_file_name(file.name)
    data = uploads.check_size(file.read(), services().settings.conversation_file_size)
    return ParsedAttachment(*services().attached_reader.read(data, name))


def _get_key(file: AttachedFile) -> tuple[datetime, str]:
    return file.created_at, file.file_id


def _describe(file: AttachedFile) -> ConversationFileOut:
    facts = {name: getattr(file, name) for name in ("name", "media_type", "size_bytes", "page_count", "note")}
    return ConversationFileOut(id=file.file_id, created_at=file.created_at, **facts)
