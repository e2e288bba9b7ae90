"""Uploads of what files really are: any bytes, of any length, many at once; kept to the last byte."""

import hashlib
import io
import json
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.multipart import UploadParser
from ingestion.parsers.kinds import KINDS
from tests.ingestion.office import word_parts
from tests.service import Service

Json = dict[str, Any]
KIB = 1024
SIZES = (1, KIB, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, KIB * KIB, 45 * KIB * KIB)
BOUNDARY = "a-boundary-of-our-own"
# What a reader that looks for the boundary too hastily would end a file at, or lose.
LIKE_BOUNDARIES = (
    b"--" + BOUNDARY.encode(),
    b"\n--" + BOUNDARY.encode() + b"--\r\n",
    b"\r\n--" + BOUNDARY.encode()[:-1],
    b"\r\n--" + BOUNDARY.encode() + b"x\r\n",
    b"\r\n--" + BOUNDARY.encode() + b"-\r\n",
    b"\r\n--" + BOUNDARY.encode() + b"\rx",
    b"\r\n\r\n--\r\n",
    b"\r",
)


@pytest.fixture
def dataset(client: httpx.Client) -> Iterator[str]:
    """The path of an empty dataset, removed afterwards."""
    made = client.post("/v1/tenant/datasets/", json={"name": f"Uploads {uuid4().hex}"})
    path = f"/v1/tenant/datasets/{made.json()['id']}"
    yield path
    client.delete(path)


def noise(size_bytes: int) -> bytes:
    """Random bytes, the same at each run."""
    return random.Random(size_bytes).randbytes(size_bytes)


def form(*parts: tuple[str, bytes]) -> bytes:
    """A multipart body of parts, each with the parameters of its Content-Disposition."""
    rows = [f"--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data for head, data in parts]
    return b"\r\n".join([*rows, f"--{BOUNDARY}--\r\n".encode()])


def send(client: httpx.Client, dataset: str, body: bytes) -> httpx.Response:
    """An upload of a body that was made by hand."""
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return client.post(f"{dataset}/documents/upload", content=body, headers=headers)


def assert_taken(service: Service, uploaded: httpx.Response, files: dict[str, bytes]) -> None:
    """Every file was taken, and is kept as it was sent."""
    assert uploaded.status_code == 202, uploaded.text
    assert uploaded.json()["refused"] == []
    assert [job["name"] for job in uploaded.json()["jobs"]] == list(files)
    kept = {path.name for path in (service.data_dir / "files").rglob("*") if path.is_file()}
    for data in files.values():
        digest = hashlib.sha256(data).hexdigest()
        assert digest in kept
        [path] = Path(service.data_dir / "files").rglob(digest)
        assert path.stat().st_size == len(data)


@pytest.mark.parametrize("size_bytes", SIZES)
def test_a_file_of_random_bytes_is_kept_as_it_was_sent(
    service: Service, client: httpx.Client, dataset: str, size_bytes: int
) -> None:
    data = noise(size_bytes)
    uploaded = client.post(f"{dataset}/documents/upload", files=[("files", ("noise.docx", data))])
    assert_taken(service, uploaded, {"noise.docx": data})


def test_files_of_every_size_come_in_one_request(service: Service, client: httpx.Client, dataset: str) -> None:
    files = {f"{size}.pdf": noise(size + 7) for size in (*SIZES[:-1], 10 * KIB * KIB)}
    uploaded = client.post(f"{dataset}/documents/upload", files=[("files", file) for file in files.items()])
    assert_taken(service, uploaded, files)


def test_files_of_every_kind_that_is_read_come_in_one_request(
    service: Service, client: httpx.Client, dataset: str
) -> None:
    files = {f"noise{kind}": noise(100 * KIB + place) for place, kind in enumerate(KINDS)}
    uploaded = client.post(f"{dataset}/documents/upload", files=[("files", file) for file in files.items()])
    assert_taken(service, uploaded, files)


def test_bytes_like_the_boundary_belong_to_the_file_they_are_in(
    service: Service, client: httpx.Client, dataset: str
) -> None:
    # Each of them once across the edge of every piece that a body may come in.
    files = {
        f"{place}-{edge}.txt": b"x" * (edge - len(like) // 2) + like + b"y"
        for place, like in enumerate(LIKE_BOUNDARIES)
        for edge in (100, 64 * KIB, 256 * KIB)
    }
    files |= {f"{place}-last.txt": b"x" + like for place, like in enumerate(LIKE_BOUNDARIES)}
    uploaded = send(client, dataset, form(*((f'name="files"; filename="{name}"', files[name]) for name in files)))
    assert_taken(service, uploaded, files)


@pytest.mark.parametrize("size_bytes", [1, 2, 3, 5, 7, 64, 1000])
def test_a_body_means_what_it_says_in_whatever_pieces_it_comes(tmp_path: Path, size_bytes: int) -> None:
    files = [(f"{place}.txt", like + b"x" + like) for place, like in enumerate(LIKE_BOUNDARIES)]
    body = form(('name="metadata"', b"{}"), *((f'name="files"; filename="{name}"', data) for name, data in files))
    with (tmp_path / "disk").open("w+b") as disk:
        parser = UploadParser(BOUNDARY, disk, max_file_bytes=1000)
        for start in range(0, len(body), size_bytes):
            parser.write(body[start : start + size_bytes])
        parser.finish()
        assert [(file.name, file.read()) for file in parser.files] == files
    assert parser.metadata == b"{}"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_fields_may_stand_before_between_and_after_files(
    service: Service, client: httpx.Client, dataset: str, place: int
) -> None:
    files = {"a.docx": noise(64 * KIB + place), "b.docx": noise(70 * KIB + place)}
    parts = [(f'name="files"; filename="{name}"', data) for name, data in files.items()]
    parts.insert(place, ('name="metadata"', json.dumps({"place": place}).encode()))
    parts.insert(place, ('name="other"', b"of no use" * 10_000))
    uploaded = send(client, dataset, form(*parts))
    assert_taken(service, uploaded, files)
    shown = [client.get(job["status_url"]).json() for job in uploaded.json()["jobs"]]
    assert [document["metadata"] for document in shown] == [{"place": place}] * 2


def test_a_document_with_a_large_picture_is_given_back_as_it_came(
    service: Service, client: httpx.Client, other_client: httpx.Client, dataset: str
) -> None:
    file = io.BytesIO(word_parts("<w:p><w:r><w:t>The mill stands by the river.</w:t></w:r></w:p>"))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("word/media/image1.png", noise(KIB * KIB))
    uploaded = client.post(f"{dataset}/documents/upload", files=[("files", ("mill.docx", file.getvalue()))])
    [job] = uploaded.json()["jobs"]
    service.wait_for(lambda: client.get(job["status_url"]).json()["status"] == "completed")
    original = f"/v1/documents/{job['document_id']}/original"
    assert client.get(original).content == file.getvalue()
    assert other_client.get(original).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        form(('name="files"; filename="a.txt"', b"text"))[:-4],  # without its end
        form(('name="files"; filename="a.txt"', b"text"))[:-40],
        form(('name="files"; filename="a.txt"' + "; x=y" * 10_000, b"text")),
        form(('name="files"; filename="a.txt"' + "\r\nX-More: header" * 1000, b"text")),
        f"--{BOUNDARY}\r\nX-Other: header\r\n\r\ntext\r\n--{BOUNDARY}--\r\n".encode(),
        f"--{BOUNDARY}\r\nno header\r\n\r\ntext\r\n--{BOUNDARY}--\r\n".encode(),
    ],
)
def test_a_damaged_body_is_refused_and_nothing_of_it_is_taken(client: httpx.Client, dataset: str, body: bytes) -> None:
    refused = send(client, dataset, body)
    assert (refused.status_code, refused.json()["title"]) == (400, "The request is not valid")
    assert client.get(f"{dataset}/documents").json()["total"] == 0


def test_a_file_that_is_too_large_is_named_and_the_others_are_taken(
    service: Service, client: httpx.Client, dataset: str
) -> None:
    large, small = noise(52_428_801), noise(66_000)
    files = [("files", ("large.docx", large)), ("files", ("small.docx", small))]
    uploaded = client.post(f"{dataset}/documents/upload", files=files)
    assert uploaded.status_code == 202
    [refused] = uploaded.json()["refused"]
    assert (refused["name"], "larger than 52.4288 MB" in refused["reason"]) == ("large.docx", True)
    assert [job["name"] for job in uploaded.json()["jobs"]] == ["small.docx"]
