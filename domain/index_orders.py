"""Requests of an operator to the process that has the indexes open, and their outcomes."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.models import IndexOrder, IndexRow


def place_order(session: Session, kind: str, arguments: dict[str, object]) -> str:
    """Ask the process that has the indexes open for something; the order's id."""
    order = IndexOrder(kind=kind, arguments=arguments)
    session.add(order)
    session.flush()
    return order.order_id


def list_indexes_and_orders(session: Session) -> tuple[list[IndexRow], bool]:
    """All indexes, oldest first, and whether an order is to be done; one statement, since it is asked for ever."""
    waiting = select(IndexOrder.order_id).where(IndexOrder.outcome.is_(None)).exists()
    result = session.execute(select(IndexRow, waiting).order_by(IndexRow.number)).all()
    return [row for row, _ in result], any(is_ordered for _, is_ordered in result)


def take_next_order(session: Session) -> IndexOrder | None:
    """The oldest order that is to be done, which is taken up now."""
    waiting = select(IndexOrder).where(IndexOrder.outcome.is_(None)).order_by(IndexOrder.made_at)
    order = session.scalars(waiting.limit(1)).first()
    if order is not None:
        order.taken_up = True
    return order


def is_any_taken_up(session: Session) -> bool:
    """Whether an order is being carried out: one that waits may wait for that."""
    return bool(session.scalar(select(IndexOrder.order_id).where(IndexOrder.taken_up).limit(1)))


def finish_order(session: Session, order_id: str, outcome: dict[str, object]) -> None:
    """Note the outcome of an order, unless it was taken back meanwhile."""
    order = session.get(IndexOrder, order_id)
    if order is not None:
        order.outcome = outcome


def take_outcome(session: Session, order_id: str) -> dict[str, object] | None:
    """The outcome of an order, which is then deleted; None while it is to be done."""
    order = session.get(IndexOrder, order_id)
    if order is None:
        return {"error": "The order is gone."}
    if order.outcome is not None:
        session.delete(order)
    return order.outcome


def cancel_order(session: Session, order_id: str) -> None:
    """Delete an order that nobody waits for any more."""
    order = session.get(IndexOrder, order_id)
    if order is not None:
        session.delete(order)
