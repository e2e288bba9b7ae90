"""Between a tenant's documents and a file."""

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.db import Database
from domain.document_files import DocumentFiles
from domain.documents import ChunkText, DocumentContent, replace_document
from domain.file_store import FileStore
from domain.in_thread import read, write
from domain.models import Chunk, Document, DocumentState, DocumentVersion
from domain.transfer import (
    add_indexed,
    ensure_import_dataset,
    find_at_origin,
    find_document,
    list_movable_ids,
    make_document_id,
    make_passages,
)
from indexing.archive import (
    ArchiveWriter,
    ChunkLine,
    DocumentArchive,
    DocumentLine,
    Head,
    open_archive,
    write_archive,
)
from retrieval.index import PassageIndex, Stored, put_stored
from utils.errors import NotFound
from utils.passages import Passage
from utils.ports import FloatArray

_OF_VERSION: dict[str, Any] = {"text_hash": "", "file_name": "", "pages": None}


@dataclass(frozen=True, slots=True)
class Target:
    """An index that documents come to: its slot, the model and dimension of its vectors, its chunking version."""

    index: PassageIndex
    slot: int
    model: str
    dimension: int
    chunking_version: str


@dataclass(slots=True)
class Imported:
    """What an import did. Of the vectors, `reused` came from the file; `to_embed` chunks have none yet."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    reused: int = 0
    to_embed: int = 0


async def export_documents(
    database: Database, files: FileStore, ctx: Principal, path: Path, source: Target, *, lexical_version: str
) -> Head:
    """Write the tenant's documents, their *files* and the vectors *source* has of them to *path*; what is in it.

    What changes meanwhile may be in it or not. Memory is taken for one document at a time.

    Raises:
        BadInput: the file cannot be written.
    """
    hashes: set[str] = set()
    with write_archive(path) as archive:
        for document_id in await read(database, partial(list_movable_ids, ctx=ctx)):
            found = await read(database, partial(find_document, ctx=ctx, document_id=document_id))
            if found is not None:
                line = _make_line(*found)
                hashes |= {line.content_hash, line.text_hash}
                await asyncio.to_thread(archive.add_document, line)
        archive.begin_vectors()
        async for batch in source.index.export(ctx):
            await asyncio.to_thread(archive.add_vectors, batch)
        for content_hash in sorted(hashes):
            await asyncio.to_thread(_add_file, archive, files, ctx, content_hash)
        return archive.finish(model=source.model, dimension=source.dimension, lexical_version=lexical_version)


async def import_documents(
    database: Database, files: FileStore, ctx: Principal, path: Path, targets: Sequence[Target]
) -> Imported:
    """Add the documents of the file at *path* to the tenant, under new ids; those it has at the same origin change.

    The whole file is checked first. The vectors of new documents go to those *targets* whose model made them and
    whose passages they are of; all others are computed by the indexer. What an import that was broken off has added is
    passed over the next time.

    Raises:
        BadInput: the file is not whole; nothing was changed.
    """
    async with AsyncExitStack() as stack:
        archive = await asyncio.to_thread(stack.enter_context, open_archive(path))
        model_key = archive.head.model, archive.head.dimension
        fitting = [target for target in targets if (target.model, target.dimension) == model_key]
        importing = _Import(database, DocumentFiles(database, files), ctx, archive, fitting)
        lines = archive.read_documents()
        stack.callback(_close, lines)
        while (line := await asyncio.to_thread(next, lines, None)) is not None:
            await importing.import_document(line)
    return importing.done


def _close(lines: Generator[DocumentLine, None, None]) -> None:
    with suppress(ValueError):  # a thread still reads for an import that was cancelled
        lines.close()


@dataclass(slots=True)
class _Import:
    database: Database
    document_files: DocumentFiles
    ctx: Principal
    archive: DocumentArchive
    targets: Sequence[Target]
    done: Imported = field(default_factory=Imported)

    async def import_document(self, line: DocumentLine) -> None:
        """One document."""
        document = await read(self.database, partial(find_at_origin, ctx=self.ctx, origin=line.origin))
        if document is not None and _is_unchanged(document, line):
            self.done.unchanged += 1
            return
        content, data = await asyncio.to_thread(self._read_files, line)
        files = [each for each in (data, content.extracted) if each]
        if document is None:
            self.done.added += 1
            await self._add(line, content, files)
        else:
            self.done.changed += 1
            self.done.to_embed += len(line.chunks)
            await self._write(files, partial(replace_document, ctx=self.ctx, origin=line.origin, content=content))

    async def _add(self, line: DocumentLine, content: DocumentContent, files: Sequence[bytes]) -> None:
        """A new document: into the indexes first, so that nobody embeds what is about to come."""
        document_id = make_document_id()
        dataset_id = await write(self.database, partial(ensure_import_dataset, ctx=self.ctx))
        passages = make_passages(document_id, dataset_id, content)
        vectors = await asyncio.to_thread(self._find_vectors, line, passages)
        with_vectors = [passage for passage in passages if passage.passage_id in vectors]
        targets = [target for target in self.targets if target.chunking_version == content.chunking_version]
        for target in targets:
            stored = [Stored(passage, vectors.get(passage.passage_id)) for passage in passages]
            await put_stored(target.index, self.ctx, stored)
        slots = [(target.slot, passages, with_vectors) for target in targets]
        new = partial(add_indexed, ctx=self.ctx, document_id=document_id, origin=line.origin)
        await self._write(files, partial(new, content=content, slots=slots))
        reused = len(with_vectors) if targets else 0
        self.done.reused += reused
        self.done.to_embed += len(passages) - reused

    def _read_files(self, line: DocumentLine) -> tuple[DocumentContent, bytes | None]:
        extracted = self.archive.read_file(line.text_hash) or b""
        return _make_content(line, extracted), self.archive.read_file(line.content_hash)

    async def _write(self, files: Sequence[bytes], work: Callable[[Session], object]) -> None:
        def in_thread() -> None:
            with self.document_files.open_write_session(self.ctx, *files) as (session, _):
                work(session)

        await asyncio.to_thread(in_thread)

    def _find_vectors(self, line: DocumentLine, passages: Sequence[Passage]) -> dict[str, FloatArray]:
        pairs = zip(passages, line.chunks, strict=True)
        vectors = {passage.passage_id: self.archive.read_vector(chunk.chunk_id) for passage, chunk in pairs}
        return {passage_id: vector for passage_id, vector in vectors.items() if vector is not None}


def _is_unchanged(document: Document, line: DocumentLine) -> bool:
    if document.state in (DocumentState.FAILED, DocumentState.REMOVED):
        return False
    return (document.content_hash, document.parser_version) == (line.content_hash, line.parser_version)


def _make_line(document: Document, version: DocumentVersion | None, chunks: Sequence[Chunk]) -> DocumentLine:
    own = [name for name in DocumentLine.model_fields if name not in ("chunks", "chunking_version", *_OF_VERSION)]
    return DocumentLine(
        **{name: getattr(document, name) for name in own},
        **{name: getattr(version, name) if version else empty for name, empty in _OF_VERSION.items()},
        chunking_version=chunks[0].chunking_version if chunks else "",
        chunks=[ChunkLine(**{name: getattr(chunk, name) for name in ChunkLine.model_fields}) for chunk in chunks],
    )


def _make_content(line: DocumentLine, extracted: bytes) -> DocumentContent:
    fields = line.model_dump(exclude={"origin", "chunks", "text_hash"}, by_alias=False)
    chunks = [ChunkText(**chunk.model_dump(exclude={"chunk_id"})) for chunk in line.chunks]
    return DocumentContent(**fields, chunks=chunks, extracted=extracted)


def _add_file(archive: ArchiveWriter, files: FileStore, ctx: Principal, content_hash: str) -> None:
    with suppress(NotFound):  # it may have been deleted meanwhile
        archive.add_file(content_hash, files.get(ctx, content_hash))
