"""Documents by their ids over HTTP: what looks alike stays apart, unless its owner names the same document."""

import base64
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.domain.lookalikes import ALIKE
from tests.service import Service

Json = dict[str, Any]
Send = Callable[[httpx.Client, str, str, str, str | None], Json]
ENDS = ("completed", "failed", "cancelled")


@pytest.fixture
def dataset(client: httpx.Client) -> Iterator[str]:
    """The id of an empty dataset, removed afterwards."""
    made = client.post("/v1/tenant/datasets/", json={"name": f"Look-alikes {uuid4().hex}"}).json()["id"]
    yield made
    assert client.delete(f"/v1/tenant/datasets/{made}").status_code == 204


def add_text(client: httpx.Client, dataset: str, title: str, content: str, external_id: str | None = None) -> Json:
    body = {"title": title, "content": content, "external_id": external_id}
    added = client.post(f"/v1/tenant/datasets/{dataset}/documents", json=body)
    assert (added.status_code, added.headers.get("location")) == (202, added.json().get("status_url")), added.text
    return dict(added.json())


def upload(client: httpx.Client, dataset: str, title: str, content: str, external_id: str | None = None) -> Json:
    fields = {"external_ids": external_id} if external_id else {}
    parts = [("files", (f"Note {title.encode('ascii', 'replace').decode()}.txt", content.encode()))]
    taken = client.post(f"/v1/tenant/datasets/{dataset}/documents/upload", files=parts, data=fields)
    assert taken.status_code == 202, taken.text
    [job] = taken.json()["jobs"]
    return {**job, "id": job["document_id"]}


def documents(client: httpx.Client, dataset: str, **query: str) -> list[Json]:
    listed = client.get(f"/v1/tenant/datasets/{dataset}/documents", params={"limit": "200", **query})
    return list(listed.json()["documents"])


def await_all(service: Service, client: httpx.Client, dataset: str) -> None:
    service.wait_for(lambda: all(one["status"] in ENDS for one in documents(client, dataset)))


def original(client: httpx.Client, document_id: str) -> str:
    return client.get(f"/v1/documents/{document_id}/original").text


def test_two_texts_whose_titles_make_the_same_file_name_are_two_documents(
    service: Service, client: httpx.Client, dataset: str
) -> None:
    titles = ["Fees/2026", "Fees 2026", "x" * 200, "x" * 201, "x" * 500]
    ids = [add_text(client, dataset, title, f"Text {number}.")["id"] for number, title in enumerate(titles)]
    await_all(service, client, dataset)
    assert [(one["id"], one["title"]) for one in documents(client, dataset)] == list(zip(ids, titles, strict=True))
    assert [original(client, document_id) for document_id in ids] == [f"Text {number}." for number in range(5)]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_whatever_is_sent_replaced_and_deleted_all_that_was_not_is_there(
    service: Service, client: httpx.Client, other_client: httpx.Client, dataset: str, seed: int
) -> None:
    dice, expected = random.Random(seed), dict[str, tuple[str | None, str]]()
    theirs = other_client.post("/v1/tenant/datasets/", json={"name": uuid4().hex}).json()["id"]
    their_text = add_text(other_client, theirs, ALIKE[0], "Of another tenant.", ALIKE[0])["id"]
    sends: tuple[Send, ...] = (add_text, add_text, upload)
    for _ in range(60):
        if expected and dice.random() < 0.2:
            gone = dice.choice(sorted(expected))
            assert client.delete(f"/v1/tenant/documents/{gone}").status_code == 204
            del expected[gone]
            continue
        text = f"Text {dice.randrange(25)} of {dataset}."
        external_id = dice.choice([None, None, dice.choice(ALIKE)[:200]])
        added = dice.choice(sends)(client, dataset, dice.choice(ALIKE), text, external_id)
        assert_right(expected, added, text, external_id)
        if not (added["unchanged"] and external_id is None):
            expected[added["id"]] = (external_id, text)
    await_all(service, client, dataset)
    found = {one["id"]: (one["external_id"], original(client, one["id"])) for one in documents(client, dataset)}
    assert found == expected
    assert [one["id"] for one in documents(other_client, theirs)] == [their_text]


def assert_right(expected: dict[str, tuple[str | None, str]], added: Json, text: str, external_id: str | None) -> None:
    """What was said to be done is right, by all that was said before."""
    known = [key for key, (other, _) in expected.items() if other is not None and other == external_id]
    if known:
        assert added["id"] == known[0]
        assert added["replaced"] or (added["unchanged"] and expected[known[0]][1] == text)
    elif external_id is None and added["unchanged"]:
        assert expected[added["id"]][1] == text
    else:
        assert added["id"] not in expected
        assert (added["unchanged"], added["replaced"]) == (False, False)
        assert external_id is not None or text not in [there for _, there in expected.values()]


def test_a_document_is_replaced_by_its_external_id_in_its_dataset_alone(
    service: Service, client: httpx.Client, dataset: str
) -> None:
    other = client.post("/v1/tenant/datasets/", json={"name": uuid4().hex}).json()["id"]
    first = add_text(client, dataset, "Fees", "The fee is 20.", "fees")
    elsewhere = add_text(client, other, "Fees", "The fee is 30.", "fees")
    await_all(service, client, dataset)
    changed = upload(client, dataset, "All fees", "The fee is 35.", "fees")
    assert (changed["id"], changed["replaced"], changed["unchanged"]) == (first["id"], True, False)
    assert changed["external_id"] == "fees"
    assert elsewhere["id"] != first["id"]
    await_all(service, client, dataset)
    assert (original(client, first["id"]), documents(client, dataset)[0]["version"]) == ("The fee is 35.", 2)
    again = upload(client, dataset, "All fees", "The fee is 35.", "fees")
    assert (again["id"], again["replaced"], again["unchanged"]) == (first["id"], False, True)
    client.delete(f"/v1/tenant/documents/{first['id']}")
    assert add_text(client, dataset, "Fees", "The fee is 40.", "fees")["id"] != first["id"]
    client.delete(f"/v1/tenant/datasets/{other}")


def test_uploads_at_once_with_one_external_id_are_one_document(
    service: Service, client: httpx.Client, dataset: str
) -> None:
    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(lambda number: add_text(client, dataset, "Fees", f"{number}", "fees"), range(6)))
    assert len({one["id"] for one in taken}) == 1
    assert sorted(one["replaced"] for one in taken) == [False] + [True] * 5
    await_all(service, client, dataset)
    [document] = documents(client, dataset)
    assert original(client, document["id"]) in {str(number) for number in range(6)}


def test_files_of_one_upload_may_have_one_name_but_not_one_external_id(client: httpx.Client, dataset: str) -> None:
    path = f"/v1/tenant/datasets/{dataset}/documents/upload"
    files = [("files", ("a.txt", text)) for text in (b"one", b"two", b"three", b"one")]
    taken = client.post(path, files=files, data={"external_ids": ["a", "b", "a", ""]}).json()
    assert [(job["external_id"], job["unchanged"]) for job in taken["jobs"]] == [
        ("a", False),
        ("b", False),
        ("a", True),
    ]
    assert ["same external id" in one["reason"] for one in taken["refused"]] == [True]
    assert [one["external_id"] for one in documents(client, dataset)] == ["a", "b"]


@pytest.mark.parametrize(
    "external_ids", [["a"], ["a", "b", "c"], ["x" * 201, "b"], ["a\0", "b"], [" ", "b"], ["x" * 900, "b"]]
)
def test_external_ids_that_do_not_fit_are_refused_by_name(
    client: httpx.Client, dataset: str, external_ids: list[str]
) -> None:
    path = f"/v1/tenant/datasets/{dataset}/documents/upload"
    files = [("files", ("a.txt", b"one")), ("files", ("b.txt", b"two"))]
    refused = client.post(path, files=files, data={"external_ids": external_ids})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "external_ids"), refused.text
    assert documents(client, dataset) == []
    if len(external_ids) == 2:
        text = {"title": "A", "content": "a", "external_id": external_ids[0]}
        refused = client.post(f"/v1/tenant/datasets/{dataset}/documents", json=text)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "external_id")


def test_more_external_ids_than_files_may_be_sent_are_refused(client: httpx.Client, dataset: str) -> None:
    path = f"/v1/tenant/datasets/{dataset}/documents/upload"
    many = [("external_ids", (None, "x"))] * 201
    assert client.post(path, files=[("files", ("a.txt", b"one")), *many]).status_code == 413


def test_a_file_in_base64_is_replaced_by_its_external_id(service: Service, other_client: httpx.Client) -> None:
    def send(text: str, **more: str) -> Json:
        content = base64.b64encode(text.encode()).decode()
        body = {"company": "acme", "filename": "library.txt", "content": content, **more}
        return dict(other_client.post("/api/load-document", json=body).json())

    word = uuid4().hex
    first, second = send(f"{word} closes at ten."), send(f"{word} closes at nine.")
    assert first["id"] != second["id"]
    assert first["document_id"] != second["document_id"]
    named = send(f"{word} closes at eight.", external_id=word)
    changed = send(f"{word} closes at seven.", external_id=word)
    assert (changed["id"], changed["replaced"]) == (named["id"], True)
    service.wait_for(lambda: send(f"{word} closes at ten.")["status"] not in ("pending", "processing"))
    assert send(f"{word} closes at ten.") == {
        **first,
        "unchanged": True,
        "status": send(f"{word} closes at ten.")["status"],
    }
    for one in (first, second, named):
        assert other_client.delete(f"/v1/tenant/documents/{one['id']}").status_code == 204


def test_all_documents_are_listed_those_of_folders_in_the_dataset_default(
    client: httpx.Client, other_client: httpx.Client, dataset: str
) -> None:
    added = add_text(client, dataset, "Fees", f"Of {dataset}.")["id"]
    listed = client.get("/v1/tenant/documents", params={"limit": 200}).json()
    by_id = {one["id"]: one for one in listed["documents"]}
    assert (len(by_id), by_id[added]["dataset_id"]) == (listed["total"], dataset)
    [default] = {one["dataset_id"] for one in by_id.values() if one["source"].endswith("perpustakaan.md")}
    assert client.get(f"/v1/tenant/datasets/{default}").json()["name"] == "default"
    assert client.get(f"/v1/tenant/datasets/{default}/documents").json()["total"] > 1
    assert client.delete(f"/v1/tenant/datasets/{default}").status_code == 409
    assert other_client.get(f"/v1/tenant/datasets/{default}/documents").status_code == 404
    assert added not in [one["id"] for one in other_client.get("/v1/tenant/documents").json()["documents"]]
    found = client.post("/v1/search", json={"query": "library hours", "filters": {"dataset_ids": [default]}})
    assert len(found.json()["passages"]) > 1
