"""Models of tenants: each bot answers by its own, none by another's, and nobody learns a key."""

import base64
import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest

from auth.scopes import VISITOR_SCOPES
from tests.conftest import FAKE_MODEL
from tests.fakes.model_server import FakeModelServer
from tests.fakes.vendor_server import Format, serve_vendor
from tests.service import Service, assert_nothing_held_the_loop, free_port, one_document
from tests.service import ask as ask_in

MODELS, BOTS = "/v1/tenant/models", "/v1/tenant/bots"
KEY = "sk-a-key-of-a-tenant-7f3a"
OPERATORS_KEY = "sk-the-key-of-the-operator-0000"
QUESTION = "How much does a dormitory room cost?"
ROOM = b"# Rooms\n\nA dormitory room costs 850,000 rupiah a month.\n"


def make_keys() -> str:
    return f"first:{base64.b64encode(os.urandom(32)).decode()}"


@pytest.fixture(scope="module")
def endpoints() -> Iterator[list[FakeModelServer]]:
    """Two endpoints that are none of the service's own."""
    with ExitStack() as stack:
        yield [stack.enter_context(FakeModelServer()) for _ in range(2)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, model_server: FakeModelServer) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("models")
    variables = {
        **FAKE_MODEL,
        "LLM_BASE_URL": model_server.base_url,
        "LLM_MAX_RETRIES": "0",
        "OPENAI_API_KEY": OPERATORS_KEY,
        "ANTHROPIC_API_KEY": OPERATORS_KEY,
        "ANTHROPIC_AUTH_TOKEN": OPERATORS_KEY,
        "GOOGLE_API_KEY": OPERATORS_KEY,
        "EMBEDDING_PROVIDER": "embedded",
        "CACHE_ENABLED": "true",
        "RUN_LEASE": "3",
        "TOOL_MODULES": "tests.fakes.booking_tools",
        "BOOKING_URL": "http://127.0.0.1:9",
        "STATE_ENCRYPTION_KEYS": make_keys(),
        "MODEL_NETWORKS": "127.0.0.1",
        **one_document(folder),
    }
    with Service(folder / "data", RATE_LIMIT_ENABLED="false", **variables).watched() as running:
        yield running
        assert_nothing_held_the_loop(running)


@pytest.fixture(scope="module")
def tenants(service: Service) -> Iterator[list[httpx.Client]]:
    """Two tenants with a document."""
    with ExitStack() as stack:
        clients = [stack.enter_context(service.client(service.new_key(name, ["all"]))) for name in ("acme", "globex")]
        for client in clients:
            dataset = client.post("/v1/tenant/datasets", json={"name": "Rooms"}).json()["id"]
            files = [("files", ("rooms.md", ROOM))]
            [job] = client.post(f"/v1/tenant/datasets/{dataset}/documents/upload", files=files).json()["jobs"]
            service.wait_for(lambda: client.get(job["status_url"]).json()["status"] == "completed")  # noqa: B023
        yield clients


@pytest.fixture
def acme(
    tenants: list[httpx.Client], model_server: FakeModelServer, endpoints: list[FakeModelServer]
) -> Iterator[httpx.Client]:
    """A client of a tenant without bots and models."""
    for server in (model_server, *endpoints):
        server.reset()
    yield tenants[0]
    clear(tenants[0])


@pytest.fixture
def globex(tenants: list[httpx.Client]) -> Iterator[httpx.Client]:
    yield tenants[1]
    clear(tenants[1])


def clear(client: httpx.Client) -> None:
    """Delete all bots and models."""
    for path, name in ((BOTS, "bots"), (MODELS, "models")):
        for one in client.get(path, params={"limit": 100}).json()[name]:
            assert client.delete(f"{path}/{one['id']}").status_code == 204


def ask(client: httpx.Client, message: str, bot_id: str | None = None, conversation_id: str = "") -> httpx.Response:
    """One question, in a conversation of its own."""
    return ask_in(client, message, conversation_id or uuid4().hex, bot_id=bot_id)


def add_model(client: httpx.Client, model_id: str, server: FakeModelServer, **said: Any) -> dict[str, Any]:
    body = {"id": model_id, "base_url": server.base_url, "model": f"{model_id}-1", "api_key": KEY, **said}
    made = client.post(MODELS, json=body)
    assert made.status_code == 201, made.text
    shown: dict[str, Any] = made.json()
    return shown


def add_bot(client: httpx.Client, bot_id: str, model_id: str | None) -> dict[str, Any]:
    made = client.post(BOTS, json={"id": bot_id, "name": bot_id, "model_id": model_id})
    assert made.status_code == 201, made.text
    shown: dict[str, Any] = made.json()
    return shown


def answered_by(said: httpx.Response) -> str:
    assert said.status_code == 200, said.text
    assert said.json()["language_model"] is True, said.text
    return str(said.json()["model"])


def test_without_a_model_of_its_own_a_bot_answers_by_the_services(
    acme: httpx.Client, endpoints: list[FakeModelServer], model_server: FakeModelServer
) -> None:
    add_model(acme, "own", endpoints[0])
    add_bot(acme, "mine", "own")
    add_bot(acme, "plain", None)
    assert answered_by(ask(acme, QUESTION, "mine")) == "own-1"
    assert answered_by(ask(acme, QUESTION, "plain")) == "fake"
    assert answered_by(ask(acme, QUESTION)) == "fake"
    assert model_server.counters()["chat"] == 2
    assert acme.patch(f"{BOTS}/mine", json={"model_id": None}).json()["model_id"] is None
    assert answered_by(ask(acme, QUESTION, "mine")) == "fake"


def test_a_changed_model_holds_from_the_next_turn_and_no_former_answer_is_given_again(
    acme: httpx.Client, endpoints: list[FakeModelServer]
) -> None:
    first = add_model(acme, "own", endpoints[0])["version"]
    bot_version = add_bot(acme, "mine", "own")["version"]
    cached = [ask(acme, QUESTION, "mine").json()["cached"] for number in range(2)]
    assert cached == [False, True]
    assert acme.patch(f"{MODELS}/own", json={"model": "own-2"}).json()["version"] == first + 1
    said = ask(acme, QUESTION, "mine")
    assert (answered_by(said), said.json()["cached"]) == ("own-2", False)
    run = acme.get(f"/v1/runs/{said.json()['run_id']}").json()
    assert (run["model_id"], run["model_version"], run["bot_version"]) == ("own", first + 1, bot_version)
    moved = {"base_url": endpoints[1].base_url, "api_key": KEY}
    assert acme.patch(f"{MODELS}/own", json=moved).json()["version"] == first + 2
    assert not ask(acme, QUESTION, "mine").json()["cached"]
    assert endpoints[1].counters()["chat"] == 1


def test_a_key_is_told_to_nobody(service: Service, acme: httpx.Client, endpoints: list[FakeModelServer]) -> None:
    made = add_model(acme, "own", endpoints[0])
    assert (made["has_api_key"], made["api_key_end"]) == (True, KEY[-4:])
    add_bot(acme, "mine", "own")
    endpoints[0].configure(faults=[{"kind": "status", "status": 401, "times": 2}])
    told = [
        acme.get(MODELS).text,
        acme.get(f"{MODELS}/own").text,
        acme.post(f"{MODELS}/own/check").text,
        ask(acme, QUESTION, "mine").text,
        acme.post(MODELS, json={"id": "own", "model": "m", "api_key": KEY}).text,
        acme.post(MODELS, json={"id": "other", "model": "m", "api_key": f"{KEY}\n"}).text,
        acme.post(MODELS, json={"id": "other", "model": "m", "api_key": [KEY]}).text,
        acme.patch(f"{MODELS}/own", json={"api_key": KEY, "base_url": "http://10.0.0.1/v1"}).text,
        acme.patch(f"{MODELS}/own", json={"api_key": KEY}, headers={"If-Match": '"x"'}).text,
        service.flask("model", "list", "--tenant", made["tenant_id"], "--json").stdout,
        service.logged(),
    ]
    assert answered_by(ask(acme, QUESTION, "mine")) == "own-1"
    assert not [text for text in told if KEY in text]
    assert not [file for file in service.data_dir.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"You sent Bearer {KEY}, and {KEY.upper()}!", "You sent …, and …!"),
        ("x" * 70 + f" {KEY}", "x" * 70 + " …"),  # what is cut off after 80 characters would be the half of it
    ],
)
def test_an_endpoint_that_repeats_the_key_does_not_tell_it(
    acme: httpx.Client, globex: httpx.Client, endpoints: list[FakeModelServer], said: str, shown: str
) -> None:
    for client in (acme, globex):
        add_model(client, "own", endpoints[0])
        endpoints[0].configure(replies={"ready": said})
        assert client.post(f"{MODELS}/own/check").json()["answer"] == shown
        endpoints[0].configure(faults=[{"kind": "status", "status": 429, "code": KEY}])
        assert "(429, …)" in client.post(f"{MODELS}/own/check").json()["detail"]


def test_keys_of_the_operator_go_to_no_endpoint_of_a_tenant(
    acme: httpx.Client, endpoints: list[FakeModelServer]
) -> None:
    made = acme.post(MODELS, json={"id": "bare", "base_url": endpoints[0].base_url, "model": "m"}).json()
    assert (made["has_api_key"], made["api_key_end"]) == (False, None)
    assert acme.post(f"{MODELS}/bare/check").json()["answers"] is True
    assert OPERATORS_KEY not in json.dumps(endpoints[0].requests())


def test_a_key_is_for_its_address_alone(acme: httpx.Client, endpoints: list[FakeModelServer]) -> None:
    first = add_model(acme, "own", endpoints[0])["version"]
    refused = acme.patch(f"{MODELS}/own", json={"base_url": endpoints[1].base_url})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "api_key"
    assert acme.patch(f"{MODELS}/own", json={"provider": "anthropic"}).status_code in (400, 409)
    kept = acme.patch(f"{MODELS}/own", json={"temperature": 0.5}).json()
    assert (kept["has_api_key"], kept["version"]) == (True, first + 1)
    gone = acme.patch(f"{MODELS}/own", json={"base_url": endpoints[1].base_url, "api_key": None}).json()
    assert (gone["has_api_key"], gone["api_key_end"]) == (False, None)
    acme.post(f"{MODELS}/own/check")
    assert KEY not in json.dumps(endpoints[1].requests())


def test_a_model_in_use_is_not_removed(acme: httpx.Client, endpoints: list[FakeModelServer]) -> None:
    first = add_model(acme, "own", endpoints[0])["version"]
    add_bot(acme, "mine", "own")
    add_bot(acme, "other", "own")
    acme.patch(f"{BOTS}/other", json={"enabled": False})
    refused = acme.delete(f"{MODELS}/own")
    assert refused.status_code == 409
    assert "(mine, other)" in refused.json()["detail"]
    acme.patch(f"{BOTS}/mine", json={"model_id": None})
    acme.delete(f"{BOTS}/other")
    assert acme.delete(f"{MODELS}/own").status_code == 204
    assert acme.get(f"{MODELS}/own").status_code == 404
    assert acme.get(MODELS).json()["total"] == 0
    again = add_model(acme, "own", endpoints[0])["version"]
    assert again == first + 1, "a version of a removed model would be taken for this one's"


def test_an_answer_under_way_goes_on_with_a_model_that_was_removed(
    service: Service, acme: httpx.Client, endpoints: list[FakeModelServer]
) -> None:
    add_model(acme, "own", endpoints[0])
    add_bot(acme, "mine", "own")
    endpoints[0].configure(first_token_ms=1500)
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(ask, acme, QUESTION, "mine")
        service.wait_for(lambda: endpoints[0].counters()["chat"] == 1)
        acme.patch(f"{BOTS}/mine", json={"model_id": None})
        assert acme.delete(f"{MODELS}/own").status_code == 204
        assert answered_by(asked.result()) == "own-1"
    assert answered_by(ask(acme, QUESTION, "mine")) == "fake"


def test_a_run_that_is_resumed_goes_on_with_the_version_that_it_began_with(
    service: Service, acme: httpx.Client, endpoints: list[FakeModelServer]
) -> None:
    """Its process is killed; until another one goes on with it, the model is changed, and then removed."""
    first = add_model(acme, "own", endpoints[0], model="former")["version"]
    add_bot(acme, "mine", "own")
    endpoints[0].configure(first_token_ms=60_000)
    asked = {"message": QUESTION, "session_id": None, "bot_id": "mine", "on_disconnect": "continue"}
    with acme.stream("POST", "/v1/chat/stream", json=asked) as answer:
        run_id = answer.headers["X-Run-Id"]
        service.wait_for(lambda: endpoints[0].counters()["stream"] == 1)
        newer = {"model": "newer", "base_url": endpoints[1].base_url, "api_key": KEY}
        assert acme.patch(f"{MODELS}/own", json=newer).status_code == 200
        acme.patch(f"{BOTS}/mine", json={"model_id": None})
        assert acme.delete(f"{MODELS}/own").status_code == 204
        service.stop(signal.SIGKILL)
    endpoints[0].reset()
    service.start()
    service.wait_for(lambda: acme.get(f"/v1/runs/{run_id}").json()["status"] != "processing")
    run = acme.get(f"/v1/runs/{run_id}").json()
    assert run["status"] == "completed", run
    assert (run["result"]["model"], run["model_id"], run["model_version"]) == ("former", "own", first)
    assert not endpoints[1].requests()


def test_a_model_that_is_away_leaves_quotes(acme: httpx.Client, endpoints: list[FakeModelServer]) -> None:
    add_model(acme, "own", endpoints[0])
    add_bot(acme, "mine", "own")
    endpoints[0].configure(faults=[{"kind": "status", "status": 500, "times": -1}])
    said = ask(acme, QUESTION, "mine").json()
    assert (said["language_model"], said["fallback_reason"]) == (False, "model-unavailable")
    assert said["citations"][0]["source"] == "rooms.md"
    checked = acme.post(f"{MODELS}/own/check").json()
    assert (checked["answers"], checked["answer"]) == (False, None)
    assert checked["detail"] == "The endpoint of the model 'own' failed (500): try again later."


def test_a_bot_that_lost_its_model_says_so(
    service: Service, acme: httpx.Client, endpoints: list[FakeModelServer]
) -> None:
    made = add_model(acme, "own", endpoints[0])
    add_bot(acme, "mine", "own")
    with sqlite3.connect(service.data_dir / "pustaka.db") as database:
        database.execute("UPDATE chat_models SET removed_at = created_at WHERE tenant_id = ?", [made["tenant_id"]])
    lost = ask(acme, QUESTION, "mine")
    assert lost.status_code == 503
    assert lost.json()["detail"] == "This bot uses the model 'own', which does not exist: choose another model for it."
    with sqlite3.connect(service.data_dir / "pustaka.db") as database:
        database.execute("UPDATE chat_models SET removed_at = NULL WHERE tenant_id = ?", [made["tenant_id"]])
        database.execute(
            "UPDATE chat_model_versions SET base_url = base_url || '/x' WHERE tenant_id = ?", [made["tenant_id"]]
        )
    moved = ask(acme, QUESTION, "mine")
    assert moved.status_code == 503, "a key that was moved to another address must not be sent there"
    assert "cannot be read" in moved.json()["detail"]
    assert KEY not in json.dumps(endpoints[0].requests())


@pytest.mark.parametrize(
    "base_url",
    [
        "http://10.0.0.1/v1",
        "http://169.254.169.254/latest",
        "http://[::1]:80/v1",
        "http://192.168.1.1",
        "http://0.0.0.0/v1",
    ],
)
def test_a_private_address_is_refused(acme: httpx.Client, base_url: str) -> None:
    refused = acme.post(MODELS, json={"id": "own", "base_url": base_url, "model": "m"})
    assert refused.status_code == 400
    assert "MODEL_NETWORKS" in refused.json()["detail"]


def test_what_is_at_a_name_that_may_not_be_asked_is_told_to_the_operator_alone(
    service: Service, acme: httpx.Client
) -> None:
    """A name without an address, one that leads to a private address, and one where nothing listens: else a tenant
    could find out which names there are in the network of the service."""
    told = set()
    urls = (
        "http://nowhere.invalid/v1",
        "http://0x7f000002/v1",
        "http://0x7f.1.1/v1",
        f"http://127.0.0.1:{free_port()}",
    )
    for number, url in enumerate(urls):
        made = acme.post(MODELS, json={"id": f"m{number}", "base_url": url, "model": "m"})
        assert made.status_code == 201, made.text
        checked = acme.post(f"{MODELS}/m{number}/check").json()
        assert checked["answers"] is False
        told.add(checked["detail"].replace(f"m{number}", "m"))
    [detail] = told
    assert detail == (
        "The endpoint of the model 'm' cannot be reached: check base_url. "
        "One at a private address needs MODEL_NETWORKS."
    )
    causes = [json.loads(line).get("cause", "") for line in service.logged().splitlines() if '"cause"' in line]
    assert sum("not on the public internet" in cause for cause in causes) >= 2, causes
    assert any("Connect call failed" in cause or "refused" in cause for cause in causes), causes


HOSTILE = [
    "", " ", "\0", "a\nb", "\x1b]0;x\x07", "\ud800", "x" * 1_001, "'; DROP TABLE chat_models; --", "{{7*7}}", "../..",
    "http://u:p@127.0.0.1/v1", "http://127.0.0.1/v1?x=1", "http://127.0.0.1:99999/", "ftp://127.0.0.1", "http://",
    "http://[v1.x]/", "http://a..b/",
    "http://./", "http://127.0.0.1:0/", "//x", "javascript:alert(1)", "http://127.0.0.1/v1#x", "\u202eabc",
    5, -1, 2.5, 1e308,
    True, [], {}, ["x"], {"$ne": 1},
    os.urandom(64).decode("latin-1"),
]  # fmt: skip


@pytest.mark.parametrize(
    "field", ["id", "provider", "base_url", "model", "api_key", "temperature", "max_tokens", "timeout_s"]
)
def test_hostile_values_are_refused_or_kept_as_they_are(
    acme: httpx.Client, endpoints: list[FakeModelServer], field: str
) -> None:
    for number, value in enumerate(HOSTILE):
        body = {"id": f"m{number}", "base_url": endpoints[0].base_url, "model": "m", field: value}
        made = acme.post(MODELS, content=json.dumps(body), headers={"Content-Type": "application/json"})
        assert made.status_code in (201, 400), (value, made.text)
        if made.status_code == 201 and field in made.json():
            kept = made.json()[field]
            assert kept == value or (isinstance(value, str) and kept in (value.strip(), value.rstrip("/"))), value
            checked = acme.post(f"{MODELS}/{made.json()['id']}/check")
            assert checked.status_code in (200, 503), checked.text
            assert acme.delete(f"{MODELS}/{made.json()['id']}").status_code == 204


def test_models_are_kept_listed_and_changed_by_their_tenant_alone(
    acme: httpx.Client, globex: httpx.Client, endpoints: list[FakeModelServer]
) -> None:
    made = [add_model(acme, model, endpoints[0]) for model in ("a", "b", "c")]
    listed = acme.get(MODELS, params={"limit": 2}).json()
    assert ([model["id"] for model in listed["models"]], listed["total"]) == (["a", "b"], 3)
    assert [model["id"] for model in acme.get(listed["next"]).json()["models"]] == ["c"]
    assert globex.get(MODELS).json()["models"] == []
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/check")):
        body = {"json": {"model": "x"}} if method == "PATCH" else {}
        assert globex.request(method, f"{MODELS}/a{path}", **body).status_code == 404
    stolen = globex.post(BOTS, json={"id": "thief", "name": "Thief", "model_id": "a"})
    assert (stolen.status_code, stolen.json()["detail"]) == (404, "Model 'a' not found.")
    assert acme.post(MODELS, json={"id": "a", "model": "m"}).status_code == 409
    shown = acme.get(f"{MODELS}/a")
    assert shown.json() == made[0]
    tag = {"If-Match": shown.headers["ETag"]}
    changed = acme.patch(f"{MODELS}/a", json={"max_tokens": 50.0, "temperature": 1}, headers=tag)
    assert (changed.json()["max_tokens"], changed.json()["version"]) == (50, made[0]["version"] + 1)
    late = acme.patch(f"{MODELS}/a", json={"max_tokens": 9}, headers=tag)
    assert late.status_code == 412
    assert acme.patch(f"{MODELS}/a", json={"max_tokens": 50}).json()["version"] == made[0]["version"] + 1
    for wrong in ({"provider": None}, {"model": None}, {"id": "b"}, {"name": "x"}, {"timeout_s": 0}):
        assert acme.patch(f"{MODELS}/a", json=wrong).status_code == 400, wrong


@pytest.mark.parametrize("provider", ["anthropic", "google"])
def test_a_bot_answers_by_a_model_of_another_format(acme: httpx.Client, provider: Format) -> None:
    with serve_vendor(provider) as vendor:
        vendor.words = ("A dormitory room costs ", "850,000 rupiah a month [1].")
        body = {"id": "own", "provider": provider, "base_url": vendor.base_url, "model": "theirs", "api_key": KEY}
        assert acme.post(MODELS, json=body).status_code == 201
        add_bot(acme, "mine", "own")
        said = ask(acme, QUESTION, "mine")
        assert answered_by(said) == "theirs"
        assert "850,000 rupiah" in said.json()["citations"][0]["quote"]
        asked = {"message": "What does a dormitory room cost?", "session_id": None, "bot_id": "mine"}
        with acme.stream("POST", "/v1/chat/stream", json=asked) as answer:
            events = "".join(answer.iter_text())
        assert "850,000 rupiah a month [1]." in events
        vendor.faults = [(401, "No.")] * 2
        quotes = ask(acme, "What does a room cost?", "mine").json()
        assert (quotes["language_model"], quotes["fallback_reason"]) == (False, "model-unavailable")
        assert OPERATORS_KEY not in json.dumps(vendor.requests)


def test_a_refusal_of_tools_by_one_model_tells_nothing_of_another_of_its_name(
    acme: httpx.Client, globex: httpx.Client, endpoints: list[FakeModelServer]
) -> None:
    for client, server in zip((acme, globex), endpoints, strict=True):
        add_model(client, "own", server, model="same")
        made = client.post(BOTS, json={"id": "mine", "name": "Mine", "model_id": "own", "tools": ["weather"]})
        assert made.status_code == 201, made.text
    endpoints[0].configure(refuses_tools=True)
    for client in (acme, globex):
        ask(client, QUESTION, "mine")
    asked = [["tools" in request["body"] for request in server.requests()] for server in endpoints]
    assert asked[0][0], asked
    assert not asked[0][1], asked
    assert asked[1][0], asked


def test_visitors_may_not_see_models(service: Service) -> None:
    with service.client(service.new_key("default", sorted(VISITOR_SCOPES))) as visitor:
        assert visitor.get(MODELS).status_code == 403
        assert visitor.post(f"{MODELS}/x/check").status_code == 403


def test_what_is_said_of_a_model_is_sent(acme: httpx.Client, endpoints: list[FakeModelServer]) -> None:
    add_model(acme, "own", endpoints[0], temperature=1.5, max_tokens=77)
    assert acme.post(f"{MODELS}/own/check").json()["answers"] is True
    sent = endpoints[0].requests()[-1]["body"]
    assert (sent["temperature"], sent["max_completion_tokens"], sent["model"]) == (1.5, 77, "own-1")
    acme.patch(f"{MODELS}/own", json={"temperature": None, "max_tokens": None})
    acme.post(f"{MODELS}/own/check")
    sent = endpoints[0].requests()[-1]["body"]
    assert not {"temperature", "max_completion_tokens", "max_tokens"} & sent.keys()


def test_a_model_is_made_once_under_an_idempotency_key(acme: httpx.Client, endpoints: list[FakeModelServer]) -> None:
    body = {"id": "own", "base_url": endpoints[0].base_url, "model": "m", "api_key": KEY}
    made = [acme.post(MODELS, json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [one.status_code for one in made] == [201, 201]
    assert made[1].headers["Idempotency-Replayed"] == "true"
    assert made[0].json() == made[1].json()
