"""Keys that try what they may not do, and credentials that are presented together."""

import re
from uuid import uuid4

import httpx
import pytest

from auth.scopes import VISITOR_SCOPES, Scope
from tests.service import ask

INVALID = "ak_live_aaaaaaaa_" + "b" * 43


def operations(client: httpx.Client) -> list[tuple[str, str, str]]:
    """Method, path and scope of every operation that needs a key, with ids of what does not exist in the path."""
    paths = client.get("/openapi.json").json()["paths"]
    return [
        (method, re.sub(r"{[^}]+}", "1", path), operation["security"][0]["key"][0])
        for path, item in paths.items()
        for method, operation in item.items()
        if operation["security"] and {} not in operation["security"]
    ]


def test_the_key_of_the_chat_page_can_do_nothing_but_chat_read_conversations_and_rate(
    client: httpx.Client, page_client: httpx.Client
) -> None:
    tried = operations(client)
    allowed = {scope for _, _, scope in tried if scope in VISITOR_SCOPES}
    assert allowed == {"chat:write", "conversations:read", "conversations:write", "ratings:write"}
    for method, path, scope in tried:
        answered = page_client.request(method, path)
        if scope in allowed:
            assert answered.status_code != 403, path
        else:
            assert answered.status_code == 403, path
            problem = answered.json()
            assert problem["type"].endswith(":forbidden")
            assert problem["required_scope"] == scope
            assert scope in problem["detail"]


def test_a_key_with_every_scope_is_refused_nothing(client: httpx.Client) -> None:
    assert {scope for _, _, scope in operations(client)} == set(Scope) - {Scope.CONVERSATIONS_ALL, Scope.HEALTH_READ}
    for method, path, _ in operations(client):
        if method != "delete":
            assert client.request(method, path).status_code not in (401, 403), path


@pytest.mark.parametrize("scheme", ["Bearer {}", "bearer  {}"])
def test_a_valid_key_wins_beside_an_invalid_one(client: httpx.Client, scheme: str) -> None:
    valid = client.headers["X-API-Key"]
    for headers in (
        {"X-API-Key": INVALID, "Authorization": scheme.format(valid)},
        {"X-API-Key": valid, "Authorization": scheme.format(INVALID)},
        {"X-API-Key": "", "Authorization": scheme.format(valid)},
    ):
        assert client.get("/v1/tenant/datasets/", headers=headers).status_code == 200
    both_invalid = {"X-API-Key": INVALID, "Authorization": scheme.format(INVALID)}
    assert client.get("/v1/tenant/datasets/", headers=both_invalid).status_code == 401


def test_the_first_valid_key_says_who_asks(client: httpx.Client, other_client: httpx.Client) -> None:
    both = {"Authorization": f"Bearer {other_client.headers['X-API-Key']}"}
    made = client.post("/v1/tenant/datasets/", json={"name": uuid4().hex}, headers=both).json()
    assert client.get(f"/v1/tenant/datasets/{made['id']}").status_code == 200
    assert other_client.get(f"/v1/tenant/datasets/{made['id']}").status_code == 404


def test_a_key_opens_a_document_whose_link_does_not_and_nothing_of_the_link_is_believed(
    client: httpx.Client, other_client: httpx.Client
) -> None:
    link = ask(client, "How much does a dormitory room cost?", uuid4().hex).json()["citations"][0]["link"]
    path = httpx.URL(link).path
    version = httpx.URL(link).params["version"]
    for token in ("1.default.aaaa", "ffffffffff.default.aaaa", "ffffffffff.acme.aaaa", "x", "..", "-1.default."):
        forged = {"version": version, "token": token}
        opened = client.get(path, params=forged)
        assert opened.status_code == 200, token
        assert token not in opened.text or len(token) < 3
        assert client.get(path, params={**forged, "version": "999999"}).status_code == 404
        assert other_client.get(path, params=forged).status_code == 404
        without_key = httpx.get(f"{client.base_url}{path}", params=forged, trust_env=False)
        assert without_key.status_code == 403
        invalid_key = {"X-API-Key": INVALID}
        assert client.get(path, params=forged, headers=invalid_key).status_code == 401
    assert other_client.get(link).status_code == 200  # whoever has a link may open it, also with a key of no use
    assert client.get(link, headers={"X-API-Key": INVALID}).status_code == 200
