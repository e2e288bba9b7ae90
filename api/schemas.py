"""What the API sends, as the documentation describes it."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from api.answer_schemas import ArtifactNamesOut, MetricsOut
from api.figure_schemas import DataOut, FigureOut, QueryOut
from utils.ports import FallbackReason
from utils.validation import BOT_ID, CONVERSATION_ID, NON_BLANK_PATTERN, PUBLIC_ID, REQUEST_ID

# As `utils/validation.py` checks them, for the description of the API.
ConversationId = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{CONVERSATION_ID.pattern}$"})]
SourceId = Annotated[str, Field(min_length=1, max_length=64, pattern="^[0-9A-Za-z-]+$")]
BotId = Annotated[str, Field(pattern=f"^{BOT_ID.pattern}$")]
PublicId = Annotated[
    str,
    Field(pattern=f"^{PUBLIC_ID.pattern}$", examples=["acme/admissions"], description="Names the bot on websites."),
]
RunId = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{REQUEST_ID.pattern}$"})]


Day = Annotated[
    date,
    PlainSerializer(date.isoformat),  # Flask would write it as HTTP does
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-12-31"]}),
]


def _accept_whole_float(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_accept_whole_float)
"""Of a number in a body, which may be written as 5.0, too: JSON does not tell the two apart (RFC 8259, 6)."""
NON_BLANK = Field(json_schema_extra={"pattern": NON_BLANK_PATTERN})
"""Of a text that `check_text` looks at, for the description of the API."""


class CitationOut(BaseModel):
    """What a mark [number] in the answer points at; start and end are the quote's place in the text of that version."""

    number: int
    document_id: str
    version: int | None = Field(None, description="Of the document; null for one that is not kept here.")
    title: str = Field(description="Of the document; the name of a data source, or of another tool.")
    source: str
    page: int | None
    heading: str | None
    start: int
    end: int
    quote: str
    score: float
    url: str | None
    language: str | None = Field(None, description="Of the passage (ISO 639-1); null of older answers.")
    link: str | None = Field(None, description="Opens the document at the quote, without a key, until it expires.")
    query: str | None = Field(None, description="The query that a data source was asked; null for a document.")
    document_status: Literal["current", "replaced", "deleted"] | None = Field(
        None, description="What has become of the version since; null when it is not known."
    )
    document_state: Literal["current", "replaced", "deleted"] | None = Field(
        None, description="document_status, as it was called before.", deprecated=True
    )


class SentenceSupportOut(BaseModel):
    """Whether one sentence is supported by the passages that it cites."""

    start: int = Field(description="Its place in the answer, marks included.")
    end: int
    status: Literal["supported", "unsupported", "unverified"]
    score: float = Field(description="How well, 0 to 1.")
    reason: str = Field(examples=["the number 40 is not in source [2]"])
    method: Literal["words", "figures", "meaning", "entailment", "judge", "none"] = Field(
        description="By what that was found out; figures: by the cells of a query's result."
    )
    citation_numbers: list[int] = Field([], description="The marks it was checked against: its own or its neighbours'.")
    sources: list[int] = Field([], description="citation_numbers, as it was called before.", deprecated=True)
    figures: list[FigureOut] = Field([], description="Of a sentence that rests on the result of a query.")


class SupportOut(BaseModel):
    """How far the sentences of an answer are supported by what they cite."""

    supported_share: float | None = Field(
        None, description="Of the sentences, those that are supported; null if none says anything."
    )
    total: float | None = Field(None, description="supported_share, as it was called before.", deprecated=True)
    supported_count: int = 0
    unsupported_count: int = 0
    unverified_count: int = Field(0, description="Undecided, or with nothing in them to check.")
    supported: int = Field(0, description="supported_count, as it was called before.", deprecated=True)
    unsupported: int = Field(0, description="unsupported_count, as it was called before.", deprecated=True)
    unverified: int = Field(0, description="unverified_count, as it was called before.", deprecated=True)
    dropped_count: int = Field(0, description="Left out of the answer because nothing supports them.")
    dropped: int = Field(0, description="dropped_count, as it was called before.", deprecated=True)
    sentences: list[SentenceSupportOut]
    queries: list[QueryOut] = Field([], description="Those whose results the answer may rest on.")


class StatementOut(BaseModel):
    """A sentence of a document, as it stands there."""

    number: int = Field(description="The mark of its passage in the answer.")
    document_id: str
    version: int | None = Field(None, description="Of the document; null for one that is not kept here.")
    title: str
    source: str
    date: Day | None = Field(description="The day of the document.")
    precedence: float
    sentence: str


class AnswerConflictOut(BaseModel):
    """Two sentences of different documents that say different things of the same."""

    kind: str = Field(description="What they differ in.", examples=["clock"])
    statements: list[StatementOut] = Field(description="Both; the answer cites the first.")
    preferred_document_id: str | None = Field(description="Which one holds; null where nothing says so.")
    decided_by: Literal["precedence", "date"] | None = Field(
        description="Why: it has the higher precedence, or is the newer one."
    )


class ClarificationOut(BaseModel):
    """A question back, where a question does not say what it is about."""

    question: str
    choices: list[str] = Field(description="What it may be about; one of them, sent as the next message, answers.")


class ChartOut(BaseModel):
    """A chart, as Vega-Lite has it; its figures are in `spec.data.values`."""

    alt: str = Field(description="What it shows, in words.")
    spec: dict[str, Any] = Field(description="To be drawn by any program for Vega-Lite 6; it names no address.")


class ToolCallOut(BaseModel):
    """A call of a tool that was made for an answer."""

    call_id: str
    name: str = Field(examples=["search_documents"])
    status: Literal["done", "failed", "rejected", "unknown"] = Field(
        description="unknown: it did not answer, and whether it has changed something is not known."
    )
    duration_ms: float
    chart: ChartOut | None = Field(
        None, description="What it drew; `GET /v1/runs/{run_id}/charts/{number}` gives the picture of the first as 1."
    )


class WaitingCallOut(BaseModel):
    """A call of a tool that waits until the person who asked has approved it."""

    call_id: str
    name: str = Field(examples=["book_room"])
    arguments: dict[str, Any]


class TokenUsageOut(BaseModel):
    """Tokens, as the model tells them, or estimated; none for quotes and for answers that were given before."""

    input_token_count: int = 0
    output_token_count: int = 0


class ChatOut(BaseModel):
    """An answer; `answer` and `response`, `conversation_id` and `session_id` are the same under two names."""

    answer: str
    response: str
    sources: str = Field(description="The cited documents, separated by commas.")
    citations: list[CitationOut]
    created_at: datetime | None = Field(None, description="When it was given.")
    answered: bool = Field(description="False when the documents do not hold the answer.")
    confidence: Literal["high", "low"] | None = Field(
        description="low: the closest passages, which may not answer the question; null where nothing is cited."
    )
    small_talk: bool = Field(description="True for a greeting, thanks and the like, answered without a search.")
    tool_calls: list[ToolCallOut] = Field([], description="The calls of tools that were made for it.")
    data: DataOut | None = Field(
        None, description="What a data source gave for it, the last one where several were asked; else null."
    )
    clarification: ClarificationOut | None = Field(
        description="Asks back what the question is about; answered is false then. Null where nothing has to be asked."
    )
    support: SupportOut | None = Field(description="Each sentence checked against its source; null where none was.")
    conflicts: list[AnswerConflictOut] = Field(
        [], description="Where another document says something else than what is cited; the answer tells of them, too."
    )
    bot_id: str = Field("default", description="The bot that answered.")
    language_model: bool = Field(description="False when the answer is made of quotes alone.")
    fallback_reason: FallbackReason | None = Field(
        description="Why quotes answer in place of the language model, which did not; null where they do not."
    )
    model: str
    conversation_id: str
    session_id: str
    usage: TokenUsageOut = Field(TokenUsageOut(), description="What the language model has read and written for it.")
    metrics: MetricsOut
    artifacts: ArtifactNamesOut = Field(
        description="The newest files of the conversation, which `GET /v1/download/{file_type}/{session_id}` gives."
    )
    persistence: str = Field(description="redis, or memory while Redis is away.")
    cached: bool = Field(description="True for an answer to the same first question, given before and kept.")
    degraded: str | None = Field(description="What was missing when the answer is worse than it could be.")
    request_id: str
    run_id: str
    parent_run_id: str = Field("start", description='The run of the turn that the question follows, or "start".')


class MessageOut(BaseModel):
    """One message; parent_run_id and siblings belong to questions, all but role, content, created_at and run_id of the
    others to answers."""

    role: str
    content: str
    created_at: datetime | None
    citations: list[CitationOut] | None = None
    answered: bool | None = None
    confidence: Literal["high", "low"] | None = None
    small_talk: bool | None = None
    fallback_reason: FallbackReason | None = None
    clarification: ClarificationOut | None = None
    tool_calls: list[ToolCallOut] | None = None
    support: SupportOut | None = None
    conflicts: list[AnswerConflictOut] | None = None
    run_id: str | None = Field(
        None, description="The run that the question was asked in, or that gave this answer; it is rated under this id."
    )
    parent_run_id: str | None = Field(
        None, description='Of a question: the run of the turn that it follows, "start" for a first one.'
    )
    siblings: list[str] | None = Field(
        None, description="Of a question: the runs of all that follow the same turn, its own among them, in order."
    )
    rating: Literal["up", "down"] | None = Field(None, description="What was said of it; null: nothing.")


class ConversationOut(BaseModel):
    """A part of a conversation, the newest unless another is asked for."""

    id: str
    conversation_id: str = Field("", description="id, as it was called before.", deprecated=True)
    title: str | None = Field(None, description="As listed; null where it is not, as in the first moment.")
    messages: list[MessageOut] = Field(description="Of one branch, the newest last.")
    total: int = Field(description="How many messages are kept of that branch.")
    limit: int
    offset: int = Field(description="How many stand before these.")
    next: str | None = Field(description="The address of the messages before these; null at the beginning.")
    expires_in_s: int | None
    persistence: str = Field(description="redis, memory while Redis is away, or database once its state has expired.")
    running: bool = Field(description="Whether a message of it is being answered now.")
    waiting: bool = Field(False, description="Whether its last question waits for the approval of a call of a tool.")
    run_id: str | None = Field(description="By which run: follow it at /v1/runs/<run_id>/events.")


class BotQuery(BaseModel):
    """Which bot a conversation is with."""

    bot_id: BotId | None = Field(None, description="Left out: the key's, or the default one.")
