"""Cut again from its kept text, a document has the passages that it would have been loaded with."""

from pathlib import Path

import pytest

from auth.principal import Principal
from domain.db import Database
from domain.document_files import DocumentFiles
from domain.documents import get_chunks, list_documents
from domain.indexes import IndexSpec, begin_index, list_indexes, make_first_row
from domain.models import Document, DocumentVersion
from domain.scoping import select_everywhere
from indexing.indexer import Indexer
from ingestion.chunking import ChunkSizes
from ingestion.rechunker import Rechunker
from providers.files.folder import FolderFileStore
from retrieval.edge import EdgeIndex
from tests.domain.records import ACME, GLOBEX
from tests.indexing.test_reconciliation import DIMENSION, Hashing
from tests.reading import load_files
from utils.errors import StoreUnavailable

SAMPLES = Path(__file__).parents[2] / "samples"
WHOLE, SMALL = ChunkSizes(), ChunkSizes.scale(60, 90)


def test_the_sizes_of_a_cut_are_told_by_its_name() -> None:
    assert ChunkSizes.scale(220, 400) == ChunkSizes()
    assert [ChunkSizes.parse(sizes.chunking_version) for sizes in (WHOLE, SMALL)] == [WHOLE, SMALL]


def test_a_document_that_is_cut_again_has_the_chunks_it_would_have_been_loaded_with(
    database: Database, tmp_path: Path
) -> None:
    files = FolderFileStore(tmp_path / "files")
    with database.open_write_session() as session:
        session.add(make_first_row(spec(WHOLE)))
        session.flush()
        slot = begin_index(session, spec(SMALL)).slot
    for ctx, sizes in ((ACME, WHOLE), (GLOBEX, SMALL)):
        load_files(database, ctx, [SAMPLES], sizes=sizes, document_files=DocumentFiles(database, files))
    rechunker = Rechunker(database, files, slot=slot, sizes=SMALL)
    for document in documents(database, ACME):
        assert rechunker.cut(ACME, document)
    expected = passages(database, GLOBEX)
    assert passages(database, ACME) == expected
    assert min(len(found) for found in expected.values()) > 1
    # What is cut already is left as it is; what was replaced meanwhile, too.
    for document in documents(database, ACME):
        document.version -= 1
        rechunker.cut(ACME, document)
    assert passages(database, ACME) == expected


@pytest.mark.long
@pytest.mark.parametrize(
    "damaged", [b"", b"[]", b'{"text":"a"}', b'{"text":1,"parts":[]}', b'{"text":"a","parts":[[0,0,999999999999,0,1]]}']
)
async def test_a_document_whose_kept_text_is_not_one_stays_in_its_passages(
    database: Database, tmp_path: Path, damaged: bytes
) -> None:
    files, index = FolderFileStore(tmp_path / "files"), EdgeIndex.open(tmp_path / "index", dimension=DIMENSION)
    with database.open_write_session() as session:
        session.add(make_first_row(spec(SMALL)))
    for ctx in (ACME, GLOBEX):
        (tmp_path / "a.md").write_text(f"# Rooms\n\nThe room of {ctx.tenant_id} is closed.\n")
        load_files(database, ctx, [tmp_path / "a.md"], sizes=WHOLE, document_files=DocumentFiles(database, files))
    with database.open_write_session() as session:
        [version] = session.scalars(select_everywhere(DocumentVersion).where(DocumentVersion.tenant_id == "acme"))
        version.text_hash = files.put(ACME, damaged)
    await Indexer(
        database, index, Hashing(), rechunker=Rechunker(database, files, slot=1, sizes=SMALL)
    ).catch_up_words()
    for ctx in (ACME, GLOBEX):
        [hit] = await index.search(ctx, "closed room", None, limit=5)
        assert hit.passage.text == f"The room of {ctx.tenant_id} is closed."
    await index.close()


async def test_a_kept_text_that_cannot_be_read_keeps_no_other_document_waiting(
    database: Database, tmp_path: Path
) -> None:
    files, index = FolderFileStore(tmp_path / "files"), EdgeIndex.open(tmp_path / "index", dimension=DIMENSION)
    with database.open_write_session() as session:
        session.add(make_first_row(spec(SMALL)))
    for ctx in (ACME, GLOBEX):
        for name, sizes in (("a.md", WHOLE), ("b.md", SMALL)):
            (tmp_path / name).write_text(f"# Rooms\n\nThe room {name} of {ctx.tenant_id} is closed.\n")
            load_files(database, ctx, [tmp_path / name], sizes=sizes, document_files=DocumentFiles(database, files))
    with database.open_read_session() as session:
        hashes = session.scalars(
            select_everywhere(DocumentVersion)
            .with_only_columns(DocumentVersion.text_hash)
            .where(DocumentVersion.file_name == "a.md")
        ).all()
    for text_hash in hashes:
        [kept] = (tmp_path / "files").rglob(text_hash)
        kept.unlink()
        kept.mkdir()  # reading fails, and not because there is none
    indexer = Indexer(database, index, Hashing(), rechunker=Rechunker(database, files, slot=1, sizes=SMALL))
    with pytest.raises(StoreUnavailable):
        await indexer.catch_up_words()
    for ctx in (ACME, GLOBEX):
        [hit] = await index.search(ctx, "closed room", None, limit=5)
        assert hit.passage.text == f"The room b.md of {ctx.tenant_id} is closed."
    await index.close()


def spec(sizes: ChunkSizes) -> IndexSpec:
    return IndexSpec("a model", 8, None, "words", sizes.chunking_version)


def documents(database: Database, ctx: Principal) -> list[Document]:
    with database.open_read_session() as session:
        found = list_documents(session, ctx)
        session.expunge_all()
        return found


def passages(database: Database, ctx: Principal) -> dict[str, list[tuple[object, ...]]]:
    """By document, those of the newest index."""
    with database.open_read_session() as session:
        cut = list_indexes(session)[-1].chunking_version
        return {
            document.source: [
                (chunk.start, chunk.end, chunk.text, chunk.heading, chunk.page, chunk.language)
                for chunk in get_chunks(session, ctx, document.document_id)
                if chunk.chunking_version == cut
            ]
            for document in list_documents(session, ctx)
        }
