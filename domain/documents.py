"""A tenant's documents: listed, found, replaced as a whole, removed."""

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Select, Update, insert, literal_column
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.conflicts import COMPARE_AGAIN, end_conflicts
from domain.dataset_roles import ensure_dataset_of
from domain.models import Chunk, DatasetRole, Document, DocumentState, DocumentVersion, now
from domain.scoping import scoped, scoped_delete, scoped_update
from utils.errors import NotFound
from utils.slices import cut_into_slices
from utils.validity import read_period

MAX_AT_ONCE = 1_000  # ids in one statement: databases take some ten thousand


@dataclass(frozen=True, slots=True)
class ChunkText:
    """A piece of a document, before it is a record: `text` stands at `start` to `end` of the document's text."""

    text: str
    start: int
    end: int
    heading: str
    page: int | None
    language: str


@dataclass(frozen=True, slots=True)
class DocumentContent:
    """What was read from a document: everything a record of it needs but its place.

    *parser_version* says how it was read, *chunking_version* how it was cut into `chunks`. `extracted` is the text with
    its headings and pages, as `domain.document_files.Extracted` is kept.
    """

    source: str
    title: str
    url: str | None
    language: str
    media_type: str
    size_bytes: int
    content_hash: str
    parser_version: str
    chunking_version: str
    chunks: Sequence[ChunkText]
    details: dict[str, object] = field(default_factory=dict)
    file_name: str = ""
    pages: int | None = None
    extracted: bytes = field(default=b"", repr=False)


def list_documents(session: Session, ctx: Principal) -> list[Document]:
    """The tenant's documents by source, also those that could not be read."""
    present = scoped(ctx, Document).where(Document.state != DocumentState.REMOVED)
    return list(session.scalars(present.order_by(Document.source, Document.origin)))


def is_present() -> ColumnElement[bool]:
    """Documents that readers have. Literal, as the partial indexes of the table are."""
    return Document.state != literal_column(f"'{DocumentState.REMOVED}'")


def get_document(session: Session, ctx: Principal, document_id: str) -> Document:
    """One document.

    Raises:
        NotFound: the tenant has no such document.
    """
    document = session.scalar(scoped(ctx, Document).where(Document.document_id == document_id))
    if document is None or document.state == DocumentState.REMOVED:
        raise NotFound(f"Document {document_id!r} not found.")
    return document


def lock_document(session: Session, ctx: Principal, document_id: str) -> Document:
    """One document, which nobody else changes until the commit.

    Raises:
        NotFound: the tenant has no such document.
    """
    lock_documents(session, ctx, [document_id])
    return get_document(session, ctx, document_id)


def change_description(session: Session, document: Document, *, tags: list[str], labels: dict[str, object]) -> None:
    """Change tags and labels of a locked document; flushed. Each index then gets them, without new vectors."""
    if (document.tags, document.labels) == (tags, labels):
        return
    if read_period(document.labels) != read_period(labels):
        document.compared_version = COMPARE_AGAIN
    document.tags, document.labels, document.lexical_slots = tags, labels, 0
    if document.state in (DocumentState.SEARCHABLE, DocumentState.READY):
        document.state = DocumentState.PENDING
    session.flush()


def get_chunks(session: Session, ctx: Principal, document_id: str) -> list[Chunk]:
    """A document's chunks in reading order, one chunking version after the other; none of another tenant's document."""
    chunks = scoped(ctx, Chunk).where(Chunk.document_id == document_id)
    return list(session.scalars(chunks.order_by(Chunk.chunking_version, Chunk.position)))


def replace_document(session: Session, ctx: Principal, origin: str, content: DocumentContent) -> Document:
    """Make *content* what the document at *origin* says, new or not; flushed, not committed.

    It keeps its id. The index follows later and answers from the former chunks until then. The former version stays
    open to those who cited it, until `domain.document_files` lets it go.
    """
    document = _claim(session, ctx, origin, content.source)
    own = "source", "title", "url", "language", "media_type", "size_bytes", "content_hash", "parser_version", "details"
    for name in own:
        setattr(document, name, getattr(content, name))
    end_conflicts(session, ctx, [document.document_id])
    document.version += 1
    document.version_at = now()
    document.state, document.error, document.lexical_slots = DocumentState.PENDING, None, 0
    document.chunk_count = len(content.chunks)
    session.flush()
    session.execute(scoped_delete(ctx, Chunk).where(Chunk.document_id == document.document_id))
    insert_chunks(session, document, content.chunking_version, content.chunks)
    _add_version(session, ctx, document, content)
    return document


def record_failure(session: Session, ctx: Principal, origin: str, source: str, reason: str) -> Document:
    """Note why the document at *origin* could not be read. What it said before stays in use."""
    document = _claim(session, ctx, origin, source)
    document.error = reason
    # A removed one stays removed until the index holds nothing of it.
    if document.chunk_count == 0 and document.state != DocumentState.REMOVED:
        document.state = DocumentState.FAILED
    session.flush()
    return document


def clear_failure(session: Session, ctx: Principal, document_id: str) -> None:
    """Forget a failed attempt: the file is again what was read before."""
    session.execute(scoped_update(ctx, Document).where(Document.document_id == document_id).values(error=None))


def remove_documents(session: Session, ctx: Principal, document_ids: Iterable[str]) -> int:
    """Take documents away from readers, in all versions. How many there were.

    Their rows go once the index holds nothing of them, their files by `domain.document_files`.
    """
    removed, document_ids = 0, sorted(document_ids)
    lock_documents(session, ctx, document_ids)
    end_conflicts(session, ctx, document_ids)
    for document_id in document_ids:
        session.execute(scoped_delete(ctx, Chunk).where(Chunk.document_id == document_id))
        session.execute(_make_present_update(ctx, document_id).values(deleted_at=now()))
        present = scoped_update(ctx, Document).where(
            Document.document_id == document_id, Document.state != DocumentState.REMOVED
        )
        result = session.execute(present.values(state=DocumentState.REMOVED, chunk_count=0, lexical_slots=0))
        removed += result.rowcount  # type: ignore[attr-defined] # an UPDATE gives a CursorResult
    return removed


def lock_documents(session: Session, ctx: Principal, document_ids: Iterable[str] | None = None) -> list[str]:
    """Lock these documents, or all of the tenant's, in the order of `lock_in_order`."""
    if document_ids is None:
        return lock_in_order(session, scoped(ctx, Document))
    locked: list[str] = []
    for ids in split_into_batches(sorted(document_ids)):
        locked += lock_in_order(session, scoped(ctx, Document).where(Document.document_id.in_(ids)))
    return locked


def lock_in_order(session: Session, documents: Select[Document]) -> list[str]:
    """Wait until nobody else changes *documents*, and keep others from it until the commit; their ids, in order.

    First thing in every transaction that changes documents or their chunks, always in the order of ids: PostgreSQL ends
    one of two that wait for each other. So only those may be changed whose ids are given: what others add meanwhile
    fits the same conditions, but is not locked.
    """
    in_order = documents.with_only_columns(Document.document_id).order_by(Document.document_id)
    return list(session.scalars(in_order.with_for_update()))


def split_into_batches(document_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """These ids in parts that a statement can name."""
    return cut_into_slices(document_ids, MAX_AT_ONCE)


def _claim(session: Session, ctx: Principal, origin: str, source: str) -> Document:
    """The row at *origin*, a new one in the default dataset if there is none; two at once end with the same row."""
    at_origin = scoped(ctx, Document).where(Document.origin == origin).with_for_update()
    while (document := session.scalar(at_origin)) is None:
        dataset_id = ensure_dataset_of(session, ctx, DatasetRole.DEFAULT).dataset_id
        new = Document(tenant_id=ctx.tenant_id, dataset_id=dataset_id, origin=origin, source=source, version=0)
        try:
            with session.begin_nested():
                session.add(new)
        except IntegrityError:  # PostgreSQL: another one was first, and may be gone again
            continue
        return new
    return document


def _add_version(session: Session, ctx: Principal, document: Document, content: DocumentContent) -> None:
    former = _make_present_update(ctx, document.document_id).where(DocumentVersion.replaced_at.is_(None))
    session.execute(former.values(replaced_at=now()))
    session.add(
        DocumentVersion(
            document_id=document.document_id,
            version=document.version,
            tenant_id=ctx.tenant_id,
            content_hash=content.content_hash,
            text_hash=hashlib.sha256(content.extracted).hexdigest(),
            file_name=content.file_name,
            title=content.title,
            language=content.language,
            media_type=content.media_type,
            size_bytes=content.size_bytes,
            pages=content.pages,
        )
    )
    session.flush()


def _make_present_update(ctx: Principal, document_id: str) -> Update:
    return scoped_update(ctx, DocumentVersion).where(
        DocumentVersion.document_id == document_id, DocumentVersion.deleted_at.is_(None)
    )


def make_chunk_id(
    document_id: str, *, content_hash: str, parser_version: str, chunking_version: str, position: int
) -> str:
    """The id of a chunk: the same for the same place of the same version of a document, cut in the same way."""
    return str(uuid.uuid5(uuid.UUID(document_id), f"{content_hash}:{parser_version}/{chunking_version}:{position}"))


def insert_chunks(session: Session, document: Document, chunking_version: str, chunks: Sequence[ChunkText]) -> None:
    """Add the chunks of a chunking version to a document that has none of it."""
    identity = {
        "content_hash": document.content_hash,
        "parser_version": document.parser_version,
        "chunking_version": chunking_version,
    }
    rows = [
        {
            "chunk_id": make_chunk_id(document.document_id, **identity, position=position),
            "tenant_id": document.tenant_id,
            "document_id": document.document_id,
            "chunking_version": chunking_version,
            "position": position,
            "page": chunk.page,
            "heading": chunk.heading,
            "start": chunk.start,
            "end": chunk.end,
            "language": chunk.language,
            "text": chunk.text,
        }
        for position, chunk in enumerate(chunks)
    ]
    if rows:
        session.execute(insert(Chunk), rows)
