"""Passages of another size: cut from the kept texts for an index of their own, beside the one that serves."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from auth.principal import Principal
from bootstrap.stores import open_files
from config import Settings
from domain.db import Database
from domain.document_files import DocumentFiles, Extracted, find_version
from domain.documents import get_chunks, list_documents, replace_document
from domain.indexes import drop_index, find_former_index, switch_to
from domain.models import Document, DocumentVersion
from domain.scoping import EVERYWHERE
from indexing.reconciliation import reconcile
from ingestion.chunking import ChunkSizes
from tests.domain.records import ACME, GLOBEX, content, two_tenants
from tests.fakes.model_server import FakeModelServer
from tests.fakes.qdrant_server import FakeQdrantServer
from tests.indexing.index_site import Site, running, settings_for, until
from tests.reading import load_files
from utils.passages import Passage

pytestmark = pytest.mark.long

TENANTS = (ACME, GLOBEX)
COSTS = {ACME: 100, GLOBEX: 700}
SMALL = {"chunk_tokens": 60, "chunk_max_tokens": 90}
SMALL_CUT = ChunkSizes.scale(60, 90).chunking_version


def handbook(costs: int) -> str:
    """A document of two chapters, one of them with two sections, that say other prices for each tenant."""
    rooms = " ".join(f"Room {n} of the dormitory costs {costs + n} euros a month." for n in range(9))
    visits = " ".join(f"Visitors of hall {n} leave at {n} o'clock in the evening." for n in range(9))
    library = f"It opens at nine, by {costs} doors."
    return f"# Dormitory\n\n## Prices\n\n{rooms}\n\n## Visits\n\n{visits}\n\n# Library\n\n{library}\n"


@pytest.fixture(scope="module")
def model() -> Iterator[FakeModelServer]:
    with FakeModelServer() as server:
        yield server


@pytest.fixture(params=["engine", "server"])
def before(request: pytest.FixtureRequest, tmp_path: Path, model: FakeModelServer) -> Iterator[Settings]:
    """Where the indexes are: in this process or on a server."""
    model.reset()
    if request.param == "engine":
        yield settings_for(tmp_path, model, "one")
        return
    with FakeQdrantServer(api_key="k") as server:
        yield settings_for(tmp_path, model, "one", qdrant_url=server.url, qdrant_api_key="k")


@pytest.fixture
def after(before: Settings) -> Settings:
    return before.model_copy(update=SMALL)


@pytest.fixture
def database(tmp_path: Path, before: Settings) -> Iterator[Database]:
    database = two_tenants(f"sqlite:///{tmp_path / 'records.db'}")
    for ctx in TENANTS:
        load(database, before, ctx, "handbook.md", handbook(COSTS[ctx]))
    yield database
    database.close()


def load(database: Database, settings: Settings, ctx: Principal, name: str, text: str) -> None:
    folder = settings.data_dir / ctx.tenant_id
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    sizes = ChunkSizes.scale(settings.chunk_tokens, settings.chunk_max_tokens)
    load_files(
        database, ctx, [folder / name], sizes=sizes, document_files=DocumentFiles(database, open_files(settings))
    )


def documents(database: Database, ctx: Principal) -> list[Document]:
    with database.open_read_session() as session:
        found = list_documents(session, ctx)
        session.expunge_all()
        return found


async def passages(site: Site, ctx: Principal) -> list[Passage]:
    """All that the index that serves holds, in reading order."""
    listed = [stored.passage async for batch in site.serving.opened.index.export(ctx) for stored in batch]
    return sorted(listed, key=lambda passage: (passage.source, passage.start))


async def answers_right(site: Site) -> bool:
    """Each tenant finds its own price, by words and meaning, and nothing of the other's."""
    for ctx in TENANTS:
        found = await site.find(ctx, "What does room 4 of the dormitory cost?")
        if not found.hits or found.hits[0].dense is None:
            return False
        assert f"Room 4 of the dormitory costs {COSTS[ctx] + 4} euros" in found.hits[0].passage.text
        [other] = [each for each in TENANTS if each != ctx]
        assert not any(f"costs {COSTS[other]}" in hit.passage.text for hit in found.hits)
    return True


async def test_smaller_passages_take_the_place_of_the_former_ones_and_can_be_gone_back_from(
    before: Settings, after: Settings, database: Database
) -> None:
    await fill_with_handbooks(before, database)
    async with running(after, database) as site:
        former = {ctx: await passages(site, ctx) for ctx in TENANTS}
        assert await answers_right(site)
        await until(lambda: serves(site, 2))
        assert "their first sentence finds 100% (before: 100%)" in site.status()[2].note
        for ctx in TENANTS:
            [document] = documents(database, ctx)
            smaller = await passages(site, ctx)
            assert document.version == 1
            assert document.state == "ready"
            assert document.chunk_count == len(smaller) > len(former[ctx])
            assert said_by(smaller) == said_by(former[ctx])
            headings = {passage.heading for passage in smaller}
            assert headings == {"Dormitory › Prices", "Dormitory › Visits", "Library"}
            text = text_of(before, database, ctx, document)
            assert [text[passage.start : passage.end] for passage in smaller] == [each.text for each in smaller]
        with database.open_write_session() as session:
            switch_to(session, find_former_index(session).number)
        await until(lambda: serves(site, 1))
        assert {ctx: await passages(site, ctx) for ctx in TENANTS} == former
        assert [documents(database, ctx)[0].chunk_count for ctx in TENANTS] == [len(former[ctx]) for ctx in TENANTS]


async def fill_with_handbooks(settings: Settings, database: Database) -> None:
    async with running(settings, database) as site:
        await until(lambda: answers_right(site))
        await until(lambda: site.status()[1].share == 1)


async def serves(site: Site, number: int) -> bool:
    return site.serving.opened.number == number and await answers_right(site)


def said_by(found: list[Passage]) -> str:
    return " ".join(" ".join(passage.text for passage in found).split())


def text_of(settings: Settings, database: Database, ctx: Principal, document: Document) -> str:
    with database.open_read_session() as session:
        version = find_version(session, ctx, document.document_id)
        assert version is not None
        return DocumentFiles(database, open_files(settings)).read_extracted(ctx, version).text


async def test_what_is_loaded_by_processes_of_either_setting_is_in_both_indexes(
    before: Settings, after: Settings, database: Database
) -> None:
    await fill_with_handbooks(before, database)
    async with running(after, database) as site:
        await until(lambda: serves(site, 2))
        for ctx in TENANTS:
            load(database, before, ctx, "old.md", handbook(COSTS[ctx]).replace("dormitory", "castle"))
            load(database, after, ctx, "new.md", handbook(COSTS[ctx]).replace("dormitory", "barn"))
        await until(lambda: whole(site))
        for number in (2, 1):
            with database.open_write_session() as session:
                if number == 1:
                    switch_to(session, 1)
            await until(lambda number=number: serves(site, number))
            for ctx in TENANTS:
                counts = {document.source: document.chunk_count for document in documents(database, ctx)}
                found = await passages(site, ctx)
                assert counts == {name: sum(each.source == name for each in found) for name in counts}
                assert len(set(counts.values())) == 1  # all three are cut alike
        await until(lambda: whole(site))
        for row in site.rows():
            opened = await site.opener.open(row)
            assert (await reconcile(database, opened.index, slot=opened.slot, repair=False)).count == 0


def whole(site: Site) -> bool:
    ready = {document.state for ctx in TENANTS for document in documents(site.database, ctx)} == {"ready"}
    return ready and all(each.share == 1 for each in site.status().values())


async def test_nothing_is_left_of_the_chunks_of_an_index_that_is_dropped(
    before: Settings, after: Settings, database: Database
) -> None:
    await fill_with_handbooks(before, database)
    async with running(after, database) as site:
        await until(lambda: serves(site, 2))
        with database.open_write_session() as session:
            drop_index(session, 1)
        await until(lambda: site.states() == {2: "serving"})
        for ctx in TENANTS:
            assert cuts(database, ctx) == {SMALL_CUT}
            load(database, before, ctx, "handbook.md", "# Castle\n\nIt is closed on Mondays.\n")
        await until(lambda: whole(site))
        assert {ctx.tenant_id: cuts(database, ctx) for ctx in TENANTS} == {
            "acme": {SMALL_CUT},
            "globex": {SMALL_CUT},
        }


def cuts(database: Database, ctx: Principal) -> set[str]:
    with database.open_read_session() as session:
        return {
            chunk.chunking_version
            for document in list_documents(session, ctx)
            for chunk in get_chunks(session, ctx, document.document_id)
        }


async def test_documents_whose_text_is_not_kept_stay_in_the_passages_they_have(
    before: Settings, after: Settings, database: Database
) -> None:
    for ctx in TENANTS:
        with database.open_write_session() as session:
            replace_document(session, ctx, "/a.md", content(f"The castle of {ctx.tenant_id} " + "is old. " * 100))
    await fill_with_handbooks(before, database)
    async with running(after, database) as site:
        await until(lambda: serves(site, 2))
        for ctx in TENANTS:
            [found] = [each.text for each in await passages(site, ctx) if "castle" in each.text]
            assert found.startswith(f"The castle of {ctx.tenant_id} is old. ")
        assert whole(site)


async def test_texts_that_were_kept_without_their_headings_get_those_of_the_former_passages(
    before: Settings, after: Settings, database: Database
) -> None:
    with database.open_read_session() as session:
        found = [
            (ctx, version)
            for ctx in TENANTS
            for document in list_documents(session, ctx)
            if (version := find_version(session, ctx, document.document_id))
        ]
        session.expunge_all()
    files = open_files(before)
    for ctx, version in found:
        extracted = Extracted.from_bytes(files.get(ctx, version.text_hash))
        without = Extracted(extracted.text, tuple(replace(part, heading=None) for part in extracted.parts))
        kept = files.put(ctx, without.to_bytes())
        with database.open_write_session() as session:
            key = version.document_id, version.version
            session.get_one(DocumentVersion, key, execution_options=EVERYWHERE).text_hash = kept
    await fill_with_handbooks(before, database)
    async with running(after, database) as site:
        await until(lambda: serves(site, 2))
        for ctx in TENANTS:
            headings = {passage.heading for passage in await passages(site, ctx)}
            assert headings == {"Dormitory › Prices", "Dormitory › Visits", "Library"}


async def test_what_a_command_loaded_before_the_first_start_is_in_the_first_index(
    before: Settings, after: Settings, database: Database
) -> None:
    async with running(after, database) as site:
        await until(lambda: serves(site, 2))
        assert [(each.chunking_version, each.state) for each in site.status().values()] == [
            (ChunkSizes().chunking_version, "kept"),
            (SMALL_CUT, "serving"),
        ]


def rota(costs: int) -> str:
    """Sentences that have the same words in another order: none is nearer to a question than others."""
    names = ["Ada", "Ben", "Cem", "Dian", "Eva", "Fay", "Gita", "Hari", "Ines", "Joko"]
    chance = random.Random(costs)
    orders = (", ".join(chance.sample(names, len(names))) for _ in range(24))
    sentences = [
        f"The kitchen of the house is cleaned week after week by {order} and their guests." for order in orders
    ]
    return "# Rota\n\n" + "\n\n".join(" ".join(sentences[start : start + 8]) for start in range(0, len(sentences), 8))


async def test_smaller_passages_that_say_nearly_the_same_may_serve(
    before: Settings, after: Settings, database: Database
) -> None:
    for ctx in TENANTS:
        load(database, before, ctx, "rota.md", rota(COSTS[ctx]))
    await fill_with_handbooks(before, database)
    async with running(after, database) as site:
        await until(lambda: serves(site, 2))
