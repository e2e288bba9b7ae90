"""Two subjects of one tenant, two tenants and two visitors, who all try to get at one another's conversations."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import redis

from api.visitors import VISITOR_HEADER, sign_visitor
from auth.credentials import make_key_principal
from domain.db_opening import open_database
from domain.keys import rotate_key
from tests.conftest import PAGE_KEY
from tests.service import Service, ask

QUESTION = "How much does a dormitory room cost?"
EXAMPLE = "visitor-42"  # as in the README


def as_visitor() -> dict[str, str]:
    """The header of a new visitor of the chat page."""
    return {VISITOR_HEADER: sign_visitor(PAGE_KEY, uuid4().hex, int(time.time()) + 3600)}


@pytest.fixture(scope="module")
def keys(service: Service) -> dict[str, str]:
    """Keys of two tenants without the scope conversations:all."""
    return {
        name: service.new_key(tenant) for name, tenant in (("one", "default"), ("two", "default"), ("acme", "acme"))
    }


@pytest.fixture
def subjects(service: Service, keys: dict[str, str]) -> Iterator[dict[str, httpx.Client]]:
    """A client of each."""
    with ExitStack() as stack:
        clients = {name: service.client(key) for name, key in keys.items()}
        clients |= {name: service.client(PAGE_KEY, **as_visitor()) for name in ("visitor", "other visitor")}
        clients["operator"] = service.client()
        yield {name: stack.enter_context(client) for name, client in clients.items()}


def said_in(client: httpx.Client, conversation_id: str) -> list[str] | int:
    """What was asked in the caller's conversation of that id, or the status of the refusal."""
    # Encoded: of "." a client would make the address of the list.
    shown = client.get(f"/v1/conversations/{conversation_id.replace('.', '%2E')}")
    if shown.status_code != 200:
        return shown.status_code
    return [message["content"] for message in shown.json()["messages"] if message["role"] == "user"]


def test_the_same_id_is_another_conversation_for_each_subject(subjects: dict[str, httpx.Client]) -> None:
    conversation_id = f"{EXAMPLE}-{uuid4().hex}"
    talked: dict[str, str] = {}
    for name, client in subjects.items():
        assert said_in(client, conversation_id) == 404
        talked[name] = f"{QUESTION} says {name}"
        answered = ask(client, talked[name], conversation_id)
        assert answered.json()["conversation_id"] == conversation_id
        for other, text in talked.items():
            assert said_in(subjects[other], conversation_id) == [text]
    for name, client in subjects.items():
        assert client.delete(f"/v1/conversations/{conversation_id}").status_code == 204
        del talked[name]
        assert said_in(client, conversation_id) == 404
        for other, text in talked.items():
            assert said_in(subjects[other], conversation_id) == [text]


def test_keys_with_conversations_all_share_theirs_under_the_readable_name(
    service: Service, subjects: dict[str, httpx.Client]
) -> None:
    conversation_id = f"{EXAMPLE}-{uuid4().hex}"
    ask(subjects["operator"], QUESTION, conversation_id)
    ask(subjects["one"], QUESTION, conversation_id)
    with service.client(service.new_key("default", scopes=["all"])) as another:
        assert said_in(another, conversation_id) == [QUESTION]
    with service.client(service.new_key("acme", scopes=["all"])) as elsewhere:
        assert said_in(elsewhere, conversation_id) == 404
    one = subjects["one"].headers["X-API-Key"][8:16]
    with redis.Redis(unix_socket_path=str(service.data_dir / "valkey.sock"), decode_responses=True) as store:
        found = set(store.scan_iter(f"checkpoint:*{conversation_id}"))
        assert found == {f"checkpoint:{conversation_id}", f"checkpoint:default.{one}.{conversation_id}"}
        assert QUESTION not in str(store.get(f"checkpoint:{conversation_id}"))


@pytest.fixture
def secret(subjects: dict[str, httpx.Client]) -> dict[str, Any]:
    """An answer that the key `one` has rated."""
    told: dict[str, Any] = ask(subjects["one"], QUESTION, f"{EXAMPLE}-{uuid4().hex}").json()
    rating = f"/v1/conversations/{told['conversation_id']}/answers/{told['run_id']}/rating"
    assert subjects["one"].put(rating, json={"rating": "down", "comment": "Ingeborg"}).status_code == 200
    return told


@pytest.mark.parametrize("name", ["two", "acme", "visitor", "operator"])
def test_runs_and_ratings_do_not_lead_around_it(
    subjects: dict[str, httpx.Client], secret: dict[str, Any], name: str
) -> None:
    owner, stranger = subjects["one"], subjects[name]
    run, conversation = f"/v1/runs/{secret['run_id']}", f"/v1/conversations/{secret['conversation_id']}"
    rating = f"{conversation}/answers/{secret['run_id']}/rating"
    tries = [
        stranger.get(run),
        stranger.get(f"{run}/events"),
        stranger.get(f"{run}/events", headers={"Last-Event-ID": f"{secret['run_id']}-1"}),
        stranger.post(f"{run}/cancel"),
        stranger.get(conversation),
        stranger.delete(conversation),
        stranger.put(rating, json={"rating": "up"}),
        stranger.delete(rating),
    ]
    assert [tried.status_code for tried in tries] == [404] * len(tries)
    # Nor with a conversation of the same id, that the stranger does have.
    ask(stranger, QUESTION, secret["conversation_id"])
    assert stranger.put(rating, json={"rating": "up"}).status_code == 404
    assert stranger.delete(rating).status_code == 404
    assert stranger.delete(conversation).status_code == 204
    shown = owner.get(conversation).json()["messages"]
    assert [message.get("rating") for message in shown] == [None, "down"]
    assert owner.get(run).json()["result"]["answer"] == secret["answer"]


def test_a_list_of_ratings_holds_those_in_ones_own_conversations(
    subjects: dict[str, httpx.Client], secret: dict[str, Any]
) -> None:
    listed = {
        name: secret["run_id"]
        in {each["run_id"] for each in client.get("/v1/tenant/ratings?limit=200").json()["ratings"]}
        for name, client in subjects.items()
        if "visitor" not in name  # who may not ask for it
    }
    assert listed == {"one": True, "two": False, "acme": False, "operator": True}


def test_an_idempotency_key_and_a_cached_answer_give_everybody_a_run_of_their_own(
    subjects: dict[str, httpx.Client],
) -> None:
    question, repeated = f"{QUESTION} {uuid4().hex}", {"Idempotency-Key": uuid4().hex}
    answers = [
        client.post("/v1/chat", json={"message": question}, headers={"X-Conversation-Id": EXAMPLE, **repeated})
        for client in subjects.values()
    ]
    assert all(answer.status_code == 200 for answer in answers)
    assert not any("Idempotency-Replayed" in answer.headers for answer in answers)
    assert len({answer.json()["run_id"] for answer in answers}) == len(subjects)
    for client, answer in zip(subjects.values(), answers, strict=True):
        assert client.get(f"/v1/runs/{answer.json()['run_id']}").status_code == 200
    runs = {answer.json()["run_id"] for answer in answers}
    for client in subjects.values():
        own = {message["run_id"] for message in client.get(f"/v1/conversations/{EXAMPLE}").json()["messages"][-1:]}
        assert len(own & runs) == 1


def test_a_rotated_key_keeps_its_conversations(service: Service) -> None:
    key = service.new_key("acme")
    with service.client(key) as client:
        ask(client, QUESTION, EXAMPLE)
    database = open_database(f"sqlite:///{service.data_dir / 'pustaka.db'}")
    with database.open_write_session() as session:
        _, new = rotate_key(session, make_key_principal("acme", "test"), key[8:16], overlap=timedelta(0))
    database.close()
    with service.client(new) as client:
        assert said_in(client, EXAMPLE) == [QUESTION]


def test_visitors_whom_the_page_does_not_name_are_one_and_reach_nobody(
    subjects: dict[str, httpx.Client], page_client: httpx.Client
) -> None:
    conversation_id = uuid4().hex
    ask(page_client, QUESTION, conversation_id)
    assert said_in(page_client, conversation_id) == [QUESTION]
    assert {str(said_in(client, conversation_id)) for client in subjects.values()} == {"404"}


@pytest.mark.parametrize(
    "conversation_id", ["default.one.visitor-42", "a1b2c3d4.visitor-42", "acme.visitor-42", ".", "x."]
)
def test_no_id_that_a_caller_sends_holds_what_separates_subjects(
    subjects: dict[str, httpx.Client], conversation_id: str
) -> None:
    for client in subjects.values():
        asked = client.post("/v1/chat", json={"message": QUESTION}, headers={"X-Conversation-Id": conversation_id})
        assert asked.status_code == 400
        assert said_in(client, conversation_id) in (400, 404)
