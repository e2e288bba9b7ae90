"""Asking over HTTP: what comes back, in which shape, and what is refused."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.fakes.model_server import FakeModelServer
from tests.service import ROOT, Service, ask, one_document

CONTRACT = {
    "answer": str, "response": str, "sources": str, "citations": list, "answered": bool, "language_model": bool,
    "model": str, "conversation_id": str, "session_id": str, "metrics": dict, "artifacts": dict, "persistence": str,
    "request_id": str,
}  # fmt: skip
CITATION = {
    "number", "document_id", "title", "source", "page", "heading", "start", "end", "quote", "score", "url", "version",
    "link", "document_status", "document_state", "language", "query",
}  # fmt: skip
QUESTIONS = json.loads((ROOT / "tests/samples/questions.json").read_text())


@pytest.fixture
def talk() -> str:
    """The id of a conversation nobody has had yet."""
    return uuid4().hex


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream: `id`, and the data."""
    found = []
    for block in response.text.strip().split("\n\n"):
        if block.startswith(":"):
            continue
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        data = json.loads(fields["data"])
        assert data["type"] == fields["event"]
        found.append({"id": fields["id"], **data})
    return found


def stream(client: httpx.Client, message: str, conversation_id: str) -> list[dict[str, Any]]:
    """One question, answered as a stream."""
    headers = {"X-Conversation-Id": conversation_id, "Accept": "text/event-stream"}
    response = client.post("/v1/chat", json={"message": message}, headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    return events(response)


def test_an_answer_has_every_member_of_the_contract(client: httpx.Client, talk: str) -> None:
    result = ask(client, "How much does a dormitory room cost?", talk).json()
    assert {name: type(result[name]) for name in CONTRACT} == CONTRACT
    assert result["answer"] == result["response"]
    assert result["conversation_id"] == result["session_id"] == talk
    assert result["persistence"] == "redis"
    assert result["metrics"]["total_time"] > 0


def test_an_answer_quotes_its_sources_word_for_word(client: httpx.Client, talk: str) -> None:
    result = ask(client, "How much does a dormitory room cost?", talk).json()
    assert result["answered"]
    assert "samples/student-dormitory.md" in result["sources"].split(", ")
    for citation in result["citations"]:
        assert set(citation) == CITATION
        assert f"[{citation['number']}]" in result["answer"]
        assert words_of(citation["quote"]) in words_of((ROOT / citation["source"]).read_text())
        assert citation["end"] - citation["start"] == len(citation["quote"])


def test_without_a_language_model_the_answer_says_so(client: httpx.Client, talk: str) -> None:
    result = ask(client, "How do I apply?", talk).json()
    assert result["language_model"] is False
    assert result["model"] == "extractive"


def test_what_is_not_in_the_documents_is_said_to_be_so(client: httpx.Client) -> None:
    off_topic = [item for item in QUESTIONS["questions"] if re.fullmatch(r"..-none-0[123]", item["id"])]
    results = [ask(client, item["question"], uuid4().hex).json() for item in off_topic]
    refused = [result for result in results if not result["answered"]]
    assert len(off_topic) == 9
    # "How much is a flight to Tokyo?" comes close to the travel rules; what comes less close is said to be uncertain.
    assert len(refused) >= 6
    assert sum(result["confidence"] == "high" for result in results) <= 1
    assert all(result["citations"] == [] and result["sources"] == "" for result in refused)


@pytest.mark.parametrize(
    ("question", "beginning"),
    [
        ("Who won the football world cup in 2018?", "That is not in the documents"),
        ("Siapa pemenang piala dunia sepak bola 2018?", "Hal itu tidak ada dalam dokumen"),
        ("¿Quién ganó el mundial de fútbol de 2018?", "Eso no está en los documentos"),
    ],
)
def test_a_refusal_speaks_the_language_of_the_question(client: httpx.Client, question: str, beginning: str) -> None:
    assert ask(client, question, uuid4().hex).json()["answer"].startswith(beginning)


@pytest.mark.long
def test_most_questions_about_the_samples_find_their_answer(client: httpx.Client) -> None:
    asked = [item for item in QUESTIONS["questions"] if item["document"] and not item["cross_lingual"]][::2]
    right = 0
    for item in asked:
        result = ask(client, item["question"], uuid4().hex).json()
        right += squashed(item["answer"]) in squashed(result["answer"])
    assert right >= 0.75 * len(asked), f"{right} of {len(asked)}"


@pytest.mark.parametrize("conversation", QUESTIONS["conversations"], ids=lambda item: item["id"])
def test_a_follow_up_is_understood_from_what_was_said_before(
    client: httpx.Client, conversation: dict[str, Any]
) -> None:
    talk = uuid4().hex
    results = [ask(client, turn["question"], talk).json() for turn in conversation["turns"]]
    last = conversation["turns"][-1]
    assert any(Path(item["source"]).name == last["document"] for item in results[-1]["citations"]), results[-1][
        "answer"
    ]


def test_a_conversation_can_be_read_again_with_its_citations(client: httpx.Client, talk: str) -> None:
    first, second = (
        ask(client, text, talk).json() for text in ("Saya tertarik dengan UTLS", "Bagaimana cara mendaftar?")
    )
    shown = client.get(f"/v1/conversations/{talk}").json()
    assert [(item["role"], item["content"]) for item in shown["messages"]] == [
        ("user", "Saya tertarik dengan UTLS"),
        ("assistant", first["answer"]),
        ("user", "Bagaimana cara mendaftar?"),
        ("assistant", second["answer"]),
    ]
    assert shown["messages"][3]["citations"] == second["citations"]
    assert 0 < shown["expires_in_s"] <= 86400
    assert all(item["created_at"] for item in shown["messages"])


def test_a_deleted_conversation_is_gone(client: httpx.Client, talk: str) -> None:
    ask(client, "How do I apply?", talk)
    assert client.delete(f"/v1/conversations/{talk}").status_code == 204
    assert client.get(f"/v1/conversations/{talk}").status_code == 404
    assert client.delete(f"/v1/conversations/{talk}").status_code == 404


def test_a_conversation_that_never_was_is_not_found(client: httpx.Client, talk: str) -> None:
    response = client.get(f"/v1/conversations/{talk}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_null_session_id_begins_a_conversation_that_can_go_on(client: httpx.Client) -> None:
    begun = client.post("/v1/chat", json={"message": "How do I apply?", "session_id": None}).json()
    went_on = client.post("/v1/chat", json={"message": "And then?", "session_id": begun["session_id"]}).json()
    assert went_on["conversation_id"] == begun["conversation_id"]
    assert len(client.get(f"/v1/conversations/{begun['conversation_id']}").json()["messages"]) == 4


def test_a_stream_tells_the_same_as_the_whole_answer(client: httpx.Client) -> None:
    question = "How much does a dormitory room cost?"
    whole = ask(client, question, uuid4().hex).json()
    seen = stream(client, question, uuid4().hex)
    kinds = [event["type"] for event in seen]
    assert kinds[0] == "start"
    assert kinds[-1] == "done"
    assert kinds.index("status") < kinds.index("token") < kinds.index("citation") < kinds.index("done")
    assert "".join(event["content"] for event in seen if event["type"] == "token").split() == whole["answer"].split()
    done = seen[-1]
    same = ("answer", "sources", "answered", "language_model", "artifacts", "persistence")
    assert {name: done[name] for name in same} == {name: whole[name] for name in same}
    assert len({event["id"] for event in seen}) == len(seen)


# --- Two tenants


def test_another_tenant_sees_neither_documents_nor_conversations(
    client: httpx.Client, other_client: httpx.Client, talk: str
) -> None:
    ours = ask(client, "How much does a dormitory room cost?", talk).json()
    theirs = ask(other_client, "How much does a dormitory room cost?", talk).json()
    assert ours["answered"]
    assert not theirs["answered"]
    assert len(other_client.get(f"/v1/conversations/{talk}").json()["messages"]) == 2
    assert other_client.delete(f"/v1/conversations/{talk}").status_code == 204
    assert len(client.get(f"/v1/conversations/{talk}").json()["messages"]) == 2


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_another_tenants_conversation_is_not_found(
    client: httpx.Client, other_client: httpx.Client, talk: str, method: str
) -> None:
    ask(client, "How do I apply?", talk)
    assert other_client.request(method, f"/v1/conversations/{talk}").status_code == 404
    assert client.get(f"/v1/conversations/{talk}").status_code == 200


# --- Bad input

BAD_BODIES = {
    "empty message": ({"message": ""}, "message"),
    "blank message": ({"message": " \n "}, "message"),
    "long message": ({"message": "a" * 5001}, "message"),
    "message of a wrong type": ({"message": 7}, "message"),
    "null message": ({"message": None}, "message"),
    "no message": ({}, "message"),
    "half a surrogate pair": ({"message": "\ud800"}, "message"),
    "unknown field": ({"message": "Hi", "temperature": 1}, "temperature"),
    "session_id of a wrong type": ({"message": "Hi", "session_id": 7}, "session_id"),
    "session_id with a slash": ({"message": "Hi", "session_id": "a/b"}, "session_id"),
    "empty session_id": ({"message": "Hi", "session_id": ""}, "session_id"),
    "a list": ([1], "body"),
    "a string": ("Hi", "body"),
}


@pytest.mark.parametrize(("body", "field"), BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_wrong_body_is_refused_by_the_name_of_its_field(client: httpx.Client, body: Any, field: str) -> None:
    response = client.post("/v1/chat", content=json.dumps(body), headers=JSON)
    problem = response.json()
    assert response.status_code == 400, problem
    assert response.headers["content-type"] == "application/problem+json"
    assert field in [error["field"] for error in problem["errors"]], problem
    assert {"type", "title", "status", "detail", "instance", "request_id", "message", "timestamp"} <= set(problem)


JSON = {"Content-Type": "application/json", "X-Conversation-Id": "bad"}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"message": "Hi"', b"null", b"\xff\xfe", b'{"message": "Hi"} x', b"[" * 100_000, b'{"a":' * 50_000],
    ids=["empty", "brace", "cut", "null", "not UTF-8", "rest", "deep list", "deep object"],
)
def test_what_is_not_json_is_refused(client: httpx.Client, content: bytes) -> None:
    response = client.post("/v1/chat", content=content, headers=JSON)
    assert response.status_code == 400, response.text
    assert response.json()["detail"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(client: httpx.Client, content_type: str) -> None:
    headers = {"X-Conversation-Id": "bad", "Content-Type": content_type}
    response = client.post("/v1/chat", content=b'{"message": "Hi"}', headers=headers)
    assert response.status_code in (400, 415)
    assert "application/json" in response.json()["detail"]


@pytest.mark.parametrize("conversation_id", ["a b", "a/b", "a.b", "ä".encode(), "a" * 129, "", "a\tb"])
def test_a_conversation_id_outside_its_alphabet_is_refused(client: httpx.Client, conversation_id: Any) -> None:
    response = client.post("/v1/chat", json={"message": "Hi"}, headers={"X-Conversation-Id": conversation_id})
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == "X-Conversation-Id"


def test_neither_header_nor_session_id_is_refused_naming_both(client: httpx.Client) -> None:
    problem = client.post("/v1/chat", json={"message": "Hi"}).json()
    assert problem["status"] == 400
    assert "X-Conversation-Id" in problem["detail"]
    assert "session_id" in problem["detail"]


def test_header_and_session_id_that_differ_are_refused(client: httpx.Client) -> None:
    assert ask(client, "Hi", "one", session_id="two").status_code == 400


@pytest.mark.long
def test_the_longest_message_and_id_are_taken(client: httpx.Client) -> None:
    response = ask(client, "apply? " * 714 + "ab", "a" * 128)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("path", ["/v1/conversations/a.b", f"/v1/conversations/{'a' * 129}", "/v1/conversations/%00"])
def test_a_conversation_path_outside_its_alphabet_is_refused(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 400


def test_a_body_over_the_limit_is_refused_before_it_is_read(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"message": "'
        while True:
            yield b"a" * 65536

    response = client.post("/v1/chat", content=endless(), headers=JSON)
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"


def test_a_wrong_method_and_a_wrong_path_are_problems_too(client: httpx.Client) -> None:
    wrong_method, wrong_path = client.get("/v1/chat"), client.get("/v1/nothing")
    assert (wrong_method.status_code, wrong_path.status_code) == (405, 404)
    assert "POST" in wrong_method.headers["allow"]
    assert {wrong_method.headers["content-type"], wrong_path.headers["content-type"]} == {"application/problem+json"}
    assert "/docs" in wrong_path.json()["detail"]
    assert "Allow" in wrong_method.json()["detail"]


# --- Keys


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "wrong"},
        {"X-API-Key": "ak_live_00000000_" + "a" * 43},
        {"X-API-Key": "ä".encode()},
        {"X-API-Key": "a" * 10_000},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic d3Jvbmc6d3Jvbmc="},
    ],
    ids=["none", "empty", "wrong", "well made", "not ASCII", "long", "bearer", "basic"],
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/chat"), ("GET", "/v1/conversations/a"), ("DELETE", "/v1/conversations/a")]
)
def test_without_a_valid_key_nothing_is_answered(
    service: Service, method: str, path: str, headers: dict[str, Any]
) -> None:
    with service.client("") as client:
        # The body is wrong too: who has no key does not even learn that.
        response = client.request(method, path, headers=headers, content=b"{")
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.json()["title"] == "A valid API key is needed"


def test_a_key_may_come_as_a_bearer_token(service: Service, talk: str) -> None:
    with service.client("", Authorization=f"Bearer {service.key}") as client:
        assert ask(client, "How do I apply?", talk).status_code == 200


# --- The language model


@pytest.fixture
def asking_model(service_with_model: Service, model_server: FakeModelServer) -> Iterator[httpx.Client]:
    """A client of a service whose language model behaves, until the test says otherwise."""
    model_server.reset()
    with service_with_model.client() as opened:
        yield opened
    model_server.reset()


def test_a_language_models_answer_is_bound_to_its_passages(asking_model: httpx.Client, talk: str) -> None:
    result = ask(asking_model, "How do I apply?", talk).json()
    assert result["language_model"] is True
    assert result["model"] == "fake"
    assert result["citations"][0]["number"] == 1
    assert result["citations"][0]["quote"] in (ROOT / result["citations"][0]["source"]).read_text()


@pytest.mark.parametrize(
    ("greeting", "begins", "asks"),
    [
        ("Hello!", "Hello! I answer", "What should I know about |(How|Where|When) do I |What does “|What do you "),
        ("hola", "¡Hola! Respondo", "¿Qué debo saber sobre |¿(Cómo|Dónde) puedo |¿Qué dice «"),
        ("halo", "Halo! Saya", "Apa yang perlu saya ketahui tentang |Bagaimana cara |Apa isi “"),
    ],
)
def test_a_greeting_is_answered_with_questions_that_the_documents_answer(
    client: httpx.Client, talk: str, greeting: str, begins: str, asks: str
) -> None:
    seen = stream(client, greeting, talk)
    done = seen[-1]
    assert done["answer"].startswith(begins)
    assert (done["answered"], done["small_talk"], done["confidence"], done["citations"]) == (True, True, None, [])
    assert [event["type"] for event in seen] == ["start", "token", "done"]
    examples = re.findall(r"^- (.*)$", done["answer"], re.MULTILINE)
    assert len(examples) == 3
    for example in examples:
        result = ask(client, example, uuid4().hex).json()
        assert (result["answered"], result["small_talk"]) == (True, False)
        cited = result["citations"][0]
        if example != cited["heading"].rpartition(" › ")[2]:  # else that is a question
            assert re.match(asks, example)
            assert cited["heading"].split()[-1].casefold() in example.casefold()
    [_, shown] = client.get(f"/v1/conversations/{talk}").json()["messages"]
    assert (shown["small_talk"], shown["answered"]) == (True, True)


def test_a_tenant_without_documents_is_greeted_without_those_of_others(
    service: Service, key_without_documents: str, talk: str
) -> None:
    with service.client(key_without_documents) as nobody:
        assert ask(nobody, "hello", talk).json()["answer"].endswith("There are no documents yet.")


def test_what_comes_near_without_answering_is_said_to_be_uncertain(client: httpx.Client, talk: str) -> None:
    seen = stream(client, "Which animals are allowed in the halls without any restriction?", talk)
    done = seen[-1]
    assert (done["answered"], done["confidence"]) == (True, "low")
    introduction = "I am not sure that the documents answer this. The closest passages say:\n\n"
    assert done["answer"].startswith(introduction)
    assert "".join(event["content"] for event in seen if event["type"] == "token") == done["answer"]
    assert done["citations"]
    for sentence in done["support"]["sentences"]:
        assert sentence["start"] >= len(introduction)
        assert done["answer"][sentence["start"] : sentence["end"]].strip()
    [_, shown] = client.get(f"/v1/conversations/{talk}").json()["messages"]
    assert shown["confidence"] == "low"


def test_a_refusal_says_where_to_look(client: httpx.Client, talk: str) -> None:
    result = ask(client, "Who won the football world cup in 1998?", talk).json()
    assert (result["answered"], result["confidence"], result["small_talk"]) == (False, None, False)
    assert "The closest headings: " in result["answer"]


def test_a_mark_that_points_at_nothing_is_taken_out(
    asking_model: httpx.Client, model_server: FakeModelServer, talk: str
) -> None:
    model_server.configure(replies={"How do I apply?": "Online [1, 99]. By post [42]."})
    result = ask(asking_model, "How do I apply?", talk).json()
    assert result["answer"] == "Online [1]. By post."
    assert [citation["number"] for citation in result["citations"]] == [1]


@pytest.mark.parametrize("reply", ["NOT_IN_DOCUMENTS", " NOT_IN_DOCUMENTS.\n", "NOT_IN_DOCUMENTS because I say so"])
def test_a_language_model_that_finds_no_answer_becomes_a_refusal(
    asking_model: httpx.Client, model_server: FakeModelServer, talk: str, reply: str
) -> None:
    model_server.configure(replies={"How do I apply?": reply})
    seen = stream(asking_model, "How do I apply?", talk)
    assert not seen[-1]["answered"]
    assert seen[-1]["answer"].startswith("That is not in the documents")
    assert not any("NOT_IN" in event.get("content", "") for event in seen)


def test_the_language_model_is_told_the_conversation_so_far(
    asking_model: httpx.Client, model_server: FakeModelServer, talk: str
) -> None:
    ask(asking_model, "How do I apply? mk12345678", talk)
    answer = ask(asking_model, "What does it cost? mkabcdefgh", talk).json()["answer"]
    assert "u=2 a=1" in answer
    assert "m=mk12345678,mkabcdefgh;" in answer


def test_the_model_is_told_questions_and_answers_in_turn_whatever_happened(
    asking_model: httpx.Client, model_server: FakeModelServer, talk: str
) -> None:
    model_server.configure(faults=[{"kind": "status", "status": 503}])
    assert ask(asking_model, "How do I apply?", talk).json()["fallback_reason"] == "model-unavailable"
    for _ in range(11):
        assert ask(asking_model, "How much does a dormitory room cost?", talk).status_code == 200
    prompts = [[message["role"] for message in call["body"]["messages"]] for call in model_server.requests()]
    for roles in prompts:
        talked = [role for role in roles if role != "system"]
        assert talked == ["user", "assistant"] * (len(talked) // 2) + ["user"]


def squashed(text: str) -> str:
    """The text with its white space collapsed: lines of a PDF wrap."""
    return " ".join(text.split())


def words_of(text: str) -> str:
    """The words alone: the lines of a Markdown table are drawn with characters that are not part of its text."""
    return " ".join(re.findall(r"\w+", text))


def test_both_sides_may_be_at_an_endpoint(tmp_path: Path, model_server: FakeModelServer) -> None:
    model_server.reset()
    variables = {"OPENAI_BASE_URL": model_server.base_url, "OPENAI_API_KEY": "given-for-it", **one_document(tmp_path)}
    with Service(tmp_path / "data", **variables) as service:
        with service.client() as client:
            service.wait_for(lambda: client.get("/health?verbose").json()["indexing"]["pending_count"] == 0)
            result = ask(client, "How much does a dormitory room cost?").json()
        assert result["language_model"]
        assert result["citations"]
        kinds = {call["kind"] for call in model_server.requests()}
        assert {"embeddings", "chat"} <= kinds
        assert all(call["headers"]["authorization"] == "Bearer given-for-it" for call in model_server.requests())
        assert "given-for-it" not in service.logged() + service.printed()


def test_while_the_embedding_endpoint_is_away_passages_are_found_by_their_words(
    tmp_path: Path, model_server: FakeModelServer
) -> None:
    model_server.reset()
    variables = {"EMBEDDING_BASE_URL": model_server.base_url, "EMBEDDING_DIMENSION": "384", **one_document(tmp_path)}
    with Service(tmp_path / "data", **variables) as service, service.client() as client:
        service.wait_for(lambda: client.get("/health?verbose").json()["indexing"]["pending_count"] == 0)
        model_server.configure(faults=[{"kind": "status", "status": 400, "times": -1}])
        result = ask(client, "How much does a dormitory room cost?").json()
        model_server.reset()
    assert result["answered"]
    assert "words" in result["degraded"]
