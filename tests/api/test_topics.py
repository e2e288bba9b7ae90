"""What the documents are about, and questions to begin with: which, and whose."""

import re
from uuid import uuid4

import httpx
import pytest

from tests.service import Service, ask


@pytest.mark.parametrize(
    ("language", "begins"),
    [
        ("en", "What should I know about|(How|When|Where) do I |What does “|(What|How|How long) do you "),
        ("es", "¿Qué debo saber sobre|¿(Cómo|Dónde) puedo |¿Qué dice «"),
        ("id", "Apa yang perlu saya ketahui|Bagaimana cara |Apa isi “"),
    ],
)
def test_four_questions_to_begin_with_are_each_answered_from_another_document_in_the_readers_language(
    client: httpx.Client, language: str, begins: str
) -> None:
    told = client.get("/v1/topics", params={"language": language}).json()
    assert told["bot_id"] == "default"
    assert len(told["titles"]) > 4
    assert set(told["languages"]) == {"en", "es", "id"}
    assert len({each["document_id"] for each in told["questions"]}) == 4
    for each in told["questions"]:
        assert each["question"] == each["heading"] or re.match(begins, each["question"])
        answered = ask(client, each["question"], uuid4().hex).json()
        assert answered["confidence"] == "high", each
        cited = answered["citations"][0]
        assert (cited["document_id"], cited["language"]) == (each["document_id"], language)
        assert cited["quote"].count("\n|") <= 4  # a long table is not quoted whole


def test_questions_to_go_on_with_are_about_other_headings_of_one_document(client: httpx.Client) -> None:
    cited = ask(client, "How much does a dormitory room cost?", uuid4().hex).json()["citations"][0]
    told = client.get("/v1/topics", params={"document_id": cited["document_id"]}).json()
    assert told["titles"] == [cited["title"]]
    headings = [each["heading"] for each in told["questions"]]
    assert len(set(headings)) == len(headings) >= 2
    assert {each["document_id"] for each in told["questions"]} == {cited["document_id"]}


def test_a_tenant_is_told_nothing_of_anothers_documents(
    service: Service, client: httpx.Client, key_without_documents: str
) -> None:
    document_id = client.get("/v1/topics").json()["questions"][0]["document_id"]
    with service.client(key_without_documents) as other:
        assert other.get("/v1/topics").json() == {
            "bot_id": "default",
            "institution": None,
            "titles": [],
            "languages": [],
            "questions": [],
            "data_questions": [],
        }
        refused = other.get("/v1/topics", params={"document_id": document_id})
        assert refused.status_code == 404
        assert refused.json()["detail"] == "Document not found."


def test_a_language_that_the_page_does_not_speak_is_refused(client: httpx.Client) -> None:
    refused = client.get("/v1/topics", params={"language": "fr"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "language")
