"""Lists over HTTP: every row once by following `next`, counted, and nothing else taken for a place in them."""

import base64
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

Json = dict[str, Any]
LISTS = {
    "/v1/tenant/documents": "documents",
    "/v1/tenant/datasets": "datasets",
    "/v1/tenant/conflicts": "conflicts",
    "/v1/tenant/ratings": "ratings",
    "/v1/tenant/web-sources": "web_sources",
    "/v1/tenant/data-sources": "data_sources",
    "/v1/tenant/webhooks": "webhooks",
}


@pytest.fixture
def dataset(client: httpx.Client) -> Iterator[str]:
    """The path of a dataset with five texts."""
    made = client.post("/v1/tenant/datasets", json={"name": f"Lists {uuid4().hex}"}).json()["id"]
    path = f"/v1/tenant/datasets/{made}"
    for number in range(5):
        text = {"title": f"Text {number}", "content": f"Text {number} of {made}."}
        assert client.post(f"{path}/documents", json=text).status_code == 202
    yield path
    client.delete(path)


def follow(client: httpx.Client, path: str, **query: str | int) -> Iterator[Json]:
    """The parts of a list, one after the other."""
    part = client.get(path, params=query).json()
    yield part
    while part["next"]:
        part = client.get(part["next"]).json()
        yield part


def test_following_next_gives_every_row_once_with_what_was_asked_for(client: httpx.Client, dataset: str) -> None:
    parts = list(follow(client, f"{dataset}/documents", limit=2))
    assert [(len(part["documents"]), part["offset"], part["total"]) for part in parts] == [
        (2, 0, 5),
        (2, 2, 5),
        (1, 4, 5),
    ]
    titles = [one["title"] for part in parts for one in part["documents"]]
    assert titles == [f"Text {number}" for number in range(5)]
    rest = client.get(f"{dataset}/documents", params={"limit": 2, "offset": 3}).json()
    assert ([one["title"] for one in rest["documents"]], rest["next"]) == (titles[3:], None)
    by_status = [*follow(client, f"{dataset}/documents", limit=1, status="failed")]
    assert (by_status[0]["total"], by_status[0]["next"]) == (0, None)
    open_or_done = sum(
        len(part["documents"])
        for status in ("pending", "processing", "completed")
        for part in follow(client, f"{dataset}/documents", limit=1, status=status)
    )
    assert open_or_done >= 4  # one may go on to the next status between two parts


def test_documents_of_a_folder_are_found_by_their_status(client: httpx.Client) -> None:
    found = client.get("/v1/tenant/documents", params={"status": "completed", "limit": 200}).json()
    assert any(one["source"].endswith("perpustakaan.md") for one in found["documents"])
    assert {one["status"] for one in found["documents"]} == {"completed"}


@pytest.mark.parametrize(("path", "name"), LISTS.items())
def test_every_list_has_the_same_members(
    client: httpx.Client, other_client: httpx.Client, path: str, name: str
) -> None:
    for caller in (client, other_client):
        part = caller.get(path, params={"limit": 1}).json()
        assert set(part) == {name, "total", "limit", "offset", "next"}
        assert len(part[name]) <= 1


def cursor(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "after",
    [
        "x",
        "ä",
        "e30=",
        cursor(),
        cursor(1),
        cursor(0, "2026-01-01T00:00:00", "x", "y"),
        cursor(0, 1, 2),
        cursor(0, None, "x"),
        cursor("x", "2026-01-01T00:00:00+00:00", "x"),
        cursor(0, "2026-01-01", "x"),
        cursor(1e400, "2026-01-01T00:00:00+00:00", "x"),
        base64.urlsafe_b64encode(b"[0," * 2_000).decode()[:4_096],
        "x" * 4_097,
    ],
)
def test_what_is_no_place_in_a_list_is_refused(client: httpx.Client, path: str, after: str) -> None:
    refused = client.get(path, params={"after": after})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "after"), refused.text


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("query", [{"offset": "10001"}, {"limit": "201"}, {"limit": "0"}, {"offset": "-1"}])
def test_no_part_is_deeper_or_longer_than_is_stepped_over(
    client: httpx.Client, path: str, query: dict[str, str]
) -> None:
    assert client.get(path, params=query).status_code == 400


def test_a_place_in_the_list_of_one_tenant_is_none_in_that_of_another(
    client: httpx.Client, other_client: httpx.Client, dataset: str
) -> None:
    theirs = client.get("/v1/tenant/documents", params={"limit": 1}).json()
    ours = {one["id"] for part in follow(other_client, "/v1/tenant/documents") for one in part["documents"]}
    after = other_client.get(theirs["next"]).json()
    assert {one["id"] for one in after["documents"]} <= ours
    assert other_client.get(f"{dataset}/documents", params={"limit": 1}).status_code == 404


def test_a_dataset_says_how_many_documents_it_holds(client: httpx.Client, dataset: str) -> None:
    shown = client.get(dataset).json()
    assert (shown["document_count"], shown["documents"]) == (5, 5)
