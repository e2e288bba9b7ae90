"""Documents that hold for some days only: as said at upload, in front matter or by PATCH, and as searches heed it."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from tests.api.conftest import settle
from tests.service import Service, await_vectors
from utils.validity import today

PAST, FUTURE = (today() - timedelta(days=40)).isoformat(), (today() + timedelta(days=40)).isoformat()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a document that has long ceased to hold, by its own front matter."""
    folder = tmp_path_factory.mktemp("validity")
    (folder / "knowledge").mkdir()
    front = f"---\ntitle: Gym\ndate: 2024-02-01\nvalid_until: '{PAST}'\nprecedence: 3\n---\n"
    (folder / "knowledge" / "gym.md").write_text(f"{front}# Gym\n\nThe gym has a sauna.\n")
    (folder / "knowledge" / "rooms.md").write_text("# Rooms\n\nA room costs 850,000 rupiah a month.\n")
    variables = {"KNOWLEDGE_DIR": str(folder / "knowledge"), "RATE_LIMIT_ENABLED": "false"}
    with Service(folder / "data", **variables) as running:
        await_vectors(running)
        yield running


@pytest.fixture
def dataset(north: httpx.Client) -> Iterator[str]:
    """The path of an empty dataset of north, removed afterwards."""
    made = north.post("/v1/tenant/datasets", json={"name": "Fees"}).json()
    yield f"/v1/tenant/datasets/{made['id']}"
    north.delete(f"/v1/tenant/datasets/{made['id']}")


@pytest.fixture(scope="module")
def text(service: Service, north: httpx.Client) -> str:
    """The id of a text of north, in a dataset that stays empty but for it."""
    made = north.post("/v1/tenant/datasets", json={"name": "Texts"}).json()
    return str(add(service, north, f"/v1/tenant/datasets/{made['id']}", "A text")["id"])


def found(client: httpx.Client, question: str) -> list[str]:
    """The titles of the documents that a search finds."""
    answer = client.post("/v1/search", json={"query": question}).json()
    return [passage["title"] for passage in answer["passages"]]


def add(service: Service, client: httpx.Client, dataset: str, title: str, **metadata: Any) -> dict[str, Any]:
    """A text, once it is in the index."""
    body = {"title": title, "content": f"{title}: the parking fee is 40 a month.", "metadata": metadata}
    made = client.post(f"{dataset}/documents", json=body)
    assert made.status_code == 202, made.text
    return settled(service, client, made.json()["id"])


def settled(service: Service, client: httpx.Client, document_id: str) -> dict[str, Any]:
    """The document once the index holds what is said of it."""
    settle(service, client, document_id)
    return dict(client.get(f"/v1/tenant/documents/{document_id}").json())


def hidden(service: Service, client: httpx.Client, document_id: str) -> dict[str, Any]:
    """The document once no search finds it."""
    service.wait_for(lambda: found(client, "parking fee") == [])
    return dict(client.get(f"/v1/tenant/documents/{document_id}").json())


def test_front_matter_says_when_a_document_holds_and_of_which_day_it_is(service: Service) -> None:
    with service.client() as client:
        listed = {one["title"]: one for one in client.get("/v1/tenant/documents").json()["documents"]}
        gym, rooms = listed["Gym"], listed["Rooms"]
        assert (gym["date"], gym["date_source"], gym["valid_until"]) == ("2024-02-01", "file", PAST)
        assert (gym["validity"], gym["precedence"], gym["searchable"]) == ("expired", 3, False)
        assert (rooms["date_source"], rooms["validity"], rooms["precedence"]) == ("upload", "valid", 0)
        assert rooms["searchable"]
        assert date.fromisoformat(rooms["date"]) <= today() + timedelta(days=1)
        assert "Gym" not in found(client, "Does the gym have a sauna?")
        said = client.post("/v1/chat", json={"session_id": None, "message": "Does the gym have a sauna?"}).json()
        assert not said["answered"]


def test_what_a_patch_says_of_the_days_is_heeded_without_reading_the_document_again(
    service: Service, north: httpx.Client, south: httpx.Client, dataset: str
) -> None:
    made = add(service, north, dataset, "Fees of old", valid_until=FUTURE)
    path = f"/v1/tenant/documents/{made['id']}"
    assert found(north, "parking fee") == ["Fees of old"]
    etag = north.get(path).headers["etag"]
    patch = {"metadata": {"valid_until": PAST, "category": "fees", "precedence": 2.5}, "tags": ["fees"]}
    assert south.patch(path, json=patch).status_code == 404
    changed = north.patch(path, json=patch, headers={"If-Match": etag})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["valid_until"], changed.json()["validity"]) == (PAST, "expired")
    assert north.patch(path, json=patch, headers={"If-Match": etag}).status_code == 412
    shown = hidden(service, north, made["id"])
    assert (shown["version"], shown["precedence"], shown["tags"]) == (made["version"], 2.5, ["fees"])
    assert not shown["searchable"]
    north.patch(path, json={"metadata": {"valid_until": None, "valid_from": PAST}})
    shown = settled(service, north, made["id"])
    assert shown["metadata"] == {"valid_from": PAST, "category": "fees", "precedence": 2.5}
    assert (shown["date"], shown["date_source"], shown["valid_until"]) == (PAST, "valid_from", None)
    assert found(north, "parking fee") == ["Fees of old"]
    by_tag = {"query": "parking fee", "filters": {"labels": ["tag=fees"]}}
    [passage] = north.post("/v1/search", json=by_tag).json()["passages"]
    assert passage["similarity"] is not None  # its vector has stayed
    north.patch(path, json={"metadata": {"valid_from": FUTURE}})
    shown = hidden(service, north, made["id"])
    assert (shown["validity"], shown["searchable"]) == ("not_yet_valid", False)


def test_a_date_to_come_in_a_file_is_not_the_date_of_the_document(
    service: Service, north: httpx.Client, south: httpx.Client, dataset: str
) -> None:
    for named, source in (("9999-12-31", "upload"), (FUTURE, "upload"), (PAST, "file")):
        file = f"---\ntitle: Sauna\ndate: '{named}'\n---\n# Sauna\n\nThe sauna of {named} costs 5.\n".encode()
        sent = north.post(f"{dataset}/documents/upload", files={"files": (f"{named}.md", file)})
        assert sent.status_code == 202, sent.text
        shown = settled(service, north, sent.json()["jobs"][0]["document_id"])
        assert shown["date_source"] == source
        assert date.fromisoformat(shown["date"]) <= today() + timedelta(days=1)
        assert south.get(f"/v1/tenant/documents/{shown['id']}").status_code == 404


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"valid_until": "31/12/2026"}, "valid_until has to be a day such as 2026-12-31"),
        ({"valid_from": 2026}, "valid_from has to be a day"),
        ({"valid_from": "2026-02-30"}, "valid_from has to be a day"),
        ({"valid_from": "2026-W01-1"}, "valid_from has to be a day"),
        ({"precedence": "high"}, "precedence has to be a number"),
        ({"precedence": "1_0"}, "precedence has to be a number"),
        ({"precedence": " 5e0 "}, "precedence has to be a number"),
        ({"precedence": "٥"}, "precedence has to be a number"),
        ({"precedence": "1" * 400}, "precedence has to be a number"),
        ({"precedence": True}, "precedence has to be a number"),
        ({"precedence": 1e300}, "precedence has to be a number"),
        ({"valid_from": "2026-12-31", "valid_until": "2026-01-01"}, "valid_until is before valid_from"),
    ],
)
def test_days_that_cannot_be_read_are_refused_everywhere(
    north: httpx.Client, dataset: str, text: str, metadata: dict[str, Any], said: str
) -> None:
    body = {"title": "Fees", "content": "The fee is 40.", "metadata": metadata}
    sent = {"files": [("files", ("a.txt", b"The fee is 40."))], "data": {"metadata": json.dumps(metadata)}}
    for refused in (
        north.post(f"{dataset}/documents", json=body),
        north.post(f"{dataset}/documents/upload", **sent),
        north.patch(f"/v1/tenant/documents/{text}", json={"metadata": metadata}),
    ):
        assert refused.status_code == 400, refused.text
        assert said in refused.json()["errors"][0]["message"]
        assert "metadata" in refused.json()["errors"][0]["field"]
