"""The Host header, which is the caller's to write: what it may be, and that it never leads others anywhere."""

import socket

import httpx
import pytest

from tests.security.conftest import HOST
from tests.service import Service, ask


def status_of(service: Service, host: str, path: str = "/v1/conversations/x", *more: str) -> int:
    """The status of a request with exactly these headers, which HTTP clients would not send."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        lines = [f"GET {path} HTTP/1.1", host, f"X-API-Key: {service.key}", "Connection: close", *more, "", ""]
        connection.sendall("\r\n".join(lines).encode("latin-1"))
        return int(connection.makefile("rb").readline().split()[1])


@pytest.mark.parametrize(
    "host",
    [HOST, HOST.upper(), f"{HOST}:443", f"{HOST}.", "north.branch.example.org", "localhost:8000", "[::1]:8000"],
)
def test_requests_for_a_name_of_the_service_are_served(public_service: Service, host: str) -> None:
    with public_service.client(Host=host) as client:
        assert client.get("/v1/conversations/none").status_code == 404
        assert client.get("/health").status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"{HOST}.evil.example",
        f"evil-{HOST}",
        "branch.example.org",
        "evilbranch.example.org",
        "10.0.0.7:8000",
    ],
)
@pytest.mark.parametrize("path", ["/v1/conversations/x", "/docs", "/openapi.json", "/nowhere", "/v1/tenant/datasets"])
def test_requests_for_another_name_are_refused_with_a_problem(public_service: Service, host: str, path: str) -> None:
    with public_service.client(Host=host) as client:
        refused = client.get(path)
        assert refused.status_code == 400
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert refused.json()["type"] == "urn:pustaka:problem:untrusted-host"
        assert "evil" not in refused.text.replace(path, "")
        assert client.options(path, headers={"Access-Control-Request-Method": "POST"}).status_code == 400


@pytest.mark.parametrize("path", ["/health", "/ready", "/health/", "/ready/"])
def test_probes_by_address_are_answered(public_service: Service, path: str) -> None:
    with public_service.client("", Host="10.0.0.7:8000") as client:
        assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "Host: ",
        f"Host: {HOST}, evil.example",
        f"Host: {HOST}/@evil.example",
        f"Host: evil.example@{HOST}",
        f"Host: {HOST}:80:81",
        f"Host: {HOST} evil.example",
        "Host: <script>",
        f"Host: {HOST}\r\nHost: evil.example",
        f"Host: {'a' * 300}.example.org",
    ],
)
def test_a_host_that_is_none_is_refused_also_where_any_name_will_do(
    public_service: Service, service: Service, host: str
) -> None:
    for each in (public_service, service):
        assert status_of(each, host) == 400
        assert status_of(each, host, "/health") == 400


@pytest.mark.parametrize("name", ["X-Forwarded-Host", "X-Host", "X-Original-Host", "X-Forwarded-Server", "Forwarded"])
def test_no_other_header_names_the_host_of_links(public_service: Service, name: str) -> None:
    value = "host=evil.example" if name == "Forwarded" else "evil.example"
    with public_service.client(Host=HOST, **{name: value}) as client:
        answer = ask(client, "How much does a dormitory room cost?")
        assert [citation["link"] for citation in answer.json()["citations"]]
        for citation in answer.json()["citations"]:
            assert citation["link"].startswith(f"http://{HOST}/v1/documents/")
        assert "evil.example" not in answer.text + str(answer.headers)


def test_links_lead_to_the_configured_address_whatever_is_asked_for(public_service: Service) -> None:
    with public_service.client(Host="evil.example") as client:
        assert ask(client, "How much does a dormitory room cost?").status_code == 400


def test_without_trusted_hosts_every_name_is_served(client: httpx.Client) -> None:
    assert client.get("/v1/conversations/none", headers={"Host": "anything.example"}).status_code == 404
