"""Readers without a key who open much and read slowly: what they have open waits on disk, not in memory."""

import contextlib
import hashlib
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from pypdfium2 import PdfDocument

from api.links import LinkSigner
from tests.ingestion.files import pdf
from tests.processes import resident_bytes
from tests.service import Service, one_document

pytestmark = pytest.mark.long

READERS, MAX_BYTES = 200, 100_000_000
LARGE_BYTES = 45 * 1024 * 1024


@dataclass(frozen=True)
class Large:
    """A PDF of 45 MB in a running service, and the query of a link to it."""

    service: Service
    document_id: str
    data: bytes
    query: str

    def target(self, name: str) -> str:
        """The path and query of one of its routes, for whoever has the link."""
        return f"/v1/documents/{self.document_id}/{name}?{self.query}"


def large_pdf() -> bytes:
    """A PDF of one page of text and 45 MB of an attachment that says nothing."""
    document, out = PdfDocument(pdf(["The lighthouse keeper collects owls."])), BytesIO()
    document.new_attachment("noise").set_data(random.Random(45).randbytes(LARGE_BYTES))
    document.save(out)
    document.close()
    return out.getvalue()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Large]:
    folder, data = tmp_path_factory.mktemp("slow-readers"), large_pdf()
    with Service(folder / "data", **one_document(folder)) as service, service.client() as client:
        dataset = client.post("/v1/tenant/datasets/", json={"name": uuid4().hex}).json()["id"]
        path = f"/v1/tenant/datasets/{dataset}/documents/upload"
        [job] = client.post(path, files=[("files", ("owls.pdf", data))]).json()["jobs"]
        service.wait_for(lambda: client.get(job["status_url"]).json()["status"] == "completed")
        key = bytes.fromhex((service.data_dir / "link.key").read_text())
        token = LinkSigner(key, 600).sign("default", job["document_id"], 1)
        yield Large(service, job["document_id"], data, f"version=1&token={token}")


def open_slowly(stack: contextlib.ExitStack, service: Service, target: str) -> socket.socket:
    """A request whose answer is not read, by a client that lets the kernel take little of it."""
    connection = stack.enter_context(socket.socket())
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(60)
    connection.connect(("127.0.0.1", service.port))
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return connection


@pytest.mark.first
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is looked up in /proc")
def test_200_slow_readers_of_a_large_document_take_little_memory(large: Large) -> None:
    with large.service.client("") as anybody:
        assert anybody.get(large.target("original")).status_code == 200  # what the first one takes, all take once
    before = most = resident_bytes(large.service.process.pid)
    with contextlib.ExitStack() as stack, large.service.client("") as anybody:
        readers = [open_slowly(stack, large.service, large.target("original")) for _ in range(READERS)]
        for reader in readers:
            assert reader.recv(12) == b"HTTP/1.1 200"
            most = max(most, resident_bytes(large.service.process.pid))
        assert anybody.get("/health").status_code == 200
        whole = hashlib.sha256(anybody.get(large.target("original")).content).hexdigest()
        assert whole == hashlib.sha256(large.data).hexdigest()
        most = max(most, resident_bytes(large.service.process.pid))
    assert most - before < MAX_BYTES, f"{(most - before) / 1e6:.0f} MB for {READERS} readers"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is looked up in /proc")
def test_many_who_look_at_pages_of_a_large_document_take_little_memory(large: Large) -> None:
    with large.service.client("") as anybody:
        assert anybody.get(large.target("view")).status_code == 200
        assert anybody.get(large.target("pages/1.png")).status_code == 200
    before = most = resident_bytes(large.service.process.pid)
    with contextlib.ExitStack() as stack:
        targets = [large.target(name) for name in ("view", "pages/1.png")] * 15
        readers = [open_slowly(stack, large.service, target) for target in targets]
        for reader in readers:
            assert reader.recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 503")
            most = max(most, resident_bytes(large.service.process.pid))
    assert most - before < MAX_BYTES, f"{(most - before) / 1e6:.0f} MB for {len(readers)} readers"


def ask(large: Large, method: str = "GET", **headers: str) -> httpx.Response:
    with large.service.client("") as anybody:
        return anybody.request(method, large.target("original"), headers=headers)


def test_a_head_request_tells_of_a_file_what_a_get_would(large: Large) -> None:
    head, whole = ask(large, "HEAD"), ask(large)
    assert (head.status_code, head.content, whole.content) == (200, b"", large.data)
    for name in ("Content-Length", "ETag", "Accept-Ranges", "Content-Disposition", "Content-Type"):
        assert head.headers[name] == whole.headers[name]
    assert head.headers["Content-Length"] == str(len(large.data))


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=65530-65545", 65530, 65546),
        ("bytes=-10", -10, None),
        ("bytes=47000000-", 47_000_000, None),
    ],
)
def test_a_range_of_a_file_is_sent_alone(large: Large, asked: str, start: int, end: int | None) -> None:
    part, wanted = ask(large, Range=asked), large.data[start:end]
    first = start % len(large.data)
    assert (part.status_code, part.content) == (206, wanted)
    assert part.headers["Content-Range"] == f"bytes {first}-{first + len(wanted) - 1}/{len(large.data)}"
    assert part.headers["Content-Length"] == str(len(wanted))


def test_a_range_behind_the_end_is_refused(large: Large) -> None:
    refused = ask(large, Range=f"bytes={len(large.data)}-")
    assert (refused.status_code, refused.headers["Content-Range"]) == (416, f"bytes */{len(large.data)}")
    assert f"which has {len(large.data)} bytes" in refused.json()["detail"]


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=1-2", "bytes=2-1", "bytes=x", "bytes"])
def test_a_range_that_is_not_served_is_ignored(large: Large, asked: str) -> None:
    whole = ask(large, "HEAD", Range=asked)
    assert (whole.status_code, whole.headers["Content-Length"]) == (200, str(len(large.data)))


def test_a_download_is_resumed_only_of_the_same_file(large: Large) -> None:
    etag = ask(large, "HEAD").headers["ETag"]
    asked = {"Range": "bytes=10-19"}
    assert ask(large, **asked, **{"If-Range": etag}).content == large.data[10:20]
    assert ask(large, "HEAD", **asked, **{"If-Range": '"another"'}).status_code == 200
    assert ask(large, **{"If-None-Match": etag}).status_code == 304
