"""Two tenants with two bots each, in 200 conversations at once: nothing of one is met at another."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.conftest import FAKE_MODEL
from tests.fakes.model_server import FakeModelServer
from tests.scrapes import scrape
from tests.service import Service, free_port, one_document

pytestmark = pytest.mark.long
CONVERSATIONS = 50  # of each bot; all bots have the same ids
SHARED = ["How much is the parking permit of the year?", "What does the parking permit of the year cost?"]
STYLES = (
    {"unsupported_sentences": "mark", "top_k": 2, "institution": "Acme North"},
    {"unsupported_sentences": "drop", "top_k": 3, "institution": "Acme South"},
    {"unsupported_sentences": "mark", "top_k": 4, "institution": "Globex North"},
    {"unsupported_sentences": "drop", "top_k": 5, "institution": "Globex South"},
)


@dataclass
class Asked:
    """A bot as its callers know it, and what was asked of it: questions by conversation."""

    client: httpx.Client
    tenant: str
    bot: str
    price: int
    endpoint: FakeModelServer
    questions: dict[str, list[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.tenant}-{self.bot}"

    @property
    def prompt(self) -> str:
        return f"Speak for {self.name}."

    @property
    def fact(self) -> str:
        return f"The parking permit of the year costs {self.price} euros"

    @property
    def origin(self) -> str:
        return f"https://{self.name}.example"

    def ask(self, conversation_id: str, question: str, repeat_key: str) -> httpx.Response:
        """One question, with a key that callers of the other bots have too."""
        body = {"message": question, "session_id": conversation_id, "bot_id": self.bot}
        headers = {"Idempotency-Key": repeat_key, "Origin": self.origin}
        return self.client.post("/v1/chat", json=body, headers=headers)


@pytest.fixture(scope="module")
def endpoints() -> Iterator[list[FakeModelServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(FakeModelServer()) for _ in range(2)]


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, model_server: FakeModelServer, metrics_port: int
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("interleaved")
    model_server.reset()
    variables = {
        **FAKE_MODEL,
        "LLM_BASE_URL": model_server.base_url,
        "CACHE_ENABLED": "true",
        "CORS_ORIGINS": "https://*.example",
        "METRICS_PORT": str(metrics_port),
        "MODEL_NETWORKS": "127.0.0.1",
        "PROMETHEUS_ENABLED": "true",
        "RATE_LIMIT_ENABLED": "false",
        "STATE_ENCRYPTION_KEYS": "first:" + "A" * 43 + "=",
        "TRANSCRIPT_RETENTION_DAYS": "30",
        **one_document(folder),
    }
    with Service(folder / "data", **variables) as running:
        yield running


@pytest.fixture(scope="module")
def bots(service: Service, endpoints: list[FakeModelServer]) -> Iterator[list[Asked]]:
    """Each with a model, a prompt, a dataset and a style of its own."""
    with ExitStack() as stack:
        clients = [stack.enter_context(service.client(service.new_key(name, ["all"]))) for name in ("acme", "globex")]
        made = [
            Asked(client, tenant, bot, price, endpoint)
            for client, tenant, prices in zip(clients, ("acme", "globex"), ((11, 22), (33, 44)), strict=True)
            for bot, price, endpoint in zip(("north", "south"), prices, endpoints, strict=True)
        ]
        for endpoint in endpoints:  # without the marks of the fake, which a style that drops sentences would drop
            endpoint.configure(replies={one.prompt: f"{one.fact} [1]." for one in made})
        for one, style in zip(made, STYLES, strict=True):
            set_up(service, one, style)
        yield made


def set_up(service: Service, one: Asked, style: dict[str, Any]) -> None:
    dataset = one.client.post("/v1/tenant/datasets", json={"name": one.bot}).json()["id"]
    text = f"{one.fact}. It is sold at the {one.name} desk.\n"
    files = [("files", (f"{one.name}.md", text.encode()))]
    [job] = one.client.post(f"/v1/tenant/datasets/{dataset}/documents/upload", files=files).json()["jobs"]
    service.wait_for(lambda: one.client.get(job["status_url"]).json()["status"] == "completed")
    model = {"id": one.bot, "base_url": one.endpoint.base_url, "model": one.name, "api_key": f"sk-{one.name}"}
    assert one.client.post("/v1/tenant/models", json=model).status_code == 201
    said = {"dataset_ids": [dataset], "model_id": one.bot, "instructions": one.prompt, **style}
    answer = one.client.post("/v1/tenant/bots", json={"id": one.bot, "name": one.name, **said})
    assert answer.status_code == 201, answer.text


def converse(one: Asked, number: int) -> None:
    """One conversation: every other one asks what all ask first, every third asks again, every fifth repeats."""
    conversation_id = f"talk-{number}"
    asked = one.questions[conversation_id] = [
        SHARED[number % 4 // 2] if number % 2 else f"{SHARED[0]} Said {one.name} {number}."
    ]
    if number % 3 == 0:
        asked.append(f"And what does the parking permit of the year cost at {one.name}, {number}?")
    for turn, question in enumerate(asked):
        answer = one.ask(conversation_id, question, f"key-{number}-{turn}")
        check_answer(one, answer, conversation_id)
        if number % 5 == 0:
            again = one.ask(conversation_id, question, f"key-{number}-{turn}")
            assert again.headers["Idempotency-Replayed"] == "true"
            assert (again.json()["run_id"], again.json()["answer"]) == (
                answer.json()["run_id"],
                answer.json()["answer"],
            )


def check_answer(one: Asked, answer: httpx.Response, conversation_id: str) -> None:
    assert answer.status_code == 200, answer.text
    assert "Idempotency-Replayed" not in answer.headers, "the run of another"
    assert answer.headers["Access-Control-Allow-Origin"] == one.origin
    assert answer.headers["Vary"] == "Origin"
    said = answer.json()
    assert (said["bot_id"], said["conversation_id"]) == (one.bot, conversation_id)
    assert (said["language_model"], said["model"]) == (True, one.name), said
    assert one.fact in said["answer"], said
    assert {citation["source"] for citation in said["citations"]} == {f"{one.name}.md"}, said
    assert all(one.fact in citation["quote"] for citation in said["citations"]), said


@pytest.mark.first
def test_nothing_of_one_bot_is_met_at_another_in_200_conversations_at_once(
    service: Service, bots: list[Asked], model_server: FakeModelServer, metrics_port: int
) -> None:
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda number: converse(bots[number % 4], number // 4), range(4 * CONVERSATIONS)))
    assert not model_server.counters()["chat"], "the service's own model was asked"
    for one in bots:
        check_requests_of_models(one, bots)
        check_transcript(service, one)
        check_cache(one)
    check_metrics(metrics_port, bots)


def check_requests_of_models(one: Asked, bots: list[Asked]) -> None:
    """What the model of *one* was told is of it alone: prompt, passages, key and the questions of one conversation."""
    others = [other for other in bots if other is not one]
    elsewhere = next(other.endpoint for other in bots if other.endpoint is not one.endpoint)
    assert not [request for request in elsewhere.requests() if request["body"]["model"] == one.name]
    own = [request for request in one.endpoint.requests() if request["body"]["model"] == one.name]
    assert own
    for request in own:
        assert request["headers"]["authorization"] == f"Bearer sk-{one.name}"
        told = json.dumps(request["body"]["messages"])
        assert one.prompt in told
        assert not [other.name for other in others if other.name in told or other.fact in told]


def check_transcript(service: Service, one: Asked) -> None:
    """Each conversation is called by its own first question and holds its own questions."""
    listing = {"bot_id": one.bot, "limit": 100}

    def list_own() -> dict[str, dict[str, Any]]:
        found = one.client.get("/v1/conversations", params=listing).raise_for_status().json()["conversations"]
        return {row["id"]: row for row in found}

    expected = {name: 2 * len(questions) for name, questions in one.questions.items()}
    service.wait_for(lambda: sum(row["message_count"] for row in list_own().values()) >= sum(expected.values()))
    listed = list_own()
    assert {name: row["message_count"] for name, row in listed.items()} == expected
    assert {name: row["title"] for name, row in listed.items()} == {n: q[0] for n, q in one.questions.items()}
    for name, questions in one.questions.items():
        shown = one.client.get(f"/v1/conversations/{name}", params={"bot_id": one.bot}).raise_for_status().json()
        assert [row["content"] for row in shown["messages"] if row["role"] == "user"] == questions
        assert {row["bot_id"] for row in listed.values()} == {one.bot}


def check_cache(one: Asked) -> None:
    """What all have asked is given again to each, from its own cache."""
    for number, question in enumerate(SHARED):
        answer = one.ask(f"after-{number}", question, f"after-{number}")
        assert answer.json()["cached"] is True
        check_answer(one, answer, f"after-{number}")


def check_metrics(port: int, bots: list[Asked]) -> None:
    """No label tells of a tenant, a bot or its model: the page of metrics is read by whoever runs the service."""
    found = scrape(port)
    values = {value for samples in found.samples.values() for labels, _ in samples for value in labels.values()}
    names = {name for one in bots for name in (one.tenant, one.bot, one.name)}
    assert not {value for value in values for name in names if name in value.casefold()}
    assert found.value("pustaka_model_call_duration_seconds_count", kind="tenant_chat") > 0
