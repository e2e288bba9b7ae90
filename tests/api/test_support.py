"""Sentences checked against their sources, over HTTP: what is told of them, what becomes of those without support."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.conftest import FAKE_MODEL
from tests.entailment_model import write_model
from tests.fakes.model_server import FakeModelServer
from tests.service import Service, ask, await_knowledge

pytestmark = pytest.mark.long

HALL = (
    "# Gull Hall\n\nA room in Gull Hall costs IDR 650,000 a month. Rent covers water and internet. "
    "Rent is due on the fifth day of each month. Quiet hours are from 22:00 to 06:00.\n"
)
QUESTION = "How much does a room in Gull Hall cost?"
RIGHT = "A room in Gull Hall costs IDR 650,000 a month [1]."
WRONG = "Electricity is charged at IDR 9,900 per kWh [1]."
DUE = "Rent is due on the fifth day of each month [1]."


@pytest.fixture(autouse=True)
def answering(model_server: FakeModelServer) -> Iterator[FakeModelServer]:
    """The model says something right, something wrong, and something right."""
    model_server.reset()
    model_server.configure(replies={QUESTION: f"{RIGHT} {WRONG} {DUE}"})
    yield model_server
    model_server.reset()


def service_that(policy: str) -> Any:
    """A fixture: a service with a small library and a language model that marks, drops or refuses."""

    @pytest.fixture(scope="module", name=policy)
    def running(tmp_path_factory: pytest.TempPathFactory, model_server: FakeModelServer) -> Iterator[Service]:
        folder = tmp_path_factory.mktemp(policy)
        (folder / "hall.md").write_text(HALL)
        variables = {**FAKE_MODEL, "LLM_BASE_URL": model_server.base_url, "LLM_MAX_RETRIES": "0"}
        variables |= {"UNSUPPORTED_SENTENCES": policy, "RATE_LIMIT_ENABLED": "false", "KNOWLEDGE_DIR": str(folder)}
        model_server.configure(replies={QUESTION: RIGHT})
        with Service(tmp_path_factory.mktemp("data") / "data", **variables) as service:
            await_knowledge(service, QUESTION)
            yield service

    return running


mark, drop, refuse = service_that("mark"), service_that("drop"), service_that("refuse")


def stream(client: httpx.Client, question: str, talk: str) -> list[dict[str, Any]]:
    """The events of a streamed answer."""
    headers = {"X-Conversation-Id": talk, "Accept": "text/event-stream"}
    text = client.post("/v1/chat", json={"message": question}, headers=headers).text
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


def streamed_text(seen: list[dict[str, Any]]) -> str:
    """What was shown while the answer came."""
    return "".join(event["content"] for event in seen if event["type"] == "token")


def test_each_sentence_is_told_with_its_place_and_the_reason(mark: Service) -> None:
    with mark.client() as client:
        result = ask(client, QUESTION, uuid4().hex).json()
    sentences = result["support"]["sentences"]
    assert [result["answer"][each["start"] : each["end"]] for each in sentences] == [RIGHT, WRONG, DUE]
    assert [each["status"] for each in sentences] == ["supported", "unsupported", "supported"]
    assert sentences[1]["reason"] == "the number IDR 9,900 is not in source [1]"
    assert result["support"]["supported_share"] == round(2 / 3, 4)
    assert (result["support"]["supported_count"], result["support"]["unsupported_count"]) == (2, 1)


def test_support_comes_in_the_stream_after_the_tokens_and_back_with_the_conversation(
    mark: Service,
) -> None:
    talk = uuid4().hex
    with mark.client() as client:
        seen = stream(client, QUESTION, talk)
        kept = client.get(f"/v1/conversations/{talk}").json()["messages"][1]
    kinds = [event["type"] for event in seen]
    assert (
        max(at for at, kind in enumerate(kinds) if kind == "token") < kinds.index("support") < kinds.index("citation")
    )
    told = {name: value for name, value in seen[kinds.index("support")].items() if name != "type"}
    assert told == seen[-1]["support"] == kept["support"]


def test_another_tenant_gets_no_support_from_our_documents(mark: Service) -> None:
    with mark.client() as ours, mark.client(mark.new_key("acme")) as theirs:
        talk = uuid4().hex
        supported, refused = (ask(each, QUESTION, talk).json() for each in (ours, theirs))
        kept = theirs.get(f"/v1/conversations/{talk}").json()["messages"][1]
    assert supported["support"]["supported_count"] == 2
    assert (refused["answered"], refused["support"], kept["support"]) == (False, None, None)


def test_a_dropped_sentence_is_never_shown(drop: Service) -> None:
    talk = uuid4().hex
    with drop.client() as client:
        seen = stream(client, QUESTION, talk)
        kept = client.get(f"/v1/conversations/{talk}").json()["messages"][1]
    done = seen[-1]
    assert streamed_text(seen) == done["answer"] == kept["content"] == f"{RIGHT} {DUE}"
    assert done["support"]["dropped_count"] == 1
    assert [done["answer"][each["start"] : each["end"]] for each in done["support"]["sentences"]] == [RIGHT, DUE]
    assert "9,900" not in json.dumps(seen)


def test_sentences_without_a_mark_of_their_own_are_held_back_until_theirs_is_known(
    drop: Service, answering: FakeModelServer
) -> None:
    answering.configure(
        replies={QUESTION: f"Quiet hours are from 21:00. {WRONG} Rent covers water and internet. {DUE}"}
    )
    with drop.client() as client:
        seen = stream(client, QUESTION, uuid4().hex)
    assert streamed_text(seen) == f"Rent covers water and internet. {DUE}"
    assert seen[-1]["support"]["dropped_count"] == 2


def test_a_sentence_after_the_last_mark_of_its_paragraph_rests_on_that(
    drop: Service, answering: FakeModelServer
) -> None:
    kept = f"{RIGHT} Rent covers water and internet."
    answering.configure(replies={QUESTION: f"{kept}\n\nThe hall also has a gym with a sauna and a pool."})
    with drop.client() as client:
        seen = stream(client, QUESTION, uuid4().hex)
    assert seen[-1]["answer"] == streamed_text(seen).strip() == kept
    assert [each["sources"] for each in seen[-1]["support"]["sentences"]] == [[1], [1]]


def test_an_answer_of_which_nothing_is_left_becomes_a_refusal(drop: Service, answering: FakeModelServer) -> None:
    answering.configure(replies={QUESTION: WRONG})
    with drop.client() as client:
        result = ask(client, QUESTION, uuid4().hex).json()
    assert not result["answered"]
    assert result["answer"].startswith("That is not in the documents")
    assert result["support"]["dropped_count"] == 1


def test_an_answer_with_a_sentence_without_support_is_refused_before_any_of_it_is_shown(refuse: Service) -> None:
    with refuse.client() as client:
        seen = stream(client, QUESTION, uuid4().hex)
    assert streamed_text(seen) == seen[-1]["answer"]
    assert seen[-1]["answer"].startswith("That is not in the documents")
    assert (seen[-1]["answered"], seen[-1]["citations"]) == (False, [])
    assert "650,000" not in json.dumps(seen)


def test_an_answer_that_is_supported_is_given_where_others_are_refused(
    refuse: Service, answering: FakeModelServer
) -> None:
    answering.configure(replies={QUESTION: f"{RIGHT} {DUE}"})
    with refuse.client() as client:
        seen = stream(client, QUESTION, uuid4().hex)
    assert streamed_text(seen) == seen[-1]["answer"] == f"{RIGHT} {DUE}"
    assert seen[-1]["support"]["supported_share"] == 1.0


INVENTED = "Rent covers water, internet and laundry [1]."


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory, model_server: FakeModelServer) -> Iterator[Service]:
    """A service with a model for entailment."""
    folder = tmp_path_factory.mktemp("reading")
    (folder / "hall.md").write_text(HALL)
    entailment = write_model(tmp_path_factory.mktemp("model"), [HALL, RIGHT, INVENTED], "tokens")
    variables = {**FAKE_MODEL, "LLM_BASE_URL": model_server.base_url, "VERIFY_MODEL_PATH": str(entailment)}
    variables |= {"RATE_LIMIT_ENABLED": "false", "KNOWLEDGE_DIR": str(folder)}
    model_server.configure(replies={QUESTION: RIGHT})
    with Service(tmp_path_factory.mktemp("data") / "data", **variables) as service:
        await_knowledge(service, QUESTION)
        yield service


def test_a_model_for_entailment_sees_what_is_made_up_in_the_words_of_the_passage(
    mark: Service, reading: Service, model_server: FakeModelServer
) -> None:
    model_server.configure(replies={QUESTION: f"{RIGHT} {INVENTED}"})
    found = {}
    for service in (mark, reading):
        with service.client() as client:
            sentences = ask(client, QUESTION, uuid4().hex).json()["support"]["sentences"]
        found[service] = [(each["status"], each["method"]) for each in sentences]
    assert found[mark][1] == ("supported", "words")
    assert found[reading] == [("supported", "words"), ("unsupported", "entailment")]
