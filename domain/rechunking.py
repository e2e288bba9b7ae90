"""Documents cut once more, for an index whose passages are of other sizes than those they were loaded with."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, aliased

from auth.principal import Principal
from domain.document_files import find_version
from domain.documents import ChunkText, get_chunks, insert_chunks, lock_documents
from domain.models import Chunk, Document, DocumentState, DocumentVersion
from domain.scoping import (
    delete_everywhere,
    scoped,
    scoped_count,
    scoped_delete,
    select_everywhere,
    update_everywhere,
)
from domain.slots import find_slots_in_use, is_passage_of


def find_known_text(session: Session, ctx: Principal, document: Document) -> tuple[DocumentVersion | None, list[Chunk]]:
    """The version whose kept text is to be cut, None where there is none, and the chunks of another version."""
    chunks = get_chunks(session, ctx, document.document_id)
    former = [chunk for chunk in chunks if chunk.chunking_version == chunks[0].chunking_version]
    return find_version(session, ctx, document.document_id, document.version), former


def add_chunks(session: Session, ctx: Principal, document: Document, slot: int, chunks: Sequence[ChunkText]) -> None:
    """Note how *document* is cut for the index of *slot*; chunks that no index has a use for any more go.

    Nothing happens where it is cut already, or was replaced or removed meanwhile, or where the index is gone.
    """
    slots = find_slots_in_use(session)
    lock_documents(session, ctx, [document.document_id])
    present = scoped(ctx, Document).where(Document.document_id == document.document_id)
    current = session.scalar(present.execution_options(populate_existing=True))
    if current is None or current.version != document.version or current.state == DocumentState.REMOVED:
        return
    of_document = Chunk.document_id == document.document_id
    versions = slots.chunking_versions
    if slot not in versions or session.scalar(scoped_count(ctx, Chunk).where(of_document, is_passage_of(slot))):
        return
    insert_chunks(session, document, versions[slot], chunks)
    unused = Chunk.chunking_version.not_in(set(versions.values()))
    session.execute(scoped_delete(ctx, Chunk).where(of_document, unused))
    if slots.find_alike(slot) & slots.serving:
        recount(session, slot, [document.document_id])


def find_any_chunking_version(session: Session) -> str | None:
    """How documents are cut that were loaded before there was an index; None without any."""
    return session.scalar(select_everywhere(Chunk).with_only_columns(Chunk.chunking_version).limit(1))


def recount(session: Session, slot: int, document_ids: Sequence[str]) -> None:
    """Let documents have as many chunks as passages in the index of *slot*; those it has none of yet stay as they are.

    The caller has locked them.
    """
    passages = select(func.count()).where(Chunk.document_id == Document.document_id, is_passage_of(slot))
    count = func.coalesce(func.nullif(passages.scalar_subquery(), 0), Document.chunk_count)
    these = update_everywhere(Document).where(Document.document_id.in_(document_ids), Document.chunk_count > 0)
    session.execute(these.values(chunk_count=count, updated_at=Document.updated_at))


def delete_chunks(session: Session, chunking_version: str, document_ids: Sequence[str]) -> None:
    """Remove the chunks of a chunking version, but of documents that have no others. The caller has locked them."""
    other = aliased(Chunk)
    others = select(other.chunk_id).where(other.document_id == Chunk.document_id)
    has_others = others.where(other.chunking_version != chunking_version).exists()
    these = delete_everywhere(Chunk).where(Chunk.chunking_version == chunking_version, has_others)
    session.execute(these.where(Chunk.document_id.in_(document_ids)))


def has_chunks(chunking_version: str) -> ColumnElement[bool]:
    """Documents that are cut in this way."""
    own = select(Chunk.chunk_id).where(Chunk.document_id == Document.document_id)
    return own.where(Chunk.chunking_version == chunking_version).exists()
