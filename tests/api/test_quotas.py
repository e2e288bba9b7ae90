"""Quotas as tenants meet them: refusals that name the limit and the use, and where both can be looked up."""

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.problem import assert_refused
from tests.service import Service, one_document

Json = dict[str, Any]
DOCUMENTS, MAX_BYTES = 8, 10_000
AT_ONCE = 24
LARGEST_FILE = 12_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("quotas")
    limits = {"TENANT_MAX_DOCUMENTS": str(DOCUMENTS), "TENANT_MAX_BYTES": str(MAX_BYTES)}
    limits["MAX_FILE_SIZE"] = str(LARGEST_FILE)
    with Service(folder / "data", **one_document(folder), **limits, RATE_LIMIT_ENABLED="false") as running:
        yield running


@pytest.fixture
def tenant(service: Service) -> Iterator[httpx.Client]:
    """A client of a tenant of its own."""
    with service.client(service.new_key(f"t-{uuid4().hex[:8]}")) as client:
        yield client


@pytest.fixture
def dataset(tenant: httpx.Client) -> str:
    made = tenant.post("/v1/tenant/datasets", json={"name": "Handbook"})
    return f"/v1/tenant/datasets/{made.json()['id']}"


def usage(client: httpx.Client) -> Json:
    shown = client.get("/v1/tenant/usage")
    assert shown.status_code == 200, shown.text
    return dict(shown.json())


def upload(client: httpx.Client, dataset: str, *files: tuple[str, bytes]) -> httpx.Response:
    return client.post(f"{dataset}/documents/upload", files=[("files", file) for file in files])


def test_what_is_too_large_is_refused_as_such_without_a_setting_that_its_sender_does_not_have(
    service: Service, tenant: httpx.Client, dataset: str
) -> None:
    large = b"x" * (LARGEST_FILE + 1)
    loaded = {"company": "large", "filename": "large.txt", "content": base64.b64encode(large).decode()}
    key = {"X-API-Key": service.new_key("large")}
    for refused in (
        upload(tenant, dataset, ("large.txt", large), ("larger.txt", large + large)),
        tenant.post(f"{dataset}/documents", json={"title": "Large", "content": large.decode(), "source_type": "text"}),
        tenant.post("/api/load-document", json=loaded, headers=key),
    ):
        assert_refused(refused, 413)
        assert refused.json()["type"] == "urn:pustaka:problem:too-large"
        assert "larger than 0.012 MB" in refused.json()["detail"]
        assert "MAX_FILE_SIZE" not in refused.text
    mixed = upload(tenant, dataset, ("large.txt", large), ("empty.txt", b""))
    assert_refused(mixed, 422)
    assert [file["name"] for file in mixed.json()["refused"]] == ["large.txt", "empty.txt"]


def test_many_uploads_at_once_never_exceed_the_quota_and_other_tenants_have_theirs(
    service: Service, tenant: httpx.Client, dataset: str
) -> None:
    def send(number: int) -> httpx.Response:
        return upload(tenant, dataset, (f"{number}.txt", b"Text number %d." % number))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(send, range(AT_ONCE)))
    assert sorted(answer.status_code for answer in answers) == [202] * DOCUMENTS + [429] * (AT_ONCE - DOCUMENTS)
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert_refused(refused, 429)
    assert refused.json()["type"] == "urn:pustaka:problem:quota-exceeded"
    assert refused.json()["quota"] == {"name": "documents", "limit": DOCUMENTS, "used": DOCUMENTS}
    assert f"{DOCUMENTS} documents" in refused.json()["detail"]
    assert "Retry-After" not in refused.headers  # waiting does not help
    assert usage(tenant)["document_quota"] == {"limit": DOCUMENTS, "used": DOCUMENTS}
    assert tenant.get(f"{dataset}/documents").json()["total"] == DOCUMENTS
    with service.client(service.new_key(f"t-{uuid4().hex[:8]}")) as other:
        made = other.post("/v1/tenant/datasets", json={"name": "Handbook"}).json()["id"]
        assert upload(other, f"/v1/tenant/datasets/{made}", ("a.txt", b"text")).status_code == 202
        assert usage(other)["document_quota"]["used"] == 1


def test_of_an_upload_as_many_files_are_taken_as_there_is_room_for(
    service: Service, tenant: httpx.Client, dataset: str
) -> None:
    large = [(f"{name}.docx", name.encode() * 4_000) for name in "abc"]  # which cannot be read: they are kept as well
    taken = upload(tenant, dataset, *large, ("d.txt", b"small"))
    assert taken.status_code == 202
    assert [job["name"] for job in taken.json()["jobs"]] == ["a.docx", "b.docx", "d.txt"]
    [refused] = taken.json()["refused"]
    assert refused["name"] == "c.docx"
    assert "may keep 10,000 bytes of files, and keeps 8,000" in refused["reason"]
    assert usage(tenant)["byte_quota"] == {"limit": MAX_BYTES, "used": 8_005}
    service.wait_for(lambda: usage(tenant)["failed_document_count"] == 2)
    assert usage(tenant)["document_quota"]["used"] == 3
    with service.client(service.new_key(f"t-{uuid4().hex[:8]}")) as other:
        assert (usage(other)["failed_document_count"], usage(other)["are_samples_replaced"]) == (0, False)


@pytest.mark.parametrize("way", ["upload", "text", "base64"])
def test_every_way_in_keeps_to_the_quotas(service: Service, tenant: httpx.Client, dataset: str, way: str) -> None:
    assert upload(tenant, dataset, ("a.docx", b"a" * 9_000)).status_code == 202
    content = "Words to be read. " * 100

    def send() -> httpx.Response:
        if way == "upload":
            return upload(tenant, dataset, ("b.txt", content.encode()))
        if way == "text":
            return tenant.post(f"{dataset}/documents", json={"title": "B", "content": content})
        body = {"filename": "b.txt", "content": base64.b64encode(content.encode()).decode()}
        company = tenant.get(dataset).json()["tenant_id"]
        return tenant.post("/api/load-document", json={**body, "company": company})

    refused = send()
    assert_refused(refused, 429)
    assert refused.json()["quota"] == {"name": "bytes", "limit": MAX_BYTES, "used": 9_000}
    [document] = tenant.get(f"{dataset}/documents").json()["documents"]
    assert tenant.delete(f"/v1/tenant/documents/{document['id']}").status_code == 204
    assert send().is_success


def test_what_a_tenant_uses_is_its_own_to_read(service: Service, tenant: httpx.Client, dataset: str) -> None:
    [job] = upload(tenant, dataset, ("a.txt", b"Some text.")).json()["jobs"]
    service.wait_for(lambda: tenant.get(job["status_url"]).json()["status"] == "completed")
    shown = usage(tenant)
    assert {name: shown[name]["used"] for name in shown if name.endswith("quota")} == {
        "document_quota": 1, "byte_quota": 10, "page_quota": 1, "job_quota": 0
    }  # fmt: skip
    assert shown["page_quota"]["resets_at"].endswith("T00:00:00.000Z")
    with service.client("") as nobody, service.client(service.new_key(f"t-{uuid4().hex[:8]}")) as other:
        assert nobody.get("/v1/tenant/usage").status_code == 401
        assert usage(other)["document_quota"]["used"] == 0
    listed = json.loads(service.flask("documents", "--json").stdout)
    with service.client() as default:
        assert usage(default)["document_quota"]["used"] == len(listed) == 1
