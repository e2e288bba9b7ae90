"""Ratings of answers on a running service that encrypts conversations."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.cli.stored import NEW, OLD
from tests.service import Service, ask, await_knowledge, one_document

pytestmark = pytest.mark.long

QUESTION = "How much does a room cost, if Ingeborg takes it?"
COMMENT, EXPECTED, LATER = "Ingeborg wrote: too dear.", "Ingeborg pays 1 rupiah", "Ingeborg wrote: far too dear."
UNREADABLE = (500, "urn:pustaka:problem:state-unreadable", "application/problem+json")


@contextmanager
def begun(folder: Path, keys: str) -> Iterator[tuple[Service, list[httpx.Client]]]:
    """A service with these keys, and a client of each of two tenants."""
    variables = {"STATE_ENCRYPTION_KEYS": keys, "RATE_LIMIT_ENABLED": "false"}
    with ExitStack() as stack:
        service = stack.enter_context(Service(folder / "data", **one_document(folder), **variables))
        await_knowledge(service, "How much does a room cost?")
        tenants = [service.client(), service.client(service.new_key("globex", scopes=["all"]))]
        yield service, [stack.enter_context(client) for client in tenants]


def begun_again(service: Service, keys: str) -> None:
    service.stop()
    service.variables["STATE_ENCRYPTION_KEYS"] = keys
    service.start()


def rated(client: httpx.Client, conversation_id: str = "asked", **words: str) -> str:
    """The path of a rating of an answer in that conversation."""
    run_id = ask(client, QUESTION, conversation_id).json()["run_id"]
    path = f"/v1/conversations/{conversation_id}/answers/{run_id}/rating"
    assert client.put(path, json={"rating": "down", **words}).status_code == 200
    return path


def listed(client: httpx.Client) -> list[dict[str, object]]:
    ratings: list[dict[str, object]] = client.get("/v1/tenant/ratings").json()["ratings"]
    return ratings


def refused(response: httpx.Response) -> tuple[int, str, str]:
    return response.status_code, response.json()["type"], response.headers["content-type"]


def in_files(service: Service, *said: str) -> list[str]:
    """Which of this stands in the files of the database, its log of changes included."""
    files = b"".join(file.read_bytes() for file in service.data_dir.glob("pustaka.db*"))
    return [text for text in said if text.encode() in files]


def test_nothing_that_was_said_stands_in_the_database(tmp_path: Path) -> None:
    with begun(tmp_path, OLD) as (service, tenants):
        for client in tenants:
            path = rated(client, comment=COMMENT, expected=EXPECTED)
            changed = client.put(path, json={"rating": "down", "comment": LATER}).json()
            [shown] = listed(client)
            assert shown == changed
            assert (shown["question"], shown["comment"], shown["expected"]) == (QUESTION, LATER, EXPECTED)
            said = QUESTION, str(shown["answer"]), COMMENT, LATER, EXPECTED, "Ingeborg"
            assert in_files(service, *said) == []
        assert f"question: {QUESTION}" in service.flask("ratings").stdout
        service.stop()
        assert in_files(service, *said) == []


def test_without_its_key_a_rating_is_refused_by_name_and_can_be_deleted(tmp_path: Path) -> None:
    with begun(tmp_path, OLD) as (service, tenants):
        taken = [rated(client, comment=COMMENT) for client in tenants]
        for client in tenants:
            rated(client, "forgotten", comment=COMMENT)
            rated(client, expected=EXPECTED)
        kept = [listed(client)[:1] for client in tenants]
        begun_again(service, NEW)
        for client, path in zip(tenants, taken, strict=True):
            assert refused(client.get("/v1/tenant/ratings")) == UNREADABLE
            assert client.delete(path).status_code == 204
            assert client.delete("/v1/conversations/forgotten").status_code == 204
        assert "of globex.asked: it is encrypted under the key 'old', which is not configured" in service.logged()
        command = service.flask("ratings", "--forget")
        assert (command.returncode, "0 questions" in command.stderr) == (1, True)
        assert "encrypted under the key 'old', which is not configured" in command.stderr
        begun_again(service, f"{NEW},{OLD}")
        assert [listed(client) for client in tenants] == kept
        assert EXPECTED in service.flask("ratings").stdout


def test_ratings_of_before_there_were_keys_stay_readable_until_they_are_encrypted(tmp_path: Path) -> None:
    with begun(tmp_path, "") as (service, tenants):
        for client in tenants:
            rated(client, comment=COMMENT, expected=EXPECTED)
        before = [listed(client) for client in tenants]
        said = QUESTION, str(before[0][0]["answer"]), COMMENT, EXPECTED
        assert in_files(service, *said) == list(said)
        begun_again(service, NEW)
        assert [listed(client) for client in tenants] == before
        done = service.flask("state", "encrypt", "--all")
        assert "2 ratings encrypted under 'new'; 0 were already." in done.stdout, done.stderr
        assert [listed(client) for client in tenants] == before
        begun_again(service, "")
        for client in tenants:
            assert refused(client.get("/v1/tenant/ratings")) == UNREADABLE
