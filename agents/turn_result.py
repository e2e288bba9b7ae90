"""What a turn came to, as callers are told it."""

import time
from typing import Any

from langchain_core.messages import AIMessage

from agents.artifacts import name_all
from agents.runs.record import RunRecord
from agents.stage_clock import StageClock
from auth.principal import DEFAULT_BOT
from utils.moments import read_micros
from utils.token_usage import read_usage


def make_result(answer: AIMessage, record: RunRecord, clock: StageClock, *, persistence: str) -> dict[str, Any]:
    """The members of `done`. *persistence*: where the conversation is kept now."""
    extra = answer.additional_kwargs
    citations, usage = extra["citations"], read_usage()
    names = name_all(extra.get("artifacts", {}), record.thread_id)
    return {
        "answer": answer.text,
        "response": answer.text,
        "sources": ", ".join(dict.fromkeys(item["url"] or item["source"] for item in citations)),
        "citations": citations,
        "created_at": extra.get("created_at"),
        **_judge(extra),
        "bot_id": record.ctx.bot_id or DEFAULT_BOT,
        "language_model": extra["language_model"],
        "fallback_reason": extra.get("fallback_reason"),
        "clarification": extra.get("clarification"),
        "tool_calls": extra.get("tool_calls", []),
        "data": extra.get("data"),
        "model": extra["model"],
        "conversation_id": record.conversation_id,
        "session_id": record.conversation_id,
        "usage": {"input_token_count": usage.input_tokens, "output_token_count": usage.output_tokens},
        "metrics": _measure(answer, record, clock),
        "artifacts": {f"{kind}_file": name for kind, name in names.items()},
        "persistence": persistence,
        "degraded": clock.degraded,
        "cached": extra.get("cached", False),
        "request_id": record.request_id,
        "run_id": record.id,
    }


def _judge(extra: dict[str, Any]) -> dict[str, Any]:
    """Whether it is an answer, how sure it is, and what supports or contradicts it."""
    return {
        "answered": extra["answered"],
        "confidence": extra.get("confidence"),
        "small_talk": extra.get("small_talk", False),
        "support": extra.get("support"),
        "conflicts": extra.get("conflicts", []),
    }


def _measure(answer: AIMessage, record: RunRecord, clock: StageClock) -> dict[str, Any]:
    """What the turn took, also by the names of the maintenance guide: seconds."""
    extra = answer.additional_kwargs
    queries = extra.get("queries", {"attempt_count": 0, "duration_ms": 0})
    created_s = read_micros(record.created_at or None) / 1e6
    return {
        **clock.compute_times_s(),
        "session_id": record.conversation_id,
        "sql_time": queries["duration_ms"] / 1000,
        "image_time": 0.0,  # a chart is drawn as a picture when somebody wants one
        "sql_attempts": queries["attempt_count"],
        "flow": "good" if extra["answered"] else "bad",
        "request_id": record.request_id,
        "api_processing_time": round(max(0.0, time.time() - created_s), 4),
    }
