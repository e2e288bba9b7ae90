"""A language model that fails: the same turn ends in quotes from the documents, and says why."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import httpx
import pytest

from tests.api.test_chat import stream
from tests.conftest import FAKE_MODEL
from tests.fakes.model_server import FakeModelServer
from tests.service import ROOT, Library, Service, ask

QUESTION = "How much does a dormitory room cost?"
AWAY = "The language model is not available. These are quotes from the documents."
FAILURES: dict[str, tuple[dict[str, Any], str, bool]] = {  # what happens, what is told, whether somebody watches
    "overloaded": ({"kind": "status", "status": 503}, "model-unavailable", False),
    "refuses the key": ({"kind": "status", "status": 401}, "model-unavailable", True),
    "without credit": ({"kind": "status", "status": 429, "code": "insufficient_quota"}, "model-unavailable", False),
    "refuses the question": ({"kind": "status", "status": 400}, "model-unavailable", False),
    "hangs up": ({"kind": "drop"}, "model-unavailable", False),
    "silent": ({"kind": "hang"}, "model-timeout", True),
    "malformed": ({"kind": "malformed", "after_tokens": 3}, "model-unavailable", True),
    "breaks off": ({"kind": "truncate", "after_tokens": 3}, "model-unavailable", True),
    "ends early": ({"kind": "end_early", "after_tokens": 3}, "model-unavailable", True),
    "error in between": ({"kind": "error_event", "after_tokens": 3}, "model-unavailable", True),
}


@pytest.fixture
def talk() -> str:
    """The id of a conversation nobody has had yet."""
    return uuid4().hex


@pytest.fixture
def client(service_with_model: Service, model_server: FakeModelServer) -> Iterator[httpx.Client]:
    """A client of a service whose language model behaves, until the test says otherwise."""
    model_server.reset()
    with service_with_model.client() as opened:
        yield opened
    model_server.reset()


def assert_quotes(result: dict[str, Any], reason: str = "model-unavailable") -> None:
    assert result["answered"], result
    assert (result["language_model"], result["fallback_reason"]) == (False, reason)
    assert AWAY in result["degraded"]
    assert result["citations"]
    assert {sentence["status"] for sentence in result["support"]["sentences"]} == {"supported"}
    assert "echo" not in result["answer"], "what the model said is part of it"


@pytest.mark.parametrize(("fault", "reason", "streams"), FAILURES.values(), ids=FAILURES)
def test_a_model_that_fails_leaves_quotes_and_the_conversation_goes_on(
    client: httpx.Client, model_server: FakeModelServer, talk: str, fault: dict[str, Any], reason: str, streams: bool
) -> None:
    model_server.configure(faults=[{**fault, "times": -1}])
    result = stream(client, QUESTION, talk)[-1] if streams else ask(client, QUESTION, talk).json()
    assert_quotes(result, reason)
    model_server.reset()
    following = ask(client, "And with a private bathroom? mk12345678", talk).json()
    assert (following["language_model"], following["fallback_reason"]) == (True, None)
    assert "u=2 a=1" in following["answer"]
    kept = client.get(f"/v1/conversations/{talk}").json()["messages"]
    assert [(item["role"], item.get("fallback_reason")) for item in kept] == [
        ("user", None),
        ("assistant", reason),
        ("user", None),
        ("assistant", None),
    ]


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
def test_a_model_that_says_nothing_leaves_quotes(
    client: httpx.Client, model_server: FakeModelServer, talk: str, streams: bool
) -> None:
    model_server.configure(replies={QUESTION: ""}, finish_reason="length")
    result = stream(client, QUESTION, talk)[-1] if streams else ask(client, QUESTION, talk).json()
    assert_quotes(result)


@pytest.mark.parametrize("finish_reason", ["length", "content_filter"])
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
def test_an_answer_that_the_model_did_not_end_says_so(
    client: httpx.Client, model_server: FakeModelServer, talk: str, streams: bool, finish_reason: str
) -> None:
    model_server.configure(finish_reason=finish_reason)
    result = stream(client, QUESTION, talk)[-1] if streams else ask(client, QUESTION, talk).json()
    assert (result["language_model"], result["fallback_reason"]) == (True, None)
    assert "is incomplete" in result["degraded"]
    model_server.reset()
    assert ask(client, f"{QUESTION} mk12345678", talk).json()["degraded"] is None


def test_a_stream_says_that_what_came_before_the_quotes_is_void(
    client: httpx.Client, model_server: FakeModelServer, talk: str
) -> None:
    model_server.configure(faults=[{"kind": "truncate", "after_tokens": 3}])
    seen = stream(client, QUESTION, talk)
    [place] = [at for at, event in enumerate(seen) if event["type"] == "fallback"]
    assert seen[place]["reason"] == "model-unavailable"
    before, after = (
        "".join(event["content"] for event in part if event["type"] == "token") for part in (seen[:place], seen[place:])
    )
    assert before.startswith("echo")
    assert after == seen[-1]["answer"]
    assert [event["type"] for event in seen].count("support") == 1


@pytest.mark.parametrize("question", [QUESTION, "How do I apply?", "Berapa biaya kuliah?"])
def test_quotes_are_of_the_documents_that_a_service_without_a_language_model_quotes(
    client: httpx.Client, model_server: FakeModelServer, service: Service, talk: str, question: str
) -> None:
    model_server.configure(faults=[{"kind": "drop", "times": -1}])
    with service.client() as without:
        expected = ask(without, question, talk).json()
    result = ask(client, question, talk).json()
    assert result["answered"] == expected["answered"]
    documents = {citation["source"] for citation in expected["citations"]}
    assert documents & {citation["source"] for citation in result["citations"]}


def test_a_follow_up_is_quoted_for_by_the_topic_of_the_question_before(
    client: httpx.Client, model_server: FakeModelServer, talk: str
) -> None:
    ask(client, QUESTION, talk)
    model_server.configure(faults=[{"kind": "drop", "times": -1}])
    result = ask(client, "And with a private bathroom?", talk).json()
    assert_quotes(result)
    assert "bathroom" in result["answer"]


def test_what_is_not_in_the_documents_is_refused_without_the_model(
    client: httpx.Client, model_server: FakeModelServer, talk: str
) -> None:
    model_server.configure(faults=[{"kind": "drop", "times": -1}])
    result = ask(client, "Quo vadis, xylophone?", talk)
    assert result.status_code == 200
    assert result.json()["answered"] is False


def test_a_repeated_request_gets_the_same_quotes(
    client: httpx.Client, model_server: FakeModelServer, talk: str
) -> None:
    model_server.configure(faults=[{"kind": "status", "status": 401, "times": -1}])
    key = {"Idempotency-Key": talk, "X-Conversation-Id": talk}
    first = client.post("/v1/chat", json={"message": QUESTION}, headers=key)
    model_server.reset()
    again = client.post("/v1/chat", json={"message": QUESTION}, headers=key)
    assert_quotes(first.json())
    assert again.json() == first.json()
    shown = client.get(f"/v1/runs/{first.headers['X-Run-Id']}").json()
    assert (shown["status"], shown["result"]) == ("completed", first.json())


@pytest.fixture(scope="module")
def patient(
    library: Library, tmp_path_factory: pytest.TempPathFactory, model_server: FakeModelServer
) -> Iterator[Service]:
    """A service that asks a model that is away once in a minute."""
    variables = {**FAKE_MODEL, "LLM_BASE_URL": model_server.base_url, "LLM_MAX_RETRIES": "0", "LLM_RETRY_AFTER": "60"}
    with library.service(tmp_path_factory.mktemp("patient"), RATE_LIMIT_ENABLED="false", **variables) as running:
        yield running


def test_a_model_that_is_away_is_not_waited_for_and_its_operator_told_once(
    patient: Service, model_server: FakeModelServer
) -> None:
    model_server.reset()
    with patient.client() as client, patient.client(patient.new_key("acme")) as other:
        assert ask(client, QUESTION, "t0").json()["language_model"]
        assert client.get("/health").json()["status"] == "healthy"
        model_server.configure(faults=[{"kind": "status", "status": 401, "times": -1}])
        for number in range(1, 5):
            assert_quotes(ask(client, QUESTION, f"t{number}").json())
        assert ask(other, QUESTION, "t1").json()["answered"] is False  # it has no documents
        assert model_server.counters()["chat"] == 2, "one answered, one refused"
        patient.wait_for(lambda: client.get("/health").json()["status"] == "degraded")
        health = client.get("/health?verbose").json()
        model_server.reset()
    assert (health["status"], health["language_model"]) == ("degraded", False)
    assert health["dependencies"]["chat_model"] == "down"
    assert health["problems"] == [
        "The language model does not answer, quotes do instead: "
        "The endpoint of the chat model refused the API key (401): check LLM_API_KEY."
    ]
    errors = [json.loads(line) for line in patient.logged().splitlines() if '"ERROR"' in line]
    assert [error["message"] for error in errors] == [
        "The chat model does not answer: answers are quotes from the documents "
        "(The endpoint of the chat model refused the API key (401): check LLM_API_KEY.)"
    ]


@dataclass
class Watched:
    """What the reader of one stream has seen, and when its answer was there."""

    events: list[dict[str, Any]] = field(default_factory=list)
    ended_s: float = 0.0


async def _watch(http: aiohttp.ClientSession, number: int, begun: asyncio.Semaphore) -> Watched:
    """One question, streamed to its end; *begun* is released when the model has said something."""
    seen = Watched()
    headers = {"Accept": "text/event-stream", "X-Conversation-Id": f"killed-{number}"}
    async with http.post("/v1/chat", json={"message": QUESTION}, headers=headers) as response:
        assert response.status == 200, await response.text()
        async for line in response.content:
            if line.startswith(b"data: "):
                seen.events.append(json.loads(line[6:]))
                if [event["type"] for event in seen.events].count("token") == 1:
                    begun.release()
    seen.ended_s = time.monotonic()
    return seen


def _processor_waits_s(*process_ids: int) -> float:
    """How long the first threads of these processes have waited for a processor that others had."""
    waits = (Path(f"/proc/{one}/task/{one}/schedstat").read_text().split()[1] for one in process_ids)
    return sum(map(int, waits)) / 1e9


@pytest.mark.parametrize("count", [5, pytest.param(200, marks=[pytest.mark.long, pytest.mark.soak])])
async def test_a_model_that_is_killed_under_its_streams_leaves_each_of_them_quotes_within_a_second(
    library: Library, tmp_path: Path, count: int
) -> None:
    command = (sys.executable, "-m", "tests.fakes.model_server")
    model = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    assert model.stdout is not None
    url = (await model.stdout.readline()).decode().strip()
    async with aiohttp.ClientSession(url.removesuffix("/v1")) as told:
        await told.post("/__config", json={"tokens": 10_000, "gap_ms": 50})
    with library.service(tmp_path, **FAKE_MODEL, LLM_BASE_URL=url, RATE_LIMIT_ENABLED="false") as running:
        begun = asyncio.Semaphore(0)
        connector = aiohttp.TCPConnector(limit=0)
        headers = {"X-API-Key": running.key}
        async with aiohttp.ClientSession(running.url, connector=connector, headers=headers) as http:
            streams = [asyncio.create_task(_watch(http, number, begun)) for number in range(count)]
            for _ in streams:
                await begun.acquire()
            model.kill()
            killed_s, busy_s = time.monotonic(), _processor_waits_s(running.process.pid, os.getpid())
            seen = await asyncio.gather(*streams)
            busy_s = _processor_waits_s(running.process.pid, os.getpid()) - busy_s
    await model.wait()
    for one in seen:
        assert_quotes(one.events[-1])
        assert [event["type"] for event in one.events].count("fallback") == 1
    last_s = max(one.ended_s for one in seen) - killed_s
    told = f"{count} streams: the last quotes after {last_s:.2f} s, {busy_s:.2f} s of them without a processor"
    print(told)
    assert last_s - busy_s < 1.0, told
