"""The events of a run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from clients.api_errors import ApiRefused
from clients.server_sent_events import ServerSentEvent

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Citation:
    """What a mark `[number]` in an answer points at.

    `link` opens the document at the quote; `document_status` is "current", "replaced" or "deleted", None if unknown.
    `language`: of the quote (ISO 639-1). `query`: what a data source was asked for it; None for a document.
    """

    number: int
    title: str
    source: str
    quote: str
    page: int | None = None
    heading: str | None = None
    url: str | None = None
    score: float | None = None
    link: str | None = None
    document_status: str | None = None
    document_id: str = ""
    language: str | None = None
    query: str | None = None


@dataclass(frozen=True, slots=True)
class Doubt:
    """A sentence of an answer that its source does not support: its place in the answer, and why."""

    start: int
    end: int
    reason: str
    status: str = "unsupported"


@dataclass(frozen=True, slots=True)
class Clarification:
    """What the service asks back, and the `choices` of which one, sent as the next message, answers."""

    question: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Started:
    """The service has taken the question; another client can follow the run by its id."""

    conversation_id: str
    request_id: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """What the service is doing now: `stage` is "retrieve", "answer" or "verify"."""

    stage: str


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool is being called."""

    name: str


@dataclass(frozen=True, slots=True)
class ToolEnded:
    """A call of a tool has ended; `ok`: it worked."""

    name: str
    ok: bool = True


@dataclass(frozen=True, slots=True)
class WaitingCall:
    """A call of a tool that the person is to approve or to reject."""

    call_id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Waiting:
    """The run waits for the person; the last event until it is resumed."""

    call: WaitingCall


@dataclass(frozen=True, slots=True)
class Token:
    """The next piece of the answer."""

    content: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """Another worker has taken the run over: the text so far is void, and the answer starts again."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """The language model has failed: the text so far is void, and quotes from the documents follow."""


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """The connection is lost and could not be made again at once; said by this client, not by the service."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The run was ended before its time; the last event."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart beside an answer: `spec` in Vega-Lite with its data inside, and `alt`, what it shows in words."""

    alt: str
    spec: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ResultTable:
    """The first rows of `row_count` that a data source gave for an answer."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    row_count: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole answer; the last event. Its members mean what those of a `Message` mean."""

    answer: str
    citations: tuple[Citation, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    answered: bool | None = None
    confidence: str | None = None
    small_talk: bool = False
    fallback_reason: str | None = None
    clarification: Clarification | None = None
    charts: tuple[Chart, ...] = ()
    tables: tuple[ResultTable, ...] = ()
    persistence: str = "redis"
    request_id: str | None = None
    run_id: str | None = None
    parent_run_id: str | None = None


Event = (
    Started
    | Stage
    | ToolStarted
    | ToolEnded
    | Waiting
    | Token
    | Citation
    | Resumed
    | Fallback
    | Reconnecting
    | Cancelled
    | Answer
)
_EVENTS: Mapping[str, type[Event]] = {
    "start": Started,
    "status": Stage,
    "tool_start": ToolStarted,
    "tool_result": ToolEnded,
    "waiting": Waiting,
    "token": Token,
    "citation": Citation,
    "resumed": Resumed,
    "fallback": Fallback,
    "cancelled": Cancelled,
    "done": Answer,
}


def parse_event(received: ServerSentEvent) -> Event | None:
    """The event, None for a kind that is newer than this client.

    Raises:
        ApiRefused: the run has failed.
    """
    body = json.loads(received.data)
    if received.name == "error":
        raise ApiRefused(int(body["problem"].get("status", 500)), body["problem"], ended_run=True)
    kind = _EVENTS.get(received.name)
    if kind is Answer:
        return make_from_members(Answer, parse_answer(body))
    if kind is Waiting:
        return Waiting(make_from_members(WaitingCall, body["call"]))
    return None if kind is None else make_from_members(kind, body)


def parse_answer(body: Mapping[str, Any]) -> dict[str, Any]:
    """The members of an answer or a message, with what is in them as objects of ours."""
    return {
        **body,
        "citations": parse_citations(body),
        "doubts": parse_doubts(body),
        "clarification": _parse_clarification(body),
        "charts": tuple(
            make_from_members(Chart, call["chart"]) for call in body.get("tool_calls") or () if call.get("chart")
        ),
        "tables": tuple(
            make_from_members(ResultTable, query) for query in (body.get("support") or {}).get("queries") or ()
        ),
    }


def _parse_clarification(body: Mapping[str, Any]) -> Clarification | None:
    asked = body.get("clarification")
    return Clarification(str(asked["question"]), tuple(map(str, asked["choices"]))) if asked else None


def parse_citations(body: Mapping[str, Any]) -> tuple[Citation, ...]:
    """The citations of an answer or a message."""
    return tuple(make_from_members(Citation, item) for item in body.get("citations") or ())


def parse_doubts(body: Mapping[str, Any]) -> tuple[Doubt, ...]:
    """The sentences without support of an answer or a message; none from a service that does not tell."""
    sentences = (body.get("support") or {}).get("sentences") or ()
    return tuple(make_from_members(Doubt, item) for item in sentences if item.get("status") == "unsupported")


def make_from_members(kind: type[T], body: Mapping[str, Any]) -> T:
    """A dataclass from the members it knows: the service may send more."""
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]  # mypy has no type for "a dataclass"
    return kind(**{name: value for name, value in body.items() if name in known})
