"""What a turn has done with tools so far, as plain values: it is kept in the checkpoint of each step."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict
from typing import Any, Literal, NotRequired, TypedDict

from agents.tools.registry import SEARCH_DOCUMENTS
from agents.tools.tool import ToolResult, write_arguments
from prompts.tools import Outcome
from retrieval.answerability import Verdict
from utils.language import detect_language
from utils.passages import TOOL_PREFIX, Hit, Passage
from utils.ports import FallbackReason
from utils.printable import make_printable
from utils.query_tables import dump_table, load_table

_LONGEST_ARGUMENTS = 120  # characters
CallStatus = Literal["open", "done", "failed", "rejected", "unknown"]
"""`unknown`: it has side effects, and whether they came about is not known."""


class CallRecord(TypedDict):
    """One call. `call_id` is its idempotency key, another one for other arguments; `error` says why it did not work."""

    call_id: str
    name: str
    arguments: dict[str, Any]
    status: CallStatus
    text: str
    error: str
    reason: NotRequired[str]  # of its failure, as the tool gave it for people
    says_all: NotRequired[bool]  # see `ToolFailed`
    table: NotRequired[dict[str, Any]]  # what a query gave
    chart: NotRequired[dict[str, Any]]
    data: NotRequired[dict[str, Any]]  # its result, as the API shows it
    attempts: NotRequired[int]  # queries that were tried for it
    rows_file: NotRequired[str]  # with all rows, where `data` has not all
    ms: int


class ToolState(TypedDict):
    """Calls in order, and passages that were found; `sent_back`: tools whose call was wrong once; `kept`: the result of
    a query, see `LastResult`; `fallback_reason`: why rules made the last decision in place of the language model."""

    run_id: str
    steps: int
    tokens: int
    calls: list[CallRecord]
    hits: list[dict[str, Any]]
    evidence: float
    is_index_whole: bool
    sent_back: list[str]
    kept: NotRequired[dict[str, Any]]
    fallback_reason: NotRequired[FallbackReason]


def load_state(stored: ToolState | None, run_id: str) -> ToolState:
    """What the run has done before it was interrupted, as a copy to be changed; empty for a new one."""
    if stored and stored["run_id"] == run_id:
        return deepcopy(stored)
    return ToolState(
        run_id=run_id, steps=0, tokens=0, calls=[], hits=[], evidence=0.0, is_index_whole=True, sent_back=[]
    )


def find_open_call(state: ToolState) -> CallRecord | None:
    """The next call that has not ended."""
    return next((call for call in state["calls"] if call["status"] == "open"), None)


def add_call(state: ToolState, name: str, arguments: Mapping[str, Any], error: str = "") -> None:
    """A call to be made; or with an *error* one that is not."""
    # With what is asked for: a conversation that was lost is planned anew, and nobody has approved what comes of that.
    digest = hashlib.sha256(write_arguments({"name": name, "arguments": arguments}).encode()).hexdigest()[:16]
    state["calls"].append(
        CallRecord(
            call_id=f"{state['run_id']}-{len(state['calls']) + 1}-{digest}",
            name=name,
            arguments=dict(arguments),
            status="failed" if error else "open",
            text="",
            error=error,
            ms=0,
        )
    )


def add_result(state: ToolState, call: CallRecord, result: ToolResult) -> None:
    """Note what *call*, which stands in *state*, gave."""
    call["status"], call["text"] = "done", result.text
    if result.table is not None:
        call["table"] = dump_table(result.table)
    if result.chart is not None:
        call["chart"] = dict(result.chart)
    if result.data is not None:
        call["data"], call["attempts"] = dict(result.data), result.attempts
    if result.last is not None:
        state["kept"] = result.last.dump()
    if result.found is not None:
        seen = {hit["passage"]["passage_id"] for hit in state["hits"]}
        new = {hit.passage.passage_id: hit for hit in result.found.hits if hit.passage.passage_id not in seen}
        state["hits"] += map(_pack, new.values())
        state["evidence"] = max(state["evidence"], float(result.found.verdict.evidence))
        state["is_index_whole"] = state["is_index_whole"] and result.found.is_index_whole


def list_hits(state: ToolState) -> list[Hit]:
    """What an answer may rest on: the passages that were found, then what tools said, in the order of their calls."""
    tool_hits = [_make_hit(call) for call in state["calls"] if call["text"]]
    return [*map(_unpack, state["hits"]), *tool_hits]


def judge_results(state: ToolState) -> Verdict:
    """Whether that holds an answer: what a tool was asked for counts as one."""
    return _judge(1.0 if any(call["text"] for call in state["calls"]) else state["evidence"])


def _judge(evidence: float) -> Verdict:
    return Verdict(evidence >= 1, evidence, evidence >= 1)


def find_search(state: ToolState | None) -> tuple[str, Verdict] | None:
    """What the documents were searched for beside a call of another tool, and what was found; None for none."""
    calls = state["calls"] if state else []
    queries = [call["arguments"]["query"] for call in calls if call["name"] == SEARCH_DOCUMENTS]
    if state is None or not queries or not any(call["text"] for call in calls):
        return None
    return queries[-1], _judge(state["evidence"])


def describe_calls(state: ToolState | None) -> list[dict[str, Any]]:
    """The calls as an answer tells of them."""
    calls: Sequence[CallRecord] = state["calls"] if state else ()
    return [
        {
            "call_id": call["call_id"],
            "name": call["name"],
            "status": call["status"],
            "duration_ms": call["ms"],
            **({"chart": call["chart"]} if "chart" in call else {}),
        }
        for call in calls
    ]


def summarize_queries(state: ToolState | None) -> dict[str, Any]:
    """What an answer tells of the questions to data sources: `data`, the result of the last one as the API shows it,
    `queries`: what they took, and `rows_file` where there are more rows. Empty where none was answered."""
    calls = [call for call in (state["calls"] if state else ()) if "data" in call]
    if not calls:
        return {}
    attempts, ms = (sum(call.get(name, 0) for call in calls) for name in ("attempts", "ms"))  # type: ignore[misc]
    file = {"rows_file": calls[-1]["rows_file"]} if "rows_file" in calls[-1] else {}
    return {"data": calls[-1]["data"], "queries": {"attempt_count": attempts, "duration_ms": ms}, **file}


def list_unsuccessful(state: ToolState | None) -> list[Outcome]:
    """The calls that did not work and were not made good by another."""
    calls: Sequence[CallRecord] = state["calls"] if state else ()
    worked = {call["name"] for call in calls if call["status"] == "done"}
    return [
        Outcome(
            call["status"], call["name"], call.get("reason", ""), call.get("says_all", False), _distinguish(call, calls)
        )
        for call in calls
        if call["status"] in ("rejected", "unknown") or (call["status"] == "failed" and call["name"] not in worked)
    ]


def _distinguish(call: CallRecord, calls: Sequence[CallRecord]) -> str:
    """The arguments of *call* in short, where not all *calls* of its tool came to the same."""
    if all(each["status"] == call["status"] for each in calls if each["name"] == call["name"]):
        return ""
    values = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in call["arguments"].items()
    }
    text = make_printable(", ".join(f"{name}: {' '.join(value.split())}" for name, value in values.items()))
    return text if len(text) <= _LONGEST_ARGUMENTS else f"{text[:_LONGEST_ARGUMENTS].rstrip()}…"


def _make_hit(call: CallRecord) -> Hit:
    text, source = call["text"], f"{TOOL_PREFIX}{call['name']}"
    table = load_table(call["table"]) if "table" in call else None
    passage = Passage(
        passage_id=call["call_id"],
        document_id=source,
        title=table.source_name if table else call["name"],
        source=source,
        url=None,
        page=None,
        heading="",
        start=0,
        end=len(text),
        language=detect_language(text),
        text=text,
        table=table,
    )
    return Hit(passage, 1.0, None, 0.0)


def _pack(hit: Hit) -> dict[str, Any]:
    plain = asdict(hit)
    for name in ("score", "dense", "lexical"):  # numpy's are no plain values
        plain[name] = None if plain[name] is None else float(plain[name])
    return plain


def _unpack(plain: Mapping[str, Any]) -> Hit:
    stored: dict[str, Any] = plain["passage"]
    passage: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()}
    return Hit(**{**plain, "passage": Passage(**passage)})
