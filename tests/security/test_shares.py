"""A tenant that asks for as much as it can keeps no other one from what the service does a few times at once."""

from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from uuid import uuid4

import httpx
import pytest

from tests.ingestion.files import drawn_pdf, pdf
from tests.service import Service

CROWD = 8


def test_the_questions_of_a_tenant_do_not_keep_another_ones_from_the_embedding_model(
    service: Service, client: httpx.Client, other_key: str
) -> None:
    def ask(number: int) -> int:
        with service.client(other_key) as theirs:
            return theirs.post("/v1/search", json={"query": f"{number} " + "a-" * 200}, timeout=120).status_code

    with ThreadPoolExecutor(CROWD) as threads:
        crowd = [threads.submit(ask, number) for number in range(CROWD)]
        wait(crowd, timeout=60, return_when=FIRST_COMPLETED)  # from now on all others are there
        found = client.post("/v1/search", json={"query": "When is the reading room of the attic open?"}, timeout=120)
        before = sum(each.done() for each in crowd)
        assert {each.result() for each in crowd} == {200}
    assert found.json()["degraded"] is None
    assert before <= CROWD - 3


def add(service: Service, client: httpx.Client, data: bytes) -> str:
    """The path of a new document, once it has been read."""
    path = f"/v1/tenant/datasets/{client.post('/v1/tenant/datasets', json={'name': uuid4().hex}).json()['id']}"
    [job] = client.post(f"{path}/documents/upload", files={"files": ("page.pdf", data)}).json()["jobs"]
    service.wait_for(lambda: client.get(job["status_url"]).json()["status"] == "completed")
    return f"/v1/documents/{job['document_id']}"


@pytest.mark.long
def test_a_page_that_is_drawn_for_long_keeps_no_other_tenant_from_theirs(
    service: Service, client: httpx.Client, other_client: httpx.Client
) -> None:
    text = "BT /F1 12 Tf 50 700 Td (The slow page is drawn for long.) Tj ET "
    slow = add(service, other_client, drawn_pdf(text + "10 10 500 700 re f " * 200_000))
    quick = add(service, client, pdf(["The quick page of the janitor."]))
    with ThreadPoolExecutor(2) as threads:
        drawn = [threads.submit(other_client.get, f"{slow}/pages/1.png", timeout=60) for _ in range(2)]
        picture = client.get(f"{quick}/pages/1.png", timeout=60)
        shown = client.get(f"{quick}/view", timeout=60)
        text_alone = other_client.get(f"{slow}/view", timeout=60)
        assert not any(each.done() for each in drawn)
        assert [each.result().status_code for each in drawn] == [422, 422]
    assert (picture.status_code, shown.status_code, text_alone.status_code) == (200, 200, 200)
    assert ("pages/1.png" in shown.text, "pages/1.png" in text_alone.text) == (True, False)
    assert "drawn for long" in text_alone.text
