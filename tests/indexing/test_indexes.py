"""Another embedding model: its index is built beside the one that serves, takes its place, and can give it back."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import delete

from bootstrap.evaluation import Askers
from bootstrap.stores import index_folder, open_passages
from config import Settings
from domain.db import Database
from domain.documents import list_documents, remove_documents
from domain.indexes import IndexSpec, drop_index, find_former_index, switch_to
from domain.indexing import sample_passages
from domain.models import Document, IndexRow
from domain.scoping import EVERYWHERE
from evaluation.asking import LocalAsker
from evaluation.cases import QuestionSet
from indexing.check import IndexVerdict, SelfCheck
from indexing.open_index import OpenIndex
from tests.domain.records import ACME, GLOBEX, two_tenants
from tests.fakes.model_server import FakeModelServer
from tests.fakes.qdrant_server import FakeQdrantServer
from tests.indexing.index_site import RULES, add_rules, fill, running, say, settings_for, until
from tests.retrieval.corpus import passage

pytestmark = pytest.mark.long

AWAY = [{"kind": "status", "status": 400, "times": 1_000_000}]
TENANTS = (ACME, GLOBEX)
IN_THIS_PROCESS = pytest.mark.parametrize("qdrant", ["engine"], indirect=True)
ON_A_SERVER = pytest.mark.parametrize("qdrant", ["server"], indirect=True)


@pytest.fixture(scope="module")
def former() -> Iterator[FakeModelServer]:
    with FakeModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def new() -> Iterator[FakeModelServer]:
    with FakeModelServer() as server:
        yield server


@pytest.fixture(autouse=True)
def as_they_are(former: FakeModelServer, new: FakeModelServer) -> None:
    former.reset()
    new.reset()
    new.configure(dimension=256)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = two_tenants(f"sqlite:///{tmp_path / 'records.db'}")
    add_rules(database)
    yield database
    database.close()


@pytest.fixture(params=["engine", "server"])
def qdrant(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Where the indexes are, as settings: in this process or on a server."""
    if request.param == "engine":
        yield {}
        return
    with FakeQdrantServer(api_key="k") as server:
        yield {"qdrant_url": server.url, "qdrant_api_key": "k"}


@pytest.fixture
def before(tmp_path: Path, former: FakeModelServer, qdrant: dict[str, str]) -> Settings:
    return settings_for(tmp_path, former, "one", **qdrant)


@pytest.fixture
def after(tmp_path: Path, new: FakeModelServer, qdrant: dict[str, str]) -> Settings:
    return settings_for(tmp_path, new, "two", **qdrant)


def ready(database: Database) -> bool:
    with database.open_read_session() as session:
        return all(each.state == "ready" for ctx in TENANTS for each in list_documents(session, ctx))


async def test_the_former_index_answers_until_the_new_one_is_whole_and_can_be_gone_back_to(
    before: Settings, after: Settings, database: Database, new: FakeModelServer
) -> None:
    await fill(before, database)
    async with running(after, database) as site:
        new.configure(dimension=256, faults=AWAY)
        await until(lambda: site.states() == {1: "serving", 2: "building"})
        await until(lambda: site.status()[2].words == 12)
        assert await site.finds_both("one")
        assert ready(database)
        new.configure(dimension=256)
        await until(lambda: site.finds_both("two"))
        assert site.states() == {1: "kept", 2: "serving"}
        assert "their first sentence finds 100% (before: 100%)" in site.status()[2].note
        with database.open_write_session() as session:
            switch_to(session, find_former_index(session).number)
        await until(lambda: site.finds_both("one"))
        assert site.states() == {1: "serving", 2: "kept"}
        assert ready(database)


async def test_what_is_written_beside_two_indexes_is_in_both(
    before: Settings, after: Settings, database: Database
) -> None:
    await fill(before, database)
    async with running(after, database) as site:
        await until(lambda: site.finds_both("two"))
        ids = [say(database, ctx, "/0.md", "Bicycles stand in the yard.") for ctx in TENANTS]
        gone = say(database, GLOBEX, "/1.md", "Skis stand in the cellar.")
        await until(lambda: all(each.share == 1 for each in site.status().values()) and ready(database))
        with database.open_write_session() as session:
            remove_documents(session, GLOBEX, [gone])
            switch_to(session, 1)
        await until(lambda: site.serving.opened.number == 1)
        for ctx, document_id in zip(TENANTS, ids, strict=True):
            [hit] = [hit for hit in (await site.find(ctx, "bicycles yard")).hits if hit.lexical]
            assert hit.passage.document_id == document_id
            assert hit.dense is not None
        await until(lambda: not_there(database, gone))
        assert not [hit for hit in (await site.find(GLOBEX, "skis cellar")).hits if hit.lexical]
        assert ready(database)


def not_there(database: Database, document_id: str) -> bool:
    with database.open_read_session() as session:
        return session.get(Document, document_id, execution_options=EVERYWHERE) is None


@IN_THIS_PROCESS
async def test_a_build_that_was_broken_off_goes_on_with_the_next_start(
    before: Settings, after: Settings, database: Database, new: FakeModelServer
) -> None:
    await fill(before, database)
    new.configure(dimension=256, faults=AWAY)
    settings = after.model_copy(update={"embedding_dimension": 256})
    async with running(settings, database) as site:
        await until(lambda: 2 in site.status() and site.status()[2].words == 12)
    new.configure(dimension=256)
    async with running(settings, database) as site:
        await until(lambda: site.finds_both("two"))
        assert site.states() == {1: "kept", 2: "serving"}


@IN_THIS_PROCESS
async def test_a_former_model_that_is_gone_leaves_a_search_by_words_that_says_so(
    before: Settings, after: Settings, database: Database, former: FakeModelServer, new: FakeModelServer
) -> None:
    await fill(before, database)
    async with running(after, database) as site:
        former.configure(faults=AWAY)
        new.configure(dimension=256, faults=AWAY)
        await until(lambda: 2 in site.states())
        for ctx, question in ((ACME, "room 4 dormitory"), (GLOBEX, "visitors hall 4")):
            found = await site.find(ctx, question)
            assert found.hits[0].passage.text == RULES[ctx][4]
            assert "by their words alone" in (found.degraded or "")
        new.configure(dimension=256)
        await until(lambda: site.finds_both("two"))


async def refuse(old: OpenIndex, new: OpenIndex) -> IndexVerdict:
    return IndexVerdict(False, f"Index {new.number} is worse than index {old.number}.")


@IN_THIS_PROCESS
async def test_an_index_that_is_refused_waits_for_an_operator_and_one_that_was_gone_back_from_stays(
    before: Settings, after: Settings, database: Database
) -> None:
    await fill(before, database)
    async with running(after, database, check=refuse) as site:
        await until(lambda: site.states() == {1: "serving", 2: "refused"})
        assert site.status()[2].note == "Index 2 is worse than index 1."
        assert await site.finds_both("one")
        with database.open_write_session() as session:
            switch_to(session, 2)
        await until(lambda: site.finds_both("two"))
        with database.open_write_session() as session:
            switch_to(session, find_former_index(session).number)
    async with running(after, database, keep_days=0) as site:  # gone, it would be built again, and serve
        say(database, ACME, "/0.md", "Room 0 is closed.")
        await until(lambda: site.status()[2].share == 1 and ready(database))
        assert site.states() == {1: "serving", 2: "kept"}


@IN_THIS_PROCESS
async def test_the_check_refuses_vectors_that_mean_nothing(
    before: Settings, after: Settings, database: Database
) -> None:
    await fill(before, database)
    await fill(after, database)
    async with running(after, database, leads=False) as site:
        old, new = [await site.opener.open(row) for row in site.rows()]
        assert (await SelfCheck(database)(old, new)).passed
        with database.open_read_session() as session:
            sample = sample_passages(session, 100)
        assert len(sample) == 12
        for ctx in TENANTS:
            mine = [passage.passage_id for owner, passage in sample if owner.tenant_id == ctx.tenant_id]
            nonsense = await new.embedder.embed_passages([f"nonsense{n}" for n in range(len(mine))])
            await new.index.put_vectors(ctx, dict(zip(mine, nonsense, strict=True)))
        verdict = await SelfCheck(database)(old, new)
        assert not verdict.passed
        assert "by meaning alone" in verdict.note


async def test_a_dropped_index_is_gone_from_store_and_records(
    before: Settings, after: Settings, database: Database
) -> None:
    await fill(before, database)
    async with running(after, database) as site:
        await until(lambda: site.finds_both("two"))
        with database.open_write_session() as session:
            drop_index(session, 1)
        await until(lambda: site.states() == {2: "serving"})
        assert not is_stored(before, 1)
        assert is_stored(after, 2)
        say(database, ACME, "/0.md", "Room 0 is closed.")
        await until(lambda: site.status()[2].share == 1 and ready(database))


def is_stored(settings: Settings, number: int) -> bool:
    if settings.qdrant_url is None:
        return index_folder(settings, settings.data_dir, settings.embedding_model or "", number).exists()
    name = settings.qdrant_collection_name + (f"-{number}" if number > 1 else "")
    with asking(settings) as client:
        return bool(client.get(f"/collections/{name}/exists").json()["result"]["exists"])


def asking(settings: Settings) -> httpx.Client:
    return httpx.Client(base_url=settings.qdrant_url or "", headers={"api-key": "k"}, trust_env=False)


@IN_THIS_PROCESS
async def test_a_former_index_is_removed_when_its_days_are_over(
    before: Settings, after: Settings, database: Database
) -> None:
    await fill(before, database)
    former = index_folder(before, before.data_dir, before.embedding_model or "")
    former.with_name(f"{former.name}.damaged").mkdir()
    async with running(after, database, keep_days=0) as site:
        await until(lambda: site.states() == {2: "serving"})
        assert await site.finds_both("two")
        assert [path for path in former.parent.iterdir() if path.name.partition(".")[0] == former.name] == []


async def test_what_was_left_where_an_index_is_begun_is_not_in_it(
    before: Settings, after: Settings, database: Database, new: FakeModelServer
) -> None:
    await fill(before, database)
    new.configure(dimension=256)
    left = IndexSpec("two", 256, new.base_url, "words-1", "1/220/400/80/16")
    for ctx in TENANTS:  # a database restored from before the switch knows nothing of it
        index = await open_passages(after, after.data_dir, left, 2)
        await index.put(ctx, [passage("Bicycles stand in the yard.", document_id="left")])
        await index.close()
    async with running(after, database) as site:
        await until(lambda: site.finds_both("two"))
        for ctx in TENANTS:
            assert not [hit for hit in (await site.find(ctx, "bicycles yard")).hits if hit.lexical]


@ON_A_SERVER
async def test_a_process_with_former_settings_follows_the_switch_and_undoes_nothing(
    before: Settings, after: Settings, database: Database
) -> None:
    async with running(before, database) as old:
        await until(lambda: old.finds_both("one"))
        async with running(after, database) as site:
            await until(lambda: site.finds_both("two"))
            await until(lambda: old.finds_both("two"))
        say(database, ACME, "/0.md", "Room 0 is closed.")
        await until(lambda: old.status()[2].share == 1 and ready(database))
        assert old.states() == {1: "kept", 2: "serving"}


@ON_A_SERVER
async def test_the_alias_on_the_server_stands_for_the_collection_that_serves(
    before: Settings, after: Settings, database: Database
) -> None:
    def aliases() -> dict[str, str]:
        listed = client.get("/aliases").json()["result"]["aliases"]
        return {each["alias_name"]: each["collection_name"] for each in listed}

    name = before.qdrant_collection_name
    with asking(before) as client:
        async with running(before, database):
            await until(lambda: aliases() == {f"{name}-serving": name})
        async with running(after, database):
            await until(lambda: aliases() == {f"{name}-serving": f"{name}-2"})
            with database.open_write_session() as session:
                switch_to(session, 1)
            await until(lambda: aliases() == {f"{name}-serving": name})


@ON_A_SERVER
async def test_a_collection_from_before_there_were_several_is_taken_for_the_first(
    before: Settings, after: Settings, database: Database
) -> None:
    await fill(before, database)
    with database.open_write_session() as session:  # as it was before
        session.execute(delete(IndexRow))
    settings = after.model_copy(update={"embedding_base_url": before.embedding_base_url, "embedding_dimension": 384})
    async with running(settings, database) as site:
        await until(lambda: site.finds_both("two"))
        assert [(each.model, each.state) for each in site.status().values()] == [("one", "kept"), ("two", "serving")]


@IN_THIS_PROCESS
async def test_questions_are_measured_over_the_index_that_serves(
    before: Settings, after: Settings, database: Database
) -> None:
    await fill(before, database)
    await fill(after, database)
    settings = before.model_copy(update={"database_uri": SecretStr(str(database.engine.url))})
    for ctx in TENANTS:
        async with AsyncExitStack() as stack:
            askers = Askers(stack, settings, ctx, None, answers=False)
            async with askers.open_for_set(QuestionSet("own", []), lambda _: None) as asker:
                assert isinstance(asker, LocalAsker)
                found = await asker.retriever.search(ctx, RULES[ctx][4], limit=3)
                assert asker.retriever.embedder.model == "two"
                assert found.hits[0].dense is not None
                assert {hit.passage.text for hit in found.hits} <= {*RULES[ctx]}
