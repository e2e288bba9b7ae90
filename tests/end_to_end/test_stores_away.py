"""Stores that go away and come back: what users, load balancers and operators see meanwhile, and what is kept."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import redis

from tests.end_to_end.stacks import KEY, GunicornService, Servers, servers
from tests.fakes.model_server import FakeModelServer
from tests.service import Service, ask, one_document

pytestmark = [pytest.mark.long, pytest.mark.soak]

QUESTION = "How much does a dormitory room cost?"


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with servers(tmp_path_factory.mktemp("stores")) as running:
        yield running


@pytest.fixture
def service(stores: Servers, tmp_path: Path) -> Iterator[Service]:
    """One process on the stores."""
    with Service(tmp_path / "data", API_KEY=KEY, RATE_LIMIT_PER_HOUR="1000", **settings(stores, tmp_path)) as running:
        yield running


def settings(stores: Servers, folder: Path) -> dict[str, str]:
    """What points a service at the stores, with one document."""
    return {**stores.variables(), **one_document(folder)}


def health(client: httpx.Client) -> dict[str, object]:
    found: dict[str, object] = client.get("/health?verbose").json()
    return found


def assert_strangers_learn_no_names(service: Service) -> None:
    """Without a key it is said that something is away, not what, nor which setting it is about."""
    with service.client("") as stranger:
        told = stranger.get("/health")
        assert set(told.json()) == {"status", "version", "redis", "timestamp"}
        assert told.json()["status"] == "degraded"
        ready = stranger.get("/ready")
        assert ready.status_code == 503
        assert "reasons" not in ready.json()
        assert ready.headers["retry-after"] == "5"
        assert levels_of(service, ready) == [], "load balancers ask every second"
        for name in ("Qdrant", "QDRANT", "Postgres", "DATABASE", "REDIS_URL", "127.0.0.1"):
            assert name not in told.text + ready.text


def levels_of(service: Service, response: httpx.Response) -> list[str]:
    """The levels of the log lines that a request has left."""
    lines = [json.loads(line) for line in service.logged().splitlines()]
    return [line["level"] for line in lines if line["request_id"] == response.headers["x-request-id"]]


def statuses(service: Service) -> set[object]:
    """What its workers say of their health: each connection is another one's."""
    found = set()
    for _ in range(10):
        with service.client() as client:
            found.add(health(client)["status"])
    return found


def questions(client: httpx.Client, talk: str) -> list[str]:
    messages = client.get(f"/v1/conversations/{talk}").json().get("messages", [])
    return [message["content"] for message in messages if message["role"] == "user"]


def test_answers_go_on_without_redis_and_what_was_said_is_written_when_it_is_back(
    service: Service, stores: Servers
) -> None:
    acme = service.new_key(f"acme-{uuid4().hex[:8]}")
    talk, new = uuid4().hex, uuid4().hex
    with service.client() as client, service.client(acme) as other:
        assert ask(client, QUESTION, talk).json()["persistence"] == "redis"
        ask(other, QUESTION, talk)
        stores.redis.stop()
        away = ask(client, "And with a private bathroom?", talk)
        assert (away.status_code, away.json()["persistence"]) == (200, "memory")
        assert ask(client, QUESTION, new).json()["persistence"] == "memory"
        assert ask(other, QUESTION, new).json()["persistence"] == "memory"
        service.wait_for(lambda: health(client)["status"] == "degraded")
        assert health(client)["persistence"] == "memory"
        assert any("Redis" in str(problem) for problem in health(client)["problems"])  # type: ignore[attr-defined]
        assert client.get("/ready").is_success, "one process alone goes on"
        stores.redis.start()
        # Nobody asks anything: it comes back by itself.
        with redis.Redis.from_url(stores.redis.url) as store:
            service.wait_for(lambda: store.exists(f"checkpoint:{new}"))
        service.wait_for(lambda: health(client)["status"] == "healthy")
        assert health(client)["persistence"] == "redis"
        whole = client.get(f"/v1/conversations/{talk}").json()
        assert [message["role"] for message in whole["messages"]] == ["user", "assistant"] * 2
        assert len(client.get(f"/v1/conversations/{new}").json()["messages"]) == 2
        assert len(other.get(f"/v1/conversations/{new}").json()["messages"]) == 2
        assert ask(client, QUESTION, talk).json()["persistence"] == "redis"
        assert len(client.get(f"/v1/conversations/{talk}").json()["messages"]) == 6


def test_redis_going_in_mid_turn_costs_nobody_the_answer(
    stores: Servers, model_server: FakeModelServer, tmp_path: Path
) -> None:
    model_server.reset()
    model_server.configure(first_token_ms=2000)
    variables = {"LLM_BASE_URL": model_server.base_url, "LLM_MODEL": "fake", **settings(stores, tmp_path)}
    talk = uuid4().hex
    with Service(tmp_path / "data", API_KEY=KEY, **variables) as service, service.client() as client:
        service.wait_until_found(client, QUESTION)
        said: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: said.append(ask(client, QUESTION, talk)))
        asking.start()
        service.wait_for(model_server.requests)
        stores.redis.kill()
        asking.join(30)
        assert said[0].status_code == 200, said[0].text
        stores.redis.start()
        service.wait_for(lambda: health(client)["status"] == "healthy")
        assert len(client.get(f"/v1/conversations/{talk}").json()["messages"]) == 2
    model_server.reset()


def test_it_starts_without_redis_and_takes_it_up_later(stores: Servers, tmp_path: Path) -> None:
    variables, talk = settings(stores, tmp_path), uuid4().hex
    stores.redis.stop()
    with Service(tmp_path / "data", API_KEY=KEY, **variables) as service, service.client() as client:
        assert health(client)["status"] == "degraded"
        assert ask(client, QUESTION, talk).json()["persistence"] == "memory"
        stores.redis.start()
        with redis.Redis.from_url(stores.redis.url) as store:
            service.wait_for(lambda: store.exists(f"checkpoint:{talk}"))


def test_a_process_that_ends_writes_what_it_held_in_memory(stores: Servers, tmp_path: Path) -> None:
    talk = uuid4().hex
    with Service(tmp_path / "data", API_KEY=KEY, **settings(stores, tmp_path)) as service, service.client() as client:
        stores.redis.stop()
        try:
            assert ask(client, QUESTION, talk).json()["persistence"] == "memory"
        finally:
            stores.redis.start()
        service.stop()
        with redis.Redis.from_url(stores.redis.url) as store:
            assert store.exists(f"checkpoint:{talk}")


def test_a_process_that_ends_without_redis_says_what_is_lost(stores: Servers, tmp_path: Path) -> None:
    with Service(tmp_path / "data", API_KEY=KEY, **settings(stores, tmp_path)) as service, service.client() as client:
        stores.redis.stop()
        try:
            ask(client, QUESTION, uuid4().hex)
            service.stop()
        finally:
            stores.redis.start()
        assert "1 conversations held in memory are lost" in service.logged()


def test_parts_of_a_conversation_that_two_workers_held_are_both_kept(stores: Servers, tmp_path: Path) -> None:
    variables = {"WORKERS": "2", "ALLOW_MEMORY_FALLBACK": "true", **settings(stores, tmp_path)}
    talk = uuid4().hex
    with GunicornService(tmp_path / "data", API_KEY=KEY, **variables) as service, service.client() as client:
        ask(client, "Question 0", talk)
        stores.redis.stop()
        try:
            for number in range(1, 9):  # each on a connection of its own: whichever worker takes it
                with service.client() as one:
                    ask(one, f"Question {number}", talk)
        finally:
            stores.redis.start()
        # Each brings its part back when it sees Redis again.
        service.wait_for(lambda: questions(client, talk) == [f"Question {number}" for number in range(9)])


@pytest.mark.parametrize(("accepted", "status"), [("false", 503), ("true", 200)])
def test_several_workers_are_not_ready_on_memory_alone_unless_that_is_accepted(
    stores: Servers, tmp_path: Path, accepted: str, status: int
) -> None:
    variables = {"WORKERS": "2", "ALLOW_MEMORY_FALLBACK": accepted, **settings(stores, tmp_path)}
    with GunicornService(tmp_path / "data", API_KEY=KEY, **variables) as service, service.client() as client:
        stores.redis.stop()
        try:
            # Each worker sees it for itself, and either may be asked.
            service.wait_for(lambda: statuses(service) == {"degraded"})
            for _ in range(10):
                with service.client() as one:
                    ready = one.get("/ready")
                    assert ready.status_code == status
                    assert status == 200 or "A store" in ready.json()["detail"]
                    assert "Redis" in str(health(one)["problems"])
            assert ask(client, QUESTION, uuid4().hex).json()["persistence"] == "memory"
        finally:
            stores.redis.start()
        service.wait_for(lambda: statuses(service) == {"healthy"})


def test_without_qdrant_nothing_is_answered_and_it_says_so_until_it_is_back(service: Service, stores: Servers) -> None:
    with service.client() as client:
        service.wait_until_found(client, QUESTION)
        assert ask(client, QUESTION, uuid4().hex).json()["answered"]
        stores.qdrant.stop()
        try:
            refused = ask(client, QUESTION, uuid4().hex)
            assert refused.status_code == 503
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.headers["retry-after"] == "5"
            service.wait_for(lambda: client.get("/ready").status_code == 503)
            assert "Qdrant" in str(health(client)["problems"])
            assert_strangers_learn_no_names(service)
        finally:
            stores.qdrant.start()
        service.wait_for(lambda: client.get("/ready").is_success)
        assert ask(client, QUESTION, uuid4().hex).json()["answered"]


def test_without_the_database_known_keys_still_open_and_it_says_so_until_it_is_back(
    service: Service, stores: Servers
) -> None:
    acme = service.new_key(f"acme-{uuid4().hex[:8]}")
    with service.client() as client, service.client(acme) as other:
        stores.postgres.stop()
        try:
            unknown = other.get("/v1/conversations/none")
            assert unknown.status_code == 503
            assert unknown.headers["retry-after"] == "5"
            assert unknown.json()["detail"].startswith("API keys cannot be checked"), "nothing about the database"
            assert ask(client, QUESTION, uuid4().hex).status_code == 200, "the configured key needs no database"
            service.wait_for(lambda: client.get("/ready").status_code == 503)
            assert "DATABASE_URI" in str(health(client)["problems"])
            assert_strangers_learn_no_names(service)
        finally:
            stores.postgres.start()
        service.wait_for(lambda: client.get("/ready").is_success)
        assert other.get("/v1/conversations/none").status_code == 404
