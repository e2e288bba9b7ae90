"""What is special to the index on a server: making and checking its collection, and a server that comes and goes."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from retrieval.index import IndexCounts
from retrieval.ranking import DAYS, FILTERED
from retrieval.server import ServerIndex
from tests.fakes.model_server import FakeModelServer
from tests.fakes.qdrant_server import FakeQdrantServer
from tests.retrieval.conftest import KEY, server_index
from tests.retrieval.corpus import ACME, DIMENSION, GLOBEX, passage, texts, vector
from utils.errors import StoreRefused, StoreUnavailable

LIBRARY, PARKING = passage("The library opens at nine."), passage("Parking is dear.", document_id="costs")
SECRET = passage("The secret library of Globex.")
COSINE = models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE)
IDF = models.SparseVectorParams(modifier=models.Modifier.IDF)


@asynccontextmanager
async def index_at(url: str, *, api_key: str | None = KEY, **changes: Any) -> AsyncIterator[ServerIndex]:
    settings: dict[str, Any] = {
        "collection": "tests",
        "dimension": DIMENSION,
        "model": "a model",
        "timeout_s": 60,
    } | changes
    index = ServerIndex(url, api_key=api_key, **settings)
    try:
        yield index
    finally:
        await index.close()


@pytest.fixture
def direct(server: FakeQdrantServer) -> Iterator[QdrantClient]:
    """A client of the server's owner."""
    client = QdrantClient(url=server.url, headers={"api-key": KEY}, check_compatibility=False)
    yield client
    client.close()


@pytest.fixture
def nobody() -> Iterator[tuple[socket.socket, str]]:
    """A listener that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


async def put_both(index: ServerIndex) -> None:
    await index.put(ACME, [LIBRARY, PARKING])
    await index.put(GLOBEX, [SECRET])
    await index.put_vectors(ACME, {LIBRARY.passage_id: vector(1)})


async def test_the_collection_is_made_with_all_it_needs(server: FakeQdrantServer, direct: QdrantClient) -> None:
    async with index_at(server.url) as index:
        await index.prepare()
        info = direct.get_collection("tests")
        assert info.config.params.vectors == {"meaning": COSINE}
        assert info.config.params.sparse_vectors == {"words": IDF}
        assert info.config.metadata == {"made_by": "pustaka", "embedding_model": "a model"}
        assert info.payload_schema.keys() == {*FILTERED, *DAYS}
        server.requests.clear()
        await index.check()
        assert not [request for request in server.requests if request.startswith("PUT")], "nothing is made again"


async def test_a_making_that_was_broken_off_is_finished(server: FakeQdrantServer, direct: QdrantClient) -> None:
    direct.create_collection("tests", vectors_config={"meaning": COSINE}, sparse_vectors_config={"words": IDF})
    async with index_at(server.url) as index:
        await put_both(index)
        assert len(direct.get_collection("tests").payload_schema) == len({*FILTERED, *DAYS})
        assert await index.counts(GLOBEX) == IndexCounts(1, 1)


async def test_several_processes_may_start_on_an_empty_server_at_once(server: FakeQdrantServer) -> None:
    indexes = [server_index(server) for _ in range(6)]
    await asyncio.gather(*(index.prepare() for index in indexes))
    await asyncio.gather(*(index.put(ACME, [LIBRARY]) for index in indexes), indexes[0].put(GLOBEX, [SECRET]))
    for index in indexes:
        assert await index.counts(ACME) == await index.counts(GLOBEX) == IndexCounts(1, 1)
        await index.close()


async def test_processes_that_write_the_same_passages_at_once_leave_each_whole(server: FakeQdrantServer) -> None:
    one, two = server_index(server), server_index(server)
    many = [passage(f"Library room {number}.", document_id=f"{number % 3}") for number in range(30)]
    given = {each.passage_id: vector(1, number) for number, each in enumerate(many)}

    async def write(index: ServerIndex) -> None:
        for _ in range(4):
            await index.put(ACME, many)
            await index.put_vectors(ACME, given)
            await index.delete_documents(ACME, ["1"])
            await index.search(ACME, "library room", vector(1), limit=50)

    await two.put(GLOBEX, many)
    await asyncio.gather(write(one), write(two))
    await one.put_vectors(ACME, given)
    assert await one.counts(ACME) == await two.counts(ACME) == IndexCounts(20, 0)
    assert await two.counts(GLOBEX) == IndexCounts(30, 30)
    await asyncio.gather(one.close(), two.close())


async def test_a_passage_that_goes_while_vectors_are_written_is_passed_over(server: FakeQdrantServer) -> None:
    async with index_at(server.url) as index:
        await put_both(index)
        gone = models.FilterSelector(
            filter=models.Filter(
                must=[models.FieldCondition(key="document_id", match=models.MatchValue(value="costs"))]
            )
        )
        writing = "PUT /collections/tests/points/vectors"
        server.slip_in(writing, "POST", "/collections/tests/points/delete", gone.model_dump_json().encode())
        await index.put_vectors(ACME, {LIBRARY.passage_id: vector(1), PARKING.passage_id: vector(0, 1)})
        assert server.requests.count(writing) == 3
        assert await index.counts(ACME) == IndexCounts(1, 0)
        assert await index.counts(GLOBEX) == IndexCounts(1, 1)


async def test_a_search_takes_two_requests_once_the_languages_are_known(server: FakeQdrantServer) -> None:
    async with index_at(server.url) as index:
        await put_both(index)
        searching = ["points/query/batch", "points"]
        for tenant, found in ((ACME, LIBRARY), (GLOBEX, SECRET)):
            for expected in (["facet", *searching], searching, searching):
                server.requests.clear()
                assert texts(await index.search(tenant, "library", vector(1), limit=5)) == [found.text]
                assert [request.split("tests/")[1] for request in server.requests] == expected


async def test_a_language_that_is_new_to_a_tenant_is_found_by_meaning_at_once(server: FakeQdrantServer) -> None:
    kantin = passage("Kantin tutup pukul empat.", language="id")
    async with index_at(server.url) as index:
        await put_both(index)
        for tenant in (ACME, GLOBEX):
            await index.search(tenant, "library", vector(1), limit=5)
        await index.put(ACME, [kantin])
        await index.put_vectors(ACME, {kantin.passage_id: vector(0, 1)})
        assert kantin.text in texts(await index.search(ACME, "When?", vector(0, 1), limit=5))
        assert texts(await index.search(GLOBEX, "When?", vector(0, 1), limit=5)) == []


async def test_a_tenants_first_passages_of_another_process_are_found_at_once(server: FakeQdrantServer) -> None:
    async with index_at(server.url) as index, index_at(server.url) as other:
        for tenant in (ACME, GLOBEX):
            assert await index.search(tenant, "What?", vector(1), limit=5) == []
        await put_both(other)
        assert texts(await index.search(ACME, "What?", vector(1), limit=5)) == [LIBRARY.text]
        assert texts(await index.search(GLOBEX, "What?", vector(1), limit=5)) == []


# --- A server that comes and goes
async def test_an_index_whose_server_was_away_at_the_start_heals_by_itself(server: FakeQdrantServer) -> None:
    server.stop()
    async with index_at(server.url) as index:
        for work in (index.prepare(), index.put(ACME, [LIBRARY]), index.counts(ACME)):
            with pytest.raises(StoreUnavailable, match="QDRANT_URL does not answer") as caught:
                await work
            assert not isinstance(caught.value, StoreRefused)
        server.start()
        await put_both(index)
        assert texts(await index.search(ACME, "library", None, limit=5)) == [LIBRARY.text]
        assert texts(await index.search(GLOBEX, "library", None, limit=5)) == [SECRET.text]


async def test_a_server_that_goes_away_and_comes_back_is_used_again(server: FakeQdrantServer) -> None:
    async with index_at(server.url) as index:
        await put_both(index)
        server.stop()
        for work in (index.search(ACME, "library", vector(1), limit=5), index.put(GLOBEX, [LIBRARY]), index.check()):
            with pytest.raises(StoreUnavailable, match="QDRANT_URL does not answer"):
                await work
        server.start()
        await index.check()
        assert await index.counts(ACME) == IndexCounts(2, 1)
        assert await index.counts(GLOBEX) == IndexCounts(1, 1)


async def test_a_collection_that_somebody_dropped_is_made_anew(server: FakeQdrantServer, direct: QdrantClient) -> None:
    async with index_at(server.url) as index:
        await put_both(index)
        direct.delete_collection("tests")
        with pytest.raises(StoreUnavailable, match="no longer exists"):
            await index.search(ACME, "library", vector(1), limit=5)
        assert await index.counts(ACME) == await index.counts(GLOBEX) == IndexCounts(0, 0)


async def test_a_server_that_never_answers_is_given_up(nobody: tuple[socket.socket, str]) -> None:
    began = time.monotonic()
    async with index_at(nobody[1], timeout_s=1) as index:
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await index.search(ACME, "library", vector(1), limit=5)
    assert time.monotonic() - began < 20


# --- A server that is not what we need
@pytest.mark.parametrize(
    ("api_key", "said"), [("a wrong secret", "refuses the key: set QDRANT_API_KEY"), (None, "set QDRANT_API_KEY")]
)
async def test_a_wrong_key_is_refused_and_not_told_on(
    server: FakeQdrantServer, api_key: str | None, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with index_at(server.url, api_key=api_key) as index:
        for work in (index.check(), index.search(ACME, "library", None, limit=5)):
            with caplog.at_level(logging.DEBUG), pytest.raises(StoreRefused, match=said) as caught:
                await work
            told = [repr(error) + str(error) for error in causes(caught.value)] + [caplog.text, repr(index)]
            assert "a wrong secret" not in "".join(told)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


async def test_a_key_that_is_taken_away_later_is_noticed(server: FakeQdrantServer) -> None:
    async with index_at(server.url) as index:
        await put_both(index)
        server.api_key = "another"
        with pytest.raises(StoreRefused, match="QDRANT_API_KEY"):
            await index.search(ACME, "library", None, limit=5)
        server.api_key = KEY
        assert await index.counts(GLOBEX) == IndexCounts(1, 1)


@pytest.mark.parametrize(
    "page",
    [
        '{"title": "another search engine", "version": "1.20.0"}',
        '{"title": "qdrant - vector search engine", "version": "new"}',
        '{"name": "node-1", "cluster_name": "search"}',
        "[]",
        "<!doctype html><title>Welcome to nginx!</title>",
    ],
)
async def test_another_program_that_answers_is_told_apart(page: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {len(page)}\r\n\r\n{page}".encode())
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening, index_at(url) as index:
        for tenant in (ACME, GLOBEX):
            with pytest.raises(StoreRefused, match="QDRANT_URL is not a Qdrant"):
                await index.search(tenant, "library", None, limit=5)


async def test_another_program_at_the_address_is_told_apart() -> None:
    with FakeModelServer() as other:
        async with index_at(other.base_url.removesuffix("/v1")) as index:
            for work in (index.check(), index.put(ACME, [LIBRARY]), index.counts(GLOBEX)):
                with pytest.raises(StoreRefused, match="QDRANT_URL is not a Qdrant"):
                    await work


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dimension": 8}, "holds vectors of 4 numbers, those of the embedding model a model have 8"),
        ({"model": "another model"}, "made with the embedding model a model, not with another model"),
    ],
)
async def test_a_collection_of_another_embedding_model_is_refused(
    server: FakeQdrantServer, direct: QdrantClient, change: dict[str, Any], said: str
) -> None:
    async with index_at(server.url) as index:
        await put_both(index)
    before = direct.scroll("tests", with_vectors=True)
    async with index_at(server.url, **change) as other:
        for work in (other.check(), other.put(GLOBEX, [PARKING]), other.delete_documents(ACME, ["handbook"])):
            with pytest.raises(StoreRefused, match=said) as caught:
                await work
            assert "QDRANT_COLLECTION_NAME" in caught.value.detail
    assert direct.scroll("tests", with_vectors=True) == before


FOREIGN = {
    "another distance": {
        "vectors_config": {"meaning": models.VectorParams(size=DIMENSION, distance=models.Distance.DOT)},
        "sparse_vectors_config": {"words": IDF},
    },
    "no idf": {"vectors_config": {"meaning": COSINE}, "sparse_vectors_config": {"words": models.SparseVectorParams()}},
}


@pytest.mark.parametrize("settings", FOREIGN.values(), ids=FOREIGN)
async def test_a_collection_that_measures_otherwise_is_refused(
    server: FakeQdrantServer, direct: QdrantClient, settings: dict[str, dict[str, models.VectorParams]]
) -> None:
    direct.create_collection("tests", **settings)  # type: ignore[arg-type] # both kinds in one table
    async with index_at(server.url) as index:
        for tenant in (ACME, GLOBEX):
            with pytest.raises(StoreRefused, match="measures likeness in another way"):
                await index.put(tenant, [LIBRARY])
    assert direct.count("tests").count == 0
    assert direct.get_collection("tests").payload_schema == {}


async def test_an_older_server_is_used_without_what_it_cannot_do(caplog: pytest.LogCaptureFixture) -> None:
    with FakeQdrantServer(api_key=KEY, version="1.15.4") as server:
        async with index_at(server.url) as index:
            with caplog.at_level(logging.WARNING):
                await put_both(index)
            assert "before 1.19" in caplog.text
            assert texts(await index.search(ACME, "library", vector(1), limit=5)) == [LIBRARY.text]
            assert texts(await index.search(GLOBEX, "library", None, limit=5)) == [SECRET.text]


async def test_a_server_that_is_too_old_is_refused() -> None:
    with FakeQdrantServer(api_key=KEY, version="1.9.2") as server:
        async with index_at(server.url) as index:
            for tenant in (ACME, GLOBEX):
                with pytest.raises(StoreRefused, match=r"version 1\.9\.2: 1\.13 or newer"):
                    await index.counts(tenant)
