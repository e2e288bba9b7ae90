"""`/v1/topics`: what the documents are about, and questions to begin with."""

from collections.abc import Sequence
from typing import Annotated, Literal

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from agents.tools.chart import DRAW_CHART
from agents.tools.data import QUERY_DATA
from api.access import requires
from api.bots import load_bot
from api.problem_schemas import Problem
from api.responses import respond
from api.schemas import BotQuery
from api.services import services
from auth.principal import Principal
from auth.scopes import Scope
from utils.errors import Conflict, NotFound
from utils.validation import check_text

_DATA_QUESTIONS = 2

topics_blueprint = APIBlueprint(
    "topics", __name__, abp_tags=[Tag(name="Topics", description="What the documents are about.")]
)


class TopicsQuery(BotQuery):
    """Of which documents topics are asked, and in which language."""

    language: Literal["en", "es", "id"] = Field("en", description="Of the reader: the questions are in it.")
    document_id: Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(check_text)] | None = (
        Field(None, description="Of this document alone, each question about another of its headings.")
    )


class TopicQuestionOut(BaseModel):
    """A question that the documents answer."""

    question: str = Field(examples=["What should I know about rent (Dormitories)?"])
    heading: str = Field(description="Under which the answer stands.", examples=["Rent"])
    document_id: str
    title: str = Field(description="Of the document.")


class DataQuestionOut(BaseModel):
    """A question that a data source answers."""

    question: str = Field(examples=["How many machines are due for maintenance this month?"])
    data_source: str = Field(description="Its name.")


class TopicsOut(BaseModel):
    """What a bot's documents are about; lists are empty without documents."""

    bot_id: str
    institution: str | None = Field(description="Whose documents they are; null where that is not set.")
    titles: list[str] = Field(description="Of some of the documents.", examples=[["Dormitories"]])
    languages: list[str] = Field(
        description="In which documents are written (ISO 639-1), the commonest first.", examples=[["en", "id"]]
    )
    questions: list[TopicQuestionOut] = Field(
        description="At most 4, each about another document, those in the reader's language where there are some."
    )
    data_questions: list[DataQuestionOut] = Field(
        [], description="At most 2, that data sources answer; none where the bot has no tool for them."
    )


@topics_blueprint.get(
    "/v1/topics",
    operation_id="getTopics",
    summary="Tell what the documents are about",
    responses={200: TopicsOut, 401: Problem, 404: Problem, 429: Problem, 503: Problem},
)
@requires(Scope.CHAT_WRITE)
async def show(ctx: Principal, query: TopicsQuery) -> Response:
    """With questions to begin with, or to go on with after an answer from `document_id`. 404 if it is not there, or
    the bot is switched off."""
    try:
        ctx, bot = await load_bot(ctx, query.bot_id)
    except Conflict as off:  # it answers nothing
        raise NotFound(off.detail) from off
    result = await services().topics.find(services().retriever, ctx, bot, query.language, query.document_id or "")
    if query.document_id and not result.titles:
        raise NotFound("Document not found.")
    questions = [
        TopicQuestionOut(question=each.question, heading=each.heading, document_id=each.document_id, title=each.title)
        for each in result.questions
    ]
    of_data = [] if query.document_id else await _find_data_questions(ctx, bot.tools, query.language)
    return respond(
        TopicsOut(
            bot_id=bot.bot_id,
            institution=bot.institution or None,
            titles=list(result.titles),
            languages=list(result.languages),
            questions=questions,
            data_questions=of_data,
        )
    )


async def _find_data_questions(ctx: Principal, tools: Sequence[str], language: str) -> list[DataQuestionOut]:
    """Such as a bot with *tools* answers, with a chart where one can be drawn."""
    if QUERY_DATA not in tools:
        return []
    data_questions = await services().data_sources.suggest(ctx, language)
    return [
        DataQuestionOut(
            question=each.suggestion.ask_for_chart(language)
            if each.suggestion.is_grouped and DRAW_CHART in tools
            else each.suggestion.question,
            data_source=each.source_name,
        )
        for each in data_questions[:_DATA_QUESTIONS]
    ]
