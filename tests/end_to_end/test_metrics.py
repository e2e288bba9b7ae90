"""Metrics of several processes: they add up, and stay right when one is killed."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.conftest import FAKE_MODEL
from tests.end_to_end.stacks import WORKERS, Servers, servers
from tests.fakes.model_server import FakeModelServer
from tests.gunicorn_service import KEY, GunicornService
from tests.scrapes import Scrape, scrape, scraped_when
from tests.service import free_port, one_document

pytestmark = [pytest.mark.long, pytest.mark.soak]

REQUESTS = 40


@pytest.fixture(scope="module")
def port() -> int:
    """The port of the metrics."""
    return free_port()


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """What the workers share."""
    with servers(tmp_path_factory.mktemp("stores")) as running:
        yield running


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, stores: Servers, model_server: FakeModelServer, port: int
) -> Iterator[GunicornService]:
    """Two workers that count."""
    folder = tmp_path_factory.mktemp("metered")
    models = {**FAKE_MODEL, "LLM_BASE_URL": model_server.base_url, "EMBEDDING_BASE_URL": model_server.base_url}
    metrics = {"PROMETHEUS_ENABLED": "true", "METRICS_PORT": str(port), "WORKERS": str(WORKERS)}
    with GunicornService(folder / "data", **models, **metrics, **stores.variables(), **one_document(folder)) as runs:
        scraped_when(port, lambda found: found.value("pustaka_workers") == WORKERS)
        yield runs


def docs(found: Scrape) -> float:
    """Requests for a page that nothing else asks for."""
    return found.value("pustaka_http_request_duration_seconds_count", route="/openapi.json")


def ask(service: GunicornService, count: int) -> None:
    """Send requests, each by a connection of its own, so that every worker gets some."""
    for _ in range(count):
        with service.client(KEY) as client:
            client.get("/openapi.json").raise_for_status()


def test_counts_add_up_over_processes_and_are_neither_lost_nor_doubled_when_one_is_killed(
    service: GunicornService, port: int
) -> None:
    ask(service, REQUESTS)
    assert [docs(scrape(port)) for _ in range(2 * WORKERS)] == [REQUESTS] * 2 * WORKERS  # whoever answers
    killed = service.workers()
    for victim in killed:  # one after the other, so that nobody is left who was there from the beginning
        os.kill(victim, signal.SIGKILL)
        service.wait_for(lambda victim=victim: victim not in service.workers())
        assert docs(scrape(port)) == REQUESTS
        scraped_when(port, lambda found: found.value("pustaka_workers") == WORKERS)
    ask(service, REQUESTS)
    found = scrape(port)
    assert docs(found) == 2 * REQUESTS
    assert found.value("pustaka_http_requests_in_progress") == 0
    assert not set(killed) & set(service.workers())


def test_a_redis_that_is_away_shows_and_when_it_is_back_too(
    stores: Servers, service: GunicornService, port: int
) -> None:
    stores.redis.stop()
    with service.client(KEY) as client:
        client.get("/v1/conversations/anybody")
        away = scraped_when(port, lambda found: found.value("pustaka_store_up", store="redis") == 0)
        away = scraped_when(port, lambda found: found.value("pustaka_memory_fallback_active") == WORKERS)
        assert away.value("pustaka_ready") == 0
        assert away.value("pustaka_checkpointer_failures_total", reason="unavailable") > 0
        assert away.labels("pustaka_checkpointer_failures_total") == {"operation", "reason"}
        assert away.value("pustaka_store_up", store="database") == 1
        stores.redis.start()
        scraped_when(port, lambda found: found.value("pustaka_ready") == 1)
    assert scrape(port).value("pustaka_memory_fallback_active") == 0
