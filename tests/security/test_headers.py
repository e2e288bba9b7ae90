"""Headers that keep browsers careful: on every answer there is, whoever gives it."""

import re
import socket
from uuid import uuid4

import httpx
import pytest

from tests.service import Service, ask

QUESTION = "How much does a dormitory room cost?"


def assert_careful(answer: httpx.Response) -> None:
    """No site may frame it, guess its type, take it in as its own, or learn where its reader came from."""
    headers = answer.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "'unsafe-eval'" not in policy
    assert "script-src 'unsafe-inline'" not in policy
    assert "Server" not in headers
    assert "X-Powered-By" not in headers
    assert {name: headers.get_list(name) for name in set(headers) - {"vary"} if len(headers.get_list(name)) > 1} == {}
    assert "Set-Cookie" not in headers


def test_every_route_and_every_refusal_has_them(client: httpx.Client, service: Service) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    with service.client("") as stranger:
        for template, item in paths.items():
            path = re.sub(r"{[^}]+}", "1", template)
            for method in (*item, "options", "head", "trace"):
                for each in (client, stranger):
                    with each.stream(method, path, headers={"Origin": "https://a.example"}) as answer:
                        answer.read()
                        assert_careful(answer)
                        if method != "options":
                            assert answer.headers["Cache-Control"] == "no-store", (method, path)


@pytest.mark.parametrize(
    "path", ["/docs", "/redoc", "/docs/start.js", "/redoc/redoc.js", "/docs/assets/css/swagger-ui.css"]
)
def test_so_have_pages_and_what_they_load(client: httpx.Client, path: str) -> None:
    for suffix, status in (("", 200), ("/nothing", 404)):
        answer = client.get(path + suffix)
        assert answer.status_code == status
        assert_careful(answer)


def test_so_have_documents_that_a_link_opens(client: httpx.Client, service: Service) -> None:
    link = ask(client, QUESTION, uuid4().hex).json()["citations"][0]["link"]
    with service.client("") as stranger:
        for address in (link, link.replace("token=", "token=x"), link.replace("/view", "/original")):
            answer = stranger.get(address)
            assert_careful(answer)
            assert "no-store" in answer.headers["Cache-Control"] or "private" in answer.headers["Cache-Control"]


def test_so_have_streams(client: httpx.Client) -> None:
    with client.stream(
        "POST", "/v1/chat", json={"message": QUESTION}, headers={"Accept": "text/event-stream"}
    ) as answer:
        assert_careful(answer)
        assert answer.headers["Cache-Control"] == "no-store"
        answer.read()


@pytest.mark.parametrize(
    "head",
    [
        "NONSENSE\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + "x" * 40_000 + "\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "POST /v1/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "POST /v1/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
        "GET /v1/chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ],
)
def test_so_have_refusals_of_what_is_no_request(service: Service, head: str) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(head.encode())
        connection.shutdown(socket.SHUT_WR)
        told = connection.makefile("rb").read().decode()
    first, *lines = told.split("\r\n\r\n")[0].split("\r\n")
    status = int(first.split()[1])
    assert 400 <= status < 500
    assert_careful(httpx.Response(status, headers=[tuple(line.split(": ", 1)) for line in lines]))  # type: ignore[misc]
