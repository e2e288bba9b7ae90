"""Notes which documents and chunks an index holds."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.documents import lock_documents, split_into_batches
from domain.indexes import is_held_nowhere
from domain.indexing import Change, make_lacks_vector_condition
from domain.models import Chunk, Document, DocumentState
from domain.scoping import (
    scoped,
    scoped_delete,
    scoped_update,
)
from domain.slots import ALL_SLOTS, FIRST_SLOT, Slots, find_slots_in_use, is_passage_of
from utils.passages import Passage


def mark_words(session: Session, ctx: Principal, passages: Sequence[Passage], slot: int = FIRST_SLOT) -> None:
    """The index holds the words of these passages; those that were replaced meanwhile are passed over."""
    marks = _get_marks(session, slot)
    lock_documents(session, ctx, {passage.document_id for passage in passages})
    ids = [passage.passage_id for passage in passages]
    these = scoped_update(ctx, Chunk).where(Chunk.chunk_id.in_(ids))
    session.execute(these.values(lexical_slots=Chunk.lexical_slots.bitwise_or(marks.chunk_bits)))


def mark_searchable(session: Session, ctx: Principal, documents: Sequence[Document], slot: int = FIRST_SLOT) -> None:
    """The index holds all words of these versions; those that lack some, were changed or removed stay to be done."""
    marks = _get_marks(session, slot)
    lock_documents(session, ctx, [document.document_id for document in documents])
    for document in documents:
        this = _narrow_to_version(scoped_update(ctx, Document), document).where(Document.state != DocumentState.REMOVED)
        lacking = scoped(ctx, Chunk).where(Chunk.document_id == document.document_id, is_passage_of(slot))
        this = this.where(~lacking.where(Chunk.lexical_slots.bitwise_and(slot) == 0).exists())
        # The same time of change: readers do not know of indexes that do not serve.
        session.execute(
            this.values(lexical_slots=Document.lexical_slots.bitwise_or(marks.bits), updated_at=Document.updated_at)
        )
        if marks.serves:
            session.execute(this.where(Document.state == DocumentState.PENDING).values(state=DocumentState.SEARCHABLE))
    if marks.serves:
        _mark_ready(session, ctx, [document.document_id for document in documents], slot)


def mark_vectors(session: Session, ctx: Principal, passages: Sequence[Passage], slot: int = FIRST_SLOT) -> None:
    """The index holds the vectors of these passages, but of those that were replaced by their like meanwhile."""
    marks = _get_marks(session, slot)
    document_ids = sorted({passage.document_id for passage in passages})
    lock_documents(session, ctx, document_ids)
    ids = [passage.passage_id for passage in passages]
    these = scoped_update(ctx, Chunk).where(Chunk.chunk_id.in_(ids), Chunk.lexical_slots.bitwise_and(slot) != 0)
    session.execute(these.values(dense_slots=Chunk.dense_slots.bitwise_or(marks.chunk_bits)))
    if marks.serves:
        _mark_ready(session, ctx, document_ids, slot)


def drop_removed(session: Session, ctx: Principal, documents: Sequence[Document], slot: int = FIRST_SLOT) -> None:
    """The index holds nothing of these removed documents any more; their rows go with the last index.

    Documents that came back meanwhile stay.
    """
    marks = _get_marks(session, slot)
    lock_documents(session, ctx, [document.document_id for document in documents])
    for document in documents:
        this = _narrow_to_version(scoped_update(ctx, Document), document).where(Document.state == DocumentState.REMOVED)
        session.execute(this.values(lexical_slots=Document.lexical_slots.bitwise_or(marks.bits)))
        session.execute(_narrow_to_version(scoped_delete(ctx, Document), document).where(is_held_nowhere()))


def mark_undone(
    session: Session, ctx: Principal, slot: int = FIRST_SLOT, document_ids: Sequence[str] | None = None
) -> None:
    """The index lost this tenant's passages, or those of some documents: they are to be put into it again.

    *slot* may be a mask of several.
    """
    slots = find_slots_in_use(session)
    for ids in split_into_batches(lock_documents(session, ctx, document_ids)):
        _forget(session, ctx, ids, slot, slots)
        if slot & slots.serving:
            these = scoped_update(ctx, Document).where(Document.document_id.in_(ids))
            indexed = these.where(Document.state.in_([DocumentState.SEARCHABLE, DocumentState.READY]))
            session.execute(indexed.values(state=DocumentState.PENDING))


def _forget(session: Session, ctx: Principal, document_ids: Sequence[str], slot: int, slots: Slots) -> None:
    for each in slots.chunking_versions:
        if each & slot:
            own = slot & (ALL_SLOTS - slots.used + slots.find_alike(each))  # not those with other passages
            chunks = scoped_update(ctx, Chunk).where(Chunk.document_id.in_(document_ids), is_passage_of(each))
            marks = {column: column.bitwise_and(ALL_SLOTS - own) for column in (Chunk.lexical_slots, Chunk.dense_slots)}
            session.execute(chunks.values(marks))
    mask = ALL_SLOTS - slot
    present = scoped_update(ctx, Document).where(
        Document.document_id.in_(document_ids), Document.state != DocumentState.REMOVED
    )
    # The same time of change, as in `mark_searchable`.
    session.execute(
        present.values(lexical_slots=Document.lexical_slots.bitwise_and(mask), updated_at=Document.updated_at)
    )


@dataclass(frozen=True, slots=True)
class _Marks:
    """The bits to set where an index holds something: its own, and those no index uses. *serves*: readers see it.

    *chunk_bits* are for chunks, which indexes of other passages have no use for.
    """

    bits: int
    chunk_bits: int
    serves: bool


def _get_marks(session: Session, slot: int) -> _Marks:
    slots = find_slots_in_use(session)
    if not slot & slots.used:  # given up meanwhile: its bit may be another one's by now
        return _Marks(ALL_SLOTS - slots.used, ALL_SLOTS - slots.used, serves=False)
    return _Marks((ALL_SLOTS - slots.used) | slot, (ALL_SLOTS - slots.find_alike(slot)) | slot, slot == slots.serving)


def _narrow_to_version(change: Change, document: Document) -> Change:
    """*change*, to this version of the document alone."""
    return change.where(Document.document_id == document.document_id, Document.version == document.version)


def _mark_ready(session: Session, ctx: Principal, document_ids: Sequence[str], slot: int) -> None:
    for document_id in document_ids:
        waiting = scoped(ctx, Chunk).where(Chunk.document_id == document_id, make_lacks_vector_condition(slot)).exists()
        done = scoped_update(ctx, Document).where(Document.document_id == document_id, ~waiting)
        session.execute(done.where(Document.state == DocumentState.SEARCHABLE).values(state=DocumentState.READY))
