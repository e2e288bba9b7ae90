"""What an answer was made from, as the API tells it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from clients.api_client import ApiClient, make_answer_path
from clients.api_errors import translate_failures
from clients.run_events import make_from_members


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedPassage:
    """A passage that was found; `dense`: cosine similarity to the question, `lexical`: BM25 by its words.

    `excerpt` is its beginning, or all of it (`is_excerpt_whole`). `link` opens the document there.
    """

    number: int
    title: str
    heading: str
    page: int | None
    language: str
    excerpt: str
    is_excerpt_whole: bool
    dense: float | None
    lexical: float
    is_cited: bool
    link: str | None = None
    document_status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedCall:
    """A call of a tool."""

    name: str
    status: str
    duration_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The question as it was searched for, what was found, and the seconds of each stage (`total`: of all)."""

    question: str | None = None
    passages: tuple[TracedPassage, ...] = ()
    tool_calls: tuple[TracedCall, ...] = ()
    times_s: Mapping[str, float] = field(default_factory=dict)
    evidence: float | None = None
    degraded: str | None = None
    is_cached: bool = False


def fetch_trace(api: ApiClient, conversation_id: str, run_id: str) -> Trace:
    """What an answer was made from; raises what `ApiClient` raises."""
    body = api.call("GET", f"{make_answer_path(conversation_id, run_id)}/trace")
    with translate_failures():
        passages = tuple(make_from_members(TracedPassage, each) for each in body["passages"])
        calls = tuple(make_from_members(TracedCall, each) for each in body["tool_calls"])
        return make_from_members(Trace, {**body, "passages": passages, "tool_calls": calls})


def fork(api: ApiClient, conversation_id: str, run_id: str, new_id: str) -> None:
    """Begin the conversation *new_id* with what was said up to an answer; raises what `ApiClient` raises."""
    api.call("POST", f"{make_answer_path(conversation_id, run_id)}/fork", body={"conversation_id": new_id})
