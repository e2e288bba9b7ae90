"""What the index still has to be told, read from and noted in SQL; `ingestion/indexer.py` does the telling."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, bindparam, false, true
from sqlalchemy.orm import Session

from domain.models import Chunk, Document, DocumentState
from domain.scoping import (
    count_everywhere,
    scoped,
    scoped_count,
    scoped_delete,
    scoped_update,
    tenants_with,
)
from utils.context import TenantContext
from utils.passages import Passage


def without_index() -> ColumnElement[bool]:
    """Documents the index does not hold yet, or not without. Literal, as the partial index of the table is."""
    states = [DocumentState.PENDING.value, DocumentState.REMOVED.value]
    return Document.state.in_(bindparam(None, states, expanding=True, literal_execute=True))


def without_vector() -> ColumnElement[bool]:
    """Chunks whose vector is still to come. Written as the partial index of the table is."""
    return Chunk.vector_done == false()


def all_tenants(session: Session) -> list[TenantContext]:
    """The tenants that have documents."""
    return tenants_with(session, Document, true())


def tenants_without_words(session: Session) -> list[TenantContext]:
    """The tenants with documents to put into the index or take out of it."""
    return tenants_with(session, Document, without_index())


def tenants_without_vectors(session: Session) -> list[TenantContext]:
    """The tenants with chunks that wait for their vector."""
    return tenants_with(session, Chunk, without_vector())


def count_without_vectors(session: Session) -> int:
    """Chunks of all tenants that wait for their vector."""
    return count_everywhere(session, Chunk, without_vector())


def documents_without_words(session: Session, ctx: TenantContext, limit: int) -> list[Document]:
    """Documents to put into the index or take out of it, oldest first."""
    waiting = scoped(ctx, Document).where(without_index())
    return list(session.scalars(waiting.order_by(Document.created_at).limit(limit)))


def chunks_of(session: Session, ctx: TenantContext, document_id: str) -> list[Chunk]:
    """A document's chunks in reading order."""
    return list(session.scalars(scoped(ctx, Chunk).where(Chunk.document_id == document_id).order_by(Chunk.position)))


def passages_without_vectors(session: Session, ctx: TenantContext, limit: int, offset: int) -> list[Passage]:
    """Passages the index has the words of but no vector."""
    waiting = scoped(ctx, Chunk).add_columns(Document).join(Document, Document.document_id == Chunk.document_id)
    waiting = waiting.where(without_vector(), Chunk.lexical_done)
    rows = session.execute(waiting.order_by(Chunk.document_id, Chunk.position).limit(limit).offset(offset))
    return [as_passage(document, chunk) for chunk, document in rows]


def mark_words(session: Session, ctx: TenantContext, chunk_ids: Sequence[str]) -> None:
    """The index holds the words of these chunks; ids that were replaced meanwhile are passed over."""
    session.execute(scoped_update(ctx, Chunk).where(Chunk.chunk_id.in_(chunk_ids)).values(lexical_done=True))


def mark_searchable(session: Session, ctx: TenantContext, document_id: str, version: int) -> None:
    """The index holds all words of this version; a document that was changed or removed meanwhile stays to be done."""
    this = scoped_update(ctx, Document).where(Document.document_id == document_id, Document.version == version)
    session.execute(this.where(Document.state == DocumentState.PENDING).values(state=DocumentState.SEARCHABLE))
    _mark_ready(session, ctx, [document_id])


def mark_vectors(session: Session, ctx: TenantContext, passages: Sequence[Passage]) -> None:
    """The index holds the vectors of these passages."""
    ids = [passage.passage_id for passage in passages]
    session.execute(scoped_update(ctx, Chunk).where(Chunk.chunk_id.in_(ids)).values(vector_done=True))
    _mark_ready(session, ctx, sorted({passage.document_id for passage in passages}))


def drop_removed(session: Session, ctx: TenantContext, document_id: str, version: int) -> None:
    """The index holds nothing of this removed document any more: drop its row, unless it came back meanwhile."""
    this = scoped_delete(ctx, Document).where(Document.document_id == document_id, Document.version == version)
    session.execute(this.where(Document.state == DocumentState.REMOVED))


def count_chunks(session: Session, ctx: TenantContext) -> int:
    """How many passages of the tenant the index should hold once it has caught up."""
    return session.scalar(scoped_count(ctx, Chunk)) or 0


def count_chunks_without_vectors(session: Session, ctx: TenantContext) -> int:
    """How many of them should still wait for their vector."""
    return session.scalar(scoped_count(ctx, Chunk).where(without_vector())) or 0


def mark_undone(session: Session, ctx: TenantContext) -> None:
    """The index lost this tenant's passages, or is another one: everything is to be put into it again."""
    session.execute(scoped_update(ctx, Chunk).values(lexical_done=False, vector_done=False))
    indexed = scoped_update(ctx, Document).where(Document.state.in_([DocumentState.SEARCHABLE, DocumentState.READY]))
    session.execute(indexed.values(state=DocumentState.PENDING))


def as_passage(document: Document, chunk: Chunk) -> Passage:
    """The chunk as it is searched, shown and cited."""
    return Passage(
        passage_id=chunk.chunk_id,
        document_id=document.document_id,
        title=document.title,
        source=document.source,
        url=document.url,
        page=chunk.page,
        heading=chunk.heading,
        start=chunk.start,
        end=chunk.end,
        language=chunk.language,
        text=chunk.text,
    )


def _mark_ready(session: Session, ctx: TenantContext, document_ids: Sequence[str]) -> None:
    for document_id in document_ids:
        waiting = scoped(ctx, Chunk).where(Chunk.document_id == document_id, without_vector()).exists()
        done = scoped_update(ctx, Document).where(Document.document_id == document_id, ~waiting)
        session.execute(done.where(Document.state == DocumentState.SEARCHABLE).values(state=DocumentState.READY))
