"""A damaged index: the service starts, answers by words at once, and has its vectors again by itself."""

import os
import signal
from pathlib import Path

import httpx
import pytest

from tests.service import Service, ask, await_vectors, one_document

pytestmark = [pytest.mark.long, pytest.mark.soak]

QUESTION = "How much does a dormitory room cost?"
INDEX_IS_FILLED = "The search index was damaged and is being filled again: passages may be missing."
STILL_BEING_READ = "the documents are still being read"


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
def test_a_service_whose_index_is_damaged_starts_and_builds_it_again(tmp_path: Path, is_killed: bool) -> None:
    variables = {"RATE_LIMIT_ENABLED": "false", **one_document(tmp_path)}
    with Service(tmp_path / "data", **variables) as service:
        key, acme = service.key, service.new_key("acme")
        with service.client(acme) as other:
            dataset = other.post("/v1/tenant/datasets", json={"name": "ours"}).json()["id"]
            text = {"title": "Kites", "content": "The kite club meets on Sundays at 09:40."}
            assert other.post(f"/v1/tenant/datasets/{dataset}/documents", json=text).status_code == 202
            service.wait_for(lambda: "09:40" in ask(other, "When does the kite club meet?").text)
        await_vectors(service)
        service.stop(signal.SIGKILL if is_killed else signal.SIGINT)
        [vectors] = (service.data_dir / "index").glob("*/segments/*/vector_storage-meaning/vectors/chunk_0.mmap")
        os.truncate(vectors, 0)

        service.start()
        with service.client(key) as client, service.client(acme) as other:
            first = client.post("/v1/search", json={"query": "queen of Denmark"}).json()
            assert first["degraded"] in (INDEX_IS_FILLED, None)  # None where all vectors are there already
            assert ask(client, QUESTION, "a").json()["citations"]
            assert "09:40" in ask(other, "When does the kite club meet?", "a").text
            assert not ask(other, QUESTION, "b").json()["citations"]
            assert "09:40" not in ask(client, "When does the kite club meet?", "b").text
            await_vectors(service)
            assert ask(client, QUESTION, "c").json()["citations"]
            service.wait_for(lambda: _list_statuses(other) == ["completed"])
        assert service.logged().count("is damaged") == 1
        assert ("chunk_0.mmap has changed since it was closed" in service.logged()) is not is_killed
        assert "Passages are missing in the index; indexing them again." in service.logged()
        [aside] = (service.data_dir / "index").glob("*.damaged")
        assert (aside / "segments").is_dir()


def test_an_index_that_is_damaged_while_it_serves_is_never_taken_for_documents_without_an_answer(
    tmp_path: Path,
) -> None:
    variables = {"RATE_LIMIT_ENABLED": "false", **one_document(tmp_path)}
    with Service(tmp_path / "data", **variables) as service, service.client(service.new_key("acme")) as other:
        dataset = other.post("/v1/tenant/datasets", json={"name": "ours"}).json()["id"]
        text = {"title": "Kites", "content": "The kite club meets on Sundays at 09:40."}
        assert other.post(f"/v1/tenant/datasets/{dataset}/documents", json=text).status_code == 202
        service.wait_for(lambda: "09:40" in ask(other, "When does the kite club meet?").text)
        await_vectors(service)
        for page in (service.data_dir / "index").glob("*/segments/*/payload_storage/page_0.dat"):
            with page.open("r+b") as file:
                file.write(os.urandom(60_000))

        with service.client() as client:
            seen: list[str | None] = []
            while not seen or seen[-1] is not None or len(seen) < 5:
                for each, question, expected in (
                    (client, QUESTION, "850,000"),
                    (other, "When does the kite club meet?", "09:40"),
                ):
                    reply = ask(each, question, f"while-{len(seen)}")
                    assert reply.status_code == 200, reply.text
                    answer = reply.json()
                    assert "not in the documents" not in answer["answer"]
                    assert expected in answer["answer"] or STILL_BEING_READ in answer["answer"]
                    found = each.post("/v1/search", json={"query": question}).json()
                    assert found["degraded"] == INDEX_IS_FILLED or found["passages"]
                    assert STILL_BEING_READ not in answer["answer"] or answer["degraded"] == INDEX_IS_FILLED
                    seen.extend((answer["degraded"], found["degraded"]))
                assert len(seen) < 1000
        assert INDEX_IS_FILLED in seen
        assert service.logged().count("is damaged") == 1


def _list_statuses(client: httpx.Client) -> list[str]:
    return [each["status"] for each in client.get("/v1/tenant/documents").json()["documents"]]
