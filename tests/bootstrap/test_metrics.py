"""Metrics of a running service, as Prometheus sees them."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import get_args

import httpx
import pytest

from bootstrap.telemetry import open_telemetry
from config import load_settings
from tests.conftest import FAKE_MODEL
from tests.fakes.model_server import FakeModelServer
from tests.scrapes import scrape, scraped_when
from tests.service import ROOT, Service, await_knowledge, free_port, one_document, plain_environment
from utils.ports import RunOutcome
from utils.processes import StartError
from utils.telemetry.catalogue import CATALOGUE

OUTCOMES = get_args(RunOutcome)
EVENTS = {"Accept": "text/event-stream"}


def question(message: str) -> dict[str, str | None]:
    """The body that begins a conversation."""
    return {"session_id": None, "message": message}


def metered(folder: Path, model: FakeModelServer, port: int, **variables: str) -> Service:
    """A service with metrics on *port*, its models at *model*; not started."""
    models = {**FAKE_MODEL, "LLM_BASE_URL": model.base_url, "EMBEDDING_BASE_URL": model.base_url}
    retries = {"LLM_TIMEOUT": "5", "LLM_MAX_RETRIES": "1", "RATE_LIMIT_PER_HOUR": "100000", "CACHE_ENABLED": "true"}
    on = {"PROMETHEUS_ENABLED": "true", "METRICS_PORT": str(port)}
    return Service(folder / "data", **{**models, **retries, **on, **one_document(folder), **variables})


@pytest.fixture(scope="module")
def port() -> int:
    """The port of the metrics of `service`."""
    return free_port()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, model_server: FakeModelServer, port: int) -> Iterator[Service]:
    """One service with metrics, and two documents to choose from."""
    folder = tmp_path_factory.mktemp("metered")
    model_server.reset()
    made = metered(folder, model_server, port)
    (folder / "knowledge" / "library.md").write_text("# Library\n\nA library card costs 5,000 rupiah.\n")
    with made as running:
        await_knowledge(running, "How much is the dormitory room?")
        yield running


def test_requests_are_counted_by_route_method_and_class_of_status(service: Service, port: int) -> None:
    with service.client() as client:
        for path in ("/openapi.json", "/v1/conversations/nobody", "/v1/conversations/nothing", "/no/such/path"):
            client.get(path)
        client.request("PROPFIND", "/health")
    found = scrape(port)
    name = "pustaka_http_request_duration_seconds_count"
    assert found.value(name, route="/openapi.json", method="GET", status="2xx") == 1
    assert found.value(name, method="other", status="4xx") == 1
    assert found.value(name, route="unknown", method="GET", status="4xx") == 1
    assert found.value("pustaka_http_requests_in_progress") == 0
    assert found.value("pustaka_problems_total", problem="not-found") == 3
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    assert "nobody" not in text
    assert "/no/such" not in text


async def test_the_port_of_another_program_is_named_at_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = load_settings(prometheus_enabled=True, metrics_port=taken.getsockname()[1])
        async with AsyncExitStack() as stack:
            with pytest.raises(StartError, match="METRICS_PORT"):
                await open_telemetry(stack, settings, tmp_path)


@pytest.mark.long
def test_prometheus_client_is_not_imported_where_metrics_are_off() -> None:
    loaded = "import sys, app; app.create_app(app.load_settings()); print('prometheus_client' in sys.modules)"
    off = plain_environment({"PROMETHEUS_ENABLED": "false"})
    done = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, env=off, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_stores_are_looked_at_and_what_is_asked_of_them_is_timed(service: Service, port: int) -> None:
    with service.client() as client:
        client.post("/v1/chat", json=question("How much is a room?")).raise_for_status()
    found = scraped_when(port, lambda seen: seen.value("pustaka_checkpointer_sent_bytes_total") > 100)
    for store in ("redis", "database", "index"):
        assert found.value("pustaka_store_up", store=store) == 1
        assert found.value("pustaka_store_call_duration_seconds_count", store=store, operation="check", outcome="ok")
    for store, operation in (("index", "search"), ("database", "statement")):
        assert found.value("pustaka_store_call_duration_seconds_count", store=store, operation=operation, outcome="ok")
    assert found.value("pustaka_ready") == 1
    assert found.value("pustaka_cpu_seconds_total") > 0
    assert found.value("pustaka_event_loop_lag_seconds_count") > 0
    assert found.value("pustaka_workers") == 1


def test_calls_to_models_are_timed_their_errors_told_apart_and_their_tokens_counted(
    service: Service, port: int, model_server: FakeModelServer
) -> None:
    model_server.reset()
    before = scrape(port)
    # Each another one: answers to first questions are kept.
    first, second, third = (f"How much does a dormitory room {what} cost?" for what in ("there", "here", "now"))
    with service.client() as client:
        client.post("/v1/chat", json=question(first), headers=EVENTS).raise_for_status()
        model_server.configure(faults=[{"kind": "status", "status": 429}])
        client.post("/v1/chat", json=question(second)).raise_for_status()
        model_server.configure(faults=[{"kind": "drop", "model": "fake", "times": -1}])
        client.post("/v1/chat", json=question(third)).raise_for_status()
    model_server.reset()
    found = scrape(port)

    def grown(name: str, **labels: str) -> float:
        return found.value(name, **labels) - before.value(name, **labels)

    assert grown("pustaka_model_call_duration_seconds_count", kind="chat", outcome="ok") == 2
    assert grown("pustaka_model_call_duration_seconds_count", kind="chat", outcome="failed") == 1
    assert grown("pustaka_model_call_duration_seconds_count", kind="embedding", outcome="ok") >= 1
    assert grown("pustaka_model_errors_total", reason="rate_limited") == 1
    assert grown("pustaka_model_errors_total", reason="disconnected") == 2
    assert grown("pustaka_model_tokens_total", kind="chat", direction="input") > 0
    assert grown("pustaka_model_tokens_total", kind="chat", direction="output") > 0
    assert grown("pustaka_model_tokens_total", kind="embedding", direction="input") > 0
    assert grown("pustaka_turn_fallbacks_total", reason="model-unavailable") == 1
    assert found.value("pustaka_model_up", kind="chat") == 1, "one failure is no outage"


def test_a_question_back_is_not_counted_as_a_refusal(service: Service, port: int) -> None:
    before = scrape(port)
    with service.client() as client:
        said = client.post("/v1/chat", json=question("how much is it?")).json()
    assert said["clarification"]
    turns = "pustaka_turn_duration_seconds_count"
    found = scraped_when(port, lambda seen: seen.value("pustaka_active_runs") == 0)
    grown = {name: found.value(turns, outcome=name) - before.value(turns, outcome=name) for name in OUTCOMES}
    assert grown == {**dict.fromkeys(OUTCOMES, 0), "asked_back": 1}


def test_turns_are_counted_by_outcome_and_timed_by_stage(
    service: Service, port: int, model_server: FakeModelServer
) -> None:
    model_server.reset()
    model_server.configure(first_token_ms=30)
    before = scrape(port)
    with service.client() as client:
        streamed = client.post("/v1/chat", json=question("How much does a dormitory room cost?"), headers=EVENTS)
        pieces = streamed.text.count("event: token")
        client.post("/v1/chat", json=question("Quo vadis, xylophone?")).raise_for_status()
        model_server.configure(faults=[{"kind": "drop", "model": "fake", "times": -1}])
        client.post("/v1/chat", json=question("What does a dormitory room cost?")).raise_for_status()
    model_server.reset()
    found = scraped_when(port, lambda seen: seen.value("pustaka_active_runs") == 0)

    def grown(name: str, **labels: str) -> float:
        return found.value(name, **labels) - before.value(name, **labels)

    turns = "pustaka_turn_duration_seconds_count"
    assert grown(turns, outcome="answered") + grown(turns, outcome="refused") == 3
    assert grown(turns, outcome="failed") == 0
    assert grown("pustaka_turn_fallbacks_total", reason="model-unavailable") == 1
    assert grown("pustaka_turn_stage_duration_seconds_count", stage="retrieve") == 3
    assert grown("pustaka_turn_stage_duration_seconds_sum", stage="answer") > 0.03
    assert grown("pustaka_time_to_first_token_seconds_count") == 1
    assert grown("pustaka_time_to_first_token_seconds_sum") > 0.03
    assert grown("pustaka_streamed_pieces_total") == pieces
    assert found.value("pustaka_open_streams") == 0


def test_an_open_stream_and_its_run_are_shown_while_they_last(
    service: Service, port: int, model_server: FakeModelServer
) -> None:
    model_server.reset()
    model_server.configure(first_token_ms=60_000)
    before = scrape(port)
    ask = question("Which dormitory room costs less?")
    with service.client() as client:
        with client.stream("POST", "/v1/chat", json=ask, headers=EVENTS):
            open_now = scraped_when(port, lambda seen: seen.value("pustaka_model_calls_running", kind="chat") == 1)
            assert open_now.value("pustaka_active_runs") == 1
            assert open_now.value("pustaka_open_streams") == 1
        # Its client has left.
        ended = scraped_when(port, lambda seen: seen.value("pustaka_active_runs") == 0)
    model_server.reset()
    turns = "pustaka_turn_duration_seconds_count"
    assert ended.value(turns, outcome="cancelled") == before.value(turns, outcome="cancelled") + 1
    assert ended.value("pustaka_open_streams") == 0
    assert ended.value("pustaka_http_requests_in_progress") == 0


def test_a_service_in_use_has_every_series_that_rules_and_dashboard_ask_for(service: Service, port: int) -> None:
    """The tests above have made it do everything but lose its Redis, for which there is a test of its own."""
    found = scraped_when(port, lambda seen: "pustaka_cache_entries" in seen.samples)
    for series in CATALOGUE:
        if series.name == "pustaka_checkpointer_failures_total":
            continue
        name = f"{series.name}_count" if series.buckets else series.name
        assert name in found.samples, name
        assert found.labels(name) == set(series.labels)
        assert found.kinds[name] == series.kind
