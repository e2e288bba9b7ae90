"""Traces of turns, as an OpenTelemetry collector receives them over HTTP."""

import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bootstrap.tracing import trace
from config import load_settings
from tests.conftest import FAKE_MODEL
from tests.fakes.listener import Listener
from tests.fakes.model_server import FakeModelServer
from tests.service import Service, await_knowledge, one_document
from utils.processes import StartError
from utils.telemetry import Telemetry

pytestmark = pytest.mark.long

QUESTION = "How much does a dormitory room cost?"
HEADER = "Bearer 5ecret"
TRACE, PARENT_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = {"traceparent": f"00-{TRACE}-{PARENT_SPAN}-01", "X-Request-Id": "asked-by-a-portal"}


def tracing(folder: Path, collector: Listener, model: FakeModelServer) -> Service:
    """A service that traces; not started."""
    models = {**FAKE_MODEL, "LLM_BASE_URL": model.base_url, "EMBEDDING_BASE_URL": model.base_url}
    to = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.address}",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%205ecret",
    }
    settings = {**models, **to, **one_document(folder), "RATE_LIMIT_ENABLED": "false", "LLM_MAX_RETRIES": "0"}
    return Service(folder / "data", **settings)


def spans(collector: Listener) -> list[Any]:
    """All spans that came."""
    sent = [ExportTraceServiceRequest.FromString(one.body) for one in collector.received]
    return [
        span
        for one in sent
        for resource in one.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def attributes(span: Any) -> dict[str, Any]:
    """What a span says, by name."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_a_turn_is_a_trace_of_its_stages_and_calls_without_what_was_said(
    tmp_path: Path, model_server: FakeModelServer
) -> None:
    model_server.reset()
    with Listener(answers=200) as collector:
        with tracing(tmp_path, collector, model_server) as service, service.client() as client:
            await_knowledge(service, "How much is the dormitory room?")
            asked: dict[str, Any] = {"json": {"session_id": "talk", "message": QUESTION}, "headers": CALLER}
            answer = client.post("/v1/chat", **asked).raise_for_status().json()
            model_server.configure(faults=[{"kind": "drop", "model": "fake", "times": -1}])
            asked["headers"] = {"traceparent": f"00-{'0' * 32}-{PARENT_SPAN}-01"}  # no trace: begins one of its own
            quotes = client.post("/v1/chat", **asked).json()
            assert quotes["fallback_reason"] == "model-unavailable"
        model_server.reset()
        found = spans(collector)
        told = service.flask("log-id", "talk").stdout.strip()
        [continued] = [span for span in found if span.parent_span_id.hex() == PARENT_SPAN]
        assert continued.trace_id.hex() == TRACE
        assert attributes(continued)["pustaka.request_id"] == CALLER["X-Request-Id"]
        roots = [continued, *(span for span in found if not span.parent_span_id)]
        roots.sort(key=lambda span: span.start_time_unix_nano)
        turns = [root for root in roots if attributes(root)["gen_ai.conversation.id"] == told]
        assert [attributes(turn)["pustaka.outcome"] for turn in turns] == ["answered", "answered"]
        assert attributes(turns[0])["gen_ai.operation.name"] == "invoke_agent"
        assert attributes(turns[1])["pustaka.fallback_reason"] == "model-unavailable"
        stages = {span.name: span for span in found if span.parent_span_id == turns[0].span_id}
        assert set(stages) == {"retrieve", "answer", "verify"}
        [call] = [span for span in found if span.parent_span_id == stages["answer"].span_id]
        assert call.name == "chat fake"
        assert attributes(call)["gen_ai.usage.output_tokens"] > 0
        assert turns[0].start_time_unix_nano <= call.start_time_unix_nano < call.end_time_unix_nano
        [embedding] = [span for span in found if span.parent_span_id == stages["retrieve"].span_id]
        assert embedding.name.startswith("embeddings ")
        assert {one.headers["authorization"] for one in collector.received} == {HEADER}
        everything = b"".join(one.body for one in collector.received)
        for said in (QUESTION, answer["answer"][:30], service.key):
            assert said.encode() not in everything


def test_a_collector_that_is_away_holds_nothing_up(tmp_path: Path, model_server: FakeModelServer) -> None:
    model_server.reset()
    with Listener() as collector:
        collector.hold()
        with tracing(tmp_path, collector, model_server) as service, service.client() as client:
            client.post("/v1/chat", json={"session_id": None, "message": QUESTION}).raise_for_status()
            collector.wait_for(lambda: collector.received)
            client.post("/v1/chat", json={"session_id": None, "message": QUESTION}).raise_for_status()
        assert service.process.returncode == 0


async def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)  # as where the extra is not installed
    settings = load_settings(otel_exporter_otlp_endpoint="http://127.0.0.1:9")
    async with AsyncExitStack() as stack:
        with pytest.raises(StartError, match="requirements-otel"):
            await trace(stack, settings, Telemetry())
