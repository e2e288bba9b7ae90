"""Webhooks over HTTP: each tenant is told of its own events alone, signed, and also after failures and a crash."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.test_models import make_keys
from tests.fakes.webhook_receiver import Received, WebhookReceiver
from tests.service import Service, ask, await_knowledge, one_document

WEBHOOKS = "/v1/tenant/webhooks"
EVENTS = ["answer.rated_down", "document.finished", "question.refused"]
ROOM, UNKNOWN = "How much does a dormitory room cost?", "Who won the football world cup in 1998?"
Tenants = tuple[httpx.Client, httpx.Client]
Json = dict[str, Any]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("webhooks")
    variables = {
        "STATE_ENCRYPTION_KEYS": make_keys(),
        "WEBHOOK_NETWORKS": "127.0.0.1",
        "RATE_LIMIT_ENABLED": "false",
        **one_document(folder),
    }
    with Service(folder / "data", **variables).watched() as running:
        yield running


@pytest.fixture(scope="module")
def tenants(service: Service) -> Iterator[Tenants]:
    with ExitStack() as stack:
        acme, globex = (
            stack.enter_context(service.client(service.new_key(name, ["all"]))) for name in ("acme", "globex")
        )
        yield acme, globex


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as running:
        yield running


@pytest.fixture
def hooks(tenants: Tenants, receiver: WebhookReceiver) -> Iterator[list[Json]]:
    """A webhook of each tenant for all events, at /acme and /globex of the receiver."""
    made = [add(client, f"{receiver.url}/{name}") for client, name in zip(tenants, ("acme", "globex"), strict=True)]
    yield made
    for client, hook in zip(tenants, made, strict=True):
        client.delete(f"{WEBHOOKS}/{hook['id']}")


def add(client: httpx.Client, url: str, events: list[str] | None = None) -> Json:
    made = client.post(WEBHOOKS, json={"url": url, "events": events or EVENTS})
    assert made.status_code == 201, made.text
    shown: Json = made.json()
    assert made.headers["Location"] == f"{WEBHOOKS}/{shown['id']}"
    return shown


def wait_for(service: Service, receiver: WebhookReceiver, path: str, type_: str) -> Received:
    """The first message of a type at *path*."""
    service.wait_for(lambda: [one for one in receiver.at(path) if one.type == type_], limit_s=15)
    return next(one for one in receiver.at(path) if one.type == type_)


def test_a_webhook_is_added_with_its_secret_shown_once_listed_read_and_deleted(
    tenants: Tenants, hooks: list[Json]
) -> None:
    acme, globex = tenants
    hook, others = hooks
    assert hook["secret"].startswith("whsec_")
    shown = acme.get(f"{WEBHOOKS}/{hook['id']}").json()
    assert shown == {name: value for name, value in hook.items() if name != "secret"}
    assert (shown["events"], shown["tenant_id"], shown["failure"]) == (EVENTS, "acme", None)
    assert [one["id"] for one in globex.get(WEBHOOKS).json()["webhooks"]] == [others["id"]]
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/test")):
        assert globex.request(method, f"{WEBHOOKS}/{hook['id']}{path}").status_code == 404
    assert acme.delete(f"{WEBHOOKS}/{hook['id']}").status_code == 204
    assert acme.get(f"{WEBHOOKS}/{hook['id']}").status_code == 404
    assert acme.get(WEBHOOKS).json()["webhooks"] == []


@pytest.mark.parametrize(
    "sent",
    [
        {"url": "http://10.0.0.1/hook"},
        {"url": "http://[::1]/hook"},
        {"url": "http://169.254.169.254/latest"},
        {"url": "https://user:s3cret@example.org/"},
        {"url": "https://example.org/#part"},
        {"url": "ftp://example.org/"},
        {"url": "https://"},
        {"url": "https://example.org:99999/"},
        {"url": f"https://example.org/{'a' * 500}"},
        {"url": "https://example.org/\u0000"},
        {"url": 7},
        {"events": []},
        {"events": ["lead.created"]},
        {"secret": "whsec_own"},
    ],
)
def test_what_is_no_webhook_is_refused(tenants: Tenants, sent: Json) -> None:
    refused = tenants[0].post(WEBHOOKS, json={"url": "https://example.org/", "events": EVENTS, **sent})
    assert refused.status_code == 400, refused.text
    assert "s3cret" not in refused.text


def test_a_key_without_the_scopes_neither_sees_nor_makes_webhooks(service: Service) -> None:
    with service.client(service.new_key("acme", ["bots:write", "webhooks:read"])) as client:
        assert client.get(WEBHOOKS).status_code == 200
        assert client.post(WEBHOOKS, json={"url": "https://example.org/", "events": EVENTS}).status_code == 403


def test_a_refused_question_and_a_bad_rating_are_told_to_their_tenant_alone(
    service: Service, tenants: Tenants, receiver: WebhookReceiver, hooks: list[Json]
) -> None:
    acme, globex = tenants
    answer = ask(acme, UNKNOWN, "refused").json()
    assert answer["answered"] is False
    told = wait_for(service, receiver, "/acme", "question.refused")
    assert told.is_signed_with(hooks[0]["secret"])
    assert not told.is_signed_with(hooks[1]["secret"])
    run_id = answer["run_id"]
    same = {"conversation_id": "refused", "run_id": run_id, "bot_id": "default", "question": UNKNOWN}
    assert told.data == same
    rating = f"/v1/conversations/refused/answers/{run_id}/rating"
    assert acme.put(rating, json={"rating": "up"}).status_code == 200
    assert acme.put(rating, json={"rating": "down", "comment": "It is in the annex."}).status_code == 200
    rated = wait_for(service, receiver, "/acme", "answer.rated_down")
    assert rated.data == {**same, "comment": "It is in the annex.", "expected": ""}
    ask(globex, UNKNOWN, "theirs")
    assert wait_for(service, receiver, "/globex", "question.refused").data["conversation_id"] == "theirs"
    assert len(receiver.at("/acme")) == 2


@pytest.mark.parametrize(("content", "state"), [(b"# Pools\n\nThe pool opens at 6.\n", "ready"), (b"%PDF-", "failed")])
def test_a_finished_document_is_told(
    service: Service, tenants: Tenants, receiver: WebhookReceiver, hooks: list[Json], content: bytes, state: str
) -> None:
    dataset = tenants[1].post("/v1/tenant/datasets", json={"name": uuid4().hex}).json()["id"]
    name = "pools.md" if state == "ready" else "pools.pdf"
    sent = tenants[1].post(f"/v1/tenant/datasets/{dataset}/documents/upload", files={"files": (name, content)})
    assert sent.status_code == 202, sent.text
    data = wait_for(service, receiver, "/globex", "document.finished").data
    assert (data["state"], data["dataset_id"]) == (state, dataset)
    assert data["title"]
    assert not receiver.at("/acme")


def test_a_message_is_sent_again_until_it_is_taken_and_redirects_are_not_followed(
    service: Service, tenants: Tenants, receiver: WebhookReceiver, hooks: list[Json]
) -> None:
    receiver.answers.append(302)
    sent = tenants[0].post(f"{WEBHOOKS}/{hooks[0]['id']}/test")
    assert sent.status_code == 202, sent.text
    service.wait_for(lambda: len(receiver.at("/acme")) == 2, limit_s=15)
    assert {one.message_id for one in receiver.received} == {sent.json()["delivery_id"]}
    assert {one.type for one in receiver.received} == {"webhook.test"}
    assert all(one.is_signed_with(hooks[0]["secret"]) for one in receiver.received)
    assert not receiver.at("/elsewhere")
    path = sent.json()["status_url"]
    service.wait_for(lambda: tenants[0].get(path).json()["delivered_at"], limit_s=15)
    assert tenants[0].get(path).json()["failure"] is None


def test_what_a_killed_service_had_not_delivered_is_delivered_by_the_next(
    service: Service, tenants: Tenants, receiver: WebhookReceiver, hooks: list[Json]
) -> None:
    receiver.answers.append(503)
    ask(tenants[0], UNKNOWN, "killed")
    first = wait_for(service, receiver, "/acme", "question.refused")
    path = f"{WEBHOOKS}/{hooks[0]['id']}"
    service.wait_for(lambda: "503" in (tenants[0].get(path).json()["failure"] or ""), limit_s=15)
    service.stop(signal.SIGKILL)
    assert len(receiver.at("/acme")) == 1
    service.start()
    service.wait_for(lambda: len(receiver.at("/acme")) == 2, limit_s=30)
    assert receiver.at("/acme")[1].data == first.data
    assert receiver.at("/acme")[1].message_id == first.message_id


def test_a_question_waits_for_no_webhook(service: Service, tenants: Tenants) -> None:
    await_knowledge(service, ROOM)
    hook = add(tenants[0], "https://webhook.invalid/", ["question.refused"])
    assert ask(tenants[0], UNKNOWN, "unreachable").status_code == 200
    path = f"{WEBHOOKS}/{hook['id']}"
    service.wait_for(lambda: tenants[0].get(path).json()["failure"], limit_s=15)
    assert tenants[0].get(path).json()["failure"] == "It cannot be reached."
    assert tenants[0].delete(path).status_code == 204
