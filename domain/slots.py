"""The slots of indexes: the bit of each in the marks of documents and chunks, and which chunks are its passages."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from domain.models import FIRST_CHUNKING_VERSION, Chunk, IndexRow, IndexState

FIRST_SLOT = 1
SLOTS = (1, 2, 4, 8)
ALL_SLOTS = sum(SLOTS)


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots of all indexes, each with the chunking version of its passages, and that of the one that serves."""

    chunking_versions: Mapping[int, str]
    serving: int

    @property
    def used(self) -> int:
        """All of them as one mask."""
        return sum(self.chunking_versions)

    def find_alike(self, slot: int) -> int:
        """The slots of indexes with the same passages as that of *slot*, itself among them, as one mask."""
        own = self.chunking_versions.get(slot)
        return sum(each for each, version in self.chunking_versions.items() if version == own)


def find_serving_slot(session: Session) -> int:
    """The slot of the index that serves."""
    return session.scalar(select(IndexRow.slot).where(IndexRow.state == IndexState.SERVING)) or FIRST_SLOT


def find_slots_in_use(session: Session) -> Slots:
    """The slots of all indexes.

    Locks the rows until the commit, first thing before documents are: no index may come or go while its bit is written.
    Before there is any row, the first slot is that of the only index, of the first chunking version.
    """
    in_order = select(IndexRow).order_by(IndexRow.number).with_for_update()
    # Rows that the session read before it had to wait may say something else by now.
    rows = session.scalars(in_order.execution_options(populate_existing=True)).all()
    versions = {row.slot: row.chunking_version for row in rows} or {FIRST_SLOT: FIRST_CHUNKING_VERSION}
    return Slots(versions, next((row.slot for row in rows if row.state == IndexState.SERVING), FIRST_SLOT))


def is_passage_of(slot: int) -> ColumnElement[bool]:
    """The chunks that are passages of the index of *slot*; before there is a row of it, those of the first version."""
    chosen = select(IndexRow.chunking_version).where(IndexRow.slot == slot).scalar_subquery()
    # One value for all rows: with a column in it PostgreSQL would not look through the partial index in its order.
    return Chunk.chunking_version == func.coalesce(chosen, FIRST_CHUNKING_VERSION)
