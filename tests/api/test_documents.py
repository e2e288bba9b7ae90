"""Documents over HTTP: taken in, followed to the index, replaced, deleted; each tenant its own."""

import base64
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.ingestion.files import pictures
from tests.service import Service, ask, assert_nothing_held_the_loop, await_vectors

Json = dict[str, Any]
ENDS = ("completed", "failed", "cancelled")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with one small document of the default tenant."""
    folder = tmp_path_factory.mktemp("documents")
    (folder / "knowledge").mkdir()
    (folder / "knowledge" / "rooms.md").write_text("# Rooms\n\nA room costs 850,000 rupiah a month.\n")
    variables = {"KNOWLEDGE_DIR": str(folder / "knowledge"), "RATE_LIMIT_ENABLED": "false"}
    with Service(folder / "data", **variables).watched() as running:
        await_vectors(running)
        yield running
        assert_nothing_held_the_loop(running)


@pytest.fixture(scope="module")
def pair(service: Service) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Clients of two tenants that nobody else uses."""
    with ExitStack() as stack:
        north, south = (stack.enter_context(service.client(service.new_key(name))) for name in ("north", "south"))
        yield north, south


@pytest.fixture
def north(pair: tuple[httpx.Client, httpx.Client]) -> httpx.Client:
    return pair[0]


@pytest.fixture
def south(pair: tuple[httpx.Client, httpx.Client]) -> httpx.Client:
    return pair[1]


@pytest.fixture
def dataset(north: httpx.Client) -> Iterator[str]:
    """The path of an empty dataset of north, removed afterwards."""
    made = north.post("/v1/tenant/datasets/", json={"name": f"Handbook {uuid4().hex}"})
    path = f"/v1/tenant/datasets/{made.json()['id']}"
    yield path
    north.delete(path)


def upload(client: httpx.Client, dataset: str, *files: tuple[str, bytes], **fields: str) -> httpx.Response:
    return client.post(f"{dataset}/documents/upload", files=[("files", file) for file in files], data=fields)


def one(client: httpx.Client, document_id: str) -> Json:
    shown = client.get(f"/v1/tenant/documents/{document_id}")
    assert shown.status_code == 200, shown.text
    return dict(shown.json())


def settled(service: Service, client: httpx.Client, document_id: str) -> Json:
    """The document once its job is over."""
    service.wait_for(lambda: one(client, document_id)["status"] in ENDS)
    return one(client, document_id)


def test_a_dataset_is_made_listed_changed_and_deleted_by_its_tenant_alone(
    north: httpx.Client, south: httpx.Client
) -> None:
    about = {"description": "All rules", "tags": ["rules"], "metadata": {"category": "faq", "language": "en"}}
    made = north.post("/v1/tenant/datasets/", json={"name": "Rules", **about})
    assert made.status_code == 201
    assert made.json()["tenant_id"] == "north"
    path = made.headers["location"]
    assert path.endswith(made.json()["id"])
    assert north.post("/v1/tenant/datasets/", json={"name": "Rules"}).status_code == 409
    theirs = south.post("/v1/tenant/datasets/", json={"name": "Rules"})
    assert theirs.status_code == 201
    for method, body in (("GET", None), ("PATCH", {"name": "Taken"}), ("DELETE", None)):
        assert south.request(method, path, json=body).status_code == 404, method
    assert [one["id"] for one in south.get("/v1/tenant/datasets/").json()["datasets"]] == [theirs.json()["id"]]
    changed = north.patch(path, json={"name": "All rules", "tags": []}).json()
    assert {**made.json(), "name": "All rules", "tags": [], "updated_at": changed["updated_at"]} == changed
    assert north.get(path).json() == changed
    listed = north.get("/v1/tenant/datasets/", params={"limit": 1, "offset": 0}).json()
    assert (len(listed["datasets"]), listed["limit"]) == (1, 1)
    assert north.delete(path).status_code == 204
    assert north.get(path).status_code == 404


def test_files_are_taken_in_read_and_found_and_bad_ones_are_named(
    service: Service, north: httpx.Client, south: httpx.Client, dataset: str
) -> None:
    word = uuid4().hex
    taken = upload(
        north,
        dataset,
        ("../../etc/warden.md", f"# Wardens\n\nThe warden of tower {word} is Miller.".encode()),
        ("letter\u202e.txt", b"A letter about the garden."),
        ("broken.pdf", b"%PDF-1.7 and nothing more"),
        ("program.exe", b"MZ"),
        ("empty.txt", b""),
        metadata=json.dumps({"category": "towers"}),
    )
    assert taken.status_code == 202, taken.text
    jobs = {job["name"]: job for job in taken.json()["jobs"]}
    assert set(jobs) == {"warden.md", "letter.txt", "broken.pdf"}
    assert [refused["name"] for refused in taken.json()["refused"]] == ["program.exe", "empty.txt"]
    assert all(refused["reason"] for refused in taken.json()["refused"])
    warden = settled(service, north, jobs["warden.md"]["document_id"])
    assert (warden["status"], warden["searchable"], warden["metadata"]) == ("completed", True, {"category": "towers"})
    assert (warden["source"], warden["title"], warden["progress"]) == ("warden.md", "Wardens", 1.0)
    answer = ask(north, f"Who is the warden of tower {word}?", uuid4().hex).json()
    assert answer["citations"][0]["document_id"] == warden["id"]
    assert not ask(south, f"Who is the warden of tower {word}?", uuid4().hex).json()["answered"]
    broken = settled(service, north, jobs["broken.pdf"]["document_id"])
    assert (broken["status"], broken["attempt_count"]) == ("failed", 1)
    assert broken["error"]["detail"]
    assert broken["error"]["advice"]
    failed = north.get(f"{dataset}/documents", params={"status": "failed"}).json()
    assert ([document["id"] for document in failed["documents"]], failed["total"]) == ([broken["id"]], 1)
    assert north.get(dataset).json()["documents"] == 3


def test_a_search_is_limited_to_a_dataset_and_to_what_a_document_was_given(
    service: Service, north: httpx.Client, south: httpx.Client, dataset: str
) -> None:
    other = north.post("/v1/tenant/datasets/", json={"name": f"Other {uuid4().hex}"}).json()["id"]
    here = upload(north, dataset, ("here.txt", b"The kiln is hot."), metadata='{"floor": 2, "tower": "east"}')
    there = upload(north, f"/v1/tenant/datasets/{other}", ("there.txt", b"The kiln is cold."))
    ids = [settled(service, north, taken.json()["jobs"][0]["document_id"])["id"] for taken in (here, there)]

    def found(client: httpx.Client, **filters: list[str]) -> set[str]:
        body = {"query": "kiln", "filters": filters}
        return {hit["document_id"] for hit in client.post("/v1/search", json=body).json()["passages"]}

    assert set(ids) <= found(north)
    assert found(north, dataset_ids=[other]) == {ids[1]}
    assert found(north, labels=["floor=2", "tower=east"]) == {ids[0]}
    assert found(south, dataset_ids=[other]) == found(south, labels=["floor=2"]) == set()


def test_no_other_tenant_reaches_a_document_by_any_route(
    service: Service, north: httpx.Client, south: httpx.Client, dataset: str
) -> None:
    [job] = upload(north, dataset, ("a.txt", b"Something of our own.")).json()["jobs"]
    path = f"/v1/tenant/documents/{job['document_id']}"
    settled(service, north, job["document_id"])
    assert north.get(job["status_url"]).status_code == 200
    text = {"title": "Ours", "content": "now"}
    refused = [
        south.get(path),
        south.delete(path),
        south.post(f"{path}/reprocess"),
        south.post(f"{path}/cancel"),
        south.get(f"{dataset}/documents"),
        south.post(f"{dataset}/documents", json=text),
        upload(south, dataset, ("a.txt", b"theirs")),
    ]
    assert [answer.status_code for answer in refused] == [404] * len(refused)
    body = {"company": "north", "filename": "a.txt", "content": base64.b64encode(b"theirs").decode()}
    assert south.post("/api/load-document", json=body).status_code == 404
    assert one(north, job["document_id"])["version"] == 1


def test_a_file_sent_again_is_recognised_and_one_of_its_external_id_takes_its_place(
    service: Service, north: httpx.Client, dataset: str
) -> None:
    word = uuid4().hex
    first, second = (f"The fee for {word} is {amount} crowns.".encode() for amount in (20, 35))
    [job] = upload(north, dataset, ("fees.txt", first), external_ids="fees").json()["jobs"]
    assert settled(service, north, job["document_id"])["version"] == 1
    [again] = upload(north, dataset, ("copy of fees.txt", first)).json()["jobs"]
    assert (again["unchanged"], again["status"], again["job_id"]) == (True, "completed", job["job_id"])
    [changed] = upload(north, dataset, ("fees.txt", second), external_ids="fees").json()["jobs"]
    assert (changed["replaced"], changed["document_id"]) == (True, job["document_id"])
    assert settled(service, north, job["document_id"])["version"] == 2
    assert "35" in ask(north, f"What is the fee for {word}?", uuid4().hex).json()["answer"]


def test_a_text_becomes_a_document_with_its_title_and_tags(service: Service, north: httpx.Client, dataset: str) -> None:
    body = {"title": "Opening/closing", "content": "We open at nine.", "source_type": "text", "tags": ["hours"]}
    added = north.post(f"{dataset}/documents", json=body)
    assert added.status_code == 202
    document = settled(service, north, added.json()["id"])
    assert (document["status"], document["title"], document["tags"]) == ("completed", "Opening/closing", ["hours"])
    lines = north.post(
        f"{dataset}/documents", json={**body, "title": "Hours\n\n# Of whom?\t- x", "content": "At nine."}
    )
    assert settled(service, north, lines.json()["id"])["title"] == "Hours # Of whom? - x"


def test_a_document_in_base64_is_loaded_into_the_dataset_documents(service: Service, north: httpx.Client) -> None:
    content = base64.encodebytes(b"The library closes at ten.").decode()
    body = {"company": "north", "filename": "library.txt", "content": content, "metadata": {"kind": "hours"}, "x": 1}
    loaded = north.post("/api/load-document", json=body)
    assert loaded.status_code == 200, loaded.text
    document = settled(service, north, loaded.json()["id"])
    assert loaded.json()["document_id"] == int(document["id"].replace("-", "")[:13], 16) <= 2**53
    again = north.post("/api/load-document", json=body).json()
    assert (again["unchanged"], again["document_id"]) == (True, loaded.json()["document_id"])
    assert (document["status"], document["metadata"]) == ("completed", {"kind": "hours"})
    assert north.get(f"/v1/tenant/datasets/{document['dataset_id']}").json()["name"] == "documents"
    wrong = north.post("/api/load-document", json={**body, "content": "not Base64!"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (400, "content")


def test_a_completed_document_can_be_read_again_but_not_cancelled(
    service: Service, north: httpx.Client, dataset: str
) -> None:
    [job] = upload(north, dataset, ("a.txt", b"Something to read twice.")).json()["jobs"]
    path = f"/v1/tenant/documents/{job['document_id']}"
    settled(service, north, job["document_id"])
    assert north.post(f"{path}/cancel").status_code == 409
    again = north.post(f"{path}/reprocess")
    assert (again.status_code, again.json()["status"]) == (202, "pending")
    assert settled(service, north, job["document_id"])["version"] == 2


def test_a_document_from_a_folder_is_not_read_again_from_here(service: Service) -> None:
    [loaded] = json.loads(service.flask("documents", "--json").stdout)
    with service.client() as client:
        shown = one(client, loaded["document_id"])
        [default] = client.get("/v1/tenant/datasets/").json()["datasets"]
        assert (shown["status"], shown["dataset_id"], default["name"]) == ("completed", default["id"], "default")
        assert client.post(f"/v1/tenant/documents/{loaded['document_id']}/reprocess").status_code == 409


@pytest.mark.long
def test_a_scan_of_many_pages_does_not_hold_up_the_files_of_another_tenant(
    service: Service, north: httpx.Client, south: httpx.Client, dataset: str
) -> None:
    scan = pictures(*[[f"Rule {number}"] for number in range(400)], kind="PDF")
    [job] = upload(north, dataset, ("scan.pdf", scan)).json()["jobs"]
    service.wait_for(lambda: one(north, job["document_id"])["stage"] == "recognising")
    theirs = south.post("/v1/tenant/datasets/", json={"name": uuid4().hex}).json()["id"]
    [small] = upload(south, f"/v1/tenant/datasets/{theirs}", ("a.txt", b"The kiln is hot.")).json()["jobs"]
    assert settled(service, south, small["document_id"])["status"] == "completed"
    ours = one(north, job["document_id"])
    assert (ours["stage"], ours["attempt_count"] <= 1) == ("recognising", True)
    assert ours["progress"] < 1
    service.wait_for(lambda: one(north, job["document_id"])["progress"] > ours["progress"])


def test_a_deleted_document_is_found_by_nobody(service: Service, north: httpx.Client, dataset: str) -> None:
    word = uuid4().hex
    [job] = upload(north, dataset, ("a.txt", f"The code of {word} is seven.".encode())).json()["jobs"]
    settled(service, north, job["document_id"])
    path = f"/v1/tenant/documents/{job['document_id']}"
    assert north.delete(path).status_code == 204
    assert north.get(path).status_code == 404
    assert north.get(f"{dataset}/documents").json()["total"] == 0
    service.wait_for(lambda: not ask(north, f"What is the code of {word}?", uuid4().hex).json()["answered"])


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "application/json"}, b"{}", 415),
        ({"Content-Type": "multipart/form-data"}, b"", 400),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"nonsense", 400),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x--\r\n", 400),
        ({"Content-Type": "multipart/form-data; boundary=\xc3\xa4"}, b"--x--\r\n", 400),
    ],
)
def test_a_body_that_is_no_upload_is_refused(
    north: httpx.Client, dataset: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    refused = north.post(f"{dataset}/documents/upload", content=body, headers=raw)
    assert refused.status_code == status, refused.text


@pytest.mark.parametrize("metadata", ["[1]", "{", "nothing", '{"a": "' + "x" * 17_000 + '"}', '{"a": "\\u0000"}'])
def test_metadata_that_cannot_be_kept_is_refused_by_name(north: httpx.Client, dataset: str, metadata: str) -> None:
    refused = upload(north, dataset, ("a.txt", b"text"), metadata=metadata)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "metadata")
    assert north.get(f"{dataset}/documents").json()["total"] == 0


def test_an_upload_of_which_nothing_can_be_taken_is_refused_with_each_reason(north: httpx.Client, dataset: str) -> None:
    refused = upload(north, dataset, ("a.exe", b"MZ"), ("no ending", b"text"), ("..", b"text"))
    assert refused.status_code == 422
    assert [one["name"] for one in refused.json()["refused"]] == ["a.exe", "no ending", ".."]


def test_more_files_than_an_upload_may_have_are_refused_together(north: httpx.Client, dataset: str) -> None:
    refused = upload(north, dataset, *((f"{number}.txt", b"text") for number in range(202)))
    assert refused.status_code == 413
    assert north.get(f"{dataset}/documents").json()["total"] == 0


def test_without_a_key_nothing_is_said_and_nothing_is_taken(service: Service, dataset: str) -> None:
    with service.client("") as nobody:
        assert upload(nobody, dataset, ("a.txt", b"text")).status_code == 401
        assert nobody.get(f"{dataset}/documents", params={"limit": "x"}).status_code == 401


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "201"}, {"offset": "-1"}, {"status": "done"}, {"limit": "many"}]
)
def test_a_list_is_not_given_beyond_its_limits(north: httpx.Client, dataset: str, query: dict[str, str]) -> None:
    assert north.get(f"{dataset}/documents", params=query).status_code == 400


def test_nothing_is_refused_as_absent_while_documents_are_read(north: httpx.Client, south: httpx.Client) -> None:
    dataset = north.post("/v1/tenant/datasets", json={"name": "long"}).json()["id"]
    text = "".join(f"Shelf {number} holds books on the history of ships and sails.\n\n" for number in range(6_000))
    address = f"/v1/tenant/datasets/{dataset}/documents"
    accepted = north.post(address, json={"title": "Shelves", "content": text})
    assert accepted.status_code == 202
    for client, left in ((north, " (1 left)"), (south, None)):
        answer = ask(client, "Who won the chess championship of Iceland in 1987?").json()["answer"]
        assert ("I cannot answer this yet: the documents are still being read" in answer) is bool(left)
        assert (left or "") in answer
    assert north.delete(f"/v1/tenant/documents/{accepted.json()['id']}").status_code == 204
