"""What the index lacks, read from SQL and noted there once it has it; `indexing/indexer.py` puts it in."""

from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Delete, Select, Update, and_, case, func, literal_column, or_, select, true
from sqlalchemy.orm import Session, aliased

from auth.background import make_system
from auth.principal import Principal
from domain.db import Database
from domain.models import Chunk, Document, DocumentState, IndexRow
from domain.passages import make_passage
from domain.scoping import (
    count_everywhere,
    list_tenants_with,
    scoped,
    scoped_count,
    select_everywhere,
    select_over,
    select_tenants_with,
)
from domain.slots import FIRST_SLOT, find_serving_slot, is_passage_of
from utils.passages import Passage

Waiting = tuple[Document, list[Chunk]]


def make_waiting_condition(slot: int) -> ColumnElement[bool]:
    """Documents the index of *slot* does not hold yet, or not without. The rest of it is the table's partial index."""
    lacking = Document.lexical_slots.bitwise_and(slot) == 0
    read = [Document.state != literal_column(f"'{state}'") for state in (DocumentState.FAILED, DocumentState.STORED)]
    return and_(Document.lexical_slots != literal_column("15"), *read, lacking)


def make_lacks_vector_condition(slot: int) -> ColumnElement[bool]:
    """Chunks whose vector the index of *slot* is still to get. The rest of it is the table's partial index."""
    return and_(
        Chunk.dense_slots != literal_column("15"), Chunk.dense_slots.bitwise_and(slot) == 0, is_passage_of(slot)
    )


def list_tenants_with_documents(session: Session) -> list[Principal]:
    """The tenants that have documents."""
    return list_tenants_with(session, Document, true())


def list_tenants_without_words(database: Database, slot: int = FIRST_SLOT) -> list[Principal]:
    """The tenants with documents to put into the index of *slot* or take out of it: asked all the time."""
    return [make_system(row.tenant_id) for row in database.list_everywhere(_select_tenants_without_words(slot))]


def list_tenants_without_vectors(database: Database, slot: int = FIRST_SLOT) -> list[Principal]:
    """The tenants with chunks whose vector the index of *slot* lacks: asked all the time."""
    return [make_system(row.tenant_id) for row in database.list_everywhere(_select_tenants_without_vectors(slot))]


@cache
def _select_tenants_without_words(slot: int) -> Select[Any]:
    return select_tenants_with(Document, make_waiting_condition(slot))


@cache
def _select_tenants_without_vectors(slot: int) -> Select[Any]:
    return select_tenants_with(Chunk, make_lacks_vector_condition(slot))


def count_without_words(session: Session, slot: int) -> int:
    """Documents of all tenants that the index of *slot* does not hold yet, or not without."""
    return count_everywhere(session, Document, make_waiting_condition(slot))


def count_without_vectors(session: Session, slot: int | None = None) -> int:
    """Chunks of all tenants that wait for their vector, in the index that serves unless another is named."""
    return count_everywhere(session, Chunk, make_lacks_vector_condition(slot or find_serving_slot(session)))


def list_documents_without_words(
    session: Session,
    ctx: Principal,
    limit: int,
    slot: int = FIRST_SLOT,
    *,
    chunks: int | None = None,
    oldest_first: bool = False,
) -> list[Waiting]:
    """At most *limit* documents to put into the index, with their chunks, or to take out of it.

    The smallest first, or the oldest. Of *chunks* at most so many: of a document that is partly in the index the first
    one and those that are not. Without chunks, but with a count of them, a document is still to be cut for this index:
    `domain.rechunking`.

    Read in one statement, so that a document and its chunks are of one version on every database.
    """
    document, place = _select_without_words(ctx, limit, slot, oldest_first=oldest_first)
    condition = and_(Chunk.document_id == document.document_id, is_passage_of(slot))
    if chunks is not None:
        condition = and_(condition, or_(Chunk.position == 0, Chunk.position.between(place, place + chunks)))
    rows = session.execute(
        select_over(ctx, document, Chunk)
        .outerjoin(Chunk, condition)
        .order_by(*_order_by(document, oldest_first=oldest_first), Chunk.position)
        .limit(chunks)
    )
    by_id: dict[str, Waiting] = {}
    for document_row, chunk in rows:
        _, of_document = by_id.setdefault(document_row.document_id, (document_row, []))
        if chunk is not None:
            of_document.append(chunk)
    return list(by_id.values())


def _select_without_words(
    ctx: Principal, limit: int, slot: int, *, oldest_first: bool
) -> "tuple[type[Document], ColumnElement[int]]":
    """Documents whose words the index lacks, and the position of the first chunk of each that it lacks."""
    lacking = Chunk.document_id == Document.document_id, is_passage_of(slot), Chunk.lexical_slots.bitwise_and(slot) == 0
    first = select(Chunk.position).where(*lacking).order_by(Chunk.position).limit(1).scalar_subquery()
    waiting = scoped(ctx, Document).add_columns(first.label("place")).where(make_waiting_condition(slot))
    waiting = waiting.order_by(*_order_by(Document, oldest_first=oldest_first)).limit(limit)
    documents = waiting.subquery()
    return aliased(Document, documents), documents.c.place


def _order_by(document: type[Document], *, oldest_first: bool) -> tuple[ColumnElement[object], ...]:
    oldest = document.created_at, document.document_id
    return oldest if oldest_first else (document.chunk_count, *oldest)  # type: ignore[return-value] # columns of a class


def list_documents_without_vectors(
    session: Session, ctx: Principal, limit: int, slot: int = FIRST_SLOT, *, oldest_first: bool = False
) -> dict[str, int]:
    """At most *limit* documents with passages as of `list_passages_without_vectors` and their number.

    Those with the fewest first, or the oldest.

    Reads all that is waiting: not for each batch.
    """
    order: ColumnElement[Any] = func.count()
    waiting = scoped(ctx, Chunk).with_only_columns(Chunk.document_id, func.count())
    waiting = waiting.where(make_lacks_vector_condition(slot), Chunk.lexical_slots.bitwise_and(slot) != 0).group_by(
        Chunk.document_id
    )
    if oldest_first:
        waiting = waiting.join(Document, Document.document_id == Chunk.document_id)
        order = func.min(Document.created_at)
    rows = session.execute(waiting.order_by(order, Chunk.document_id).limit(limit))
    return {document_id: count for document_id, count in rows}


def list_passages_without_vectors(
    session: Session,
    ctx: Principal,
    limit: int,
    offset: int,
    slot: int = FIRST_SLOT,
    document_ids: Sequence[str] | None = None,
) -> list[Passage]:
    """Passages the index has the words of but no vector, of all documents or of some in their order."""
    waiting = scoped(ctx, Chunk).add_columns(Document).join(Document, Document.document_id == Chunk.document_id)
    waiting = waiting.where(make_lacks_vector_condition(slot), Chunk.lexical_slots.bitwise_and(slot) != 0)
    if document_ids is not None:
        places = {document_id: place for place, document_id in enumerate(document_ids)}
        waiting = waiting.where(Chunk.document_id.in_(document_ids)).order_by(case(places, value=Chunk.document_id))
    rows = session.execute(waiting.order_by(Chunk.document_id, Chunk.position).limit(limit).offset(offset))
    return [make_passage(document, chunk) for chunk, document in rows]


def sample_passages(session: Session, limit: int) -> list[tuple[Principal, Passage]]:
    """At most *limit* passages of any tenants, of the index that serves: always the same while the documents are."""
    # Ids are hashes, so their order is random.
    chunks = select_everywhere(Chunk).add_columns(Document).join(Document, Document.document_id == Chunk.document_id)
    rows = session.execute(
        chunks.where(is_passage_of(find_serving_slot(session))).order_by(Chunk.chunk_id).limit(limit)
    )
    return [(make_system(chunk.tenant_id), make_passage(document, chunk)) for chunk, document in rows]


def count_done(session: Session, ctx: Principal, slot: int = FIRST_SLOT) -> tuple[int, int]:
    """How many passages of the tenant the index was given the words of, and how many the vectors."""
    words, vectors = (
        session.scalar(scoped_count(ctx, Chunk).where(column.bitwise_and(slot) != 0, is_passage_of(slot)))
        for column in (Chunk.lexical_slots, Chunk.dense_slots)
    )
    return words or 0, vectors or 0


def count_chunks_without_vectors(session: Session, ctx: Principal) -> int:
    """How many passages of the tenant wait for their vector in the index that serves."""
    return session.scalar(scoped_count(ctx, Chunk).where(make_lacks_vector_condition(find_serving_slot(session)))) or 0


Change = TypeVar("Change", Update, Delete)


def holds_as_much(session: Session, row: IndexRow) -> bool:
    """Whether an index holds all documents, and no fewer vectors than the one that serves."""
    if count_without_words(session, row.slot):
        return False
    lacking = count_without_vectors(session, row.slot)
    return lacking == 0 or lacking <= count_without_vectors(session)
