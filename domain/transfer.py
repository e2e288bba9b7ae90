"""Documents as they leave one tenant and come to another, with ids of their own there."""

import uuid
from collections.abc import Sequence

from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.dataset_roles import ensure_dataset_of
from domain.document_files import find_version
from domain.documents import DocumentContent, get_chunks, make_chunk_id, replace_document
from domain.index_marks import mark_searchable, mark_vectors, mark_words
from domain.indexes import find_serving_index
from domain.models import Chunk, DatasetRole, Document, DocumentState, DocumentVersion
from domain.passages import make_passage
from domain.scoping import scoped
from utils.passages import Passage

_TO_BE_MOVED = (DocumentState.PENDING.value, DocumentState.SEARCHABLE.value, DocumentState.READY.value)


def list_movable_ids(session: Session, ctx: Principal) -> list[str]:
    """The ids of the tenant's documents that were read."""
    read = scoped(ctx, Document).where(Document.state.in_(_TO_BE_MOVED))
    return list(session.scalars(read.with_only_columns(Document.document_id).order_by(Document.document_id)))


def find_document(
    session: Session, ctx: Principal, document_id: str
) -> tuple[Document, DocumentVersion | None, list[Chunk]] | None:
    """A document with its version and the passages of the index that serves, None if it was removed meanwhile.

    The passages are in reading order; where it is not cut for that index yet, they are those it was loaded with.
    """
    document = session.scalar(
        scoped(ctx, Document).where(Document.document_id == document_id, Document.state.in_(_TO_BE_MOVED))
    )
    if document is None:
        return None
    chunks = get_chunks(session, ctx, document_id)
    row = find_serving_index(session)
    versions = [chunk.chunking_version for chunk in chunks]
    chosen = row.chunking_version if row and row.chunking_version in versions else next(iter(versions), "")
    passages = [chunk for chunk in chunks if chunk.chunking_version == chosen]
    return document, find_version(session, ctx, document_id), passages


def find_at_origin(session: Session, ctx: Principal, origin: str) -> Document | None:
    """What the tenant has at *origin*, whatever its state."""
    return session.scalar(scoped(ctx, Document).where(Document.origin == origin))


def make_passages(document_id: str, dataset_id: str, content: DocumentContent) -> list[Passage]:
    """The passages that *content* will have as the new document *document_id* of that dataset, without labels."""
    document = Document(document_id=document_id, dataset_id=dataset_id, title=content.title)
    document.source, document.url = content.source, content.url
    document.version, document.tags, document.labels = 1, [], {}  # what a flush would make of it
    identity = {
        "content_hash": content.content_hash,
        "parser_version": content.parser_version,
        "chunking_version": content.chunking_version,
    }
    return [
        make_passage(
            document,
            Chunk(
                chunk_id=make_chunk_id(document_id, **identity, position=position),
                page=chunk.page,
                heading=chunk.heading,
                start=chunk.start,
                end=chunk.end,
                language=chunk.language,
                text=chunk.text,
            ),
        )
        for position, chunk in enumerate(content.chunks)
    ]


def add_indexed(
    session: Session,
    ctx: Principal,
    document_id: str,
    origin: str,
    content: DocumentContent,
    slots: Sequence[tuple[int, Sequence[Passage], Sequence[Passage]]],
) -> None:
    """A new document that indexes hold already: *slots* come with the passages they have words and vectors of."""
    dataset_id = ensure_import_dataset(session, ctx)
    new = Document(document_id=document_id, tenant_id=ctx.tenant_id, dataset_id=dataset_id, origin=origin, version=0)
    new.source = content.source
    session.add(new)
    session.flush()
    document = replace_document(session, ctx, origin, content)
    for slot, words, vectors in slots:
        mark_words(session, ctx, words, slot)
        mark_searchable(session, ctx, [document], slot)
        mark_vectors(session, ctx, vectors, slot)


def ensure_import_dataset(session: Session, ctx: Principal) -> str:
    """The id of the dataset that documents come to."""
    return ensure_dataset_of(session, ctx, DatasetRole.DEFAULT).dataset_id


def make_document_id() -> str:
    """An id that no document has."""
    return str(uuid.uuid4())
