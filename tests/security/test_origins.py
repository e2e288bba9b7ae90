"""Pages of which websites may call the API from a browser, and that none may use what a browser keeps of another."""

import httpx
import pytest
from flask import Flask

from api.cors import register_cors
from tests.security.conftest import ALLOWED_ORIGIN, HOST
from tests.service import Service, ask

PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "X-API-Key, Content-Type"}
PRIVATE_NETWORK = {**PREFLIGHT, "Access-Control-Request-Private-Network": "true"}
PATHS = ["/health", "/v1/chat", "/v1/conversations/x", "/nowhere", "/docs", "/openapi.json"]
FOREIGN = ["https://evil.example", "null", "https://www.example.org.evil.example", "http://www.example.org"]


def cors(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("path", PATHS)
def test_the_default_allows_every_site_alike_without_naming_it_or_sending_its_credentials(
    client: httpx.Client, path: str
) -> None:
    for origin in ("https://evil.example", "null", ""):
        for method, more in (("GET", {}), ("POST", {}), ("OPTIONS", PREFLIGHT), ("OPTIONS", PRIVATE_NETWORK)):
            answer = client.request(method, path, headers={**more, **({"Origin": origin} if origin else {})})
            found = cors(answer)
            assert found["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in found
            assert "access-control-allow-private-network" not in found
            assert "evil.example" not in str(answer.headers)


def test_a_page_of_any_site_can_ask_with_a_key_of_its_own(client: httpx.Client) -> None:
    asked = {name.strip().lower() for name in PREFLIGHT["Access-Control-Request-Headers"].split(",")}
    allowed = client.options("/v1/chat", headers={"Origin": "https://any.example", **PREFLIGHT})
    assert allowed.is_success
    assert "POST" in allowed.headers["Access-Control-Allow-Methods"]
    assert asked <= {name.strip().lower() for name in allowed.headers["Access-Control-Allow-Headers"].split(",")}
    answer = client.post("/v1/chat", json={"message": "How do I apply?"}, headers={"Origin": "https://any.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "X-Run-Id" in answer.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("path", PATHS)
def test_sites_that_are_not_named_get_nothing_and_caches_are_told_why(public_service: Service, path: str) -> None:
    with public_service.client(Host=HOST) as client:
        for origin in FOREIGN:
            for method, more in (("GET", {}), ("OPTIONS", PREFLIGHT), ("OPTIONS", PRIVATE_NETWORK)):
                answer = client.request(method, path, headers={"Origin": origin, **more})
                assert cors(answer) == {}
                assert "origin" in answer.headers["Vary"].lower()


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        (ALLOWED_ORIGIN, True),
        ("HTTPS://WWW.example.org", True),
        ("https://portal.intranet.example.org", True),
        ("https://a.b.intranet.example.org", True),
        ("https://intranet.example.org", False),
        ("https://evil.example/.intranet.example.org", False),
        ("https://evil.example#.intranet.example.org", False),
        ("https://evilintranet.example.org", False),
        ("https://portal.intranet.example.org:8443", False),
        ("http://portal.intranet.example.org", False),
    ],
)
def test_named_sites_and_those_below_a_named_one_may_call(
    public_service: Service, origin: str, is_allowed: bool
) -> None:
    with public_service.client(Host=HOST) as client:
        answer = ask(client, "How do I apply?")
        assert answer.headers.get("Access-Control-Allow-Origin") is None
        found = cors(client.get("/health", headers={"Origin": origin}))
        assert found.get("access-control-allow-origin") == (origin if is_allowed else None)
        assert "access-control-allow-credentials" not in found


def test_assistants_in_pages_of_sites_that_are_not_named_are_refused(public_service: Service) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    with public_service.client(Host=HOST) as client:
        for origin in FOREIGN:
            for key in ({}, {"X-API-Key": "nobody's"}):
                refused = client.post("/v1/mcp", json=body, headers={"Origin": origin, **key})
                assert refused.status_code == 403, origin
                assert "origin" in refused.json()["error"]["message"]
        for origin in (ALLOWED_ORIGIN, "https://one.intranet.example.org"):
            assert client.post("/v1/mcp", json=body, headers={"Origin": origin}).json()["result"]["tools"]


def test_mcp_refuses_pages_of_sites_that_are_not_named(public_service: Service) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    with public_service.client(Host=HOST) as client:
        for origin in FOREIGN:
            refused = client.post("/v1/mcp", json=ping, headers={"Origin": origin})
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, 403)
        assert client.post("/v1/mcp", json=ping, headers={"Origin": ALLOWED_ORIGIN}).json()["result"] == {}
        assert client.post("/v1/mcp", json=ping).json()["result"] == {}


def test_an_origin_that_is_refused_is_logged_once_and_no_stream_of_them_fills_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Flask("origins")
    register_cors(app, [ALLOWED_ORIGIN])
    client = app.test_client()
    asked = [ALLOWED_ORIGIN, *(f"https://site{number}.example" for number in (1, 1, *range(50)))]
    for origin in asked:
        client.options("/v1/chat", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
        client.post("/v1/chat", headers={"Origin": origin})  # as a page of the service itself does
    told = [(vars(line)["origin"], vars(line)["setting"]) for line in caplog.records]
    assert told[0] == ("https://site1.example", "CORS_ORIGINS")
    assert len(set(told)) == len(told) == 20
