"""The content of an index as SQL has it, to be compared with the index itself."""

from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.models import Chunk, Document, DocumentState, DocumentVersion, Job
from domain.scoping import scoped
from domain.slots import is_passage_of


@dataclass(slots=True)
class IndexedDocument:
    """A version of a document that an index was given whole, and the passages of which it has words and vectors."""

    version: int
    words: set[str] = field(default_factory=set)
    vectors: set[str] = field(default_factory=set)


def list_indexed_documents(session: Session, ctx: Principal, slot: int) -> dict[str, IndexedDocument]:
    """The tenant's documents that the index of *slot* holds, by id; not those it is still to be given."""
    documents = scoped(ctx, Document).where(
        Document.lexical_slots.bitwise_and(slot) != 0,
        Document.state.not_in([DocumentState.REMOVED.value, DocumentState.FAILED.value]),
    )
    versions = session.execute(documents.with_only_columns(Document.document_id, Document.version))
    indexed_documents = {document_id: IndexedDocument(version) for document_id, version in versions}
    columns = Chunk.document_id, Chunk.chunk_id, Chunk.dense_slots.bitwise_and(slot)
    chunks = scoped(ctx, Chunk).where(is_passage_of(slot))
    for document_id, chunk_id, has_vector in session.execute(chunks.with_only_columns(*columns)):
        if document := indexed_documents.get(document_id):
            document.words.add(chunk_id)
            if has_vector:
                document.vectors.add(chunk_id)
    return indexed_documents


def list_known_documents(session: Session, ctx: Principal) -> set[str]:
    """The ids of all the tenant's documents, whatever their state."""
    return set(session.scalars(scoped(ctx, Document).with_only_columns(Document.document_id)))


def list_named_files(session: Session, ctx: Principal) -> set[str]:
    """The hashes of all files that jobs of the tenant name, or versions of documents which readers still have."""
    present = scoped(ctx, DocumentVersion).where(DocumentVersion.deleted_at.is_(None))
    columns = DocumentVersion.content_hash, DocumentVersion.text_hash
    uploaded = set(session.scalars(scoped(ctx, Job).with_only_columns(Job.content_hash)))
    return uploaded.union(*session.execute(present.with_only_columns(*columns)))
