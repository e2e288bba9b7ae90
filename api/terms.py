"""`/v1/terms`: what becomes of conversations, as people are to be told before they ask."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from api.access import requires
from api.problem_schemas import Problem
from api.responses import respond
from api.services import services
from auth.principal import Principal
from auth.scopes import Scope
from domain.in_thread import read
from domain.transcript import find_keep_s

terms_blueprint = APIBlueprint(
    "terms", __name__, abp_tags=[Tag(name="Conversations", description="Past talk, while it is kept.")]
)


class TermsOut(BaseModel):
    """What becomes of conversations."""

    kept_s: int = Field(description="For how many seconds after its last use one is kept.", examples=[86_400])
    undo_s: int = Field(description="For how many seconds a deleted one can be restored.", examples=[60])
    are_shareable: bool = Field(description="Whether a link may show one to others (CONVERSATION_SHARING).")
    are_sources_shared: bool = Field(description="Whether such a link may open documents, too (`sources`).")
    most_file_count: int = Field(description="How many files may be attached to one; 0: none (CONVERSATION_FILES).")
    most_file_bytes: int = Field(description="The largest file that may be attached.", examples=[10_485_760])
    are_recordings_taken: bool = Field(description="Whether questions may be spoken.")
    are_answers_spoken: bool = Field(description="Whether answers can be heard.")


@terms_blueprint.get(
    "/v1/terms",
    operation_id="getTerms",
    summary="Get how long conversations are kept",
    responses={200: TermsOut, 401: Problem, 429: Problem, 503: Problem},
)
@requires(Scope.CONVERSATIONS_READ)
async def show(ctx: Principal) -> Response:
    """The terms of the key's tenant, for all of its conversations."""
    settings, listener = services().settings, services().speech_to_text
    return respond(
        TermsOut(
            kept_s=await find_keep_seconds(ctx),
            undo_s=settings.conversation_undo,
            are_shareable=settings.conversation_sharing != "off",
            are_sources_shared=settings.conversation_sharing == "sources",
            most_file_count=settings.conversation_files,
            most_file_bytes=settings.conversation_file_size,
            are_recordings_taken=listener is not None and listener.has_model,
            are_answers_spoken=services().text_to_speech is not None,
        )
    )


async def find_keep_seconds(ctx: Principal) -> int:
    """For how many seconds after its last use a conversation of the caller's tenant is kept: in Redis, or in SQL.

    Raises:
        StoreUnavailable: the database is away.
    """
    retention = services().transcripts.retention
    in_sql_s = await read(services().database, lambda session: find_keep_s(session, ctx, retention))
    return max(services().settings.conversation_ttl, int(in_sql_s))
