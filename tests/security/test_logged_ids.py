"""Ids of conversations, runs and visitors open what people wrote, and keys open everything: none stands in any log.

Canaries go in wherever a request has room for one, through every route, while all is well and while stores fail. Then
they are looked for in all that was written: logs at their most talkative, metrics, traces, reports of errors.
"""

import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import redis

from api.visitors import VISITOR_HEADER, sign_visitor
from bootstrap.valkey import read_publication
from tests.bootstrap.test_observability import broken_row
from tests.fakes.listener import Listener
from tests.scrapes import scrape
from tests.service import Service, ask, await_knowledge, free_port, one_document

pytestmark = pytest.mark.long

QUESTION = "How much does a dormitory room cost?"
PAGE_KEY = f"canary-page-key-{uuid4().hex}"
API_KEY = f"canary-api-key-{uuid4().hex}"


def canary(what: str) -> str:
    """A word that stands nowhere else."""
    return f"canary-{what}-{uuid4().hex[:12]}"


@dataclass
class Walk:
    """A service that was sent canaries, and what it wrote, once it has stopped."""

    service: Service
    collector: Listener
    secrets: set[str] = field(default_factory=set)
    conversation: str = ""
    run_id: str = ""
    metrics: str = ""

    def texts(self) -> Iterator[tuple[str, str]]:
        """Everything that was written, with where."""
        yield "its log", self.service.logged()
        yield "what it printed", self.service.printed()
        yield "its metrics", self.metrics
        yield "what was sent to the collector and to Sentry", self.collector.everything().decode("latin-1")
        for log in self.service.data_dir.glob("*.log*"):
            yield log.name, log.read_text(errors="replace")

    def lines(self) -> list[dict[str, object]]:
        """The lines of the service's log."""
        return [json.loads(line) for line in self.service.logged().splitlines()]


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """Every route, with canaries in all that a request has: path, query, headers, body."""
    folder = tmp_path_factory.mktemp("logged")
    with Listener(answers=200) as collector:
        service = Service(folder / "data", **variables(collector), **one_document(folder))
        done = Walk(service, collector, {PAGE_KEY, API_KEY})
        with service, service.client() as client:
            await_knowledge(service, QUESTION)
            hold_conversations(done, client)
            knock_everywhere(done, client)
            send_malformed_heads(done)
            fail_stores(done, client)
            done.metrics = str(scrape(int(service.variables["METRICS_PORT"])))
        yield done


def variables(collector: Listener) -> dict[str, str]:
    """All that can write or send anything, at its most talkative."""
    return {
        "API_KEY": API_KEY,
        "CHAT_PAGE_KEY": PAGE_KEY,
        "LOG_LEVEL": "DEBUG",
        "RATE_LIMIT_ENABLED": "false",
        "PROMETHEUS_ENABLED": "true",
        "METRICS_PORT": str(free_port()),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.address}",
        "SENTRY_DSN": f"http://public@{collector.address}/1",
    }


def hold_conversations(walk: Walk, client: httpx.Client) -> None:
    """Questions, runs, ratings, links, a visitor."""
    walk.conversation = canary("conversation")
    answer = ask(client, QUESTION, walk.conversation).raise_for_status().json()
    walk.run_id = answer["run_id"]
    link = httpx.URL(answer["citations"][0]["link"])
    walk.secrets |= {walk.conversation, walk.run_id, link.params["token"]}
    talk, run = f"/v1/conversations/{walk.conversation}", f"/v1/runs/{walk.run_id}"
    for path in (talk, f"{talk}/", run, f"{run}/events", str(link), f"{talk}/ratings"):
        client.get(path, headers={"Last-Event-ID": f"{walk.run_id}-1"})
    rating = f"{talk}/answers/{walk.run_id}/rating"
    client.put(rating, json={"rating": "up", "comment": canary("comment")})
    client.get(rating)
    client.delete(rating)
    client.post(f"{run}/cancel")
    with walk.service.client(PAGE_KEY) as page:
        token = sign_visitor(PAGE_KEY, uuid4().hex, int(time.time()) + 600)
        walk.secrets |= {token, token.split(".")[1]}
        other = canary("conversation")
        walk.secrets.add(other)
        ask_stream(page, other, {VISITOR_HEADER: token})
        page.get(f"/v1/conversations/{other}", headers={VISITOR_HEADER: token})
        page.delete(f"/v1/conversations/{other}", headers={VISITOR_HEADER: token})


def ask_stream(client: httpx.Client, conversation: str, headers: dict[str, str]) -> None:
    """One question whose answer is a stream of events."""
    sent = {"X-Conversation-Id": conversation, "Accept": "text/event-stream", **headers}
    with client.stream("POST", "/v1/chat", json={"message": QUESTION}, headers=sent) as events:
        events.read()


def knock_everywhere(walk: Walk, client: httpx.Client) -> None:
    """Every operation of the description, and addresses that there are not, with a key and with none that is valid."""
    paths = client.get("/openapi.json").json()["paths"]
    asked = [(method, path) for path, item in paths.items() for method in item if method in METHODS]
    assert len(asked) > 30
    asked += [(method, path) for path in UNKNOWN for method in ("get", "post", "delete", "put")]
    for method, template in asked:
        for is_known in (True, False):
            given = {name: canary(name) for name in ("id", "query", "key", "bearer", "visitor", "idempotency", "event")}
            walk.secrets |= set(given.values())
            path = re.sub(r"{[^}]+}", given["id"], template)
            headers = {
                "X-API-Key": API_KEY if is_known else given["key"],
                "Authorization": f"Bearer {given['bearer']}",
                "X-Visitor-Id": given["visitor"],
                "X-Conversation-Id": given["id"],
                "Idempotency-Key": given["idempotency"],
                "Last-Event-ID": given["event"],
            }
            query = {"token": given["query"], "version": "1"} if "documents" in path else {"session_id": given["query"]}
            body = {"session_id": given["id"], "message": QUESTION, "name": given["id"], "query": given["id"]}
            sent = None if method == "get" else body
            with client.stream(method, path, params=query, headers=headers, json=sent, timeout=20) as answer:
                answer.read()


METHODS = ("get", "post", "put", "patch", "delete")
UNKNOWN = (
    "/v1/conversation/{id}",
    "/v1/conversations/{id}/nothing/{id}",
    "/v1/runs/{id}/nothing",
    "/{id}",
    "//{id}/v1/chat",
    "/v1/conversations/%2e%2e%2f{id}",
    "/v1/conversations/é{id}",
    "/docs/assets/{id}",
    "/api/v1/conversations/{id}",
    "/v1/conversations;id={id}",
)


def send_malformed_heads(walk: Walk) -> None:
    """What is refused before it is a request."""
    for head in (
        "GET /v1/conversations/{0} HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "GET  {0}\r\n\r\n",
        "{0}\r\n\r\n",
        "GET /v1/conversations/{0} HTTP/1.1\r\nHost: {0} {0}\r\n\r\n",
        "GET /v1/conversations/{0} HTTP/1.1\r\nHost: localhost\r\nX-API-Key : {0}\r\n\r\n",
        "GET /v1/conversations/{0} HTTP/1.1\r\nHost: localhost\r\nX-Long: " + "{0}" * 2000 + "\r\n\r\n",
        "POST /v1/chat HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {0}\r\nContent-Length: x{0}\r\n\r\n",
        "GET /v1/conversations/{0} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ):
        word = canary("head")
        walk.secrets.add(word)
        with socket.create_connection(("127.0.0.1", walk.service.port), timeout=10) as connection, suppress(OSError):
            connection.sendall(head.replace("{0}", word).encode())
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass


def fail_stores(walk: Walk, client: httpx.Client) -> None:
    """State that cannot be read, of another kind, a record that nobody expected, and a Redis that does not answer."""
    published = read_publication(walk.service.data_dir)
    assert published is not None
    with redis.Redis(unix_socket_path=published.socket) as store:
        for damage in (damage_records, make_text):
            word = canary("broken")
            walk.secrets.add(word)
            walk.secrets.add(ask(client, QUESTION, word).raise_for_status().json()["run_id"])
            damage(store, word)
            client.get(f"/v1/conversations/{word}")
            ask(client, QUESTION, word)
            client.delete(f"/v1/conversations/{word}")
    with broken_row(walk.service, canary("row")) as stranger:
        walk.secrets.add(stranger.headers["X-API-Key"])
        assert stranger.get(f"/v1/conversations/{walk.conversation}").status_code == 500
    os.kill(published.pid, signal.SIGSTOP)
    try:
        word = canary("away")
        walk.secrets.add(word)
        walk.secrets.add(ask(client, QUESTION, word).json()["run_id"])
        client.get(f"/v1/conversations/{walk.conversation}")
        client.delete(f"/v1/conversations/{word}")
    finally:
        os.kill(published.pid, signal.SIGCONT)
    walk.service.wait_for(lambda: client.get("/health").json()["status"] == "healthy", limit_s=30)


def damage_records(store: redis.Redis, conversation: str) -> None:
    """Overwrite the checkpoints of a conversation."""
    [key] = store.keys(f"state:*{conversation}*")
    names = [name for name in store.hkeys(key) if name.startswith(b"c")]
    store.hset(key, mapping=dict.fromkeys(names, b"broken"))


def make_text(store: redis.Redis, conversation: str) -> None:
    """Put a text where a hash belongs."""
    [key] = store.keys(f"state:*{conversation}*")
    store.set(key, "broken")


def test_no_id_and_no_key_is_written_anywhere(walk: Walk) -> None:
    found = {
        f"{where}: {line[:400]}"
        for where, text in walk.texts()
        for line in text.splitlines()
        for secret in walk.secrets
        if secret in line
    }
    assert len(walk.secrets) > 500
    assert {one.path for one in walk.collector.received} == {"/v1/traces", "/api/1/envelope/"}, "all was sent"
    assert "state:{checkpoint:~" in walk.service.logged(), "failures were logged"
    assert sorted(found)[:20] == []


def test_what_is_logged_of_an_id_can_be_found_by_who_runs_the_service(walk: Walk) -> None:
    told = walk.service.flask("log-id", walk.conversation, walk.run_id)
    assert told.returncode == 0, told.stderr
    conversation, run = told.stdout.split()
    paths = {str(line.get("path")) for line in walk.lines()}
    assert f"/v1/conversations/{conversation}" in paths
    assert f"/v1/runs/{run}/events" in paths
    assert f"/v1/conversations/{conversation}/answers/{run}/rating" in paths
    assert conversation.encode() in walk.collector.everything(), "traces tell the same"


def test_what_is_logged_of_an_id_is_of_no_use_elsewhere(walk: Walk, tmp_path: Path) -> None:
    other = Service(tmp_path / "data")
    told = [each.flask("log-id", walk.conversation).stdout.strip() for each in (walk.service, other, other)]
    assert told[1] == told[2]
    assert told[0] != told[1]
    assert all(re.fullmatch(r"~[0-9a-f]{16}", one) for one in told)


def test_paths_are_still_told_apart(walk: Walk) -> None:
    paths = {str(line["path"]) for line in walk.lines() if line.get("message") == "Request completed"}
    assert {"/v1/chat", "/health", "/openapi.json", "/v1/tenant/datasets"} <= paths
    assert any(re.fullmatch(r"/v1/~[0-9a-f]{16}/~[0-9a-f]{16}", path) for path in paths)
