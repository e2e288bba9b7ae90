"""Processes of one installation go by one calibration, which one of them makes, whatever becomes of it or of SQL."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from bootstrap.calibrations import SharedEstimates
from bootstrap.models import open_calibrations
from config import RECORDS_FILE
from domain.calibrations import MeasuredBy
from domain.db import Database
from domain.db_opening import open_database
from domain.models import CalibrationRow, now
from domain.scoping import EVERYWHERE, select_everywhere
from providers.embeddings.openai import OpenAIEmbedder
from retrieval.calibration import Calibrations
from retrieval.edge import EdgeIndex
from retrieval.search import Retriever
from tests.conftest import FAKE_MODEL
from tests.domain.records import ACME, GLOBEX
from tests.fakes.model_server import FakeModelServer
from tests.indexing.index_site import say, until
from tests.retrieval.handbook import HANDBOOK, TOPICS, Clock, about, note_index, put, settled
from tests.service import Service, ask, await_knowledge

pytestmark = pytest.mark.long

ACMES, GLOBEXS = HANDBOOK, [about(f"{topic} of the harbour") for topic in TOPICS]
MODEL = "never measured"
ON_SQLITE = pytest.mark.parametrize("migrated_uri", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeModelServer]:
    with FakeModelServer() as running:
        yield running


@pytest.fixture
def database(migrated_uri: str) -> Iterator[Database]:
    database = open_database(migrated_uri)
    note_index(database, MODEL)
    yield database
    database.close()


@asynccontextmanager
async def embedding(server: FakeModelServer, model: str = MODEL) -> AsyncIterator[OpenAIEmbedder]:
    opened = await OpenAIEmbedder.create(
        base_url=server.base_url, api_key=SecretStr("none"), model=model, max_retries=0
    )
    yield opened
    await opened.aclose()


@pytest.fixture
async def embedder(server: FakeModelServer) -> AsyncIterator[OpenAIEmbedder]:
    server.reset()
    async with embedding(server) as opened:
        yield opened


@pytest.fixture
async def index(tmp_path: Path, embedder: OpenAIEmbedder) -> AsyncIterator[EdgeIndex]:
    """With the documents of two tenants."""
    opened = EdgeIndex.open(tmp_path / "index", dimension=embedder.dimension)
    await put(opened, embedder, ACME, ACMES)
    await put(opened, embedder, GLOBEX, GLOBEXS)
    yield opened
    await opened.close()


class Process:
    """What a process of the installation knows, and its clock."""

    def __init__(
        self, database: Database, index: EdgeIndex, embedder: OpenAIEmbedder, *, number: int = 1, follow_s: float = 60
    ) -> None:
        self.clock = Clock()
        shared = SharedEstimates(database, MeasuredBy(number, embedder.model))
        self.calibrations = Calibrations(index, embedder, shared, follow_s=follow_s, clock=self.clock)
        self.retriever = Retriever(embedder, index, calibrations=self.calibrations)


def embeddings(server: FakeModelServer) -> int:
    """How often the model was asked: for each sentence of an estimate, and once for passages put in together."""
    return server.counters()["embeddings"]


def two_minutes_later(database: Database) -> None:
    """Let leases be two minutes older."""
    with database.open_write_session() as session:
        for row in session.scalars(select_everywhere(CalibrationRow).where(CalibrationRow.lease_until.is_not(None))):
            assert row.lease_until is not None
            row.lease_until -= timedelta(seconds=121)


async def test_they_give_one_verdict_by_one_estimate(
    database: Database, index: EdgeIndex, embedder: OpenAIEmbedder, server: FakeModelServer
) -> None:
    before = embeddings(server)
    processes = [Process(database, index, embedder) for _ in range(2)]
    for ctx in (ACME, GLOBEX):
        await asyncio.gather(*(settled(each.calibrations, ctx) for each in processes))
    assert embeddings(server) - before == len(ACMES) + len(GLOBEXS)
    for each in processes:
        await each.calibrations.look()
    one, other = processes
    for ctx in (ACME, GLOBEX):
        assert one.calibrations.get(ctx) == other.calibrations.get(ctx) is not None
    assert one.calibrations.get(ACME) != one.calibrations.get(GLOBEX)
    for question in ("Whoever wants to use the ferry registers where?", "Which striker scored against Portugal?"):
        found = [await each.retriever.search(ACME, question, limit=5) for each in processes]
        assert found[0].verdict == found[1].verdict


async def test_after_a_restart_it_is_known_before_the_first_question(
    database: Database, index: EdgeIndex, embedder: OpenAIEmbedder, server: FakeModelServer
) -> None:
    before = await settled(Process(database, index, embedder).calibrations, ACME)
    assert before is not None
    asked = embeddings(server)
    async with AsyncExitStack() as stack:
        again = await open_calibrations(stack, database, number=1, index=index, embedder=embedder)
        assert again is not None
        assert again.get(ACME) == before
        assert again.get(GLOBEX) is None
        await again.settle()
        assert embeddings(server) == asked


async def test_a_newer_one_is_made_once_and_taken_over_by_the_others(
    database: Database, index: EdgeIndex, embedder: OpenAIEmbedder, server: FakeModelServer
) -> None:
    one, other = Process(database, index, embedder), Process(database, index, embedder, follow_s=0.01)
    former = await settled(one.calibrations, ACME)
    await settled(one.calibrations, GLOBEX)
    await other.calibrations.follow()
    assert await settled(other.calibrations, ACME) == former
    globexs = other.calibrations.get(GLOBEX)
    await put(index, embedder, ACME, [about(f"{topic} annex") for topic in TOPICS[:10]])
    one.clock.now_s = other.clock.now_s = 601
    before = embeddings(server)
    renewed = await settled(one.calibrations, ACME)
    assert renewed != former
    await until(lambda: other.calibrations.get(ACME) == renewed)
    await other.calibrations.settle()
    assert other.calibrations.get(GLOBEX) == globexs
    assert embeddings(server) - before == len(ACMES) + 10
    await other.calibrations.aclose()


async def test_one_that_has_not_seen_it_yet_does_not_make_it_again(
    database: Database, index: EdgeIndex, embedder: OpenAIEmbedder, server: FakeModelServer
) -> None:
    one, other = Process(database, index, embedder), Process(database, index, embedder)
    assert await settled(one.calibrations, ACME) is not None
    before = embeddings(server)
    assert await settled(other.calibrations, ACME) is None
    assert embeddings(server) == before
    assert await settled(other.calibrations, GLOBEX) is not None


async def test_that_of_another_index_or_model_is_never_used(
    database: Database, index: EdgeIndex, embedder: OpenAIEmbedder, server: FakeModelServer
) -> None:
    await settled(Process(database, index, embedder).calibrations, ACME)
    async with embedding(server, "another") as successor:
        number = note_index(database, "another")
        others = [Process(database, index, successor, number=number), Process(database, index, successor)]
        for each in others:
            await each.calibrations.look()
            assert each.calibrations.get(ACME) is None
            await each.calibrations.settle()
            assert await settled(each.calibrations, GLOBEX) is not None


async def test_when_the_one_that_estimates_has_ended_another_does(
    database: Database, index: EdgeIndex, embedder: OpenAIEmbedder, server: FakeModelServer
) -> None:
    dying, other = Process(database, index, embedder), Process(database, index, embedder)
    server.configure(faults=[{"kind": "hang", "times": -1}])
    dying.calibrations.get(ACME)
    await until(lambda: server.counters()["faults"] > 0)
    await dying.calibrations.aclose()
    server.configure(faults=[])
    assert await settled(other.calibrations, ACME) is None
    assert await settled(other.calibrations, GLOBEX) is not None  # whose estimate nobody has taken
    two_minutes_later(database)
    other.clock.now_s = 121
    assert await settled(other.calibrations, ACME) is not None


@ON_SQLITE
async def test_while_sql_is_away_they_go_by_what_they_know(
    database: Database,
    index: EdgeIndex,
    embedder: OpenAIEmbedder,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    process = Process(database, index, embedder)
    before = await settled(process.calibrations, ACME)
    assert before is not None
    await put(index, embedder, ACME, [about(f"{topic} annex") for topic in TOPICS[:10]])
    database.close()
    taken_away, records = tmp_path / "away", tmp_path / "records.db"
    records.rename(taken_away)
    records.mkdir()
    process.clock.now_s = 601
    with caplog.at_level(logging.WARNING):
        assert await settled(process.calibrations, ACME) == before
        assert await settled(process.calibrations, GLOBEX) is None
        for _ in range(2):
            await process.calibrations.look()
    assert caplog.text.count("calibrations of other processes: DATABASE_URI") == 1
    records.rmdir()
    taken_away.rename(records)
    process.clock.now_s += 121
    assert await settled(process.calibrations, ACME) not in (before, None)
    assert await settled(process.calibrations, GLOBEX) is not None


@ON_SQLITE
async def test_a_question_does_not_wait_while_sql_is_busy(
    database: Database, index: EdgeIndex, embedder: OpenAIEmbedder
) -> None:
    process = Process(database, index, embedder)
    before = await settled(process.calibrations, GLOBEX)
    with database.open_write_session() as other:
        other.execute(text("UPDATE tenants SET created_at = created_at"))  # holds the lock for writing
        for ctx in (ACME, GLOBEX):
            async with asyncio.timeout(5):
                assert (await process.retriever.search(ctx, "Who registers at the ferry counter?", limit=5)).hits
        assert process.calibrations.get(GLOBEX) == before
    assert await settled(process.calibrations, ACME) is not None


def test_a_service_goes_by_what_sql_holds_from_its_first_question_on(tmp_path: Path, server: FakeModelServer) -> None:
    server.reset()
    question = "Who wants to use the ferry registers at which counter?"
    (tmp_path / "handbook").mkdir()
    for each in HANDBOOK:
        (tmp_path / "handbook" / each.source).write_text(f"# {each.title}\n\n{each.text}\n")
    models = {**FAKE_MODEL, "LLM_BASE_URL": server.base_url, "EMBEDDING_BASE_URL": server.base_url}
    variables = {"KNOWLEDGE_DIR": str(tmp_path / "handbook"), "RATE_LIMIT_ENABLED": "false"}
    with Service(tmp_path / "data", EMBEDDING_MODEL=MODEL, **models, **variables) as service:
        records = open_database(f"sqlite:///{service.data_dir / RECORDS_FILE}")
        await_knowledge(service, question)  # by its words, while nothing is estimated
        service.wait_for(lambda: calibrated(records, "default"))
        acme = service.new_key("acme")
        service.stop()
        refuse_everything(records, "default")
        say(records, ACME, "/ferry.md", HANDBOOK[TOPICS.index("ferry")].text)
        service.start()
        with service.client() as client, service.client(acme) as other:
            assert not ask(client, question).json()["answered"]
            service.wait_for(lambda: ask(other, question).json()["answered"])
            service.wait_for(lambda: calibrated(records, "acme"))
            assert not ask(client, question, "again").json()["answered"]
        records.close()


def calibrated(database: Database, tenant_id: str) -> bool:
    with database.open_read_session() as session:
        row = session.get(CalibrationRow, (tenant_id, 1, MODEL), execution_options=EVERYWHERE)
        return row is not None and row.estimated_at is not None


def refuse_everything(database: Database, tenant_id: str) -> None:
    """Let no passage be near enough, as another process could have found."""
    with database.open_write_session() as session:
        row = session.get_one(CalibrationRow, (tenant_id, 1, MODEL), execution_options=EVERYWHERE)
        row.calibration = {"same": {"en": 9.0}, "foreign": {"en": 9.0}, "step": 0.04}
        row.passages, row.estimated_at = len(HANDBOOK), now()
