"""A disk that fills up, on which everything is: refusals in time, nothing acknowledged lost, back without a hand."""

import http.client
import json
import select
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.service import Service, ask, await_vectors, one_document
from tests.small_disk import SmallDisk, small_disk

pytestmark = [pytest.mark.long, pytest.mark.soak]

MB = 1_000_000
RESERVE_MB = 160
QUESTION = "How much does a dormitory room cost?"
NO_DOCUMENTS = "Not enough disk space: no documents are taken or indexed until there is more. Try again later."
NO_ROOM_BESIDE = (
    "Not enough disk space: no room for this upload beside those under way. Send less at once, or try again later."
)
NO_QUESTIONS = "Not enough disk space: questions are not answered until there is more. Try again later."


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 320 * MB, request) as mounted:
        yield mounted


@pytest.fixture
def service(tmp_path: Path, disk: SmallDisk) -> Iterator[Service]:
    """On that disk, with one document; not started."""
    variables = {"RATE_LIMIT_ENABLED": "false", "DISK_RESERVE_MB": str(RESERVE_MB), **one_document(tmp_path)}
    made = Service(tmp_path / "outside", **variables)
    made.data_dir = disk.folder / "data"
    made.variables["DATA_DIR"] = str(made.data_dir)
    yield made
    if made.is_running:
        made.stop()


def test_a_disk_that_fills_up_stops_documents_and_then_questions_and_loses_nothing(
    service: Service, disk: SmallDisk
) -> None:
    service.start()
    await_vectors(service)
    with service.client() as client, service.client(service.new_key("acme")) as other:
        datasets = [each.post("/v1/tenant/datasets", json={"name": "ours"}).json()["id"] for each in (client, other)]
        kept = _add(other, datasets[1], "Kites", "The kite club meets on Sundays at 09:40 on the beach.")
        assert kept.status_code == 202
        acknowledged = _ask_while_it_fills(service, disk)

        disk.leave((RESERVE_MB * 3 // 4) * MB)
        for each, dataset in zip((client, other), datasets, strict=True):
            _assert_refused(_add(each, dataset, "Boats", "The boats leave at 08:15."), NO_DOCUMENTS)
            files = {"files": ("boats.md", b"# Boats\n\nThe boats leave at 08:15.\n")}
            _assert_refused(each.post(f"/v1/tenant/datasets/{dataset}/documents/upload", files=files), NO_DOCUMENTS)
        assert ask(client, QUESTION, "while-low").json()["persistence"] == "redis"
        service.wait_for(lambda: client.get("/health?verbose").json()["disk"]["status"] == "low")
        assert client.get("/ready").status_code == 200
        health = client.get("/health?verbose").json()
        assert health["status"] == "degraded"
        told = "160 MB are the reserve (DISK_RESERVE_MB). Documents are refused until there is more."
        assert any(each.startswith("Not enough disk space: ") and each.endswith(told) for each in health["problems"])

        disk.leave(0)
        for each in (client, other):
            _assert_refused(ask(each, QUESTION, "while-full"), NO_QUESTIONS)
        service.wait_for(lambda: client.get("/ready").status_code == 503)
        ready = client.get("/ready").json()
        assert ready["detail"] == "Not enough disk space: questions are not answered until there is more."
        assert client.get("/v1/conversations/while-low").status_code == 200
        assert client.post("/v1/search", json={"query": QUESTION}).json()["passages"]
        assert other.get("/v1/conversations/while-low").status_code == 404
        full = other.post("/v1/tenant/datasets", json={"name": "more"})  # SQLite's own refusal
        assert (full.status_code, full.json()["title"]) == (503, "Not enough disk space")

        disk.empty()
        service.wait_for(lambda: client.get("/ready").status_code == 200)
        assert ask(client, QUESTION, "while-full").json()["persistence"] == "redis"
        assert _add(other, datasets[1], "Boats", "The boats leave at 08:15.").status_code == 202
        service.wait_for(lambda: "08:15" in ask(other, "When do the boats leave?").text)
        service.wait_for(lambda: "09:40" in ask(other, "When does the kite club meet?").text)  # its job waits a little
        assert acknowledged
        for conversation in acknowledged:
            assert len(client.get(f"/v1/conversations/{conversation}").json()["messages"]) == 2


def test_a_service_that_is_killed_on_a_full_disk_waits_for_room_and_starts_by_itself(
    service: Service, disk: SmallDisk
) -> None:
    service.start()
    await_vectors(service)
    key = service.key
    with service.client() as client:
        assert ask(client, QUESTION, "before").json()["persistence"] == "redis"
    disk.leave(0)
    service.stop(signal.SIGKILL)
    service.launch()
    service.wait_for(lambda: "Waiting until half of the reserve is free: make room." in service.logged())
    assert "Not enough disk space to start: 0 MB are free where " in service.logged()
    with service.client(key) as client, pytest.raises(httpx.ConnectError):  # refused, where it would hang
        client.get("/ready")
    disk.empty()
    with service.client(key) as client:
        service.wait_for(lambda: _is_ready(client))
        assert len(client.get("/v1/conversations/before").json()["messages"]) == 2
        assert ask(client, QUESTION, "before").json()["citations"]
    assert service.logged().count("Not enough disk space to start") == 1


def test_uploads_under_way_cannot_use_up_the_reserve_together(service: Service, disk: SmallDisk) -> None:
    service.start()
    await_vectors(service)
    acme, globex = service.new_key("acme"), service.new_key("globex")
    for key in (acme, globex):  # known from now on: a later upload must not be looked up, and booked, first
        with service.client(key) as client:
            assert client.get("/v1/tenant/datasets").status_code == 200
    disk.leave((RESERVE_MB + 60) * MB)
    slow = [_begin_upload(service, key, 25 * MB) for key in (acme, globex)]
    try:
        service.wait_for(lambda: _is_refused(service, globex, 25 * MB))
        _assert_refused_raw(_begin_upload(service, acme, 7 * MB), NO_ROOM_BESIDE)  # more than its half
        _assert_refused_raw(_begin_upload(service, service.key, 25 * MB), NO_ROOM_BESIDE)
        with service.client(globex) as client:
            assert ask(client, QUESTION, "beside").status_code == 200
        disk.leave((RESERVE_MB + 2) * MB)  # somebody else writes
        before = disk.measure_free_bytes()
        for connection in slow:
            connection.sock.sendall(b"x" * 4 * MB)
            _assert_refused_raw(connection, NO_DOCUMENTS)
        service.wait_for(lambda: disk.measure_free_bytes() > before - MB)  # what had come is gone
    finally:
        for connection in slow:
            connection.close()
    disk.leave((RESERVE_MB + 60) * MB)
    service.wait_for(lambda: not _is_refused(service, globex, 25 * MB))
    whole = b"# Boats\n\nThe boats leave at 08:15.\n"
    with service.client(acme) as client:
        dataset = client.post("/v1/tenant/datasets", json={"name": "ours"}).json()["id"]
        path = f"/v1/tenant/datasets/{dataset}/documents/upload"
        assert client.post(path, files={"files": ("boats.md", whole)}).status_code == 202


def test_a_document_that_was_taken_before_the_disk_was_full_is_read_when_there_is_room(
    service: Service, disk: SmallDisk
) -> None:
    service.variables["INGESTION_WORKERS"] = "0"
    service.start()
    await_vectors(service)
    with service.client(service.new_key("acme")) as client:
        dataset = client.post("/v1/tenant/datasets", json={"name": "ours"}).json()["id"]
        assert _add(client, dataset, "Kites", "The kite club meets on Sundays at 09:40.").status_code == 202
    disk.leave((RESERVE_MB - 5) * MB)  # to open the index takes 60 MB of a tmpfs, and next to nothing of a disk
    service.stop()
    service.variables["INGESTION_WORKERS"] = "1"
    service.launch()
    with service.client(service.new_key("acme")) as client:
        service.wait_for(lambda: _is_ready(client))
        service.wait_for(lambda: "Work on documents pauses for" in service.logged())
        [waiting] = client.get("/v1/tenant/documents").json()["documents"]
        assert (waiting["status"], waiting["attempt_count"]) == ("pending", 0)
        disk.empty()
        service.wait_for(lambda: "09:40" in ask(client, "When does the kite club meet?").text)
    with service.client(service.new_key("globex")) as client:
        assert "09:40" not in ask(client, "When does the kite club meet?").text


def _add(client: httpx.Client, dataset_id: str, title: str, content: str) -> httpx.Response:
    return client.post(f"/v1/tenant/datasets/{dataset_id}/documents", json={"title": title, "content": content})


def _assert_refused(response: httpx.Response, detail: str) -> None:
    problem = response.json()
    assert (response.status_code, problem["type"]) == (503, "urn:pustaka:problem:not-enough-space")
    assert (problem["title"], problem["detail"]) == ("Not enough disk space", detail)
    assert response.headers["Retry-After"] == "60"


def _begin_upload(service: Service, key: str, announced_bytes: int) -> http.client.HTTPConnection:
    """An upload that has announced this size, and sent the beginning of one file."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    connection.putrequest("POST", "/v1/tenant/datasets/none/documents/upload")
    connection.putheader("X-API-Key", key)
    connection.putheader("Content-Type", "multipart/form-data; boundary=b")
    connection.putheader("Content-Length", str(announced_bytes))
    connection.endheaders(b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.md"\r\n\r\n')
    return connection


def _is_refused(service: Service, key: str, announced_bytes: int) -> bool:
    """Whether an upload of this size is refused at once."""
    connection = _begin_upload(service, key, announced_bytes)
    try:
        return bool(select.select([connection.sock], [], [], 1)[0])
    finally:
        connection.close()


def _assert_refused_raw(connection: http.client.HTTPConnection, detail: str) -> None:
    response = connection.getresponse()
    problem = json.loads(response.read())
    assert (response.status, problem["type"]) == (503, "urn:pustaka:problem:not-enough-space")
    assert (problem["detail"], response.headers["Retry-After"]) == (detail, "60")
    connection.close()


def _ask_while_it_fills(service: Service, disk: SmallDisk) -> list[str]:
    """The conversations whose question was answered, while the disk went from half full to full and back again."""
    answered: list[str] = []
    over = threading.Event()

    def ask_on() -> None:
        with service.client() as client:
            for number in range(10_000):
                reply = ask(client, QUESTION, f"while-it-fills-{number}")
                if reply.is_success:
                    answered.append(f"while-it-fills-{number}")
                else:
                    _assert_refused(reply, NO_QUESTIONS)
                if over.is_set():
                    return

    asking = threading.Thread(target=ask_on)
    asking.start()
    try:
        for share in (150, 120, 100, 80, 60, 30, 0):
            before = len(answered)
            disk.leave(share * RESERVE_MB * MB // 100)
            if share > 50:
                service.wait_for(lambda before=before: len(answered) > before + 1)
    finally:
        over.set()
        asking.join(30)
    return answered


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/ready").status_code == 200
    except httpx.TransportError:
        return False
