"""A conversation of 500 turns opens by parts, and an answer in it is rated without reading the others."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langchain_core.messages import AnyMessage
from langgraph.checkpoint.base import empty_checkpoint
from redis import Redis

from agents.answer_places import AnswerPlaces
from agents.messages import answer_message, make_question_message
from bootstrap.valkey import read_publication
from tests.service import Service, ask, await_knowledge, one_document
from utils.checkpointer import Connections, RedisCheckpointer

Json = dict[str, Any]
QUESTION = "How much does a dormitory room cost?"
TURNS = 500


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("long")
    with Service(folder / "data", **one_document(folder), RATE_LIMIT_ENABLED="false") as running:
        await_knowledge(running, QUESTION)
        yield running


@pytest.fixture
def client(talking: Service) -> Iterator[httpx.Client]:
    with talking.client() as opened:
        yield opened


def redis_url(service: Service) -> str:
    published = read_publication(service.data_dir)
    assert published is not None
    return f"unix://{service.data_dir / 'valkey.sock'}"


def fill(service: Service, thread_id: str, turns: int, *, noted: bool = True) -> None:
    """A conversation of so many turns, as that many of them leave it."""
    messages: list[AnyMessage] = []
    for number in range(turns):
        messages.append(make_question_message(f"Question {number}?", f"{thread_id}-{number}"))
        text = f"Answer {number}. " + "It is as it is. " * 20
        run_id = f"{thread_id}-{number}"
        messages.append(answer_message(text, run_id, citations=[], model="none", language_model=False))

    async def write() -> None:
        connections = Connections(redis_url(service))
        saver = RedisCheckpointer(connections, ttl_s=3_600)
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"], checkpoint["channel_versions"] = {"messages": messages}, {"messages": 1}
        config: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
        await saver.aput(config, checkpoint, {"source": "loop", "step": 1, "parents": {}}, {"messages": 1})
        places = AnswerPlaces(connections.asynchronous(), ttl_s=3_600)
        for length in range(2, len(messages) + 1, 2) if noted else ():
            await places.note(thread_id, messages[:length])
        await saver.aclose()

    asyncio.run(write())


def parts(client: httpx.Client, path: str) -> Iterator[Json]:
    part = client.get(path).json()
    yield part
    while part["next"]:
        part = client.get(part["next"]).json()
        yield part


def rate(client: httpx.Client, conversation_id: str, run_id: str) -> httpx.Response:
    return client.put(f"/v1/conversations/{conversation_id}/answers/{run_id}/rating", json={"rating": "up"})


def test_a_conversation_is_read_by_parts_from_its_end(talking: Service, client: httpx.Client) -> None:
    fill(talking, "parts", TURNS)
    first = client.get("/v1/conversations/parts").json()
    assert (first["total"], first["limit"], first["offset"], len(first["messages"])) == (1000, 50, 950, 50)
    assert first["messages"][-1]["content"].startswith("Answer 499.")
    read = [part["messages"] for part in parts(client, "/v1/conversations/parts?limit=200")]
    said = [message["content"].split(".")[0].rstrip("?") for part in reversed(read) for message in part]
    assert said == [f"{role} {number}" for number in range(TURNS) for role in ("Question", "Answer")]
    with talking.client(talking.new_key("globex")) as globex:
        assert globex.get("/v1/conversations/parts").status_code == 404
        assert rate(globex, "parts", "parts-3").status_code == 404


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 201}, {"before": 0}, {"before": -1}, {"before": "x"}])
def test_what_is_no_part_is_refused(client: httpx.Client, query: dict[str, Any]) -> None:
    name = uuid4().hex
    ask(client, QUESTION, name)
    assert client.get(f"/v1/conversations/{name}", params=query).status_code == 400
    beyond = client.get(f"/v1/conversations/{name}", params={"before": 9_999}).json()
    assert (beyond["total"], beyond["offset"], len(beyond["messages"])) == (2, 0, 2)


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("number", [0, 1, 250, 498, 499])
def test_any_answer_is_rated_with_its_own_question(
    talking: Service, client: httpx.Client, number: int, noted: bool
) -> None:
    name = f"rated-{noted}-{number}"
    fill(talking, name, TURNS, noted=noted)
    shown = rate(client, name, f"{name}-{number}").json()
    assert shown["question"] == f"Question {number}?"
    assert shown["answer"].startswith(f"Answer {number}.")
    assert shown["stands_alone"] == (number == 0)
    assert rate(client, name, "no-such-run").status_code == 404


def test_a_place_that_is_wrong_misleads_nobody(talking: Service, client: httpx.Client) -> None:
    fill(talking, "moved", 60)
    with closing(Redis.from_url(redis_url(talking))) as store:
        store.hset("places:moved", mapping={"moved-3": 10, "moved-4": 9_999_999, "moved-5": "x", "moved-6": -1})
    for number in (3, 4, 5, 6):
        assert rate(client, "moved", f"moved-{number}").json()["question"] == f"Question {number}?"


def test_a_rating_reads_a_few_messages_of_a_conversation_however_long(talking: Service, client: httpx.Client) -> None:
    sent: dict[int, list[int]] = {}
    with closing(Redis.from_url(redis_url(talking))) as store:
        for turns in (2, TURNS):
            name = f"cost-{turns}"
            fill(talking, name, turns)
            sent[turns] = []
            for number in (0, turns // 2, turns - 1):
                store.config_resetstat()
                assert rate(client, name, f"{name}-{number}").status_code == 200
                sent[turns].append(store.info("stats")["total_net_output_bytes"])
    # The references of 998 more messages are read with each part, 17 bytes each, and no word of them.
    assert max(sent[TURNS]) <= 3 * max(sent[2]) + 8 * 17 * 1_000, sent


def test_turns_note_places_and_a_deleted_conversation_leaves_none(talking: Service, client: httpx.Client) -> None:
    fill(talking, "noted", 31, noted=False)
    ask(client, QUESTION, "noted")
    with closing(Redis.from_url(redis_url(talking))) as store:
        assert store.hget("places:noted", "noted-20") == b"41"
        assert 0 < store.ttl("places:noted") <= 86_400
        assert client.delete("/v1/conversations/noted").status_code == 204
        assert not store.exists("places:noted")


def test_a_question_that_is_asked_again_stands_alone(client: httpx.Client) -> None:
    told = ask(client, QUESTION, "alone").json()
    assert rate(client, "alone", told["run_id"]).json()["stands_alone"]
    again = ask(client, "And a room for two?", "alone").json()
    assert not rate(client, "alone", again["run_id"]).json()["stands_alone"]
    assert json.loads(client.get("/v1/conversations/alone").text)["messages"][1]["rating"] == "up"
