"""The slots of indexes: the bit of each in the marks of documents and chunks, and which chunks are its passages."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from domain.models import FIRST_CUT, Chunk, IndexRow, IndexState

FIRST_SLOT = 1
SLOTS = (1, 2, 4, 8)
ALL_SLOTS = sum(SLOTS)


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots of all indexes, each with the cut of its passages, and that of the one that serves."""

    cuts: Mapping[int, str]
    serving: int

    @property
    def used(self) -> int:
        """All of them as one mask."""
        return sum(self.cuts)

    def find_alike(self, slot: int) -> int:
        """Those of indexes that hold the same passages as that of *slot*, itself among them, as one mask."""
        return sum(each for each, cut in self.cuts.items() if cut == self.cuts.get(slot))


def find_serving_slot(session: Session) -> int:
    """The slot of the index that serves."""
    return session.scalar(select(IndexRow.slot).where(IndexRow.state == IndexState.SERVING)) or FIRST_SLOT


def find_slots_in_use(session: Session) -> Slots:
    """The slots of all indexes.

    Locks the rows until the commit, first thing before documents are: no index may come or go while its bit is written.
    Before there is any row, the first slot is that of the only index, of the first cut.
    """
    in_order = select(IndexRow).order_by(IndexRow.number).with_for_update()
    # Rows that the session read before it had to wait may say something else by now.
    rows = session.scalars(in_order.execution_options(populate_existing=True)).all()
    cuts = {row.slot: row.cut for row in rows} or {FIRST_SLOT: FIRST_CUT}
    return Slots(cuts, next((row.slot for row in rows if row.state == IndexState.SERVING), FIRST_SLOT))


def is_of_cut(slot: int) -> ColumnElement[bool]:
    """The chunks that are passages of the index of *slot*; those of the first cut, before there is a row of it."""
    chosen = select(IndexRow.cut).where(IndexRow.slot == slot).scalar_subquery()
    # One value for all rows: with a column in it PostgreSQL would not look through the partial index in its order.
    return Chunk.cut == func.coalesce(chosen, FIRST_CUT)
