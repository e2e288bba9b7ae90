"""Past answers on a running service: what they were made from, and conversations that begin from them."""

import re
from uuid import uuid4

import httpx

from tests.fakes.model_server import FakeModelServer
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


def test_a_language_model_is_shown_more_passages_and_may_cite_each(
    service: Service, service_with_model: Service, model_server: FakeModelServer
) -> None:
    talks = [uuid4().hex for _ in range(4)]
    with service.client() as without, service_with_model.client() as client:
        quoted = read_trace(without, talks[0], ask(without, QUESTION, talks[0]).json()["run_id"]).json()
        model_server.reset()
        shown = read_trace(client, talks[1], ask(client, QUESTION, talks[1]).json()["run_id"]).json()["passages"]
        assert len(quoted["passages"]) == 6 < len(shown) <= 12
        sent = model_server.requests()[-1]["body"]["messages"][0]["content"]
        texts = re.findall(r"<passage number=.*?>\n(.*?)\n</passage>", sent, re.DOTALL)
        assert len(texts) == len(shown)
        assert sum(map(len, texts)) <= 5000
        sentence = " ".join(texts[-1].split())[:80]
        model_server.configure(replies={QUESTION: f"{sentence} [{len(shown)}]."})
        answer = ask(client, QUESTION, talks[2]).json()
        assert [each["document_id"] for each in answer["citations"]] == [shown[-1]["document_id"]]
        made = client.post("/v1/tenant/bots", json={"id": "few", "name": "Few", "top_k": 3})
        assert made.status_code == 201, made.text
        told = ask(client, QUESTION, talks[3], bot_id="few").json()
        trace = client.get(f"/v1/conversations/{talks[3]}/answers/{told['run_id']}/trace", params={"bot_id": "few"})
        assert len(trace.json()["passages"]) == 3, "whoever chose a number for a bot means it for its model, too"
    model_server.reset()


def test_small_talk_and_what_was_never_answered_have_no_passages(service: Service) -> None:
    talk = uuid4().hex
    with service.client() as client:
        greeted = ask(client, "Hello!", talk).json()
        trace = read_trace(client, talk, greeted["run_id"]).json()
        assert (trace["passages"], trace["evidence"], trace["tool_calls"]) == ([], None, [])
        assert read_trace(client, talk, "never").status_code == 404
        assert read_trace(client, "never", greeted["run_id"]).status_code == 404
        assert read_trace(client, talk, "x" * 200).status_code == 400


def test_an_answer_can_be_looked_into_while_it_is_being_written_to_the_transcript(
    service: Service, north: httpx.Client
) -> None:
    def look_until_kept(client: httpx.Client, talk: str, run_id: str) -> set[int]:
        seen = set()

        def is_kept() -> bool:
            seen.update(read_trace(client, talk, run_id).status_code for _ in range(8))
            return any(row["id"] == talk for row in client.get("/v1/conversations").json()["conversations"])

        service.wait_for(is_kept)
        return seen

    with service.client() as client:
        for talk in (uuid4().hex for _ in range(20)):
            run_id = ask(client, "Thank you!", talk).json()["run_id"]
            assert look_until_kept(client, talk, run_id) == {200}
            assert read_trace(north, talk, run_id).status_code == 404


def fork(client: httpx.Client, talk: str, run_id: str, **body: str) -> httpx.Response:
    return client.post(f"/v1/conversations/{talk}/answers/{run_id}/fork", json=body)


def read_texts(client: httpx.Client, conversation_id: str) -> list[str]:
    return [said["content"] for said in client.get(f"/v1/conversations/{conversation_id}").json()["messages"]]


def test_a_conversation_goes_on_from_a_past_answer_and_the_other_stays(service: Service, north: httpx.Client) -> None:
    talk, new = uuid4().hex, uuid4().hex
    with service.client() as client:
        first = ask(client, QUESTION, talk).json()["run_id"]
        ask(client, "When does the library open?", talk)
        whole = read_texts(client, talk)
        assert fork(north, talk, first, conversation_id=new).status_code == 404
        made = fork(client, talk, first, conversation_id=new)
        assert (made.status_code, made.json()["title"]) == (201, f"{QUESTION} (2)"), made.text
        assert client.get(made.headers["Location"]).json()["id"] == new
        assert read_texts(client, new) == whole[:2]
        told = ask(client, "And for a week?", new).json()
        assert "dormitory" in read_trace(client, new, told["run_id"]).json()["question"].lower()
        assert read_texts(client, talk) == whole, "it stays as it is"
        again = client.get(f"/v1/conversations/{new}").json()["messages"][1]["run_id"]
        assert again != first
        rating = {"rating": "up"}
        assert client.put(f"/v1/conversations/{new}/answers/{again}/rating", json=rating).status_code == 200
        assert read_trace(client, new, again).json()["passages"] == read_trace(client, talk, first).json()["passages"]
        taken = fork(client, talk, first, conversation_id=new)
        assert (taken.status_code, taken.headers["Content-Type"]) == (409, "application/problem+json")
        assert client.delete(f"/v1/conversations/{talk}?permanent=true").status_code == 204
        assert fork(client, talk, first).status_code == 404
        third = fork(client, new, told["run_id"])
        assert third.json()["title"] == f"{QUESTION} (3)"
        assert len(read_texts(client, third.json()["id"])) == 4
        for bad in ("ü", "", " ", "../x", "a" * 129):
            assert fork(client, new, told["run_id"], conversation_id=bad).status_code == 400, bad
        assert north.get(f"/v1/conversations/{new}").status_code == 404
