"""One table of problem types: each with its title and status, and every member on every problem."""

import re
from collections import Counter

import httpx
import pytest

from tests.api.problem import assert_refused
from tests.service import ROOT, Service
from utils.errors import list_problem_types

WRONG = [
    ("GET", "/no/such/path", {}, 404),
    ("GET", "/no such/päth", {}, 404),
    ("PATCH", "/v1/chat", {}, 405),
    ("DELETE", "/health", {}, 405),
    ("POST", "/v1/chat", {"content": b"{"}, 415),
    ("POST", "/v1/chat", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
    ("POST", "/v1/chat", {"json": {"message": ""}}, 400),
    ("GET", "/v1/conversations/a%20b", {}, 400),
    ("GET", "/v1/conversations/nobody", {}, 404),
    ("GET", "/v1/runs/nothing", {}, 404),
    ("GET", "/v1/documents/nothing/view", {}, 404),
    ("POST", "/v1/search", {"content": b"x" * 20_000_000}, 413),
]


def test_a_type_has_one_title_and_one_status() -> None:
    assert {
        slug: count for slug, count in Counter(kind.slug for kind in list_problem_types()).items() if count > 1
    } == {}
    assert {
        title: count for title, count in Counter(kind.title for kind in list_problem_types()).items() if count > 1
    } == {}


def test_the_documentation_lists_every_type() -> None:
    page = (ROOT / "docs" / "api-conventions.md").read_text("utf-8")
    listed = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \| ([^|]+) \| [^|]+ \|$", page, re.MULTILINE)
    assert sorted(listed) == sorted((kind.slug, str(kind.status), kind.title) for kind in list_problem_types())


@pytest.mark.parametrize(("method", "path", "sent", "status"), WRONG)
def test_every_refusal_has_every_member(
    client: httpx.Client, method: str, path: str, sent: dict[str, object], status: int
) -> None:
    assert_refused(client.request(method, path, **sent), status)  # type: ignore[arg-type]


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "nobody's"}, {"Authorization": "Basic eDp5"}])
def test_so_has_the_refusal_of_strangers(service: Service, headers: dict[str, str]) -> None:
    with service.client("") as stranger:
        refused = stranger.get("/v1/tenant/datasets/", headers=headers)
    assert_refused(refused, 401)
    assert "Bearer" in refused.headers["www-authenticate"]


def test_so_has_the_refusal_of_a_link(service: Service) -> None:
    with service.client("") as stranger:
        assert_refused(stranger.get("/v1/documents/nothing/view?token=a.b.c&version=1"), 403)


def test_a_method_that_is_not_allowed_names_those_that_are(client: httpx.Client) -> None:
    refused = client.put("/v1/conversations/somebody")
    assert_refused(refused, 405)
    assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"}


def test_too_many_headers_are_refused_like_anything_else(client: httpx.Client) -> None:
    assert_refused(client.get("/health", headers=[("X-Many", "1")] * 101), 400)


def test_a_websocket_is_refused_like_anything_else(client: httpx.Client) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    refused = client.get("/health", headers={**upgrade, "Sec-WebSocket-Version": "13"})
    assert_refused(refused, 400)
    assert "websocket" in refused.json()["detail"]
