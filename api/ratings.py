"""`/v1/conversations/{id}/answers/{run}/rating` and `/v1/tenant/ratings`: what people think of answers."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from sqlalchemy.orm import Session

from agents.reading import QuestionAndAnswer
from api.access import requires
from api.bots import select_bot
from api.dataset_schemas import Strict
from api.paging import PageOut, PageQuery, make_page_members, read_part_query
from api.problem_schemas import Problem
from api.responses import respond
from api.schemas import BotQuery, ConversationId, RunId
from api.services import services
from auth.principal import Principal
from auth.scopes import Scope
from domain import ratings
from domain.in_thread import read, write
from domain.models import AnswerRating
from domain.rating_texts import decrypt_texts
from domain.ratings import Rating
from utils.errors import NotFound, StoreUnavailable
from utils.validation import check_conversation_id, check_run_id, check_text

_LONGEST = 2_000  # characters
_LONG_AGO = "1970-01-01T00:00:00Z"
ratings_blueprint = APIBlueprint(
    "ratings", __name__, abp_tags=[Tag(name="Ratings", description="What people think of answers.")]
)
_REFUSALS: dict[Any, Any] = {404: Problem}
_Remark = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=_LONGEST),
    AfterValidator(lambda text: check_text(text) if text else text),
]


class AnswerPath(BaseModel):
    """Which answer of which conversation."""

    conversation_id: ConversationId = Field(description="As it was named when it began.")
    run_id: RunId = Field(description="As the answer and its message say.")


class RatingIn(Strict):
    """A verdict; it takes the place of the one before. Words that are left out stay where the verdict is the same."""

    rating: Literal["up", "down"]
    comment: _Remark | None = Field(None, description="What is wrong with it, or right.")
    expected: _Remark | None = Field(
        None, description="What it should have said, in words that the document has too.", examples=["IDR 950,000"]
    )


class RatingsQuery(PageQuery):
    """Which of them, a part at a time."""

    rating: Literal["up", "down"] | None = None


class RatingOut(BaseModel):
    """A verdict with the question and the answer that it is about.

    Not with the conversation: who knows the id of one can read all of it.
    """

    run_id: str
    rating: Literal["up", "down"]
    comment: str
    expected: str
    question: str
    stands_alone: bool = Field(description="Whether the question was the first of its conversation.")
    answer: str
    answered: bool
    cited_sources: list[str]
    sources: list[str] = Field([], description="cited_sources, as it was called before.", deprecated=True)
    rated_at: datetime


class RatingsOut(PageOut):
    """A part of them, the newest first."""

    ratings: list[RatingOut]


@ratings_blueprint.put(
    "/v1/conversations/<conversation_id>/answers/<run_id>/rating",
    operation_id="rateAnswer",
    summary="Rate an answer",
    responses={200: RatingOut, **_REFUSALS, 409: Problem},
)
@requires(Scope.RATINGS_WRITE)
async def rate(ctx: Principal, path: AnswerPath, query: BotQuery, body: RatingIn) -> Response:
    """Say that it was good or bad, and what would have been right. 404 if the conversation has no such answer."""
    conversation_id, run_id = check_answer_path(path)
    ctx = select_bot(ctx, query.bot_id)
    turn = await services().conversations.answer(ctx, conversation_id, run_id)
    rating = _make_rating(conversation_id, run_id, turn, body)
    keys = services().state_keys
    view = await write(services().database, lambda session: _describe(ratings.rate(session, ctx, rating, keys=keys)))
    try:
        await services().conversations.require(ctx, conversation_id)
    except NotFound:  # deleted in between: its ratings were to go with it
        await delete_ratings(ctx, conversation_id)
        raise
    return respond(view)


@ratings_blueprint.delete(
    "/v1/conversations/<conversation_id>/answers/<run_id>/rating",
    operation_id="deleteRating",
    summary="Take a rating back",
    responses={204: None, **_REFUSALS},
)
@requires(Scope.RATINGS_WRITE)
async def take_back(ctx: Principal, path: AnswerPath, query: BotQuery) -> Response:
    """Removes the rating, also when the conversation has expired. 204; 404 if the answer is not rated."""
    where, ctx = check_answer_path(path), select_bot(ctx, query.bot_id)
    await write(services().database, lambda session: ratings.delete_rating(session, ctx, *where))
    return Response(status=204)


@ratings_blueprint.get(
    "/v1/tenant/ratings", operation_id="listRatings", summary="List ratings", responses={200: RatingsOut}
)
@requires(Scope.RATINGS_READ)
async def list_all(ctx: Principal, query: RatingsQuery) -> Response:
    """The newest first. `flask ratings` makes a question set of them."""
    part = read_part_query(query, datetime, str)

    def work(session: Session) -> RatingsOut:
        part_rows = ratings.list_ratings(session, ctx, part, rating=query.rating)
        rows = [_describe(decrypt_texts(row, services().state_keys)) for row in part_rows.rows]
        return RatingsOut(ratings=rows, **make_page_members(part_rows, part))

    return respond(await read(services().database, work))


async def add_ratings(ctx: Principal, conversation: Mapping[str, Any]) -> dict[str, Any]:
    """A conversation with what was said of its answers, or without while the database is away."""
    conversation_id, found = conversation["conversation_id"], dict[str, str]()
    with suppress(StoreUnavailable):
        answers = [message for message in conversation["messages"] if _is_rateable(message)]
        times = {one["run_id"]: datetime.fromisoformat(one["created_at"] or _LONG_AGO) for one in answers}
        work = partial(ratings.find_verdicts, ctx=ctx, conversation_id=conversation_id, answered_at=times)
        found = await read(services().database, work)
    messages = [
        {**message, "rating": found.get(message["run_id"])} if _is_rateable(message) else message
        for message in conversation["messages"]
    ]
    return {**conversation, "messages": messages}


def _is_rateable(message: Mapping[str, Any]) -> bool:
    return message["role"] == "assistant" and message["run_id"] is not None


async def delete_ratings(ctx: Principal, conversation_id: str) -> int:
    """Delete the ratings of a conversation's answers; how many there were."""
    return await write(services().database, lambda session: ratings.delete_ratings(session, ctx, conversation_id))


def check_answer_path(path: AnswerPath) -> tuple[str, str]:
    """The ids of conversation and run.

    Raises:
        BadInput: one of them is not one.
    """
    return check_conversation_id(path.conversation_id, field="conversation_id"), check_run_id(path.run_id)


def _make_rating(conversation_id: str, run_id: str, answer: QuestionAndAnswer, body: RatingIn) -> Rating:
    return Rating(
        run_id=run_id,
        conversation_id=conversation_id,
        rating=body.rating,
        comment=body.comment,
        expected=body.expected,
        question=answer.question["content"],
        stands_alone=answer.stands_alone,
        answer=answer.answer["content"],
        answered=answer.answer["answered"],
        sources=tuple(dict.fromkeys(citation["source"] for citation in answer.answer["citations"])),
    )


def _describe(row: AnswerRating) -> RatingOut:
    fields = {name: getattr(row, name) for name in RatingOut.model_fields if name != "cited_sources"}
    return RatingOut.model_validate({**fields, "cited_sources": row.sources})
