"""Answers to spoken questions as the documentation describes them, and the events of those that are streamed."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, RootModel

from api.event_schemas import (
    ApprovalEvent,
    CancelledEvent,
    CitationEvent,
    ErrorEvent,
    FallbackEvent,
    ResumedEvent,
    StartEvent,
    StatusEvent,
    SupportEvent,
    TokenEvent,
    ToolResultEvent,
    ToolStartEvent,
    WaitingEvent,
)
from api.schemas import ChatOut


class ExecTimeOut(BaseModel):
    """Seconds that each step took."""

    speech_to_text: float
    emotion_analysis: float = Field(description="0 where emotions are not told.")
    process_rag: float
    text_to_speech: float
    total: float


class StreamedTimeOut(ExecTimeOut):
    """Seconds that each step took; sentences are spoken while the next ones are written, so the sum may be more."""

    first_audio: float | None = Field(description="From the request to the first sound; null: there is none.")


class SpokenOut(ChatOut):
    """What the answer to a spoken question tells beside what `POST /v1/chat` does."""

    transcript: str = Field(description="What was understood.")
    emotion: str | None = Field(description="How the person feels, in a word; null: not told, or not known.")
    audio_note: str | None = Field(description="Why the answer, or the rest of it, is not spoken; null where it is.")


class TranscriptEvent(BaseModel):
    """What was understood; the first event."""

    type: Literal["transcript"]
    text: str


class AudioEvent(BaseModel):
    """The next sentence as sound."""

    type: Literal["audio"]
    number: int = Field(description="1, 2, … in the order in which they are to be played.")
    text: str = Field(description="What is said.")
    audio: str = Field(description="A WAV file, in base64.")


class SpokenDoneEvent(SpokenOut):
    """The whole answer; the last event."""

    type: Literal["done"]
    audio_count: int = Field(description="How many sentences were spoken.")
    exec_time: StreamedTimeOut


class VoiceEvent(
    RootModel[
        Annotated[
            TranscriptEvent
            | StartEvent
            | StatusEvent
            | ToolStartEvent
            | ToolResultEvent
            | WaitingEvent
            | ApprovalEvent
            | TokenEvent
            | AudioEvent
            | SupportEvent
            | CitationEvent
            | ResumedEvent
            | FallbackEvent
            | SpokenDoneEvent
            | ErrorEvent
            | CancelledEvent,
            Field(discriminator="type"),
        ]
    ]
):
    """An event of an answer that is spoken while it is written."""
