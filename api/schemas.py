"""What the API sends, as the documentation describes it."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class CitationOut(BaseModel):
    """What a mark [number] in the answer points at; start and end are the quote's place in the text of that version."""

    number: int
    document_id: str
    version: int | None = Field(None, description="Of the document; null for one that is not kept here.")
    title: str
    source: str
    page: int | None
    heading: str | None
    start: int
    end: int
    quote: str
    score: float
    url: str | None
    link: str | None = Field(None, description="Opens the document at the quote, without a key, until it expires.")
    document_state: Literal["current", "replaced", "deleted"] | None = Field(
        None, description="What has become of the version since; null when it is not known."
    )


class ChatOut(BaseModel):
    """An answer; `answer` and `response`, `conversation_id` and `session_id` are the same under two names."""

    answer: str
    response: str
    sources: str = Field(description="The cited documents, separated by commas.")
    citations: list[CitationOut]
    answered: bool = Field(description="False when the documents do not hold the answer.")
    language_model: bool = Field(description="False when the answer is made of quotes alone.")
    model: str
    conversation_id: str
    session_id: str
    metrics: dict[str, float] = Field(description="Seconds by stage, and total_time.")
    artifacts: dict[str, Any]
    persistence: str = Field(description="redis, or memory while Redis is away.")
    cached: bool = Field(description="True for an answer to the same first question, given before and kept.")
    degraded: str | None = Field(description="What was missing when the answer is worse than it could be.")
    request_id: str
    run_id: str


class MessageOut(BaseModel):
    """One message; citations and answered belong to answers."""

    role: str
    content: str
    created_at: str | None
    citations: list[CitationOut] | None = None
    answered: bool | None = None


class ConversationOut(BaseModel):
    """A conversation from its beginning."""

    conversation_id: str
    messages: list[MessageOut]
    expires_in_s: int | None
    persistence: str
    running: bool = Field(description="Whether a message of it is being answered now.")
    run_id: str | None = Field(description="By which run: follow it at /v1/runs/<run_id>/events.")


class FieldError(BaseModel):
    """One wrong field."""

    field: str
    message: str


class Problem(BaseModel):
    """RFC 9457 problem details; `message` repeats `detail`."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str | None
    message: str
    timestamp: int
    errors: list[FieldError] | None = None


class RunOut(BaseModel):
    """A run: `result` once it has completed, `problem` once it has failed."""

    run_id: str
    conversation_id: str
    status: Literal["running", "completed", "failed", "cancelled"]
    created_at: str
    attempts: int = Field(description="How many workers have worked on it.")
    result: ChatOut | None
    problem: Problem | None
