"""A first question that was asked before is answered as it was then, with CACHE_ENABLED."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.api.test_bots import add_bot
from tests.conftest import FAKE_MODEL
from tests.fakes.model_server import FakeModelServer
from tests.service import Library, Service, ask, assert_nothing_held_the_loop

QUESTION = "How much is the application fee?"


@pytest.fixture(scope="module")
def caching(
    library: Library, tmp_path_factory: pytest.TempPathFactory, model_server: FakeModelServer
) -> Iterator[Service]:
    variables = {**FAKE_MODEL, "LLM_BASE_URL": model_server.base_url, "LLM_MAX_RETRIES": "0"}
    folder = tmp_path_factory.mktemp("caching")
    made = library.service(folder, RATE_LIMIT_ENABLED="false", CACHE_ENABLED="true", VERIFY_JUDGE="true", **variables)
    with made.watched() as running:
        yield running
        assert_nothing_held_the_loop(running)


@pytest.fixture
def asking(caching: Service, model_server: FakeModelServer) -> Iterator[httpx.Client]:
    model_server.reset()
    with caching.client() as client:
        yield client


def calls(server: FakeModelServer) -> int:
    counters = server.counters()
    return counters["chat"] + counters["stream"]


def test_the_same_first_question_costs_no_second_call_and_says_so(
    asking: httpx.Client, model_server: FakeModelServer
) -> None:
    first = ask(asking, QUESTION, "c1").json()
    second = ask(asking, "how much is  the application FEE", "c2").json()
    assert first["citations"], "an answer without them is not kept"
    assert (first["cached"], second["cached"]) == (False, True)
    for name in ("answer", "citations", "sources", "model", "answered", "language_model"):
        assert second[name] == first[name]
    assert calls(model_server) == 1
    talk = asking.get("/v1/conversations/c2").json()["messages"]
    assert [(message["role"], message["content"]) for message in talk] == [
        ("user", "how much is  the application FEE"),
        ("assistant", first["answer"]),
    ]
    assert talk[1]["citations"] == first["citations"]


def test_a_conversation_goes_on_from_an_answer_that_was_kept(
    asking: httpx.Client, model_server: FakeModelServer
) -> None:
    question = "What is the pass mark?"
    for conversation in ("d1", "d2"):
        ask(asking, question, conversation)
    model_server.reset()
    later = ask(asking, question, "d2").json()
    assert later["cached"] is False, "not its first question"
    assert calls(model_server) >= 1
    assert " a=1 " in later["answer"], "the model saw the kept answer as the one before"
    assert len(asking.get("/v1/conversations/d2").json()["messages"]) == 4


def test_a_kept_answer_is_streamed_in_one_piece(asking: httpx.Client, model_server: FakeModelServer) -> None:
    question = "By what time must visitors leave the dormitory?"
    said = ask(asking, question, "e1").json()
    headers = {"X-Conversation-Id": "e2", "Accept": "text/event-stream"}
    streamed = asking.post("/v1/chat", json={"message": question}, headers=headers).text
    events = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: ")]
    assert [event["content"] for event in events if event["type"] == "token"] == [said["answer"]]
    assert [event["cached"] for event in events if event["type"] == "done"] == [True]
    assert calls(model_server) == 1


def test_another_tenant_never_gets_it(caching: Service, asking: httpx.Client) -> None:
    question = "How deep may scientific dives go?"
    ours = ask(asking, question, "f1").json()
    with caching.client(caching.new_key("acme")) as other:
        theirs = ask(other, question, "f1").json()
    assert ours["answered"] is True
    assert (theirs["answered"], theirs["cached"], theirs["citations"]) == (False, False, [])


def test_what_the_documents_do_not_hold_is_not_kept(asking: httpx.Client, model_server: FakeModelServer) -> None:
    question = "For how long are camera recordings kept?"
    model_server.configure(replies={question: "NOT_IN_DOCUMENTS"})
    refused = ask(asking, question, "g1").json()
    model_server.reset()
    again = ask(asking, question, "g2").json()
    assert (refused["answered"], again["cached"]) == (False, False)


def test_an_answer_that_the_model_did_not_end_is_not_kept(asking: httpx.Client, model_server: FakeModelServer) -> None:
    question = "How long is the semester break?"
    model_server.configure(finish_reason="length")
    assert ask(asking, question, "i1").json()["citations"]
    model_server.reset()
    assert ask(asking, question, "i2").json()["cached"] is False


def test_quotes_in_place_of_a_models_answer_are_not_kept(asking: httpx.Client, model_server: FakeModelServer) -> None:
    question = "When can I hand in chemical waste?"
    model_server.configure(faults=[{"kind": "status", "status": 500}])
    assert ask(asking, question, "h1").json()["fallback_reason"] == "model-unavailable"
    again = ask(asking, question, "h2").json()
    assert (again["cached"], again["language_model"]) == (False, True)


@pytest.mark.parametrize("policy", ["mark", "drop"])
def test_an_answer_that_could_not_be_checked_is_not_kept(
    asking: httpx.Client, model_server: FakeModelServer, policy: str
) -> None:
    question = "By which hour must visitors leave the dormitory?"
    replies = {question: "Los visitantes se registran en la portería [1].", "numbered sentences": "1 YES"}
    model_server.configure(replies=replies, faults=[{"kind": "status", "after_calls": 1}])
    add_bot(asking, policy, unsupported_sentences=policy)

    def ask_again() -> tuple[str, bool]:
        said = asking.post("/v1/chat", json={"message": question, "bot_id": policy, "session_id": None}).json()
        return said["support"]["sentences"][0]["status"], said["cached"]

    assert [ask_again() for _ in range(3)] == [("unverified", False), ("supported", False), ("supported", True)]
