"""What the index still has to be told, read from and noted in SQL; `ingestion/indexer.py` does the telling."""

import json
from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import ColumnElement, Delete, Update, bindparam, false, select, true
from sqlalchemy.orm import Session, aliased

from domain.documents import lock_documents
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

Waiting = tuple[Document, list[Chunk]]


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


def without_words(session: Session, ctx: TenantContext, limit: int) -> list[Waiting]:
    """At most *limit* documents to put into the index, with their chunks, or to take out of it; oldest first.

    Read in one statement, so that a document and its chunks are of one version on every database.
    """
    waiting = scoped(ctx, Document).where(without_index()).order_by(Document.created_at).limit(limit).subquery()
    document = aliased(Document, waiting)
    rows = session.execute(
        select(document, Chunk)
        .outerjoin(Chunk, Chunk.document_id == document.document_id)
        .order_by(document.created_at, document.document_id, Chunk.position)
    )
    by_id: dict[str, Waiting] = {}
    for found, chunk in rows:
        _, chunks = by_id.setdefault(found.document_id, (found, []))
        if chunk is not None:
            chunks.append(chunk)
    return list(by_id.values())


def passages_without_vectors(session: Session, ctx: TenantContext, limit: int, offset: int) -> list[Passage]:
    """Passages the index has the words of but no vector."""
    waiting = scoped(ctx, Chunk).add_columns(Document).join(Document, Document.document_id == Chunk.document_id)
    waiting = waiting.where(without_vector(), Chunk.lexical_done)
    rows = session.execute(waiting.order_by(Chunk.document_id, Chunk.position).limit(limit).offset(offset))
    return [as_passage(document, chunk) for chunk, document in rows]


def mark_words(session: Session, ctx: TenantContext, passages: Sequence[Passage]) -> None:
    """The index holds the words of these passages; those that were replaced meanwhile are passed over."""
    lock_documents(session, ctx, {passage.document_id for passage in passages})
    ids = [passage.passage_id for passage in passages]
    session.execute(scoped_update(ctx, Chunk).where(Chunk.chunk_id.in_(ids)).values(lexical_done=True))


def mark_searchable(session: Session, ctx: TenantContext, documents: Sequence[Document]) -> None:
    """The index holds all words of these versions; those changed or removed meanwhile stay to be done."""
    lock_documents(session, ctx, [document.document_id for document in documents])
    for document in documents:
        this = _version(scoped_update(ctx, Document), document, DocumentState.PENDING)
        session.execute(this.values(state=DocumentState.SEARCHABLE))
    _mark_ready(session, ctx, [document.document_id for document in documents])


def mark_vectors(session: Session, ctx: TenantContext, passages: Sequence[Passage]) -> None:
    """The index holds the vectors of these passages, but of those that were replaced by their like meanwhile."""
    document_ids = sorted({passage.document_id for passage in passages})
    lock_documents(session, ctx, document_ids)
    ids = [passage.passage_id for passage in passages]
    these = scoped_update(ctx, Chunk).where(Chunk.chunk_id.in_(ids), Chunk.lexical_done)
    session.execute(these.values(vector_done=True))
    _mark_ready(session, ctx, document_ids)


def drop_removed(session: Session, ctx: TenantContext, documents: Sequence[Document]) -> None:
    """The index holds nothing of these removed documents any more: drop their rows, but of those that came back."""
    lock_documents(session, ctx, [document.document_id for document in documents])
    for document in documents:
        session.execute(_version(scoped_delete(ctx, Document), document, DocumentState.REMOVED))


def count_done(session: Session, ctx: TenantContext) -> tuple[int, int]:
    """How many passages of the tenant the index was given the words of, and how many the vectors."""
    words = session.scalar(scoped_count(ctx, Chunk).where(Chunk.lexical_done))
    return words or 0, session.scalar(scoped_count(ctx, Chunk).where(Chunk.vector_done)) or 0


def count_chunks_without_vectors(session: Session, ctx: TenantContext) -> int:
    """How many passages of the tenant wait for their vector."""
    return session.scalar(scoped_count(ctx, Chunk).where(without_vector())) or 0


def mark_undone(session: Session, ctx: TenantContext) -> None:
    """The index lost this tenant's passages, or is another one: everything is to be put into it again."""
    lock_documents(session, ctx)
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
        version=document.version,
        dataset_id=document.dataset_id or "",
        labels=_labels(document),
    )


def _labels(document: Document) -> tuple[str, ...]:
    """What a search can be limited to: its tags as `tag=…`, and what its metadata says in one word or number."""
    tags = [f"tag={tag}" for tag in document.tags]
    simple = [(key, value) for key, value in document.labels.items() if isinstance(value, str | int | float)]
    return (*tags, *(f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in simple))


Change = TypeVar("Change", Update, Delete)


def _version(change: Change, document: Document, state: DocumentState) -> Change:
    """*change*, to this version of the document alone and only while it is in *state*."""
    this = change.where(Document.document_id == document.document_id, Document.version == document.version)
    return this.where(Document.state == state)


def _mark_ready(session: Session, ctx: TenantContext, document_ids: Sequence[str]) -> None:
    for document_id in document_ids:
        waiting = scoped(ctx, Chunk).where(Chunk.document_id == document_id, without_vector()).exists()
        done = scoped_update(ctx, Document).where(Document.document_id == document_id, ~waiting)
        session.execute(done.where(Document.state == DocumentState.SEARCHABLE).values(state=DocumentState.READY))
