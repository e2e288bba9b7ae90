"""Turns as OpenTelemetry traces: a span for the turn, one for each stage, one for each call to a model within it.

Attributes are those of https://opentelemetry.io/docs/specs/semconv/gen-ai/ as far as these name them. Questions,
answers and passages are in none of them, ids as logs have them.
"""

import contextvars
import time
from collections.abc import Mapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Span, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from utils.log_ids import hash_id
from utils.ports import CallOutcome, RunOutcome, RunWatch

_FAILED = ("failed", "busy")
_PROPAGATOR = TraceContextTextMapPropagator()


class TracedRuns:
    """A `RunObserver` whose runs are spans of *tracer*; `stage` is the span that calls of a model belong to."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        # A node begins its stage in the task in which it then asks its model, and nobody else sees what is set there.
        self.stage: contextvars.ContextVar[Span | None] = contextvars.ContextVar("stage", default=None)

    def begin(self, run_id: str, *, streams: bool, request_id: str = "", trace_parent: str = "") -> RunWatch:
        """A span for the new run, within the caller's trace if *trace_parent* names one."""
        names = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "pustaka"}
        ids = {"pustaka.run_id": hash_id(run_id), "pustaka.request_id": request_id}  # as in the log
        span = self._tracer.start_span(
            "invoke_agent pustaka",
            # An empty one of ours: what happens to be current is no parent.
            context=_PROPAGATOR.extract({"traceparent": trace_parent}, Context()),
            attributes={**names, **ids, "pustaka.streams": streams},
        )
        return _TracedRun(self._tracer, span, self.stage)


class _TracedRun:
    __slots__ = ("_current", "_has_begun", "_name", "_span", "_stage", "_tracer")

    def __init__(self, tracer: Tracer, span: Span, current: contextvars.ContextVar[Span | None]) -> None:
        self._tracer, self._span, self._current = tracer, span, current
        self._stage: Span | None = None
        self._name, self._has_begun = "", False

    def note_event(self, event: Mapping[str, Any]) -> None:
        kind = event["type"]
        if kind == "token":
            if not self._has_begun:
                self._has_begun = True
                self._span.add_event("first token")
        elif kind == "status" and event["stage"] != self._name:
            self._end_stage()
            self._name = event["stage"]
            self._stage = self._tracer.start_span(self._name, context=set_span_in_context(self._span))
            self._current.set(self._stage)
        elif kind == "start":
            self._span.set_attribute("gen_ai.conversation.id", hash_id(str(event["conversation_id"])))
        elif kind == "done":
            self._span.set_attribute("gen_ai.response.model", str(event["model"]))
        elif kind == "resumed":
            self._span.set_attribute("pustaka.taken_over", True)
        elif kind == "fallback":
            self._span.set_attribute("pustaka.fallback_reason", str(event["reason"]))

    def note_end(self, outcome: RunOutcome, *, problem: str = "") -> None:
        self._end_stage()
        self._span.set_attribute("pustaka.outcome", outcome)
        if problem:
            self._span.set_attribute("error.type", problem)
        if outcome in _FAILED:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()

    def _end_stage(self) -> None:
        if self._stage is not None:
            self._stage.end()
            self._stage = None


class TracedModel:
    """A `ModelObserver` whose calls are spans within the stage that makes them; calls outside a turn are not traced.

    *operation* is "chat" or "embeddings", *model* the name that is asked for.
    """

    def __init__(self, tracer: Tracer, runs: TracedRuns, *, operation: str, model: str) -> None:
        self._tracer, self._stage, self._operation, self._model = tracer, runs.stage, operation, model
        self._usage: contextvars.ContextVar[tuple[int, int] | None] = contextvars.ContextVar("usage", default=None)

    def note_call(self, duration_s: float, outcome: CallOutcome) -> None:
        """A span that ends now."""
        stage = self._stage.get()
        if stage is None:
            return
        ended_ns = time.time_ns()
        span = self._tracer.start_span(
            f"{self._operation} {self._model}",
            context=set_span_in_context(stage),
            attributes={"gen_ai.operation.name": self._operation, "gen_ai.request.model": self._model},
            start_time=ended_ns - int(duration_s * 1e9),
        )
        if usage := self._usage.get():
            span.set_attributes({"gen_ai.usage.input_tokens": usage[0], "gen_ai.usage.output_tokens": usage[1]})
            self._usage.set(None)
        if outcome == "failed":
            span.set_status(StatusCode.ERROR)
        span.end(ended_ns)

    def note_failed_try(self, reason: str) -> None:
        """An event of the stage."""
        if stage := self._stage.get():
            stage.add_event("try failed", {"error.type": reason})

    def note_tokens(self, *, input_tokens: int, output_tokens: int) -> None:
        """Kept for the span of the call, whose end comes next in the same task."""
        self._usage.set((input_tokens, output_tokens))

    def note_fallback(self) -> None:
        """An event of the stage."""
        if stage := self._stage.get():
            stage.add_event("fallback model asked")
