"""A tenant's documents leave as a file and come to another tenant with their vectors, under ids of its own."""

import asyncio
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from auth.principal import Principal
from domain.db import Database
from domain.document_files import DocumentFiles, Extracted, find_version
from domain.documents import get_chunks, list_documents, record_failure, replace_document
from domain.indexes import IndexSpec, make_first_row
from indexing.indexer import Indexer
from indexing.transfer import Imported, Target, export_documents, import_documents
from ingestion.chunking import ChunkSizes
from ingestion.rechunker import Rechunker
from providers.files.folder import FolderFileStore
from retrieval.edge import EdgeIndex
from retrieval.index import IndexCounts
from tests.domain.records import ACME, GLOBEX, content, refuse, two_tenants
from tests.indexing.test_reconciliation import DIMENSION, Hashing, follow, say
from utils.errors import BadInput

ORIGINAL, EXTRACTED = b"# Rooms\n", Extracted("Rooms cost 500. Guests leave at ten.", ()).to_bytes()
ORIGINAL_HASH = hashlib.sha256(ORIGINAL).hexdigest()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = two_tenants(f"sqlite:///{tmp_path / 'records.db'}")
    yield database
    database.close()


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[EdgeIndex]:
    index = EdgeIndex.open(tmp_path / "index", dimension=DIMENSION)
    yield index
    await index.close()


@pytest.fixture
def files(tmp_path: Path) -> FolderFileStore:
    return FolderFileStore(tmp_path / "files")


def target(index: EdgeIndex, model: str = Hashing.model) -> Target:
    return Target(index, 1, model, DIMENSION, ChunkSizes().chunking_version)


async def exported(database: Database, index: EdgeIndex, files: FolderFileStore, path: Path) -> Path:
    """Acme's two documents of three chunks in all, one without its vector yet, as a file."""
    read = replace(content("Rooms cost 500.", "Guests leave at ten."), content_hash=ORIGINAL_HASH, extracted=EXTRACTED)
    DocumentFiles(database, files).replace(ACME, "/a.md", ORIGINAL, read)
    await follow(database, index)
    say(database, ACME, "/b.md", "Bicycles stand in the yard.")
    with database.open_write_session() as session:
        record_failure(session, ACME, "/c.pdf", "c.pdf", "It is not a PDF.")
    head = await export_documents(database, files, ACME, path, target(index), lexical_version="words-1")
    assert (head.documents, head.chunks, head.vectors) == (2, 3, 2)
    return path


def everything(database: Database) -> dict[str, list[tuple[str, str, int, str | None, list[str]]]]:
    with database.open_read_session() as session:
        return {
            ctx.tenant_id: [
                (
                    each.document_id,
                    each.origin,
                    each.version,
                    each.state,
                    [c.text for c in get_chunks(session, ctx, each.document_id)],
                )
                for each in list_documents(session, ctx)
            ]
            for ctx in (ACME, GLOBEX)
        }


async def stored(index: EdgeIndex, ctx: Principal) -> dict[str, tuple[str, list[float] | None]]:
    batches = [batch async for batch in index.export(ctx)]
    return {
        each.passage.text: (each.passage.passage_id, None if each.vector is None else each.vector.tolist())
        for batch in batches
        for each in batch
    }


async def test_documents_come_to_another_tenant_with_their_vectors_and_ids_of_its_own(
    database: Database, index: EdgeIndex, files: FolderFileStore, tmp_path: Path
) -> None:
    path = await exported(database, index, files, tmp_path / "acme.zip")
    before = everything(database)["acme"]
    done = await import_documents(database, files, GLOBEX, path, [target(index)])
    assert done == Imported(added=2, reused=2, to_embed=1)
    ours, theirs = await stored(index, ACME), await stored(index, GLOBEX)
    assert {"Rooms cost 500.", "Guests leave at ten."} <= theirs.keys()
    for text in ("Rooms cost 500.", "Guests leave at ten."):
        assert theirs[text][1] == pytest.approx(ours[text][1])
    now = everything(database)
    assert now["acme"] == before
    assert not {each[0] for each in now["acme"]} & {each[0] for each in now["globex"]}
    assert not {each[0] for each in ours.values()} & {each[0] for each in theirs.values()}
    assert {(each[1], *each[4]) for each in now["globex"]} == {
        ("/a.md", "Rooms cost 500.", "Guests leave at ten."),
        ("/b.md", "Bicycles stand in the yard."),
    }
    assert next(each[3] for each in now["globex"] if each[1] == "/a.md") == "ready"
    with database.open_read_session() as session:
        version = find_version(session, GLOBEX, next(each[0] for each in now["globex"] if each[1] == "/a.md"))
    assert version is not None
    with DocumentFiles(database, files).open_original(GLOBEX, version) as file:
        assert file.read() == ORIGINAL
    assert DocumentFiles(database, files).read_extracted(GLOBEX, version).text.startswith("Rooms cost")
    await follow(database, index)
    assert await index.counts(GLOBEX) == IndexCounts(3, 0)
    [hit] = [hit for hit in await index.search(GLOBEX, "bicycles yard", None, limit=5) if hit.lexical]
    assert hit.passage.document_id in {each[0] for each in now["globex"]}


async def test_vectors_of_another_model_are_computed_anew(
    database: Database, index: EdgeIndex, files: FolderFileStore, tmp_path: Path
) -> None:
    path = await exported(database, index, files, tmp_path / "acme.zip")
    done = await import_documents(database, files, GLOBEX, path, [target(index, model="another")])
    assert done == Imported(added=2, to_embed=3)
    assert await index.counts(GLOBEX) == IndexCounts(0, 0)
    await follow(database, index)
    assert await index.counts(GLOBEX) == IndexCounts(3, 0)


async def test_a_second_import_changes_only_what_differs(
    database: Database, index: EdgeIndex, files: FolderFileStore, tmp_path: Path
) -> None:
    path = await exported(database, index, files, tmp_path / "acme.zip")
    await import_documents(database, files, GLOBEX, path, [target(index)])
    with database.open_write_session() as session:
        replace_document(session, GLOBEX, "/a.md", content("Rooms are free."))
    done = await import_documents(database, files, GLOBEX, path, [target(index)])
    assert done == Imported(changed=1, unchanged=1, to_embed=2)
    await follow(database, index)
    assert set(await stored(index, GLOBEX)) == {
        "Rooms cost 500.",
        "Guests leave at ten.",
        "Bicycles stand in the yard.",
    }
    assert len(await stored(index, ACME)) == 3


async def test_documents_that_are_cut_otherwise_are_cut_anew_for_the_index_here(
    database: Database, index: EdgeIndex, files: FolderFileStore, tmp_path: Path
) -> None:
    path = await exported(database, index, files, tmp_path / "acme.zip")
    with database.open_write_session() as session:
        session.add(make_first_row(IndexSpec(Hashing.model, DIMENSION, None, "words", "1/60/90/21/4")))
    here = replace(target(index), chunking_version="1/60/90/21/4")
    done = await import_documents(database, files, GLOBEX, path, [here])
    assert done == Imported(added=2, to_embed=3)
    assert await index.counts(GLOBEX) == IndexCounts(0, 0)
    rechunker = Rechunker(database, files, slot=1, sizes=ChunkSizes.parse(here.chunking_version))
    await Indexer(database, index, Hashing(), rechunker=rechunker).catch_up_words()
    assert set(await stored(index, GLOBEX)) == {
        "Rooms cost 500.",
        "Guests leave at ten.",
        "Bicycles stand in the yard.",
    }
    with database.open_read_session() as session:
        cuts = {
            c.chunking_version
            for each in list_documents(session, GLOBEX)
            for c in get_chunks(session, GLOBEX, each.document_id)
        }
    assert cuts == {here.chunking_version}


def rewritten(path: Path, **entries: Callable[[bytes], bytes] | None) -> None:
    """Change entries of the archive, or leave them out."""
    with zipfile.ZipFile(path) as archive:
        held = {info.filename: (info.compress_type, archive.read(info)) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, (kind, data) in held.items():
            change = entries.get(name.split(".")[0], bytes)
            if change is not None:
                archive.writestr(name, change(data), kind)


def _head(**changes: object) -> Callable[[bytes], bytes]:
    return lambda data: json.dumps(json.loads(data) | changes).encode()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "is cut off": lambda path: path.write_bytes(path.read_bytes()[:-200]),
    "is cut off in the middle": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "is something else": lambda path: path.write_text("no archive"),
    "is empty": lambda path: path.write_bytes(b""),
    "is a folder": lambda path: (path.unlink(), path.mkdir()),
    "is not there": lambda path: path.unlink(),
    "has a byte changed": lambda path: path.write_bytes(flipped(path.read_bytes())),
    "has no head": lambda path: rewritten(path, head=None),
    "has no documents": lambda path: rewritten(path, documents=None),
    "has no vectors": lambda path: rewritten(path, vectors=None),
    "is of a later version": lambda path: rewritten(path, head=_head(version=2)),
    "has fewer documents than it says": lambda path: rewritten(path, documents=lambda data: data.splitlines(True)[0]),
    "has a line that is no JSON": lambda path: rewritten(path, documents=lambda data: data + b"{\n"),
    "has a field of another kind": lambda path: rewritten(
        path, documents=lambda data: data.replace(b'"size_bytes":', b'"size_bytes":"x",', 1)
    ),
    "has another dimension": lambda path: rewritten(path, head=_head(dimension=DIMENSION + 1)),
    "has a file that is another": lambda path: rewritten(path, **{f"files/{ORIGINAL_HASH}": lambda data: b"# Else\n"}),
    "has vectors that are no numbers": lambda path: rewritten(path, vectors=lambda data: b"\xff" * len(data)),
}


def flipped(data: bytes) -> bytes:
    """With one byte of the vectors changed."""
    at = data.index(b"vectors.bin") + 60
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.fixture(scope="module")
def whole_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What `exported` writes."""
    folder = tmp_path_factory.mktemp("export")
    database = two_tenants(f"sqlite:///{folder / 'records.db'}")

    async def written() -> bytes:
        index = EdgeIndex.open(folder / "index", dimension=DIMENSION)
        try:
            return (
                await exported(database, index, FolderFileStore(folder / "files"), folder / "acme.zip")
            ).read_bytes()
        finally:
            await index.close()

    try:
        return asyncio.run(written())
    finally:
        database.close()


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, EdgeIndex]]:
    """What all damaged files are refused by: globex has a document that one of the file would replace."""
    folder = tmp_path_factory.mktemp("untouched")
    database = two_tenants(f"sqlite:///{folder / 'records.db'}")
    say(database, GLOBEX, "/a.md", "Ours.")
    index = EdgeIndex.open(folder / "index", dimension=DIMENSION)
    yield database, index
    asyncio.run(index.close())
    database.close()


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_file_that_is_not_whole_is_refused_and_changes_nothing(
    untouched: tuple[Database, EdgeIndex], files: FolderFileStore, tmp_path: Path, whole_file: bytes, damage: str
) -> None:
    database, index = untouched
    path = tmp_path / "acme.zip"
    path.write_bytes(whole_file)
    DAMAGE[damage](path)
    before = everything(database)
    with pytest.raises(BadInput) as refusal:
        await import_documents(database, files, GLOBEX, path, [target(index)])
    assert len(refusal.value.detail) < 300
    assert everything(database) == before
    assert await index.list_tenant_ids() == set()
    assert not list(files.list_hashes(GLOBEX))


async def test_no_file_stays_of_a_document_that_the_database_does_not_take(
    database: Database, index: EdgeIndex, files: FolderFileStore, tmp_path: Path
) -> None:
    path = await exported(database, index, files, tmp_path / "acme.zip")
    refuse(database, "document_versions", GLOBEX)
    before = len(list(files.list_hashes(ACME)))
    with pytest.raises(IntegrityError):
        await import_documents(database, files, GLOBEX, path, [target(index)])
    assert (before, len(list(files.list_hashes(ACME))), len(list(files.list_hashes(GLOBEX)))) == (2, 2, 0)
    assert path.resolve() not in {each.resolve() for each in Path("/proc/self/fd").iterdir()}  # it is closed


async def test_an_export_that_fails_leaves_the_former_file(
    database: Database, index: EdgeIndex, files: FolderFileStore, tmp_path: Path
) -> None:
    path = await exported(database, index, files, tmp_path / "acme.zip")
    before = path.read_bytes()
    closed = EdgeIndex.open(tmp_path / "closed", dimension=DIMENSION)
    await closed.close()
    with pytest.raises(RuntimeError):
        await export_documents(database, files, ACME, path, target(closed), lexical_version="words-1")
    assert path.read_bytes() == before
    assert zipfile.is_zipfile(io.BytesIO(before))
    assert not list(tmp_path.glob("*.part"))
    with pytest.raises(BadInput, match="cannot be written"):
        await export_documents(
            database, files, ACME, tmp_path / "no" / "file.zip", target(index), lexical_version="words-1"
        )
