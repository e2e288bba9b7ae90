"""Which documents a conversation goes on about."""

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from agents.nodes.clarify import is_underspecified
from agents.nodes.retrieve import find_continued


def talk(*said: str) -> list[AnyMessage]:
    """A first question, its answer from one document, and what is said then."""
    cited = [{"document_id": "badminton"}]
    return [
        HumanMessage("Berapa iuran bulanan klub badminton?"),
        AIMessage("Rp95.000. [1]", additional_kwargs={"answered": True, "citations": cited}),
        *map(HumanMessage, said),
    ]


@pytest.mark.parametrize("question", ["kalau anak saya 14 tahun?", "kalo anak saya 14 thn?", "Kapan itu dibayar?"])
def test_a_question_that_leans_on_the_one_before_goes_on_about_its_documents(question: str) -> None:
    assert find_continued(talk(question)) == {"badminton"}


@pytest.mark.parametrize("question", ["Kapan perpustakaan buka?", "brp harga tiket museum sejarah?"])
def test_a_question_of_its_own_is_about_any(question: str) -> None:
    assert find_continued(talk(question)) == frozenset()
    assert find_continued([HumanMessage("kalo anak saya 14 tahun?")]) == frozenset()


@pytest.mark.parametrize(
    ("question", "asked_back"),
    [("Berapa harganya?", True), ("brp harganya?", True), ("brp harga tiketnya di museum?", False)],
)
def test_a_first_question_about_nothing_is_asked_back_also_in_short_forms(question: str, asked_back: bool) -> None:
    assert is_underspecified([HumanMessage(question)]) == asked_back
