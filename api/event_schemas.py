"""The events of a run as the documentation describes them: the `data` of each, told apart by `type`."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, RootModel

from api.problem_schemas import Problem
from api.schemas import ChatOut, CitationOut, SupportOut, WaitingCallOut
from utils.ports import FallbackReason


class StartEvent(BaseModel):
    """The question was taken."""

    type: Literal["start"]
    conversation_id: str
    request_id: str
    run_id: str


class StatusEvent(BaseModel):
    """What is being done now."""

    type: Literal["status"]
    stage: str = Field(examples=["retrieve"])
    degraded: str | None = Field(None, description="What is missing, where the answer is worse than it could be.")


class ToolStartEvent(BaseModel):
    """A tool is being called."""

    type: Literal["tool_start"]
    call_id: str
    name: str = Field(examples=["search_documents"])


class ToolResultEvent(BaseModel):
    """A call of a tool has ended."""

    type: Literal["tool_result"]
    call_id: str
    name: str
    ok: bool = Field(description="Whether it worked.")
    duration_ms: float
    summary: str = Field(description="A few words about what it gave, or why it did not work.", examples=["5 passages"])


class WaitingEvent(BaseModel):
    """The run waits for the approval of a call; the last event until it is resumed."""

    type: Literal["waiting"]
    run_id: str
    call: WaitingCallOut


class ApprovalEvent(BaseModel):
    """The person has approved or rejected the call, and the run goes on."""

    type: Literal["approval"]
    run_id: str
    call_id: str
    approved: bool


class TokenEvent(BaseModel):
    """The next piece of the answer."""

    type: Literal["token"]
    content: str


class SupportEvent(SupportOut):
    """How far the sentences of the answer are supported."""

    type: Literal["support"]


class CitationEvent(CitationOut):
    """What a mark in the answer points at."""

    type: Literal["citation"]


class ResumedEvent(BaseModel):
    """Another worker begins the answer again: the text so far is void."""

    type: Literal["resumed"]
    run_id: str


class FallbackEvent(BaseModel):
    """The language model has failed: the text so far is void, and quotes from the documents follow."""

    type: Literal["fallback"]
    reason: FallbackReason


class DoneEvent(ChatOut):
    """The whole answer; the last event."""

    type: Literal["done"]


class ErrorEvent(BaseModel):
    """The run failed; the last event."""

    type: Literal["error"]
    run_id: str
    problem: Problem


class CancelledEvent(BaseModel):
    """The run was ended before its time; the last event."""

    type: Literal["cancelled"]
    run_id: str


class RunEvent(
    RootModel[
        Annotated[
            StartEvent
            | StatusEvent
            | ToolStartEvent
            | ToolResultEvent
            | WaitingEvent
            | ApprovalEvent
            | TokenEvent
            | SupportEvent
            | CitationEvent
            | ResumedEvent
            | FallbackEvent
            | DoneEvent
            | ErrorEvent
            | CancelledEvent,
            Field(discriminator="type"),
        ]
    ]
):
    """An event of a run."""
