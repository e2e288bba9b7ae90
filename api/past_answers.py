"""`/v1/conversations/{id}/answers/{run}/…`: what a past answer was made from, and to go on from it anew."""

from collections.abc import Sequence
from typing import Any, Literal
from uuid import uuid4

from flask import Response, url_for
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from api.access import requires
from api.bots import select_bot
from api.conversation_schemas import ListedConversationOut, describe_listed
from api.dataset_schemas import Strict
from api.datasets import make_responses
from api.problem_schemas import Problem
from api.ratings import AnswerPath, check_answer_path
from api.responses import respond
from api.schemas import BotQuery, ConversationId, ToolCallOut
from api.services import services
from api.turns import check_turns_on_disk, count_question
from auth.principal import Principal
from auth.scopes import Scope
from domain.document_links import LinkMode
from domain.transcript_forks import Fork
from utils.validation import check_conversation_id

past_answers_blueprint = APIBlueprint(
    "past_answers", __name__, abp_tags=[Tag(name="Conversations", description="Past talk, while it is kept.")]
)


_WITHHELD = {"excerpt": "", "is_excerpt_whole": False}


class TracedPassageOut(BaseModel):
    """A passage that was found, with the scores that put it in its place."""

    number: int = Field(description="Its place, the best first; the mark by which the model could cite it.")
    document_id: str
    version: int | None = Field(description="Of the document; null for one that is not kept here.")
    title: str
    heading: str
    page: int | None
    start: int = Field(description="Its place in the text of that version.")
    end: int
    language: str
    excerpt: str = Field(
        description="How it begins: its first 300 characters. Where links open quotes alone, callers without the "
        "scope search are told no passage that the answer does not quote: empty."
    )
    is_excerpt_whole: bool
    score: float = Field(description="What the order goes by; comparable within one search alone.")
    dense: float | None = Field(description="Cosine similarity to the question; null without a vector.")
    lexical: float = Field(description="BM25 by the words that it shares with the question.")
    dense_rank: int | None = Field(description="Its place by similarity alone.")
    lexical_rank: int | None = Field(description="Its place by words alone.")
    is_cited: bool = Field(description="Whether the answer quotes it.")
    link: str | None = Field(
        None,
        description="Opens the document there, without a key, until it expires. Where links open the quoted passage "
        "alone: null, unless the answer quotes it, and then it opens the quote.",
    )
    document_status: Literal["current", "replaced", "deleted"] | None = Field(
        None, description="What has become of the version since; null when it is not known."
    )


class TraceOut(BaseModel):
    """What an answer was made from. Older answers know their calls and model alone: the rest is null or empty."""

    run_id: str
    question: str | None = Field(None, description="As it was searched for, understandable by itself.")
    passages: list[TracedPassageOut] = Field([], description="Those the model was shown, the best first.")
    evidence: float | None = Field(
        None, description="How much the best passage speaks for an answer: 1 is enough; null where none was searched."
    )
    is_answerable: bool | None = Field(None, description="Whether the passages were judged to answer the question.")
    is_index_whole: bool | None = Field(None, description="False where not all documents could be searched.")
    times_s: dict[str, float] = Field(
        {}, description="Seconds by stage, and in all (total).", examples=[{"total": 1.2}]
    )
    degraded: str | None = Field(None, description="What was missing in the turn; null: nothing.")
    tool_calls: list[ToolCallOut] = Field([], description="The calls of tools that were made for it.")
    model: str = Field("", description="That answered; empty where none did.")
    is_cached: bool = Field(False, description="Whether it is the answer to the same question of another conversation.")


class ForkIn(Strict):
    """What the new conversation is called."""

    conversation_id: ConversationId | None = Field(None, description="Its id; left out: one is made.")


@past_answers_blueprint.get(
    "/v1/conversations/<conversation_id>/answers/<run_id>/trace",
    operation_id="getAnswerTrace",
    summary="Read what an answer was made from",
    responses={200: TraceOut, 401: Problem, 404: Problem, 429: Problem, 503: Problem},
)
@requires(Scope.CONVERSATIONS_READ)
async def show(ctx: Principal, path: AnswerPath, query: BotQuery) -> Response:
    """The question as it was searched for, the passages with their scores, calls of tools and times.

    Kept as long as the transcript; 404 where there is none, or no such answer of the caller's.
    """
    conversation_id, run_id = check_answer_path(path)
    ctx = select_bot(ctx, query.bot_id)
    trace = await services().conversations.find_trace(ctx, conversation_id, run_id)
    passages = await _link_passages(ctx, trace.pop("passages", ()), trace.pop("citations"))
    return respond(TraceOut(run_id=run_id, passages=passages, **trace))


@past_answers_blueprint.post(
    "/v1/conversations/<conversation_id>/answers/<run_id>/fork",
    operation_id="forkConversation",
    summary="Begin a conversation from an answer",
    responses=make_responses(201, ListedConversationOut, 404, 409),
)
@requires(Scope.CONVERSATIONS_WRITE)
async def fork(ctx: Principal, path: AnswerPath, query: BotQuery, body: ForkIn) -> Response:
    """201: a new conversation with what was said up to this answer, at most the last 200 turns; the other one stays as
    it is. Its answers have runs of their own, without ratings. Of a visitor it counts as a question.

    404 if the caller has no such answer, 409 if there is a conversation of that id already, or one is being deleted.
    """
    conversation_id, run_id = check_answer_path(path)
    named = uuid4().hex if body.conversation_id is None else body.conversation_id
    new_id = check_conversation_id(named, field="conversation_id")
    spec = Fork(conversation_id, run_id, new_id)
    check_turns_on_disk()
    headers = await count_question(ctx)
    conversation = await services().conversations.fork(select_bot(ctx, query.bot_id), spec)
    location = url_for("conversations.show", conversation_id=new_id)
    response = respond(describe_listed(conversation), 201, location=location)
    response.headers.update(headers)
    return response


async def _link_passages(
    ctx: Principal, passages: Sequence[dict[str, Any]], citations: Sequence[dict[str, Any]]
) -> list[TracedPassageOut]:
    """Link the passages that the answer quotes as their first quotes are; others must not open more than answers do."""
    links, base = services().links, services().links.get_base_url()
    quotes = [_find_quote(passage, citations) for passage in passages]
    quoted = [{**passage, **quote} for passage, quote in zip(passages, quotes, strict=True) if quote]
    others = [passage for passage, quote in zip(passages, quotes, strict=True) if not quote]
    cited = iter(await links.add_links(ctx, quoted, base))
    uncited = iter(await links.add_links(ctx, others, base, needed=LinkMode.FULL))
    rows = [next(cited if quote else uncited) | passage for passage, quote in zip(passages, quotes, strict=True)]
    if Scope.SEARCH not in ctx.scopes:
        rows = [one if quote or one["link"] else {**one, **_WITHHELD} for one, quote in zip(rows, quotes, strict=True)]
    return [TracedPassageOut(**one, is_cited=quote is not None) for one, quote in zip(rows, quotes, strict=True)]


def _find_quote(passage: dict[str, Any], citations: Sequence[dict[str, Any]]) -> dict[str, int] | None:
    """Where the first quote stands that begins in *passage*; None where none does."""
    place = passage["document_id"], passage["version"]
    for cited in citations:
        if (cited["document_id"], cited["version"]) == place and passage["start"] <= cited["start"] < passage["end"]:
            return {"start": cited["start"], "end": cited["end"]}
    return None
