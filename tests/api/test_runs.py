"""Answers under way: followed again from any place, ended before their time, asked for twice, and gone on with."""

import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from redis import Redis

from agents.runs.keys import CONTROL
from auth.operators import make_operator
from bootstrap.valkey import read_publication
from domain.db_opening import open_database
from domain.keys import revoke_key
from domain.models import ApiKey
from domain.scoping import scoped_update
from tests.conftest import FAKE_MODEL
from tests.fakes.model_server import FakeModelServer
from tests.service import Library, Service, ask
from utils.checkpointer import RedisCheckpointer

QUESTION = "How do I apply?"
STREAMED = {"Accept": "text/event-stream"}


@pytest.fixture(scope="module")
def running(
    library: Library, tmp_path_factory: pytest.TempPathFactory, model_server: FakeModelServer
) -> Iterator[Service]:
    """A service with a language model, in which a busy conversation is refused at once."""
    with a_service(library, tmp_path_factory.mktemp("runs"), model_server, CONVERSATION_WAIT="0") as service:
        yield service


def a_service(library: Library, folder: Path, model: FakeModelServer, **variables: str) -> Service:
    fixed = {**FAKE_MODEL, "LLM_BASE_URL": model.base_url, "RATE_LIMIT_ENABLED": "false", "RUN_LEASE": "1"}
    return library.service(folder, **{**fixed, **variables})


@pytest.fixture
def client(running: Service) -> Iterator[httpx.Client]:
    with running.client() as opened:
        yield opened


@pytest.fixture(scope="module")
def acme(running: Service) -> str:
    """A key of another tenant."""
    return running.new_key("acme")


@pytest.fixture
def slow(model_server: FakeModelServer) -> Iterator[FakeModelServer]:
    """A model that says a word every 30 ms."""
    model_server.reset()
    model_server.configure(gap_ms=30, tokens=60)
    yield model_server
    model_server.reset()


@pytest.fixture
def talk() -> str:
    return uuid4().hex


@contextmanager
def asked(client: httpx.Client, talk: str, **body: Any) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
    """A question under way: the run's id and its events, each with its `id`."""
    request = {"message": QUESTION, **body}
    with client.stream("POST", "/v1/chat", json=request, headers={**STREAMED, "X-Conversation-Id": talk}) as response:
        assert response.status_code == 200, response.read()
        yield response.headers["X-Run-Id"], events_of(response)


def events_of(response: httpx.Response) -> Iterator[dict[str, Any]]:
    block: dict[str, str] = {}
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        block[name] = value
        if not line and "data" in block:
            yield {**json.loads(block["data"]), "id": block["id"]}
            block = {}


def followed(client: httpx.Client, run_id: str, after: str = "") -> list[dict[str, Any]]:
    """The rest of a run, from the event after *after* to its end."""
    headers = {"Last-Event-ID": after} if after else {}
    with client.stream("GET", f"/v1/runs/{run_id}/events", headers=headers) as response:
        assert response.status_code == 200, response.read()
        return list(events_of(response))


def words(events: list[dict[str, Any]]) -> str:
    return "".join(event["content"] for event in events if event["type"] == "token")


def until_words(events: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events up to the third token."""
    seen: list[dict[str, Any]] = []
    while sum(event["type"] == "token" for event in seen) < 3:
        seen.append(next(events))
    return seen


def test_every_turn_has_a_run_that_can_be_looked_at_afterwards(client: httpx.Client, talk: str) -> None:
    answer = ask(client, QUESTION, talk)
    run_id = answer.headers["X-Run-Id"]
    assert answer.json()["run_id"] == run_id
    shown = client.get(f"/v1/runs/{run_id}").json()
    assert shown["status"] == "completed"
    assert shown["conversation_id"] == talk
    assert shown["result"] == answer.json()
    assert shown["problem"] is None
    told = followed(client, run_id)
    assert told[0]["type"] == "start"
    assert told[-1]["type"] == "done"
    assert [event["id"] for event in told] == [f"{run_id}-{number}" for number in range(1, len(told) + 1)]


def test_a_broken_stream_goes_on_where_it_was_without_a_gap_or_a_repeat(
    client: httpx.Client, slow: FakeModelServer, talk: str
) -> None:
    with asked(client, talk, on_disconnect="continue") as (run_id, events):
        seen = until_words(events)
    rest = followed(client, run_id, seen[-1]["id"])
    whole = [*seen, *rest]
    assert [event["id"] for event in whole] == [f"{run_id}-{number}" for number in range(1, len(whole) + 1)]
    assert whole[-1]["type"] == "done"
    assert words(whole) == whole[-1]["answer"]
    assert followed(client, run_id, seen[-1]["id"]) == rest, "it can be followed again"
    assert slow.counters()["abandoned"] == 0


def test_a_run_ends_when_its_only_reader_leaves_unless_told_otherwise(
    running: Service, client: httpx.Client, slow: FakeModelServer, talk: str
) -> None:
    with asked(client, talk) as (run_id, events):
        until_words(events)
    running.wait_for(lambda: client.get(f"/v1/runs/{run_id}").json()["status"] == "cancelled", limit_s=10)
    running.wait_for(lambda: slow.counters()["abandoned"] == 1, limit_s=10)


def test_what_an_assistant_asked_goes_on_without_it_only_if_it_has_the_run(
    running: Service, client: httpx.Client, slow: FakeModelServer, talk: str
) -> None:
    def call(tool: str, **arguments: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        return client.post("/v1/mcp", json=body, timeout=3.0).json()["result"]["structuredContent"]

    begun = call("ask", question=QUESTION, conversation_id=talk, wait_s=0)
    assert call("get_answer", run_id=begun["run_id"], wait_s=0) == begun
    assert begun["status"] == "processing"
    running.wait_for(lambda: call("get_answer", run_id=begun["run_id"], wait_s=0)["status"] == "completed", limit_s=20)
    assert slow.counters()["abandoned"] == 0
    slow.configure(gap_ms=50, tokens=400)
    with pytest.raises(httpx.ReadTimeout):
        call("ask", question=f"{QUESTION} Again?", conversation_id=talk)
    running.wait_for(lambda: slow.counters()["abandoned"] == 1, limit_s=10)


@pytest.mark.parametrize("streams", [True, False])
def test_cancelling_stops_the_model_and_says_so(
    running: Service, client: httpx.Client, slow: FakeModelServer, talk: str, streams: bool
) -> None:
    slow.configure(gap_ms=50, tokens=200, first_token_ms=500)
    with ThreadPoolExecutor(1) as other, running.client() as asking:
        headers = {"X-Conversation-Id": talk, **(STREAMED if streams else {})}
        answer = other.submit(asking.post, "/v1/chat", json={"message": QUESTION}, headers=headers)
        running.wait_for(lambda: client.get(f"/v1/conversations/{talk}").json().get("run_id"), limit_s=10)
        run_id = client.get(f"/v1/conversations/{talk}").json()["run_id"]
        assert client.post(f"/v1/runs/{run_id}/cancel").status_code == 202
        told = answer.result(10)
    assert ("event: cancelled" in told.text) if streams else (told.status_code == 409)
    assert client.get(f"/v1/runs/{run_id}").json()["status"] == "cancelled"
    running.wait_for(lambda: slow.counters()["under_way"] == 0, limit_s=10)
    assert client.post(f"/v1/runs/{run_id}/cancel").json()["status"] == "cancelled", "an end stays an end"
    kept = client.get(f"/v1/conversations/{talk}").json()["messages"]
    assert [message["content"] for message in kept] == [QUESTION]


def test_an_order_that_a_worker_does_not_know_ends_no_run(
    running: Service, client: httpx.Client, slow: FakeModelServer, talk: str
) -> None:
    """Workers of a newer version may send some."""
    published = read_publication(running.data_dir)
    assert published is not None
    with asked(client, talk) as (run_id, events), Redis(unix_socket_path=published.socket) as store:
        seen = until_words(events)
        store.xadd(CONTROL, {"postpone": run_id})
        store.xadd(CONTROL, {"cancel": "another"})
        assert [*seen, *events][-1]["type"] == "done"


def test_a_busy_conversation_names_the_run_that_is_in_the_way(
    client: httpx.Client, slow: FakeModelServer, talk: str
) -> None:
    with asked(client, talk) as (run_id, events):
        until_words(events)
        refused = ask(client, "And what does it cost?", talk)
        assert (refused.status_code, refused.json()["run_id"]) == (409, run_id)
        view = client.get(f"/v1/conversations/{talk}").json()
        assert (view["running"], view["run_id"]) == (True, run_id)
        assert [message["content"] for message in view["messages"]] == [QUESTION]
        assert client.get(f"/v1/runs/{run_id}").json()["status"] == "processing"
        list(events)
    view = client.get(f"/v1/conversations/{talk}").json()
    assert (view["running"], view["run_id"]) == (False, None)
    assert [message["role"] for message in view["messages"]] == ["user", "assistant"]


def test_a_request_sent_again_gets_what_the_first_one_came_to(
    running: Service, client: httpx.Client, acme: str, model_server: FakeModelServer, talk: str
) -> None:
    model_server.reset()
    key = {"Idempotency-Key": f"try/{talk}", "X-Conversation-Id": talk}
    first = client.post("/v1/chat", json={"message": QUESTION}, headers=key)
    again = client.post("/v1/chat", json={"message": QUESTION}, headers=key)
    streamed = client.post("/v1/chat", json={"message": QUESTION}, headers={**key, **STREAMED})
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json() == first.json()
    assert first.json()["run_id"] in streamed.text
    assert len(model_server.requests()) == 1
    other = client.post("/v1/chat", json={"message": "Something else?"}, headers=key)
    assert (other.status_code, other.json()["type"]) == (422, "urn:pustaka:problem:reused-key")
    with running.client(acme) as of_acme:
        elsewhere = of_acme.post("/v1/chat", json={"message": QUESTION}, headers=key)
        assert elsewhere.json()["run_id"] != first.json()["run_id"]
        assert "Idempotency-Replayed" not in elsewhere.headers


def test_requests_with_one_key_at_the_same_time_are_one_run(running: Service, slow: FakeModelServer, talk: str) -> None:
    def once(number: int) -> httpx.Response:
        with running.client() as one:
            headers = {"Idempotency-Key": talk, **(STREAMED if number % 2 else {})}
            return one.post("/v1/chat", json={"message": QUESTION, "session_id": None}, headers=headers)

    with ThreadPoolExecutor(6) as crowd:
        answers = list(crowd.map(once, range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["X-Run-Id"] for answer in answers}) == 1
    assert len({answer.headers["X-Conversation-Id"] for answer in answers}) == 1
    assert len(slow.requests()) == 1


@pytest.mark.parametrize("path", ["", "/events", "/cancel"])
def test_another_tenants_run_is_not_found(
    running: Service, client: httpx.Client, acme: str, talk: str, path: str
) -> None:
    ours = ask(client, QUESTION, talk).headers["X-Run-Id"]
    with running.client(acme) as of_acme:
        theirs = ask(of_acme, QUESTION, talk).headers["X-Run-Id"]
        for asking, run_id in ((of_acme, ours), (client, theirs), (client, "0" * 32)):
            refused = asking.request("POST" if path == "/cancel" else "GET", f"/v1/runs/{run_id}{path}")
            assert refused.status_code == 404
            assert QUESTION not in refused.text


@pytest.mark.parametrize("key", ["", "x" * 256, "two words"])
def test_an_invalid_idempotency_key_is_refused_by_name(client: httpx.Client, key: str) -> None:
    body = {"message": QUESTION, "session_id": None}
    refused = client.post("/v1/chat", json=body, headers={"Idempotency-Key": key})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "Idempotency-Key")


def test_what_is_no_event_of_the_run_is_refused(client: httpx.Client, talk: str) -> None:
    run_id = ask(client, QUESTION, talk).headers["X-Run-Id"]
    refused = client.get(f"/v1/runs/{run_id}/events", headers={"Last-Event-ID": "another-3"})
    assert refused.status_code == 400
    assert f"{run_id}-7" in refused.json()["detail"]
    assert client.get(f"/v1/runs/{'x' * 129}").status_code == 400


def test_an_unknown_value_of_on_disconnect_is_refused(client: httpx.Client, talk: str) -> None:
    refused = ask(client, QUESTION, talk, on_disconnect="perhaps")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "on_disconnect")


@pytest.mark.long
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_run_that_its_process_did_not_finish_is_gone_on_with(
    library: Library, tmp_path: Path, slow: FakeModelServer, talk: str, end: signal.Signals
) -> None:
    slow.configure(gap_ms=200, tokens=60)  # longer than a stopping process waits
    service = a_service(library, tmp_path, slow, GRACEFUL_TIMEOUT="4")
    with service:
        with service.client() as client, asked(client, talk, on_disconnect="continue") as (run_id, events):
            seen = until_words(events)
            stopping = threading.Thread(target=service.stop, args=(end,))
            stopping.start()
            with suppress(httpx.TransportError):
                seen += events
            stopping.join()
        assert all(event["type"] != "done" for event in seen)
        slow.configure(gap_ms=1, tokens=60)
        service.start()
        with service.client() as client:
            rest = followed(client, run_id, seen[-1]["id"])
            assert [event["type"] for event in rest if event["type"] in ("resumed", "done")] == ["resumed", "done"]
            numbers = [int(event["id"].rpartition("-")[2]) for event in rest]
            assert numbers == sorted(set(numbers))
            assert numbers[0] > int(seen[-1]["id"].rpartition("-")[2])
            kept = client.get(f"/v1/conversations/{talk}").json()["messages"]
            assert [message["role"] for message in kept] == ["user", "assistant"]
            assert kept[1]["content"] == rest[-1]["answer"]


@pytest.mark.long
@pytest.mark.smoke
def test_a_run_is_resumed_only_while_whoever_asked_may(library: Library, tmp_path: Path, slow: FakeModelServer) -> None:
    """Its process is killed; until another one goes on with it, a key is revoked, and one loses a scope."""
    slow.configure(gap_ms=200, tokens=60)
    service = a_service(library, tmp_path, slow)
    with service, ExitStack() as stack:
        keys = {name: service.new_key("default", scopes=["all"]) for name in ("revoked", "narrowed", "valid")}
        keys["elsewhere"] = service.new_key("acme", scopes=["all"])
        clients = {name: stack.enter_context(service.client(key)) for name, key in keys.items()}
        runs = {}
        for name in ("revoked", "narrowed", "valid"):
            run_id, events = stack.enter_context(asked(clients[name], uuid4().hex, on_disconnect="continue"))
            until_words(events)
            runs[name] = run_id
        service.stop(signal.SIGKILL)
        database = open_database(f"sqlite:///{service.data_dir / 'pustaka.db'}")
        with database.open_write_session() as session:
            revoke_key(session, make_operator("default"), keys["revoked"][8:16])
            narrowed = scoped_update(make_operator("default"), ApiKey).where(ApiKey.key_id == keys["narrowed"][8:16])
            session.execute(narrowed.values(scopes=["conversations:all", "search"]))
        database.close()
        slow.configure(gap_ms=1, tokens=60)
        service.start()
        with service.client(keys["valid"]) as client, service.client(keys["elsewhere"]) as elsewhere:
            ended = {name: followed(client, run_id)[-1] for name, run_id in runs.items()}
            assert {name: event["type"] for name, event in ended.items()} == {
                "revoked": "error", "narrowed": "error", "valid": "done",
            }  # fmt: skip
            revoked, narrowed = ended["revoked"]["problem"], ended["narrowed"]["problem"]
            assert {(problem["status"], problem["title"]) for problem in (revoked, narrowed)} == {(403, "Forbidden")}
            assert "The key that asked for this was revoked or has expired" in revoked["detail"]
            assert "no longer has the scope chat:write" in narrowed["detail"]
            assert narrowed["required_scope"] == "chat:write"
            shown = client.get(f"/v1/runs/{runs['revoked']}").json()
            assert (shown["status"], shown["problem"]) == ("failed", revoked)
            assert {elsewhere.get(f"/v1/runs/{run_id}").status_code for run_id in runs.values()} == {404}


def test_a_conversation_with_an_orphan_tool_call_repairs_itself(
    running: Service, client: httpx.Client, model_server: FakeModelServer, talk: str
) -> None:
    model_server.reset()
    assert ask(client, QUESTION, talk).status_code == 200
    saver = RedisCheckpointer.from_url(f"unix://{running.data_dir}/valkey.sock", ttl_s=600)
    found = saver.get_tuple({"configurable": {"thread_id": talk, "checkpoint_ns": ""}})
    assert found is not None
    orphan = type(found.checkpoint["channel_values"]["messages"][-1])(
        "", tool_calls=[{"name": "search", "args": {}, "id": "call-1"}]
    )
    values = {**found.checkpoint["channel_values"]}
    values["messages"] = [*values["messages"], orphan]
    checkpoint: Any = {**found.checkpoint, "id": "1ff" + found.checkpoint["id"][3:], "channel_values": values}
    saver.put(found.config, checkpoint, found.metadata, {"messages": found.checkpoint["channel_versions"]["messages"]})
    saver.close()
    answer = ask(client, "And what does it cost?", talk)
    assert answer.status_code == 200, answer.text
    sent = model_server.requests()[-1]["body"]["messages"]
    assert all("tool_calls" not in message and message["content"] for message in sent)
    view = client.get(f"/v1/conversations/{talk}").json()["messages"]
    assert all(message["content"] for message in view)
