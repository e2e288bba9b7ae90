"""The indexes there are, and which of them serves; SQL says so to every process.

One that serves is another one as soon as the transaction of `switch_to` is committed. Processes look every two seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from domain.documents import lock_in_order, split_into_batches
from domain.models import Chunk, Document, DocumentState, IndexRow, IndexState, now
from domain.rechunking import delete_chunks, has_chunks, recount
from domain.scoping import count_everywhere, delete_everywhere, select_everywhere, update_everywhere
from domain.slots import ALL_SLOTS, FIRST_SLOT, SLOTS, find_slots_in_use, is_passage_of
from utils.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """What an index is made with: the model of its vectors, the rules for its words, and the sizes of its passages.

    *base_url* is where the model is asked, None for the one that comes with the service.
    """

    model: str
    dimension: int
    base_url: str | None
    lexical_version: str
    chunking_version: str

    def fits(self, row: IndexRow) -> bool:
        """Whether *row* is such an index; the same model may have moved to another address."""
        stored = row.model, row.dimension, row.lexical_version, row.chunking_version
        return (self.model, self.dimension, self.lexical_version, self.chunking_version) == stored


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """How many passages there are, and of how many an index has the words and the vectors."""

    passages: int
    words: int
    vectors: int

    @property
    def share(self) -> float:
        """How much of the work is done, 0 to 1."""
        return (self.words + self.vectors) / (2 * self.passages) if self.passages else 1.0


def list_indexes(session: Session) -> list[IndexRow]:
    """All of them, oldest first; none before the first start."""
    return list(session.scalars(select(IndexRow).order_by(IndexRow.number)))


def get_index(session: Session, number: int) -> IndexRow:
    """One of them.

    Raises:
        NotFound: there is none of this number.
    """
    row = session.get(IndexRow, number)
    if row is None:
        raise NotFound(f"There is no index {number}: `flask index status` lists those there are.")
    return row


def find_serving_index(session: Session) -> IndexRow | None:
    """The one that answers questions; None before the first start."""
    return session.scalar(select(IndexRow).where(IndexRow.state == IndexState.SERVING))


def make_first_row(spec: IndexSpec) -> IndexRow:
    """The row of the index there was before there were several; it serves."""
    first = _make_row(1, FIRST_SLOT, spec, IndexState.SERVING)
    first.served_at = now()
    return first


def choose_next_number(rows: Sequence[IndexRow]) -> int:
    """The number of the index that comes after all of *rows*."""
    return max((row.number for row in rows), default=0) + 1


def begin_index(session: Session, spec: IndexSpec) -> IndexRow:
    """An index of *spec* that is to be filled, in a slot of its own.

    Raises:
        Conflict: there are four already.
    """
    find_slots_in_use(session)
    rows = list_indexes(session)
    free = [slot for slot in SLOTS if slot not in {row.slot for row in rows}]
    if not free:
        raise Conflict("There are four indexes: drop one first.")
    row = _make_row(choose_next_number(rows), free[0], spec, IndexState.BUILDING)
    session.add(row)
    _set_slot(session, row.slot, is_held=False)
    return row


def switch_to(session: Session, number: int, *, note: str = "") -> IndexRow:
    """Let another index serve; the former is kept. The states of documents are those they have in the new one.

    Raises:
        NotFound: there is none of this number.
        Conflict: it serves already, or is being dropped.
    """
    find_slots_in_use(session)
    chosen, former = get_index(session, number), find_serving_index(session)
    if chosen.state in (IndexState.SERVING, IndexState.DROPPING):
        raise Conflict(f"Index {number} {'serves already' if chosen is former else 'is being dropped'}.")
    if former is not None:
        former.state, former.left_at = IndexState.KEPT, now()
    chosen.state, chosen.served_at, chosen.note = IndexState.SERVING, now(), note or chosen.note
    session.flush()
    is_chunked_alike = former is None or former.chunking_version == chosen.chunking_version
    _update_states(session, chosen.slot, is_chunked_alike=is_chunked_alike)
    return chosen


def find_former_index(session: Session) -> IndexRow:
    """The index that served before the present one: where a rollback goes.

    Raises:
        Conflict: there is none to go back to.
    """
    statement = select(IndexRow).where(IndexRow.state == IndexState.KEPT).order_by(IndexRow.left_at.desc())
    row = session.scalars(statement.limit(1)).first()
    if row is None:
        raise Conflict("There is no former index to go back to: none served before this one, or it was dropped.")
    return row


def refuse_index(session: Session, number: int, note: str) -> None:
    """Note that the check of a whole index did not pass."""
    find_slots_in_use(session)
    row = get_index(session, number)
    if row.state == IndexState.BUILDING:
        row.state, row.note = IndexState.REFUSED, note


def drop_index(session: Session, number: int) -> IndexRow:
    """Have an index removed by the process that has it open.

    Raises:
        NotFound: there is none of this number.
        Conflict: it serves.
    """
    find_slots_in_use(session)
    row = get_index(session, number)
    if row.state == IndexState.SERVING:
        raise Conflict(f"Index {number} answers the questions: switch to another one first.")
    row.state = IndexState.DROPPING
    return row


def find_expired(rows: Sequence[IndexRow], keep_days: float, target: IndexSpec) -> list[IndexRow]:
    """The indexes that stopped serving more than *keep_days* ago.

    Not *target*, which was gone back from: gone, it would be built again and serve.
    """
    former = [row for row in rows if row.state == IndexState.KEPT and not target.fits(row)]
    return [row for row in former if row.left_at and now() - row.left_at > timedelta(days=keep_days)]


def forget_index(session: Session, number: int) -> None:
    """The index is gone: so are its row, its marks, and the chunks that only its passages were."""
    slots = find_slots_in_use(session)
    row = get_index(session, number)
    is_last_of_version = slots.find_alike(row.slot) == row.slot
    _set_slot(session, row.slot, is_held=True, unused_version=row.chunking_version if is_last_of_version else None)
    session.delete(row)


def measure_progress(session: Session, row: IndexRow) -> IndexProgress:
    """How far *row* has come; documents that are not cut for it yet count with the chunks they have."""
    own = Chunk.chunking_version == row.chunking_version
    uncut = select_everywhere(Document).with_only_columns(func.sum(Document.chunk_count))
    uncut = uncut.where(Document.chunk_count > 0, ~has_chunks(row.chunking_version))
    return IndexProgress(
        count_everywhere(session, Chunk, own) + (session.scalar(uncut) or 0),
        count_everywhere(session, Chunk, and_(own, Chunk.lexical_slots.bitwise_and(row.slot) != 0)),
        count_everywhere(session, Chunk, and_(own, Chunk.dense_slots.bitwise_and(row.slot) != 0)),
    )


def record_move(session: Session, number: int, base_url: str | None) -> None:
    """Note where the model of an index is asked now."""
    get_index(session, number).base_url = base_url


def _make_row(number: int, slot: int, spec: IndexSpec, state: IndexState) -> IndexRow:
    return IndexRow(
        number=number,
        slot=slot,
        state=state,
        model=spec.model,
        dimension=spec.dimension,
        base_url=spec.base_url,
        lexical_version=spec.lexical_version,
        chunking_version=spec.chunking_version,
        note="",
    )


def _set_slot(session: Session, slot: int, *, is_held: bool, unused_version: str | None = None) -> None:
    """Mark everything as held by the index of *slot*, which is how it is while there is none, or nothing.

    The chunks of *unused_version* go, but of documents that have no others.
    What others add meanwhile has no marks, and gets none while the rows of indexes are locked: as if it came later.
    """
    session.flush()
    for ids in split_into_batches(lock_in_order(session, select_everywhere(Document))):
        if unused_version is not None:
            delete_chunks(session, unused_version, ids)
        chunks = {column: _add_slot(column, slot, is_held) for column in (Chunk.lexical_slots, Chunk.dense_slots)}
        session.execute(update_everywhere(Chunk).where(Chunk.document_id.in_(ids), is_passage_of(slot)).values(chunks))
        # The same time of change: for readers nothing has changed.
        documents = {
            Document.lexical_slots: _add_slot(Document.lexical_slots, slot, is_held),
            Document.updated_at: Document.updated_at,
        }
        session.execute(update_everywhere(Document).where(Document.document_id.in_(ids)).values(documents))
        if is_held:  # this was the last index that held removed ones
            session.execute(delete_everywhere(Document).where(Document.document_id.in_(ids), is_held_nowhere()))


def _add_slot(column: InstrumentedAttribute[int], slot: int, is_held: bool) -> ColumnElement[int]:
    return column.bitwise_or(slot) if is_held else column.bitwise_and(ALL_SLOTS - slot)


def is_held_nowhere() -> ColumnElement[bool]:
    """Removed documents that no index holds any more."""
    return and_(Document.state == DocumentState.REMOVED, Document.lexical_slots == ALL_SLOTS)


def _update_states(session: Session, slot: int, *, is_chunked_alike: bool) -> None:
    """Let every document be in the state it has in the index of *slot*, which serves from now on.

    Unless that *is_chunked_alike* the former, the documents also have another number of chunks.
    """
    waiting = select(Chunk.chunk_id).where(
        Chunk.document_id == Document.document_id, Chunk.dense_slots.bitwise_and(slot) == 0, is_passage_of(slot)
    )
    state = case(
        (Document.lexical_slots.bitwise_and(slot) == 0, DocumentState.PENDING.value),
        (waiting.exists(), DocumentState.SEARCHABLE.value),
        else_=DocumentState.READY.value,
    )
    found = [DocumentState.PENDING.value, DocumentState.SEARCHABLE.value, DocumentState.READY.value]
    differing = Document.state.in_(found), Document.state != state
    documents = select_everywhere(Document)
    # Once, also where two things change: a second round would begin with the lowest id again.
    for ids in split_into_batches(
        lock_in_order(session, documents.where(*differing) if is_chunked_alike else documents)
    ):
        if not is_chunked_alike:
            recount(session, slot, ids)
        change = update_everywhere(Document).where(Document.document_id.in_(ids), *differing)
        session.execute(change.values(state=state, updated_at=Document.updated_at))
