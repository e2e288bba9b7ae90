"""Two current documents that say different things: told with answers, and listed for whoever keeps them."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.api.conftest import settle
from tests.service import Service
from utils.validity import today

QUESTION = "How much is the registration fee?"
OLD, NEW = "The registration fee is 150 dollars.", "The registration fee is 180 dollars."


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("conflicts")
    (folder / "knowledge").mkdir()
    (folder / "knowledge" / "rooms.md").write_text("# Rooms\n\nA room costs 850,000 rupiah a month.\n")
    variables = {"KNOWLEDGE_DIR": str(folder / "knowledge"), "RATE_LIMIT_ENABLED": "false", "CONFLICT_SCAN_DELAY": "0"}
    with Service(folder / "data", **variables) as running:
        yield running


@pytest.fixture
def fees(service: Service, north: httpx.Client, south: httpx.Client) -> Iterator[tuple[str, str]]:
    """An old and a new document of north; south has the new one alone. Their ids, of north."""
    made = [client.post("/v1/tenant/datasets", json={"name": "Fees"}).json()["id"] for client in (north, south)]
    old = add(service, north, made[0], "Fees as they were", OLD, valid_from="2025-02-03")
    new = add(service, north, made[0], "Admission guide", NEW, valid_from="2026-02-03")
    add(service, south, made[1], "Admission guide", NEW, valid_from="2026-02-03")
    yield old, new
    for client, dataset_id in zip((north, south), made, strict=True):
        client.delete(f"/v1/tenant/datasets/{dataset_id}")


def add(service: Service, client: httpx.Client, dataset_id: str, title: str, text: str, **metadata: Any) -> str:
    """A text in the index; its id."""
    body = {"title": title, "content": f"{text} It is paid at the bank counter.", "metadata": metadata}
    made = client.post(f"/v1/tenant/datasets/{dataset_id}/documents", json=body).json()
    settle(service, client, made["id"])
    return str(made["id"])


def ask(client: httpx.Client) -> dict[str, Any]:
    return dict(client.post("/v1/chat", json={"session_id": None, "message": QUESTION}).json())


def test_both_sentences_are_quoted_with_their_dates_and_the_newer_one_is_named(
    service: Service, north: httpx.Client, south: httpx.Client, fees: tuple[str, str]
) -> None:
    old, new = fees
    said = ask(north)
    [conflict] = said["conflicts"]
    assert {each["document_id"] for each in conflict["statements"]} == {old, new}
    assert {each["sentence"] for each in conflict["statements"]} == {OLD, NEW}
    assert (conflict["preferred_document_id"], conflict["decided_by"], conflict["kind"]) == (new, "date", "USD")
    assert "“Fees as they were” of 3 February 2025 says: The registration fee is 150 dollars. [" in said["answer"]
    assert "“Admission guide” of 3 February 2026 says: The registration fee is 180 dollars. [" in said["answer"]
    assert said["answer"].endswith("“Admission guide” is the newer one.")
    quotes = {citation["document_id"]: citation["quote"] for citation in said["citations"]}
    assert OLD in quotes[old]
    assert NEW in quotes[new]
    kept = north.get(f"/v1/conversations/{said['conversation_id']}").json()["messages"][-1]
    assert (kept["conflicts"], kept["content"]) == (said["conflicts"], said["answer"])
    theirs = ask(south)
    assert (theirs["conflicts"], "150" in theirs["answer"]) == ([], False)

    north.patch(f"/v1/tenant/documents/{old}", json={"metadata": {"precedence": 1}})
    settle(service, north, old)
    said = ask(north)
    [conflict] = said["conflicts"]
    assert (conflict["preferred_document_id"], conflict["decided_by"]) == (old, "precedence")
    assert said["answer"].endswith("“Fees as they were” takes precedence.")

    ended = (today() - timedelta(days=1)).isoformat()
    north.patch(f"/v1/tenant/documents/{old}", json={"metadata": {"valid_until": ended}})
    service.wait_for(lambda: "150" not in ask(north)["answer"])
    said = ask(north)
    assert (said["conflicts"], "150" in said["answer"], "180" in said["answer"]) == ([], False, True)


def listed(client: httpx.Client, status: str = "open") -> list[dict[str, Any]]:
    return list(client.get("/v1/tenant/conflicts", params={"status": status}).json()["conflicts"])


def test_conflicts_are_found_by_themselves_listed_dismissed_and_gone_with_their_documents(
    service: Service, north: httpx.Client, south: httpx.Client, fees: tuple[str, str]
) -> None:
    old, new = fees
    service.wait_for(lambda: listed(north))
    [conflict] = listed(north)
    told = {each["document_id"]: (each["title"], each["date"], each["sentence"]) for each in conflict["statements"]}
    assert told == {
        old: ("Fees as they were", "2025-02-03", OLD),
        new: ("Admission guide", "2026-02-03", NEW),
    }
    assert (conflict["preferred_document_id"], conflict["decided_by"], conflict["status"]) == (new, "date", "open")
    path = f"/v1/tenant/conflicts/{conflict['id']}"
    assert listed(south) == []
    assert south.patch(path, json={"status": "dismissed"}).status_code == 404
    assert north.patch(path, json={"status": "gone"}).status_code == 400
    assert south.get(path).status_code == 404
    shown = north.get(path)
    assert shown.json() == conflict
    condition = {"If-Match": shown.headers["etag"]}
    dismissed = north.patch(path, json={"status": "dismissed"}, headers=condition)
    assert (dismissed.status_code, dismissed.json()["status"]) == (200, "dismissed")
    assert (listed(north), [each["id"] for each in listed(north, "dismissed")]) == ([], [conflict["id"]])
    assert north.patch(path, json={"status": "open"}, headers=condition).status_code == 412
    assert north.patch(path, json={"status": "open"}).json()["dismissed_at"] is None

    done = service.flask("conflicts", "--tenant", "north", "--json", "--dismiss", conflict["id"])
    assert json.loads(done.stdout) == []
    assert f"Dismissed: {conflict['id']}, USD in “" in done.stderr
    assert f"To undo: flask conflicts --tenant north --reopen {conflict['id']}\n" in done.stderr
    shown = service.flask("conflicts", "--tenant", "north", "--reopen", conflict["id"]).stdout
    assert shown.startswith(f"Open again: {conflict['id']}, USD in “")
    assert f"Admission guide ({new}, 2026-02-03, date wins)\n    {NEW}" in shown
    assert f"Fees as they were ({old}, 2025-02-03)\n    {OLD}" in shown
    assert service.flask("conflicts", "--tenant", "south").stdout == "No open conflicts.\n"
    nobody = service.flask("conflicts", "--tenant", "nobody")
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert "There is no tenant 'nobody'." in nobody.stderr

    assert north.delete(f"/v1/tenant/documents/{old}").status_code == 204
    assert listed(north) == []
    [gone] = [each for each in listed(north, "gone") if each["id"] == conflict["id"]]
    assert {each["date"] for each in gone["statements"]} == {None, "2026-02-03"}
    assert north.patch(path, json={"status": "open"}).status_code == 409
    assert north.get("/v1/tenant/conflicts", params={"status": "closed"}).status_code == 400
