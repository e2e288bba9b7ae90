"""Bots: each answers as it is told to, from what it is given, and none of them for another."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from auth.scopes import VISITOR_SCOPES
from tests.conftest import FAKE_MODEL
from tests.fakes.model_server import FakeModelServer
from tests.service import Service, ask, one_document

BOTS = "/v1/tenant/bots"
QUESTION = "How much is the parking permit of the year?"
FACT = "The parking permit of the year costs {price} euros. It is sold at the {place} desk.\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, model_server: FakeModelServer) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("bots")
    variables = {**FAKE_MODEL, "LLM_BASE_URL": model_server.base_url, "CACHE_ENABLED": "true", **one_document(folder)}
    with Service(folder / "data", RATE_LIMIT_ENABLED="false", **variables) as running:
        yield running


@pytest.fixture
def acme(service: Service, model_server: FakeModelServer) -> Iterator[httpx.Client]:
    """A client of a tenant of its own."""
    model_server.reset()
    with service.client(service.new_key(f"acme-{uuid4().hex[:8]}", ["all"])) as client:
        yield client


@pytest.fixture
def globex(service: Service) -> Iterator[httpx.Client]:
    with service.client(service.new_key(f"globex-{uuid4().hex[:8]}", ["all"])) as client:
        yield client


def add_dataset(service: Service, client: httpx.Client, price: int, place: str) -> str:
    """A dataset that tells the price of a permit."""
    made: str = client.post("/v1/tenant/datasets", json={"name": f"{place} {uuid4().hex}"}).json()["id"]
    file = (f"{place}.md", FACT.format(price=price, place=place).encode())
    [job] = client.post(f"/v1/tenant/datasets/{made}/documents/upload", files=[("files", file)]).json()["jobs"]
    service.wait_for(lambda: client.get(job["status_url"]).json()["status"] == "completed")
    return made


def add_bot(client: httpx.Client, bot_id: str, **said: Any) -> dict[str, Any]:
    made = client.post(BOTS, json={"id": bot_id, "name": bot_id.title(), **said})
    assert made.status_code == 201, made.text
    shown: dict[str, Any] = made.json()
    return shown


def prompts(server: FakeModelServer) -> list[str]:
    """What the model was told, for each answer."""
    return [json.dumps(request["body"]["messages"]) for request in server.requests() if request["kind"] != "embedding"]


def test_the_same_conversation_id_is_another_conversation_for_each_bot(acme: httpx.Client) -> None:
    add_bot(acme, "one")
    add_bot(acme, "two")
    for bot, question in (("one", "What is one?"), ("two", "What is two?"), ("default", "What is it?")):
        assert ask(acme, question, "same", bot_id=bot).status_code == 200
    for bot, question in (("one", "What is one?"), ("two", "What is two?"), ("default", "What is it?")):
        shown = acme.get("/v1/conversations/same", params={"bot_id": bot}).json()
        assert [message["content"] for message in shown["messages"] if message["role"] == "user"] == [question]
    assert acme.delete("/v1/conversations/same", params={"bot_id": "one"}).status_code == 204
    statuses = {bot: acme.get(f"/v1/conversations/same?bot_id={bot}").status_code for bot in ("one", "two", "default")}
    assert statuses == {"one": 404, "two": 200, "default": 200}


def test_a_rating_is_of_the_answer_of_one_bot(acme: httpx.Client) -> None:
    runs = {}
    for bot in ("left", "right"):
        add_bot(acme, bot)
        runs[bot] = ask(acme, "What is one?", "rated", bot_id=bot).json()["run_id"]
        where = f"/v1/conversations/rated/answers/{runs[bot]}/rating"
        assert acme.put(where, params={"bot_id": bot}, json={"rating": "up"}).status_code == 200
        assert acme.put(where, json={"rating": "up"}).status_code == 404
    acme.delete("/v1/conversations/rated", params={"bot_id": "left"})
    assert [row["run_id"] for row in acme.get("/v1/tenant/ratings").json()["ratings"]] == [runs["right"]]


def test_an_answer_is_not_given_again_by_another_bot_or_after_a_change(
    service: Service, acme: httpx.Client, model_server: FakeModelServer
) -> None:
    dataset = add_dataset(service, acme, 55, "east")
    add_bot(acme, "keen", dataset_ids=[dataset], instructions="Be keen.")
    add_bot(acme, "calm", dataset_ids=[dataset], instructions="Be calm.")
    cached = [ask(acme, QUESTION, f"c{number}", bot_id="keen").json()["cached"] for number in range(2)]
    assert cached == [False, True]
    assert not ask(acme, QUESTION, "c3", bot_id="calm").json()["cached"]
    assert acme.patch(f"{BOTS}/keen", json={"instructions": "Be very keen."}).json()["version"] == 2
    changed = ask(acme, QUESTION, "c4", bot_id="keen").json()
    assert not changed["cached"]
    assert "Be very keen." in prompts(model_server)[-1]
    assert "Be calm." not in prompts(model_server)[-1]


def test_a_bot_tells_of_its_own_documents_alone(service: Service, acme: httpx.Client) -> None:
    for place, price in (("harbour", 5), ("meadow", 6)):
        add_bot(acme, place, dataset_ids=[add_dataset(service, acme, price, place)])
    told = {
        place: ask(acme, "What can you do?", "t", bot_id=place).json()["answer"].lower()
        for place in ("harbour", "meadow")
    }
    assert "harbour" in told["harbour"]
    assert "meadow" not in told["harbour"]
    assert "meadow" in told["meadow"]
    assert "harbour" not in told["meadow"]


def test_a_repeated_request_is_another_one_with_another_bot(acme: httpx.Client) -> None:
    add_bot(acme, "first")
    add_bot(acme, "second")
    body = {"message": "What is one?", "session_id": "repeated"}
    runs = [
        acme.post("/v1/chat", json={**body, "bot_id": bot}, headers={"Idempotency-Key": "k"}).json()["run_id"]
        for bot in ("first", "second", "first")
    ]
    assert runs[0] == runs[2] != runs[1]


def test_a_dataset_that_bots_name_is_not_removed(service: Service, acme: httpx.Client, globex: httpx.Client) -> None:
    ids = {client: client.post("/v1/tenant/datasets", json={"name": "D"}).json()["id"] for client in (acme, globex)}
    where = f"/v1/tenant/datasets/{ids[acme]}"
    add_bot(acme, "on", dataset_ids=[ids[acme]])
    add_bot(acme, "off", dataset_ids=[ids[acme]], enabled=False)
    add_bot(globex, "theirs", dataset_ids=[ids[globex]])
    refused = acme.delete(where)
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "Bots answer from this dataset (off, on): take it out of their dataset_ids first.",
    )
    assert globex.delete(where).status_code == 404
    acme.patch(f"{BOTS}/on", json={"dataset_ids": None})
    acme.delete(f"{BOTS}/off")
    assert acme.delete(where).status_code == 204
    assert globex.get(f"/v1/tenant/datasets/{ids[globex]}").status_code == 200


def test_the_default_bot_of_which_nothing_was_said_tells_how_to_change_it(acme: httpx.Client) -> None:
    for answered in (
        acme.get(f"{BOTS}/default"),
        acme.patch(f"{BOTS}/default", json={}),
        acme.delete(f"{BOTS}/default"),
    ):
        assert answered.status_code == 404
        assert "answers as the settings say" in answered.json()["detail"]
        assert "POST /v1/tenant/bots" in answered.json()["detail"]


def test_what_a_bot_may_not_be_asked_says_why(service: Service, acme: httpx.Client, globex: httpx.Client) -> None:
    add_bot(acme, "here")
    for client, bot in ((globex, "here"), (acme, "nowhere")):
        refused = ask(client, "What is one?", "r", bot_id=bot)
        assert (refused.status_code, refused.json()["detail"]) == (404, f"Bot {bot!r} not found.")
    for bot in ("", "A", "../x", "a" * 41, "a.b", "a@b", 5):
        assert ask(acme, "What is one?", "r", bot_id=bot).status_code == 400, bot
    assert acme.patch(f"{BOTS}/here", json={"enabled": False}).json()["version"] == 1
    refused = ask(acme, "What is one?", "r", bot_id="here")
    assert refused.status_code == 409
    assert "is switched off" in refused.json()["detail"]
    assert acme.patch(f"{BOTS}/here", json={"enabled": True}).status_code == 200
    assert ask(acme, "What is one?", "r", bot_id="here").status_code == 200


def test_a_key_of_one_bot_reaches_no_other(service: Service, acme: httpx.Client) -> None:
    tenant = acme.post(BOTS, json={"id": "mine", "name": "Mine"}).json()["tenant_id"]
    add_bot(acme, "other")
    made = service.flask("api-key", "create", tenant, "--bot", "mine")
    assert "There is" not in made.stderr
    key = made.stdout.strip().split("'")[1]
    with service.client(key) as bound:
        said = ask(bound, "What is one?", "bound").json()
        assert said["bot_id"] == "mine"
        assert bound.get(f"/v1/runs/{said['run_id']}").json()["bot_id"] == "mine"
        assert ask(bound, "What is one?", "bound", bot_id="other").status_code == 404
        assert ask(bound, "What is one?", "bound", bot_id="default").status_code == 404
        assert bound.get("/v1/conversations/bound").status_code == 200
        elsewhere = ask(acme, "What is one?", "elsewhere", bot_id="other").json()["run_id"]
        assert bound.get(f"/v1/runs/{elsewhere}").status_code == 404
    refused = acme.delete(f"{BOTS}/mine")
    assert refused.status_code == 409
    assert "Keys are for this bot alone (ak_live_" in refused.json()["detail"]
    assert service.flask("api-key", "create", tenant, "--bot", "nobody").returncode == 1


def test_the_default_bot_is_changed_and_goes_back_to_the_settings(
    acme: httpx.Client, globex: httpx.Client, model_server: FakeModelServer
) -> None:
    add_bot(acme, "default", institution="Harbour College")
    for client in (acme, globex):
        ask(client, "Who are you?", "who")
    assert "Harbour College" in acme.get("/v1/conversations/who").json()["messages"][1]["content"]
    assert "Harbour College" not in globex.get("/v1/conversations/who").json()["messages"][1]["content"]
    assert acme.delete(f"{BOTS}/default").status_code == 204
    assert "Harbour College" not in ask(acme, "Who are you?", "again").json()["answer"]
    again = add_bot(acme, "default")
    assert again["version"] == 2, "a version of a removed bot would be taken for this one's"


def test_bots_are_kept_listed_and_changed_by_their_tenant_alone(acme: httpx.Client, globex: httpx.Client) -> None:
    made = [add_bot(acme, bot, top_k=3) for bot in ("a", "b", "c")]
    listed = acme.get(BOTS, params={"limit": 2}).json()
    assert ([bot["id"] for bot in listed["bots"]], listed["total"]) == (["a", "b"], 3)
    assert [bot["id"] for bot in acme.get(listed["next"]).json()["bots"]] == ["c"]
    assert globex.get(BOTS).json()["bots"] == []
    for method in ("GET", "PATCH", "DELETE"):
        body = {"json": {"name": "x"}} if method == "PATCH" else {}
        assert globex.request(method, f"{BOTS}/a", **body).status_code == 404
    assert acme.post(BOTS, json={"id": "a", "name": "Again"}).status_code == 409
    shown = acme.get(f"{BOTS}/a")
    assert shown.json() == made[0]
    changed = acme.patch(f"{BOTS}/a", json={"top_k": None}, headers={"If-Match": shown.headers["ETag"]})
    assert (changed.json()["top_k"], changed.json()["version"]) == (None, 2)
    late = acme.patch(f"{BOTS}/a", json={"top_k": 9}, headers={"If-Match": shown.headers["ETag"]})
    assert late.status_code == 412


@pytest.mark.parametrize(
    "said",
    [
        {"top_k": 0}, {"top_k": 21}, {"top_k": "5"}, {"instructions": "x" * 8_001}, {"institution": "a\0b"},
        {"top_k": 2.5}, {"unsupported_sentences": "keep"}, {"language_policy": ""}, {"model": "gpt"},
        {"enabled": None}, {"name": None}, {"id": "other"},
    ],
    ids=str,
)  # fmt: skip
def test_a_bot_that_cannot_be_so_is_refused(acme: httpx.Client, said: dict[str, Any]) -> None:
    add_bot(acme, "plain")
    refused = acme.patch(f"{BOTS}/plain", json=said)
    assert refused.status_code == 400, refused.text
    assert refused.json()["errors"]
    assert acme.get(f"{BOTS}/plain").json()["version"] == 1


def test_a_dataset_of_another_tenant_is_not_found(service: Service, acme: httpx.Client, globex: httpx.Client) -> None:
    theirs = globex.post("/v1/tenant/datasets", json={"name": "Theirs"}).json()["id"]
    refused = acme.post(BOTS, json={"id": "thief", "name": "Thief", "dataset_ids": [theirs]})
    assert refused.status_code == 404
    assert "not found" in refused.json()["detail"]
    add_bot(acme, "honest", top_k=5.0)
    assert acme.patch(f"{BOTS}/honest", json={"dataset_ids": [theirs]}).status_code == 404
    assert acme.get(f"{BOTS}/honest").json()["version"] == 1


def test_visitors_may_not_see_bots(service: Service) -> None:
    with service.client(service.new_key("default", sorted(VISITOR_SCOPES))) as visitor:
        assert visitor.get(BOTS).status_code == 403
