"""What an answer was made from: the question as it was searched for, and the passages that were found for it."""

from collections.abc import Mapping
from typing import Any

from agents.reading import make_no_answer_error
from utils.passages import Hit

Trace = dict[str, Any]
TRACE = "trace"
"""What it is called in the details of a turn."""
_EXCERPT = 300  # characters of a passage: the whole of it stands in the document
_STAGES = "plan", "retrieve", "answer", "verify", "total"
_PLACE = "document_id", "version", "title", "heading", "page", "start", "end", "language"
_SCORES = "score", "dense", "lexical", "dense_rank", "lexical_rank"


def make_trace(state: Mapping[str, Any]) -> Trace:
    """The trace of a turn that has ended in *state*, a `ChatState`: plain values, at most 1 KB a passage."""
    verdict = state.get("verdict")
    return {
        "question": state.get("query"),
        "passages": [_describe(number, hit) for number, hit in enumerate(state.get("passages") or (), 1)],
        "evidence": verdict and round(verdict.evidence, 4),
        "is_answerable": verdict and verdict.answerable,
        "is_index_whole": state.get("is_index_whole"),
    }


def describe_trace(texts: Mapping[str, Any]) -> Trace:
    """What a turn with these *texts* was answered from: `make_trace`, with its citations, calls and model.

    Raises:
        NotFound: it has no answer.
    """
    if texts["answer"] is None:
        raise make_no_answer_error()
    details = texts["details"]
    own = {"model": details.get("model", ""), "is_cached": details.get("cached", False)}
    return {**details.get(TRACE, {}), **own, "tool_calls": texts["tool_calls"], "citations": texts["citations"]}


def add_times(trace: Trace, metrics: Mapping[str, Any], degraded: str | None) -> Trace:
    """*trace* with the seconds of each stage, of the turn's *metrics*, and what was missing in the turn."""
    times = {stage: metrics[f"{stage}_time"] for stage in _STAGES if f"{stage}_time" in metrics}
    return {**trace, "times_s": times, "degraded": degraded}


def _describe(number: int, hit: Hit) -> dict[str, Any]:
    passage = hit.passage
    named = {name: getattr(passage, name) for name in _PLACE}
    scores = {name: _round(getattr(hit, name)) for name in _SCORES}
    # Of a file that was attached to the conversation nothing may outlive it but what answers quote.
    excerpt = "" if passage.version is None else passage.text[:_EXCERPT]
    return {"number": number, **named, "excerpt": excerpt, "is_excerpt_whole": excerpt == passage.text, **scores}


def _round(value: float | None) -> float | None:
    return round(value, 4) if isinstance(value, float) else value
