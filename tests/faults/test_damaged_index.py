"""A damaged index: the service starts, answers by words at once, and has its vectors again by itself."""

import os
import signal
from pathlib import Path

import httpx
import pytest

from tests.service import Service, ask, await_vectors, one_document

QUESTION = "How much does a dormitory room cost?"


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


def _list_statuses(client: httpx.Client) -> list[str]:
    return [each["status"] for each in client.get("/v1/tenant/documents").json()["documents"]]
