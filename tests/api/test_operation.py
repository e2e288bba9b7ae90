"""Probes, documentation, headers and logs."""

import json
import re
from pathlib import Path
from unittest.mock import ANY
from uuid import uuid4

import httpx
import pytest
from flask import Flask
from openapi_spec_validator import validate
from playwright.sync_api import Browser

from api.access import Policy
from app import create_app
from auth.scopes import Scope
from config import load_settings
from domain.keys import RESERVED, SLUG
from tests.service import Service, ask, one_document
from utils.sandbox.walls import Wall

BRIEF = {"status", "version", "redis", "timestamp"}
FOR_KEYS = BRIEF | {"service", "language_model", "persistence"}
FOR_MONITORS = FOR_KEYS | {
    "environment",
    "ready",
    "dependencies",
    "problems",
    "indexing",
    "admission",
    "sandbox",
    "disk",
}


@pytest.mark.parametrize("query", ["", "?verbose=false", "?verbose=0"])
def test_health_tells_everybody_four_things(client: httpx.Client, service: Service, query: str) -> None:
    with service.client("") as stranger, service.client("made up") as guessing:
        for each in (stranger, guessing, client):
            health = each.get(f"/health{query}").json()
            assert set(health) == BRIEF
            assert (health["status"], health["version"], health["redis"]) == ("healthy", "1.0.0", "ok")
            assert isinstance(health["timestamp"], int)


def test_health_tells_those_with_a_key_what_it_is_for(
    client: httpx.Client, other_client: httpx.Client, page_client: httpx.Client
) -> None:
    for query in ("?verbose", "?verbose=true", "?verbose=1"):
        for each in (client, other_client):
            health = each.get(f"/health{query}").json()
            assert set(health) == FOR_MONITORS
            assert health["indexing"] == {"pending_count": 0, "pending": 0}
            stores = dict.fromkeys(("redis", "database", "index"), "ok")
            assert health["dependencies"] == {**stores, "chat_model": None}
            assert (health["ready"], health["problems"]) == (True, [])
            assert health["sandbox"]["walls"] | health["sandbox"]["missing"] == dict.fromkeys(Wall, ANY)
        assert set(page_client.get(f"/health{query}").json()) == FOR_KEYS


@pytest.mark.parametrize("key", ["", "made up", "ak_live_aaaaaaaa_" + "b" * 43])
def test_health_tells_no_more_without_a_valid_key(service: Service, key: str) -> None:
    with service.client(key) as stranger:
        for query in ("?verbose", "?verbose=true"):
            assert stranger.get(f"/health{query}").status_code == 401
        for query in ("?verbose=perhaps", "?verbose=false&verbose=true", "?Verbose"):
            assert stranger.get(f"/health{query}").status_code == 400


def test_health_in_full_is_not_counted_as_a_request_of_the_key(tmp_path: Path) -> None:
    variables = {"RATE_LIMIT_PER_HOUR": "2", **one_document(tmp_path)}
    with Service(tmp_path / "data", **variables) as limited, limited.client() as client:
        assert {client.get("/health?verbose").status_code for _ in range(5)} == {200}
        assert client.get("/v1/conversations/none").headers["RateLimit-Remaining"] == "1"


def test_ready_says_so(client: httpx.Client) -> None:
    assert client.get("/ready").json() == {"status": "ready"}


def read_policies(app: Flask) -> dict[str, Policy | None]:
    """What each endpoint says about who may use it; None where it says nothing."""
    return {
        rule.endpoint: getattr(app.view_functions[rule.endpoint], "policy", None) for rule in app.url_map.iter_rules()
    }


def test_a_route_that_does_not_say_who_may_use_it_is_found() -> None:
    app = create_app(load_settings())
    app.add_url_rule("/v1/forgotten", "forgotten", lambda: "Hello")
    assert {endpoint for endpoint, policy in read_policies(app).items() if policy is None} == {"forgotten"}


def test_every_route_says_who_may_use_it() -> None:
    policies = read_policies(create_app(load_settings()))
    assert {endpoint for endpoint, policy in policies.items() if policy is None} == set()
    kinds = {endpoint: policy.kind for endpoint, policy in policies.items() if policy}
    linked = {endpoint for endpoint, kind in kinds.items() if kind == "link"}
    assert linked == {"view.view_document", "view.view_page", "view.download_original"}
    opened = {endpoint for endpoint, kind in kinds.items() if kind == "open"}
    assert opened == {
        "health.health", "health.ready", "openapi_document", "docs", "redoc", "docs_start", "redoc_start",
        "redoc_script", "docs_asset", "welcome", "websites.open_visit",
        "widget_script", "widget_style", "widget_page", "conversation_shares.view",
    }  # fmt: skip
    scopes = {endpoint: policy.scope for endpoint, policy in policies.items() if policy}
    by_part = {"mcp.handle_message"}  # looks at the scope of each thing that is asked for
    assert {endpoint for endpoint, scope in scopes.items() if scope is None} == opened | by_part


def test_no_tenant_may_be_called_as_the_first_part_of_an_address() -> None:
    first = {rule.rule.split("/")[1] for rule in create_app(load_settings()).url_map.iter_rules()}
    assert {"v1", "api", "health"} <= first
    assert {part for part in first if SLUG.fullmatch(part)} <= RESERVED


def test_the_description_names_the_scope_of_every_operation_that_needs_one(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    operations = {
        (method, path): item[method]
        for path, item in paths.items()
        for method in item
        if path not in ("/health", "/ready", "/v1/visitors", "/v1/shared")
    }
    assert len(operations) > 30
    for operation in operations.values():
        scopes = {scope for way in operation["security"] for name in ("key", "bearer") for scope in way.get(name, [])}
        assert len(scopes) == 1
        assert scopes < set(Scope)
        assert {"401", "403"} <= set(operation["responses"])
    assert operations["post", "/v1/search"]["security"] == [{"key": ["search"]}, {"bearer": ["search"]}]
    assert {"link": []} in operations["get", "/v1/documents/{document_id}/view"]["security"]
    assert paths["/health"]["get"]["security"] == [{}, {"key": []}, {"bearer": []}]
    assert paths["/ready"]["get"]["security"] == []


def test_the_description_is_valid_openapi_3_1(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    validate(document)
    chat = document["paths"]["/v1/chat"]["post"]
    assert {"200", "400", "401", "404", "409", "429", "503"} <= set(chat["responses"])
    assert chat["security"] == [{"key": ["chat:write"]}, {"bearer": ["chat:write"]}]


def test_the_headers_of_a_question_are_described_as_they_are_taken(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()["paths"]["/v1/chat"]["post"]["parameters"]
    taken = {each["name"]: each["schema"] for each in described if each["in"] == "header"}
    assert set(taken) == {"X-Conversation-Id", "Idempotency-Key", "traceparent"}
    patterns = {name: schema["pattern"] for name, schema in taken.items() if name != "traceparent"}  # any is taken
    for name, pattern in patterns.items():
        for value in (uuid4().hex, "a b", "a" * 256):
            headers = {"X-Conversation-Id": uuid4().hex, name: value}
            answered = client.post("/v1/chat", json={"message": "Who are you?"}, headers=headers)
            assert answered.status_code == (200 if re.search(pattern, value) else 400), name


def test_every_route_that_takes_a_body_describes_it(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    routes = {(method, path) for path, item in paths.items() for method in item if method in ("post", "put", "patch")}
    undescribed = {path for method, path in routes if "requestBody" not in paths[path][method]}
    # These take none.
    assert undescribed == {
        "/v1/runs/{run_id}/cancel", "/v1/tenant/documents/{document_id}/cancel",
        "/v1/tenant/documents/{document_id}/reprocess", "/v1/tenant/web-sources/{web_source_id}/cancel",
        "/v1/tenant/web-sources/{web_source_id}/crawl", "/v1/conversations/{conversation_id}/restore",
        "/v1/tenant/models/{model_id}/check", "/v1/tenant/data-sources/{source_id}/test",
        "/v1/tenant/data-sources/{source_id}/schema", "/v1/responses/{response_id}/cancel",
        "/v1/tenant/webhooks/{webhook_id}/test",
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_documentation_loads_nothing_from_outside(client: httpx.Client, path: str) -> None:
    page = client.get(path)
    assert page.headers["content-type"].startswith("text/html")
    assert "'self'" in page.headers["content-security-policy"]
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert loaded
    for address in loaded:
        assert not address.startswith(("http", "//"))
        assert address == "data:," or client.get(f"/{address}").status_code == 200


@pytest.mark.long
@pytest.mark.browser
@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_documentation_works_in_a_browser_that_reaches_nothing_else(
    service: Service, chromium: Browser, path: str
) -> None:
    complaints: list[str] = []
    page = chromium.new_page()
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: _note_foreign(request.url, service.url, complaints))
    page.goto(service.url + path)
    page.get_by_role("heading", name="Pustaka").first.wait_for(timeout=20_000)
    page.close()
    assert complaints == []


def _note_foreign(url: str, own: str, complaints: list[str]) -> None:
    if not url.startswith((own, "data:", "blob:")):
        complaints.append(url)


def test_a_request_id_comes_back_and_a_wild_one_does_not(client: httpx.Client) -> None:
    assert client.get("/health", headers={"X-Request-Id": "my-id.1"}).headers["x-request-id"] == "my-id.1"
    assert client.get("/health", headers={"X-Request-Id": "a b{}"}).headers["x-request-id"] != "a b{}"
    given = ask(client, "How do I apply?", uuid4().hex)
    assert given.json()["request_id"] == given.headers["x-request-id"]


def test_answers_carry_headers_that_keep_browsers_careful(client: httpx.Client) -> None:
    headers = client.get("/v1/nothing").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in headers["content-security-policy"]


def test_a_browser_may_ask_from_another_origin(client: httpx.Client) -> None:
    asked = {
        "Origin": "https://portal.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-api-key,x-conversation-id,content-type",
    }
    preflight = client.options("/v1/chat", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] in ("*", "https://portal.example")
    assert "x-api-key" in preflight.headers["access-control-allow-headers"].lower()


def test_logs_are_json_and_hold_neither_keys_nor_messages(service: Service, client: httpx.Client) -> None:
    request_id, secret_words = uuid4().hex, f"dormitory {uuid4().hex}"
    client.post(
        "/v1/chat",
        json={"message": secret_words},
        headers={"X-Conversation-Id": uuid4().hex, "X-Request-Id": request_id},
    )
    service.wait_for(lambda: request_id in service.logged(), limit_s=10)
    lines = [json.loads(line) for line in service.logged().splitlines()]
    [line] = [line for line in lines if line["request_id"] == request_id and line["message"] == "Request completed"]
    assert {"timestamp", "level", "logger", "message", "request_id", "duration_ms"} <= set(line)
    assert line["duration_ms"] > 0
    assert line["tenant_id"] == "default"
    assert line["key_id"]
    assert line["run_id"].startswith("~")  # hashed, as all ids that callers may have chosen
    assert secret_words not in service.logged()
    assert service.key not in service.logged()
