"""Changes that two people make at once, and what a patch leaves, clears and merges."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.problem import assert_refused

ABOUT = {"description": "Rules", "tags": ["a"], "metadata": {"kept": 1, "gone": 2, "deep": {"kept": 3, "gone": 4}}}
MADE = {
    "datasets": {"name": "Handbook", **ABOUT},
    "web-sources": {"url": "https://nothing.invalid/", "kind": "page", "max_pages": 7, "every_s": 7200},
}
CHANGES = {"datasets": [{"description": "New"}, {"tags": []}], "web-sources": [{"max_depth": 1}, {"every_s": None}]}


@pytest.fixture(params=MADE)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def made(client: httpx.Client, kind: str) -> Iterator[httpx.Response]:
    """A resource of its kind, removed afterwards."""
    body = MADE[kind] | ({"name": uuid4().hex} if kind == "datasets" else {"url": f"https://{uuid4().hex}.invalid/"})
    response = client.post(f"/v1/tenant/{kind}", json=body)
    assert response.status_code == 201, response.text
    yield response
    client.delete(response.headers["location"])


def test_a_change_of_a_state_that_is_no_more_is_refused_with_the_present_one(
    client: httpx.Client, other_client: httpx.Client, made: httpx.Response, kind: str
) -> None:
    at, first = made.headers["location"], made.headers["etag"]
    assert client.get(at).headers["etag"] == first
    changed = client.patch(at, json=CHANGES[kind][0], headers={"If-Match": first})
    assert (changed.status_code, changed.headers["etag"] != first) == (200, True)
    refused = client.patch(at, json=CHANGES[kind][1], headers={"If-Match": first})
    assert_refused(refused, 412)
    present = client.get(at)
    assert refused.headers["etag"] == present.headers["etag"] == changed.headers["etag"]
    for name, value in refused.json()["current"].items():
        assert value == present.json()[name] or name.endswith("_at"), name
    for wanted in (present.headers["etag"], f'"other", {present.headers["etag"]}', "*"):
        assert client.patch(at, json={}, headers={"If-Match": wanted}).status_code == 200
    for wanted in (f"W/{present.headers['etag']}", '""', "nonsense", ""):
        assert_refused(client.patch(at, json={}, headers={"If-Match": wanted}), 412)
    assert client.patch(at, json=CHANGES[kind][1]).status_code == 200
    assert_refused(other_client.patch(at, json={}, headers={"If-Match": "*"}), 404)


def test_of_two_who_have_seen_the_same_one_changes_it(client: httpx.Client, made: httpx.Response, kind: str) -> None:
    at, seen = made.headers["location"], {"If-Match": made.headers["etag"]}
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda change: client.patch(at, json=change, headers=seen), CHANGES[kind]))
    assert sorted(answer.status_code for answer in answers) == [200, 412]


def test_what_was_changed_since_is_not_deleted_either(
    client: httpx.Client, other_client: httpx.Client, made: httpx.Response, kind: str
) -> None:
    at, first = made.headers["location"], made.headers["etag"]
    changed = client.patch(at, json=CHANGES[kind][0]).headers["etag"]
    refused = client.delete(at, headers={"If-Match": first})
    assert_refused(refused, 412)
    assert (refused.headers["etag"], refused.json()["current"]["id"]) == (changed, made.json()["id"])
    assert_refused(other_client.delete(at, headers={"If-Match": changed}), 404)
    assert client.delete(at, headers={"If-Match": changed}).status_code == 204
    assert client.get(at).status_code == 404


def test_a_tag_is_of_what_callers_change_alone(client: httpx.Client, made: httpx.Response, kind: str) -> None:
    at = made.headers["location"]
    if kind == "datasets":
        text = {"title": "Towers", "content": "The tower has nine floors."}
        assert client.post(f"{at}/documents", json=text).status_code == 202
        assert client.get(at).json()["document_count"] == 1
    else:
        assert client.post(f"{at}/cancel").status_code == 202
    assert client.get(at).headers["etag"] == made.headers["etag"]


@pytest.mark.parametrize("media_type", ["application/json", "application/merge-patch+json"])
def test_a_patch_merges_metadata_and_clears_by_null(client: httpx.Client, media_type: str) -> None:
    made = client.post("/v1/tenant/datasets", json={"name": uuid4().hex, **ABOUT})
    at = made.headers["location"]

    def patched(content: str) -> dict[str, Any]:
        answer = client.patch(at, content=content, headers={"Content-Type": media_type})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    merged = patched('{"metadata": {"gone": null, "deep": {"gone": null, "new": [null]}, "new": "text"}}')
    assert merged["metadata"] == {"kept": 1, "deep": {"kept": 3, "new": [None]}, "new": "text"}
    assert (merged["description"], merged["tags"]) == ("Rules", ["a"])
    cleared = patched('{"description": null, "tags": null, "metadata": null}')
    assert (cleared["description"], cleared["tags"], cleared["metadata"]) == ("", [], {})
    assert_refused(client.patch(at, json={"name": None}), 400)
    client.delete(at)


def test_metadata_stays_within_its_limit_when_it_grows_by_patches(client: httpx.Client) -> None:
    made = client.post("/v1/tenant/datasets", json={"name": uuid4().hex, "metadata": {"a": "x" * 10_000}})
    refused = client.patch(made.headers["location"], json={"metadata": {"b": "y" * 10_000}})
    assert_refused(refused, 400)
    assert refused.json()["errors"][0]["field"] == "metadata"
    client.delete(made.headers["location"])


def test_null_clears_what_a_web_source_can_do_without_and_nothing_else(client: httpx.Client) -> None:
    body = MADE["web-sources"] | {"url": f"https://{uuid4().hex}.invalid/"}
    at = client.post("/v1/tenant/web-sources", json=body).headers["location"]
    for name in ("kind", "max_depth"):
        refused = client.patch(at, json={name: None})
        assert_refused(refused, 400)
        assert refused.json()["errors"][0]["field"] == name
    cleared = client.patch(at, json={"max_pages": None, "every_s": None}).json()
    assert (cleared["max_pages"], cleared["every_s"], cleared["kind"]) == (200, None, "page")
    client.delete(at)


def test_work_that_goes_on_is_told_with_its_address(client: httpx.Client) -> None:
    body = MADE["web-sources"] | {"url": f"https://{uuid4().hex}.invalid/"}
    at = client.post("/v1/tenant/web-sources", json=body).headers["location"]
    for action in ("crawl", "cancel"):
        accepted = client.post(f"{at}/{action}")
        assert (accepted.status_code, accepted.headers["location"], accepted.json()["status_url"]) == (202, at, at)
        assert accepted.json()["status"] in ("pending", "processing", "completed", "failed", "cancelled")
    client.delete(at)


def test_answers_with_old_names_say_until_when(client: httpx.Client) -> None:
    listed = client.get("/v1/tenant/datasets").headers
    assert listed["deprecation"].startswith("@")
    assert parsedate_to_datetime(listed["sunset"]).timestamp() > int(listed["deprecation"][1:])
    assert 'rel="deprecation"' in listed["link"]
    for path in ("/ready", "/v1/tenant/usage", "/v1/runs/nothing"):
        assert "deprecation" not in client.get(path).headers, path
