"""What `/openapi.json` says of uploads is what clients made of it send, and what is taken."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser

from tests.service import Service

Json = dict[str, Any]
UPLOAD = "/v1/tenant/datasets/{dataset_id}/documents/upload"
ABOUT = {"category": "towers", "floor": 2}


@pytest.fixture
def dataset_id(client: httpx.Client) -> Iterator[str]:
    """An empty dataset, removed afterwards."""
    made = client.post("/v1/tenant/datasets/", json={"name": f"Described {uuid4().hex}"}).json()["id"]
    yield made
    client.delete(f"/v1/tenant/datasets/{made}")


@pytest.fixture
def body(client: httpx.Client) -> Json:
    """The body of an upload as it is described."""
    described: Json = client.get("/openapi.json").json()["paths"][UPLOAD]["post"]["requestBody"]
    return described


def parts(body: Json, values: Json) -> list[tuple[str, Any]]:
    """*values* as the parts of a form, each by what *body* says of it."""
    form = body["content"]["multipart/form-data"]
    made: list[tuple[str, Any]] = []
    for name, value in values.items():
        part = form["schema"]["properties"][name]
        if part["type"] == "array" and part["items"] == {"type": "string", "format": "binary"}:
            made += [(name, file) for file in value]
        else:
            assert part["type"] == "object"
            made.append((name, (None, json.dumps(value), form["encoding"][name]["contentType"])))
    return made


def kept(client: httpx.Client, uploaded: httpx.Response) -> list[Json]:
    """What the documents of an upload were given."""
    assert uploaded.status_code == 202, uploaded.text
    addresses = [job["status_url"] for job in uploaded.json()["jobs"]]
    return [client.get(address).json()["metadata"] for address in addresses]


def test_an_upload_made_by_its_description_is_taken(client: httpx.Client, body: Json, dataset_id: str) -> None:
    schema = body["content"]["multipart/form-data"]["schema"]
    assert body["required"]
    assert schema["required"] == ["files"]
    files = [("a.txt", b"The first file."), ("b.txt", b"The second one.")]
    path = UPLOAD.format(dataset_id=dataset_id)
    assert kept(client, client.post(path, files=parts(body, {"files": files, "metadata": ABOUT}))) == [ABOUT, ABOUT]
    assert kept(client, client.post(path, files=parts(body, {"files": [("c.txt", b"A third.")]}))) == [{}]


def test_as_many_files_are_taken_as_the_description_says(client: httpx.Client, body: Json, dataset_id: str) -> None:
    schema = body["content"]["multipart/form-data"]["schema"]["properties"]["files"]
    path = UPLOAD.format(dataset_id=dataset_id)

    def sent(number: int) -> httpx.Response:
        # Each is refused for its name alone, which shows that it was looked at.
        files = [(f"{one}.exe", b"MZ") for one in range(number)]
        return client.post(path, files=parts(body, {"files": files, "metadata": ABOUT}))

    most = sent(schema["maxItems"])
    assert (most.status_code, len(most.json()["refused"])) == (422, schema["maxItems"])
    assert sent(schema["maxItems"] + 1).status_code == 413
    assert schema["minItems"] == 1
    assert sent(schema["minItems"] - 1).json()["errors"][0]["field"] == "files"


def test_metadata_may_come_as_a_file_as_browsers_send_what_has_a_type(client: httpx.Client, dataset_id: str) -> None:
    path = UPLOAD.format(dataset_id=dataset_id)

    def sent(metadata: bytes) -> httpx.Response:
        blob = ("metadata", ("blob", metadata, "application/json"))
        return client.post(path, files=[("files", ("a.txt", uuid4().bytes.hex().encode())), blob])

    assert kept(client, sent(json.dumps(ABOUT).encode())) == [ABOUT]
    for wrong in (b"[1]", b"\xff", b'{"a": "' + b"x" * 70_000 + b'"}'):
        refused = sent(wrong)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "metadata")


@pytest.mark.long
@pytest.mark.browser
def test_the_documentation_uploads_a_file(
    service: Service, client: httpx.Client, chromium: Browser, dataset_id: str, tmp_path: Path
) -> None:
    (tmp_path / "tower.txt").write_text("The tower has nine floors.")
    page = chromium.new_page(extra_http_headers={"X-API-Key": service.key})
    page.goto(f"{service.url}/docs")
    operation = page.locator(".opblock", has_text=UPLOAD)
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.locator("[data-param-name=dataset_id] input").fill(dataset_id)
    operation.locator("[data-property-name=files] input[type=file]").set_input_files(tmp_path / "tower.txt")
    operation.locator("[data-property-name=metadata] textarea").fill(json.dumps(ABOUT))
    with page.expect_response(lambda response: response.url.endswith("/upload")) as answered:
        operation.get_by_role("button", name="Execute").click()
    assert answered.value.status == 202, answered.value.text()
    page.close()
    [document] = client.get(f"/v1/tenant/datasets/{dataset_id}/documents").json()["documents"]
    assert (document["source"], document["metadata"]) == ("tower.txt", ABOUT)
