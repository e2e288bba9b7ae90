"""What users see, on every set of stores."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.end_to_end.stacks import WORKERS, Stack, embedded, production
from tests.service import Library, ask, await_vectors

pytestmark = pytest.mark.long

STACKS = {"embedded": embedded, "production": production}
QUESTIONS = [
    "How much does a dormitory room cost?",
    "Bagaimana cara mendaftar?",
    "¿Cómo se pide el reembolso de un viaje?",
    "When does the library close?",
]


@pytest.fixture(scope="module", params=STACKS)
def stack(
    request: pytest.FixtureRequest, library: Library, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Each set of stores in turn, with the samples indexed."""
    with STACKS[request.param](library, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with stack.service.client() as opened:
        yield opened


@pytest.fixture
def other(stack: Stack) -> Iterator[httpx.Client]:
    """Another tenant, new for each test."""
    with stack.service.client(stack.service.new_key(f"acme-{uuid4().hex[:8]}")) as opened:
        yield opened


@pytest.fixture
def talk() -> str:
    return uuid4().hex


def test_everything_it_needs_is_well(client: httpx.Client) -> None:
    health = client.get("/health?verbose").json()
    assert health["status"] == "healthy", health["problems"]
    stores = dict.fromkeys(("redis", "database", "index"), "ok")
    assert health["dependencies"] == {**stores, "chat_model": None}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_answered_with_its_sources(client: httpx.Client, talk: str, question: str) -> None:
    answer = ask(client, question, talk).json()
    assert answer["answered"]
    assert answer["persistence"] == "redis"
    assert answer["citations"][0]["quote"]


def test_another_tenant_finds_none_of_the_documents(other: httpx.Client, talk: str) -> None:
    answer = ask(other, QUESTIONS[0], talk).json()
    assert not answer["answered"]
    assert answer["citations"] == []


def test_what_is_in_no_document_is_not_answered(client: httpx.Client, talk: str) -> None:
    assert not ask(client, "Who won the football world cup in 2018?", talk).json()["answered"]


def test_a_conversation_goes_on_and_is_another_tenants_business_to_no_one(
    client: httpx.Client, other: httpx.Client, talk: str
) -> None:
    ask(client, "How much does a dormitory room cost?", talk)
    assert "1,350,000" in ask(client, "And with a private bathroom?", talk).json()["answer"]
    assert len(client.get(f"/v1/conversations/{talk}").json()["messages"]) == 4
    assert other.get(f"/v1/conversations/{talk}").status_code == 404
    assert other.delete(f"/v1/conversations/{talk}").status_code == 404
    assert client.delete(f"/v1/conversations/{talk}").status_code == 204
    assert client.get(f"/v1/conversations/{talk}").status_code == 404


def test_an_answer_streams(client: httpx.Client, talk: str) -> None:
    headers = {"Accept": "text/event-stream", "X-Conversation-Id": talk}
    with client.stream("POST", "/v1/chat", json={"message": QUESTIONS[0]}, headers=headers) as response:
        events = [line.removeprefix("event: ") for line in response.iter_lines() if line.startswith("event: ")]
    assert (events[0], events[-1]) == ("start", "done")
    assert {"token", "citation"} <= set(events)


def test_a_conversation_in_redis_can_be_looked_at_and_has_an_end(
    stack: Stack, client: httpx.Client, other: httpx.Client, talk: str
) -> None:
    ask(client, QUESTIONS[0], talk)
    ask(other, QUESTIONS[0], talk)
    assert stack.redis.ttl(f"checkpoint:{talk}") > 80_000
    assert "dormitory" not in json.dumps(json.loads(stack.redis.get(f"checkpoint:{talk}")))
    assert [key for key in stack.redis.keys("*") if stack.redis.ttl(key) == -1] == []  # -2: gone meanwhile
    assert len(stack.redis.keys(f"checkpoint:*{talk}")) == 2


def test_a_loaded_document_is_found_by_its_tenant_alone_until_it_goes(
    stack: Stack, client: httpx.Client, other: httpx.Client, talk: str, tmp_path: Path
) -> None:
    page = tmp_path / "docs" / "observatory.md"
    page.parent.mkdir()
    (page.parent / "planetarium.md").write_text("# Planetarium\n\nThe planetarium has forty seats.\n")
    page.write_text("# Observatory\n\nThe observatory's telescope Quasimodo opens on Fridays at 21:45.\n")
    _load(stack, page.parent)
    question = "When does the telescope Quasimodo open?"
    stack.service.wait_for(lambda: "21:45" in ask(client, question, uuid4().hex).json()["answer"])
    assert "21:45" not in ask(other, question, talk).json()["answer"]
    page.write_text("# Observatory\n\nThe observatory's telescope Quasimodo opens on Mondays at 19:30.\n")
    _load(stack, page.parent)
    stack.service.wait_for(lambda: "19:30" in ask(client, question, uuid4().hex).json()["answer"])
    page.unlink()
    _load(stack, page.parent, "--prune")
    stack.service.wait_for(lambda: "19:30" not in ask(client, question, uuid4().hex).json()["answer"])
    await_vectors(stack.service)


def test_turns_at_once_in_one_conversation_are_all_kept_in_an_order_that_makes_sense(stack: Stack, talk: str) -> None:
    key = stack.service.new_key(f"many-{uuid4().hex[:8]}")
    together = threading.Barrier(8)

    def turn(number: int) -> int:
        together.wait()
        with stack.service.client(key) as one:  # a connection of its own, so that any worker may get it
            return ask(one, f"Question {number}?", talk).status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(turn, range(8))) == [200] * 8
    with stack.service.client(key) as one:
        messages = one.get(f"/v1/conversations/{talk}").json()["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"] * 8
    assert {message["content"] for message in messages[::2]} == {f"Question {number}?" for number in range(8)}


def test_a_key_made_or_a_conversation_begun_at_one_worker_is_known_to_all(stack: Stack, talk: str) -> None:
    key = stack.service.new_key(f"known-{uuid4().hex[:8]}")
    for turn in range(1, 6 * WORKERS):
        with stack.service.client(key) as one:
            assert ask(one, f"Question {turn}?", talk).status_code == 200
        with stack.service.client(key) as one:
            assert len(one.get(f"/v1/conversations/{talk}").json()["messages"]) == 2 * turn


def _load(stack: Stack, folder: Path, *options: str) -> None:
    done = stack.service.flask("load", str(folder), *options)
    assert done.returncode == 0, done.stderr
