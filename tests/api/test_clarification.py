"""A first question that does not say what it is about is asked back, with choices; the reply is answered."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.fakes.model_server import FakeModelServer
from tests.service import Service, ask, await_knowledge, one_document

LANGUAGES = {
    "how much is it?": "What is your question about?",
    "¿Cuánto cuesta?": "¿Sobre qué es su pregunta?",
    "Berapa biayanya?": "Pertanyaan Anda tentang apa?",
}


@pytest.fixture
def talk() -> str:
    """The id of a conversation nobody has had yet."""
    return uuid4().hex


@pytest.mark.parametrize(("question", "asked"), LANGUAGES.items())
def test_a_first_question_without_a_topic_is_asked_back_in_its_language(
    client: httpx.Client, talk: str, question: str, asked: str
) -> None:
    said = ask(client, question, talk).json()
    assert said["clarification"]["question"].startswith(asked)
    assert 2 <= len(said["clarification"]["choices"]) <= 4
    assert (said["answered"], said["citations"], said["confidence"]) == (False, [], None)
    assert all(choice in said["answer"] for choice in said["clarification"]["choices"])
    kept = client.get(f"/v1/conversations/{talk}").json()["messages"]
    assert kept[-1]["clarification"] == said["clarification"]


def test_a_choice_answers_what_was_asked_of_it(client: httpx.Client, talk: str) -> None:
    ask(client, "Hello!", talk)
    first = ask(client, "how much is it?", talk).json()
    assert first["clarification"], "a greeting names no topic"
    said = ask(client, "the dormitory room", talk).json()
    assert said["answered"]
    assert said["clarification"] is None
    assert "IDR" in said["answer"]


def test_a_new_question_after_one_of_ours_stands_for_itself(client: httpx.Client, talk: str) -> None:
    assert ask(client, "how much is it?", talk).json()["clarification"]
    said = ask(client, "When does the library open?", talk).json()
    alone = ask(client, "When does the library open?", f"{talk}-alone").json()
    assert said["citations"][0]["quote"] == alone["citations"][0]["quote"]


@pytest.mark.parametrize("question", ["How do I apply?", "How much is the application fee?", "Where is the library?"])
def test_a_question_that_says_what_it_is_about_is_not_asked_back(
    client: httpx.Client, talk: str, question: str
) -> None:
    assert ask(client, question, talk).json()["clarification"] is None


def test_a_follow_up_is_not_asked_back(client: httpx.Client, talk: str) -> None:
    ask(client, "How do I apply for a dormitory room?", talk)
    assert ask(client, "how much is it?", talk).json()["clarification"] is None


def test_choices_are_of_the_tenants_own_documents(
    client: httpx.Client, service: Service, key_without_documents: str, talk: str
) -> None:
    with service.client(key_without_documents) as other:
        said = ask(other, "how much is it?", talk).json()
    assert (said["answered"], said["clarification"]) == (False, None)


def test_no_model_is_asked_for_it(service_with_model: Service, model_server: FakeModelServer, talk: str) -> None:
    model_server.reset()
    with service_with_model.client() as client:
        assert ask(client, "how much is it?", talk).json()["clarification"]
        counted = model_server.counters()
        assert counted["chat"] == counted["stream"] == 0
        said = ask(client, "the dormitory room", talk).json()
    assert said["language_model"]
    assert "u=2 a=1" in said["answer"], "the model sees both questions"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of a service with one document that has one heading."""
    with Service(tmp_path / "data", **one_document(tmp_path)) as running, running.client() as opened:
        await_knowledge(running, "How much does a dormitory room cost?")
        yield opened


def test_where_there_is_nothing_to_choose_from_nothing_is_asked(small: httpx.Client) -> None:
    said = ask(small, "how much is it?").json()
    assert said["clarification"] is None
