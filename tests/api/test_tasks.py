"""`/v1/tasks/{id}/status`: how far work in the background is, for whoever may know."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.tasks import compute_wait_s
from tests.service import Service

DATASETS = "/v1/tenant/datasets"


def upload(client: httpx.Client, name: str = "rule.txt", data: bytes = b"The gate closes at ten.") -> dict[str, Any]:
    """What the upload of a file into a dataset of its own makes: the ids of document and job."""
    dataset_id = client.post(DATASETS, json={"name": uuid4().hex}).json()["id"]
    [job] = client.post(f"{DATASETS}/{dataset_id}/documents/upload", files=[("files", (name, data))]).json()["jobs"]
    return dict(job)


def status_of(client: httpx.Client, job_id: str) -> httpx.Response:
    return client.get(f"/v1/tasks/{job_id}/status")


@pytest.mark.parametrize(("age_s", "wait_s"), [(-5, 1), (0, 1), (9, 1), (60, 6), (300, 30), (86_400, 30)])
def test_a_task_is_to_be_asked_for_the_more_rarely_the_longer_it_takes(age_s: int, wait_s: int) -> None:
    assert compute_wait_s(timedelta(seconds=age_s)) == wait_s


def wait_for_end(service: Service, client: httpx.Client, job_id: str) -> dict[str, Any]:
    service.wait_for(lambda: status_of(client, job_id).json()["status"] not in ("pending", "processing"))
    return dict(status_of(client, job_id).json())


def test_a_document_is_followed_by_its_job_to_the_end(service: Service, client: httpx.Client) -> None:
    taken = upload(client)
    begun = status_of(client, taken["job_id"])
    task = wait_for_end(service, client, taken["job_id"])
    assert begun.headers.get("Retry-After") == (None if begun.json()["status"] == "completed" else "1")
    assert "Retry-After" not in status_of(client, taken["job_id"]).headers
    assert task.pop("created_at") <= task.pop("updated_at")
    assert task == {
        "id": taken["job_id"],
        "kind": "document",
        "status": "completed",
        "status_url": f"/v1/tasks/{taken['job_id']}/status",
        "stage": None,
        "progress": 1.0,
        "attempt_count": 1,
        "error": None,
        "document_id": taken["document_id"],
        "web_source_id": None,
    }


def test_a_task_that_failed_says_why_and_what_to_do(service: Service, client: httpx.Client) -> None:
    task = wait_for_end(service, client, upload(client, "broken.pdf", b"%PDF-1.7 and no more")["job_id"])
    assert (task["status"], task["progress"]) == ("failed", 0.0)
    assert "PDF" in task["error"]["detail"]
    assert "upload it again" in task["error"]["advice"]


def test_a_newer_task_about_the_same_document_takes_the_place_of_the_former_one(
    service: Service, client: httpx.Client
) -> None:
    taken = upload(client)
    wait_for_end(service, client, taken["job_id"])
    document = f"/v1/tenant/documents/{taken['document_id']}"
    assert client.post(f"{document}/reprocess").status_code == 202
    gone = status_of(client, taken["job_id"])
    assert (gone.status_code, gone.json()["detail"]) == (404, f"Task '{taken['job_id']}' not found.")
    again = upload(client)
    client.delete(f"/v1/tenant/documents/{again['document_id']}")
    assert status_of(client, again["job_id"]).status_code == 404


def test_a_task_of_another_tenant_or_of_somebody_else_is_not_found(
    service: Service, other_client: httpx.Client
) -> None:
    keys = {
        "asks": ["documents:write", "datasets:write"],
        "reads": ["tasks:read", "documents:read"],
        "may not read documents": ["documents:write", "web-sources:read", "web-sources:write"],
        "may not see tasks": ["documents:read"],
    }
    clients = {name: service.client(service.new_key("tasks-of-one", scopes)) for name, scopes in keys.items()}
    job_id = upload(clients["asks"])["job_id"]
    answered = {name: status_of(each, job_id).status_code for name, each in clients.items()}
    assert answered == {"asks": 200, "reads": 200, "may not read documents": 404, "may not see tasks": 403}
    assert status_of(other_client, job_id).status_code == 404
    for each in clients.values():
        each.close()


@pytest.mark.parametrize(
    "task_id", ["8f1c2d1e-6f7a-4c53-9a55-1c1b7f0f3b11", "x" * 5_000, "%F0%9F%92%A9", "..", "'; DROP TABLE jobs; --"]
)
def test_what_is_no_id_of_a_task_is_not_found(client: httpx.Client, task_id: str) -> None:
    assert status_of(client, task_id).status_code == 404
    assert status_of(client, f"{task_id}%00").status_code == 400
