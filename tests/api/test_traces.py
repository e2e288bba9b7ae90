"""What an answer was made from, on a running service."""

from uuid import uuid4

import httpx

from tests.service import Service, ask

QUESTION = "How much does a dormitory room cost a month?"


def read_trace(client: httpx.Client, conversation_id: str, run_id: str) -> httpx.Response:
    return client.get(f"/v1/conversations/{conversation_id}/answers/{run_id}/trace")


def test_an_answer_tells_what_it_was_made_from_to_its_owner_alone(service: Service, north: httpx.Client) -> None:
    talk = uuid4().hex
    with service.client() as client:
        ask(client, QUESTION, talk)
        told = ask(client, "And for a week?", talk).json()
        theirs = ask(north, QUESTION, talk).json()
        at_once = read_trace(client, talk, told["run_id"])
        assert at_once.status_code == 200, at_once.text
        assert "dormitory" in at_once.json()["question"].lower(), "as it was searched for"
        cited = {citation["document_id"] for citation in told["citations"]}
        found = at_once.json()["passages"]
        assert [passage["number"] for passage in found] == list(range(1, len(found) + 1))
        assert {passage["document_id"] for passage in found if passage["is_cited"]} == cited
        assert sorted((passage["score"] for passage in found), reverse=True) == [passage["score"] for passage in found]
        opened = httpx.get(found[0]["link"], trust_env=False)
        assert opened.status_code == 200
        assert all(len(passage["excerpt"]) <= 300 for passage in found)
        assert at_once.json()["times_s"].keys() >= {"retrieve", "answer", "total"}

        def is_kept() -> bool:
            return any(row["id"] == talk for row in client.get("/v1/conversations").json()["conversations"])

        service.wait_for(is_kept)
        kept = read_trace(client, talk, told["run_id"]).json()
        assert {**kept, "passages": None} == {**at_once.json(), "passages": None}
        assert read_trace(north, talk, told["run_id"]).status_code == 404
        assert read_trace(client, talk, theirs["run_id"]).status_code == 404
        assert read_trace(north, talk, theirs["run_id"]).json()["passages"] == [], "they have no documents"
        assert "excerpt" not in client.get(f"/v1/conversations/{talk}").text, "it is asked for by itself"
        assert client.delete(f"/v1/conversations/{talk}").status_code == 204
        gone = read_trace(client, talk, told["run_id"])
        assert (gone.status_code, gone.headers["Content-Type"]) == (404, "application/problem+json")
        assert read_trace(north, talk, theirs["run_id"]).status_code == 200


def test_small_talk_and_what_was_never_answered_have_no_passages(service: Service) -> None:
    talk = uuid4().hex
    with service.client() as client:
        greeted = ask(client, "Hello!", talk).json()
        trace = read_trace(client, talk, greeted["run_id"]).json()
        assert (trace["passages"], trace["evidence"], trace["tool_calls"]) == ([], None, [])
        assert read_trace(client, talk, "never").status_code == 404
        assert read_trace(client, "never", greeted["run_id"]).status_code == 404
        assert read_trace(client, talk, "x" * 200).status_code == 400
