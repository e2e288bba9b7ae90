"""What is not in the documents, by the tenant's own documents: estimated, kept, renewed, and each tenant's alone."""

import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from bootstrap.calibrations import SharedEstimates
from domain.calibrations import MeasuredBy
from providers.embeddings.openai import OpenAIEmbedder
from retrieval.calibration import MIN_DOCUMENTS, Calibrations
from retrieval.edge import EdgeIndex
from retrieval.search import Retriever
from tests.domain.records import ACME, GLOBEX, two_tenants
from tests.fakes.model_server import FakeModelServer
from tests.retrieval.handbook import HANDBOOK, TOPICS, Clock, about, note_index, put, settled


@pytest.fixture(scope="module")
def server() -> Iterator[FakeModelServer]:
    with FakeModelServer() as running:
        yield running


@pytest.fixture
async def embedder(server: FakeModelServer) -> AsyncIterator[OpenAIEmbedder]:
    server.reset()
    opened = await OpenAIEmbedder.create(
        base_url=server.base_url, api_key=SecretStr("none"), model="never measured", max_retries=0
    )
    yield opened
    await opened.aclose()


@pytest.fixture
def estimates(tmp_path: Path) -> Iterator[SharedEstimates]:
    database = two_tenants(f"sqlite:///{tmp_path / 'records.db'}")
    yield SharedEstimates(database, MeasuredBy(note_index(database, "never measured"), "never measured"))
    database.close()


@pytest.fixture
async def index(tmp_path: Path, embedder: OpenAIEmbedder) -> AsyncIterator[EdgeIndex]:
    opened = EdgeIndex.open(tmp_path, dimension=embedder.dimension)
    yield opened
    await opened.close()


async def test_levels_come_from_the_tenants_own_documents(
    index: EdgeIndex, embedder: OpenAIEmbedder, estimates: SharedEstimates
) -> None:
    await put(index, embedder, ACME, HANDBOOK)
    await put(index, embedder, GLOBEX, HANDBOOK[: MIN_DOCUMENTS - 1])
    calibrations = Calibrations(index, embedder, estimates)
    assert calibrations.get(ACME) is None  # the first question does not wait for it
    found = await settled(calibrations, ACME)
    assert found is not None
    assert set(found.same) == {"en"}
    assert -1 < found.same["en"] < 1
    assert found.step > 0
    assert await settled(calibrations, GLOBEX) is None


async def test_they_tell_what_is_there_from_what_is_not(
    index: EdgeIndex, embedder: OpenAIEmbedder, estimates: SharedEstimates
) -> None:
    await put(index, embedder, ACME, HANDBOOK)
    calibrations = Calibrations(index, embedder, estimates)
    await settled(calibrations, ACME)
    retriever = Retriever(embedder, index, calibrations=calibrations)
    for topic in ("ferry", "observatory"):
        there = await retriever.search(ACME, f"Whoever wants to use the {topic} registers at which counter?", limit=5)
        assert there.verdict.answerable
    away = await retriever.search(ACME, "Which striker scored against Portugal?", limit=5)
    assert not away.verdict.answerable


async def test_they_are_estimated_anew_when_the_documents_have_changed_much(
    index: EdgeIndex, embedder: OpenAIEmbedder, estimates: SharedEstimates, server: FakeModelServer
) -> None:
    clock = Clock()
    calibrations = Calibrations(index, embedder, estimates, clock=clock)
    await put(index, embedder, GLOBEX, HANDBOOK)
    assert await settled(calibrations, ACME) is None
    await put(index, embedder, ACME, HANDBOOK)
    assert await settled(calibrations, ACME) is None  # not looked at again yet
    clock.now_s = 601
    assert await settled(calibrations, ACME) is not None
    asked = server.counters()["embeddings"]
    await put(index, embedder, ACME, [replace(HANDBOOK[0], title="Another")])
    clock.now_s = 1300
    await settled(calibrations, ACME)
    assert server.counters()["embeddings"] == asked + 1  # that of `put`


async def test_while_the_embedding_model_fails_what_was_known_stays(
    index: EdgeIndex,
    embedder: OpenAIEmbedder,
    estimates: SharedEstimates,
    server: FakeModelServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    calibrations = Calibrations(index, embedder, estimates, clock=clock)
    await put(index, embedder, ACME, HANDBOOK)
    await put(index, embedder, GLOBEX, HANDBOOK)
    before = await settled(calibrations, ACME)
    assert before is not None
    await put(index, embedder, ACME, [about(f"{topic} annex") for topic in TOPICS[:10]])
    server.configure(faults=[{"kind": "status", "status": 503, "times": -1}])
    clock.now_s = 601
    with caplog.at_level(logging.WARNING):
        assert await settled(calibrations, ACME) == before
        assert await settled(calibrations, GLOBEX) is None
    assert "calibration of refusals failed" in caplog.text
    await calibrations.aclose()
