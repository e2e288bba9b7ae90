"""A collection that langchain-qdrant wrote: read along for the default tenant, and never written to."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_qdrant import QdrantVectorStore, RetrievalMode, SparseEmbeddings, SparseVector
from qdrant_client import QdrantClient, models

from auth.credentials import make_key_principal
from auth.principal import DEFAULT_TENANT
from retrieval.index import IndexCounts
from retrieval.langchain import ScoredDocument, join, make_passage
from retrieval.lexical import Lexicon
from retrieval.ranking import Candidates
from retrieval.server import ServerIndex
from tests.fakes.qdrant_server import FakeQdrantServer
from tests.retrieval.conftest import KEY, server_index
from tests.retrieval.corpus import ACME, DIMENSION, passage, texts, vector
from utils.errors import StoreRefused
from utils.passages import Passage

DEFAULT = make_key_principal(DEFAULT_TENANT, "key-d")
NAME = "institution"
OPENING = Document(
    page_content="Perpustakaan buka pukul delapan pagi setiap hari kerja.",
    metadata={"source": "/data/panduan/perpustakaan.pdf", "page": 4, "title": "Panduan perpustakaan"},
)
FEES = Document(
    page_content="The tuition fee is paid before the semester begins.",
    metadata={"source": "https://institution.example/fees.html", "language": "en-US"},
)
PARKING = passage("A parking permit is paid at the gate.", document_id="costs")
VECTORS = {OPENING.page_content: vector(1), FEES.page_content: vector(0, 1)}
GIVEN = {PARKING.passage_id: vector(0, 1, 0.5)}


class FixedEmbeddings(Embeddings):
    """A vector for each of the texts above, and the first one for any other."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        numbers: list[float] = VECTORS.get(text, vector(1)).tolist()
        return numbers


class FixedSparseEmbeddings(SparseEmbeddings):
    """Some sparse vector for any text."""

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> SparseVector:
        return SparseVector(indices=[len(text)], values=[1.0])


@pytest.fixture
def direct(server: FakeQdrantServer) -> Iterator[QdrantClient]:
    """A client of the institution's own programs."""
    client = QdrantClient(url=server.url, headers={"api-key": KEY}, check_compatibility=False)
    yield client
    client.close()


def write(server: FakeQdrantServer, documents: Sequence[Document] = (OPENING, FEES), **settings: Any) -> None:
    """Make the collection as an institution does; *settings* are those of `QdrantVectorStore`."""
    known: dict[str, Any] = {"collection_name": NAME, "embedding": FixedEmbeddings()} | settings
    reached: dict[str, Any] = {"url": server.url, "headers": {"api-key": KEY}, "check_compatibility": False}
    store = QdrantVectorStore.from_documents(list(documents), **reached, **known)
    store.client.close()


@asynccontextmanager
async def index_on(server: FakeQdrantServer, *, dimension: int = DIMENSION) -> AsyncIterator[ServerIndex]:
    index = server_index(server, NAME, dimension=dimension)
    try:
        yield index
    finally:
        await index.close()


def everything(client: QdrantClient) -> tuple[object, ...]:
    """All there is in the institution's collection."""
    return client.get_collection(NAME), client.scroll(NAME, limit=100, with_payload=True, with_vectors=True)


KINDS: dict[str, dict[str, Any]] = {
    "unnamed vector": {},
    "named vector": {"vector_name": "content"},
    "hybrid": {
        "retrieval_mode": RetrievalMode.HYBRID,
        "sparse_embedding": FixedSparseEmbeddings(),
        "vector_name": "dense",
    },
}


@pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)
async def test_the_default_tenant_finds_what_langchain_wrote(
    server: FakeQdrantServer, settings: dict[str, Any]
) -> None:
    write(server, **settings)
    async with index_on(server) as index:
        first, second = await index.search(DEFAULT, "Jam berapa perpustakaan buka?", vector(1), limit=5)
        assert (first.passage.title, first.passage.page, first.passage.language) == ("Panduan perpustakaan", 5, "id")
        assert first.passage.text == OPENING.page_content
        assert first.dense == pytest.approx(1)
        assert first.lexical > second.lexical == 0
        assert (second.passage.title, second.passage.url) == ("fees.html", FEES.metadata["source"])
        assert await index.search(ACME, "Jam berapa perpustakaan buka?", vector(1), limit=5) == []
        assert await index.search(ACME, "perpustakaan", None, limit=5) == []


async def test_both_collections_are_one_ranking(server: FakeQdrantServer) -> None:
    write(server)
    async with index_on(server) as index:
        for tenant in (DEFAULT, ACME):
            await index.put(tenant, [PARKING])
            await index.put_vectors(tenant, GIVEN)
        hits = await index.search(DEFAULT, "Where is the permit paid?", vector(0, 1, 0.2), limit=5)
        assert texts(hits) == [PARKING.text, FEES.page_content, OPENING.page_content]
        assert hits[0].dense == pytest.approx(float(GIVEN[PARKING.passage_id] @ vector(0, 1, 0.2)))
        assert hits[0].lexical > hits[1].lexical > hits[2].lexical == 0, "words are weighed on one scale"
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert texts(await index.search(DEFAULT, "Where is the permit paid?", vector(0, 1, 0.2), limit=1)) == [
            PARKING.text
        ]
        assert texts(await index.search(ACME, "tuition fee", vector(0, 1), limit=5)) == [PARKING.text]


async def test_without_a_vector_what_langchain_wrote_is_found_by_words(server: FakeQdrantServer) -> None:
    write(server)
    async with index_on(server) as index:
        for tenant in (DEFAULT, ACME):
            await index.put(tenant, [PARKING])
        assert texts(await index.search(DEFAULT, "Tuition before the SEMESTER?", None, limit=5)) == [FEES.page_content]
        assert set(texts(await index.search(DEFAULT, "paid", None, limit=5))) == {FEES.page_content, PARKING.text}
        assert await index.search(DEFAULT, "what is the", None, limit=5) == []
        assert await index.search(DEFAULT, "zebra", None, limit=5) == []
        assert texts(await index.search(ACME, "paid tuition", None, limit=5)) == [PARKING.text]


def test_a_word_inside_another_is_not_that_word() -> None:
    """Servers that know no words of an unindexed text look for any text within it."""
    party = {"a": ScoredDocument(passage("The party is on Friday."), None)}
    assert join(Candidates(), {}, party, "art", Lexicon()).lexical == {}
    assert join(Candidates(), {}, party, "parties", Lexicon()).lexical.keys() == party.keys()


async def test_the_institutions_collection_stays_as_it_is(server: FakeQdrantServer, direct: QdrantClient) -> None:
    write(server)
    before = everything(direct)
    server.requests.clear()
    async with index_on(server) as index:
        for tenant in (DEFAULT, ACME):
            await index.put(tenant, [PARKING])
            await index.put_vectors(tenant, GIVEN)
            [found, *_] = await index.search(tenant, "fee", vector(0, 1), limit=5)
            await index.put(tenant, [found.passage])
            await index.delete_documents(tenant, ["costs", found.passage.document_id])
            assert await index.counts(tenant) == IndexCounts(0, 0)
            await index.check()
    ours = f"/collections/{NAME}-pustaka"
    writes = [each for each in server.requests if each.split()[0] in ("PUT", "PATCH", "DELETE") or "delete" in each]
    assert writes
    assert all(ours in each for each in writes)
    assert everything(direct) == before


async def test_what_is_counted_and_moved_is_our_own(server: FakeQdrantServer) -> None:
    write(server)
    async with index_on(server) as index:
        for tenant in (DEFAULT, ACME):
            await index.put(tenant, [PARKING])
            assert await index.counts(tenant) == IndexCounts(1, 1)
            assert {entry.document_id async for page in index.list_entries(tenant) for entry in page} == {"costs"}
            moved = [stored.passage for batch in [each async for each in index.export(tenant)] for stored in batch]
            assert moved == [PARKING]


async def test_a_passage_has_the_same_id_each_time(server: FakeQdrantServer) -> None:
    write(server)
    found: list[list[Passage]] = []
    for question in ("tuition", "library"):
        async with index_on(server) as index:
            assert await index.search(ACME, question, vector(0, 1), limit=5) == []
            found.append([hit.passage for hit in await index.search(DEFAULT, question, vector(0, 1), limit=5)])
    first, second = ({each.passage_id: each for each in passages} for passages in found)
    assert first == second
    assert len(first) == 2


async def test_a_collection_that_langchain_has_not_written_to_yet_is_taken(
    server: FakeQdrantServer, direct: QdrantClient
) -> None:
    direct.create_collection(NAME, models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE))
    async with index_on(server) as index:
        await index.put(ACME, [PARKING])
        assert await index.search(DEFAULT, "fee", vector(0, 1), limit=5) == []
        write(server, force_recreate=False)
        assert len(await index.search(DEFAULT, "fee", vector(0, 1), limit=5)) == 2
        assert texts(await index.search(ACME, "permit", None, limit=5)) == [PARKING.text]


def params(size: int = DIMENSION, distance: models.Distance = models.Distance.COSINE) -> models.VectorParams:
    return models.VectorParams(size=size, distance=distance)


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (params(7), r"holds vectors of 7 numbers, those of the embedding model have 4: set EMBEDDING_MODEL"),
        ({"a": params(7), "b": params(9)}, r"holds vectors of 7, 9 numbers"),
        ({"a": params(), "b": params()}, "needs one dense vector a passage, compared by cosine"),
        (params(distance=models.Distance.EUCLID), "needs one dense vector a passage, compared by cosine"),
    ],
)
async def test_vectors_that_cannot_be_compared_with_ours_are_refused(
    server: FakeQdrantServer,
    direct: QdrantClient,
    vectors: models.VectorParams | dict[str, models.VectorParams],
    said: str,
) -> None:
    direct.create_collection(NAME, vectors)
    before = everything(direct)
    async with index_on(server) as index:
        for tenant in (DEFAULT, ACME):
            with pytest.raises(StoreRefused, match=said):
                await index.search(tenant, "fee", vector(0, 1), limit=5)
    assert everything(direct) == before
    assert not direct.collection_exists(f"{NAME}-pustaka")


async def test_a_collection_with_sparse_vectors_alone_is_refused(server: FakeQdrantServer) -> None:
    sparse: dict[str, Any] = {
        "retrieval_mode": RetrievalMode.SPARSE,
        "sparse_embedding": FixedSparseEmbeddings(),
        "embedding": None,
    }
    write(server, **sparse)
    async with index_on(server) as index:
        for tenant in (DEFAULT, ACME):
            with pytest.raises(StoreRefused, match="sparse vectors only"):
                await index.put(tenant, [PARKING])


async def test_a_collection_of_another_program_is_refused(server: FakeQdrantServer, direct: QdrantClient) -> None:
    direct.create_collection(NAME, params())
    direct.upsert(NAME, [models.PointStruct(id=1, vector=vector(1).tolist(), payload={"text": "Something else"})])
    before = everything(direct)
    async with index_on(server) as index:
        for tenant in (DEFAULT, ACME):
            with pytest.raises(StoreRefused, match="neither by this service nor by LangChain"):
                await index.put(tenant, [PARKING])
    assert everything(direct) == before


async def test_a_name_beside_it_that_is_taken_is_refused(server: FakeQdrantServer, direct: QdrantClient) -> None:
    write(server)
    direct.create_collection(f"{NAME}-pustaka", params())
    async with index_on(server) as index:
        for tenant in (DEFAULT, ACME):
            with pytest.raises(StoreRefused, match=f"{NAME}-pustaka was not made by this service"):
                await index.put(tenant, [PARKING])
    assert direct.count(f"{NAME}-pustaka").count == 0


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, {"title": "kb", "source": "kb", "url": None, "page": None, "heading": "", "start": 0, "language": "en"}),
        ({"source": "C:\\docs\\Guide.docx"}, {"title": "Guide.docx", "source": "C:\\docs\\Guide.docx", "url": None}),
        ({"source": "https://a.example/b/c%20d?e=f"}, {"title": "c d", "url": "https://a.example/b/c%20d?e=f"}),
        ({"source": "https://a.example/"}, {"title": "https://a.example/"}),
        ({"source": "x.md", "url": "https://a.example/x"}, {"source": "x.md", "url": "https://a.example/x"}),
        ({"source": "x.pdf", "url": "javascript:alert(1)"}, {"url": None}),
        ({"title": "  A title ", "file_name": "x.md"}, {"title": "A title", "source": "x.md"}),
        ({"page": 0}, {"page": 1}),
        ({"page": 6, "page_label": "9"}, {"page": 9}),
        ({"page": 6, "page_label": "iv"}, {"page": 7}),
        ({"page_number": 3}, {"page": 3}),
        ({"page": "three"}, {"page": None}),
        ({"page": -1}, {"page": None}),
        ({"Header 1": "Fees", "Header 2": "Dates"}, {"heading": "Fees › Dates"}),
        ({"section": "Fees"}, {"heading": "Fees"}),
        ({"start_index": 120}, {"start": 120, "end": 120 + 45}),
        ({"language": "es-MX"}, {"language": "es"}),
        ({"language": "No language found."}, {"language": "en"}),
        ("not a dictionary", {"title": "kb"}),
    ],
)
def test_metadata_of_common_loaders_is_understood(metadata: object, expected: dict[str, object]) -> None:
    payload = {"page_content": "The library opens at nine and closes at eight", "metadata": metadata}
    found = make_passage(payload, collection="kb", point=7)
    assert {name: getattr(found, name) for name in expected} == expected
    assert found.end - found.start == len(found.text)


def test_passages_of_one_source_are_of_one_document() -> None:
    one, two, other = (
        make_passage({"page_content": "Text", "metadata": {"source": source}}, collection="kb", point=point)
        for source, point in (("a.md", 1), ("a.md", 2), ("b.md", 3))
    )
    assert one.document_id == two.document_id != other.document_id
    assert len({one.passage_id, two.passage_id, other.passage_id}) == 3
